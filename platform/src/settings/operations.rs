//! Settings of operations: IoT Core as a whole, alarms, costs, identities, the pipeline.

use serde::{Deserialize, Serialize};

use super::SettingsError;
use super::check::{arn_is_valid, check, email, host_is_valid, schedule, within};

/// IoT Core as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Iot {
    /// Whether this environment owns the logging of IoT Core, of which an account has one in a Region. Default: only in
    /// the environment `prod`.
    pub logging: Option<bool>,
    /// Whether devices may register themselves with a claim certificate. A claim is of one tenant, and registers devices of
    /// that tenant only. Default false.
    pub fleet_provisioning: bool,
    /// An own name for the devices' endpoint. Default: none, devices use the name that AWS gives.
    pub domain: Option<IotDomain>,
}

/// An own name for the devices' endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IotDomain {
    /// Name of the host, such as `iot.example.com`.
    pub name: String,
    /// ARN of the certificate for that name, in AWS Certificate Manager and in the same Region.
    pub certificate_arn: String,
}

/// Alarms of the platform itself. Anomalies of devices go to another topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alarms {
    /// Who is told of alarms by e-mail, once the address was confirmed. Default: nobody, until somebody subscribes.
    pub email: Option<String>,
    /// A stream's reader that is further behind raises an alarm: 60 to 86,400. Default 300.
    pub iterator_age_s: u32,
    /// A delivery that is further behind raises an alarm: 60 to 86,400, not less than a buffer's own interval.
    /// Default 900.
    pub delivery_age_s: u32,
}

/// What the platform may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cost {
    /// Budget of a month: 1 to 1,000,000. Default 100.
    pub monthly_budget_usd: u32,
    /// Who is told by e-mail when the budget is in danger. Default: nobody, until somebody subscribes to the topic.
    pub alert_email: Option<String>,
    /// A device that costs more in a month raises an alarm, in US cents: 1 to 1,000,000. What the platform costs without
    /// any device is shared among the devices, so few devices cost much each. Default 100.
    pub device_month_cents_max: u32,
    /// When costs are read: an expression of EventBridge Scheduler, in UTC. Default `cron(0 6 * * ? *)`. Each answer of
    /// Cost Explorer costs a cent.
    pub schedule: String,
}

/// People who look at their tenant's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Shortest password: 8 to 99. Default 12.
    pub password_length_min: u32,
    /// How long a token is valid: 5 to 1,440. Default 60.
    pub token_validity_minutes: u32,
    /// Whether Cognito stops sign-ins with stolen passwords and unusual ones. It is part of the plan Plus, which costs
    /// more for each user. Default false: the plan Essentials.
    pub threat_protection: bool,
}

/// The pipeline that deploys the platform. Without this table there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// ARN of the connection to the source's host.
    pub connection_arn: String,
    /// Repository: `owner/name`.
    pub repository: String,
    /// Branch that is deployed. Default `main`.
    #[serde(default = "main_branch")]
    pub branch: String,
    /// Settings file in the repository, relative to its root. It names no `artifact_key`: the pipeline gives each commit its
    /// own. Default: none, the environment has the default settings.
    pub settings_file: Option<String>,
}

fn main_branch() -> String {
    "main".to_owned()
}

impl Default for Alarms {
    fn default() -> Self {
        Alarms { email: None, iterator_age_s: 300, delivery_age_s: 900 }
    }
}

impl Default for Cost {
    fn default() -> Self {
        Cost {
            monthly_budget_usd: 100,
            alert_email: None,
            device_month_cents_max: 100,
            schedule: "cron(0 6 * * ? *)".to_owned(),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Identity { password_length_min: 12, token_validity_minutes: 60, threat_protection: false }
    }
}

impl Iot {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        let Some(IotDomain { name, certificate_arn }) = &self.domain else { return Ok(()) };
        let hint = "a name below a domain of yours, for example iot.example.com";
        check("iot.domain.name", name, host_is_valid(name), "the name of a host", hint)?;
        let ok = arn_is_valid(certificate_arn, "acm");
        let hint = "request or import the certificate in AWS Certificate Manager, in the Region of the platform";
        check("iot.domain.certificate_arn", certificate_arn, ok, "the ARN of a certificate", hint)
    }
}

impl Alarms {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        email("alarms.email", self.email.as_deref())?;
        let hint = "a stream forgets after stream_retention_hours; leave time to repair";
        within("alarms.iterator_age_s", self.iterator_age_s, 60..=86_400, hint)?;
        let hint = "more than the buffer intervals of the deliveries, or every quiet hour raises the alarm";
        within("alarms.delivery_age_s", self.delivery_age_s, 60..=86_400, hint)
    }
}

impl Cost {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        within("cost.monthly_budget_usd", self.monthly_budget_usd, 1..=1_000_000, "in whole US dollars")?;
        email("cost.alert_email", self.alert_email.as_deref())?;
        let hint = "in US cents of a month; 100 is a dollar";
        within("cost.device_month_cents_max", self.device_month_cents_max, 1..=1_000_000, hint)?;
        schedule("cost.schedule", &self.schedule)
    }
}

impl Identity {
    pub(super) fn validate(self) -> Result<(), SettingsError> {
        within("identity.password_length_min", self.password_length_min, 8..=99, "12 is a good start")?;
        let hint = "60 is an hour; people refresh their tokens without noticing";
        within("identity.token_validity_minutes", self.token_validity_minutes, 5..=1_440, hint)
    }
}

impl Pipeline {
    pub(super) fn validate(&self) -> Result<(), SettingsError> {
        let arn = &self.connection_arn;
        let ok = arn_is_valid(arn, "codeconnections") || arn_is_valid(arn, "codestar-connections");
        let hint = "make the connection in the console, because its handshake needs a person, and copy its ARN";
        check("pipeline.connection_arn", arn, ok, "the ARN of a connection", hint)?;
        let named =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let ok = self.repository.split_once('/').is_some_and(|(owner, name)| named(owner) && named(name));
        check("pipeline.repository", &self.repository, ok, "owner/name", "for example acme/iot-platform")?;
        let ok = (1..=255).contains(&self.branch.len()) && self.branch.bytes().all(|b| b.is_ascii_graphic());
        check("pipeline.branch", &self.branch, ok, "the name of a branch, 1 to 255 characters", "for example main")?;
        let Some(file) = &self.settings_file else { return Ok(()) };
        let safe = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
        let ok = !file.is_empty() && file.bytes().all(safe) && !file.starts_with('/') && !file.contains("..");
        check(
            "pipeline.settings_file",
            file,
            ok,
            "a path of a-z, A-Z, 0-9, - _ . and /",
            "for example settings/prod.toml",
        )
    }
}
