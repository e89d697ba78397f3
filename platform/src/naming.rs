//! Names of resources: functions of the settings alone, so that a stack can name what another owns.

use crate::settings::Settings;
use crate::template::{Expr, Published};

/// Names begin with this.
const PLATFORM: &str = "iot-platform";

/// Last part of the name of the function that runs a handler: `device-tagger` for `device_tagger`.
pub fn function_suffix(handler: &str) -> String {
    handler.replace('_', "-")
}

/// Makes the names of one environment.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'s> {
    settings: &'s Settings,
}

impl<'s> Naming<'s> {
    /// Names of the environment of `settings`.
    pub fn new(settings: &'s Settings) -> Self {
        Naming { settings }
    }

    /// `iot-platform-{env}-{what}`: unique in an account and Region.
    pub fn name(&self, what: &str) -> String {
        format!("{PLATFORM}-{}-{what}", self.settings.env)
    }

    /// `iot-platform-{env}-{function}`: the function that runs a handler, such as `device_tagger`.
    pub fn function(&self, handler: &str) -> String {
        self.name(&function_suffix(handler))
    }

    /// `iot_platform_{env}_{what}`: where hyphens are not allowed.
    pub fn identifier(&self, what: &str) -> String {
        self.name(what).replace('-', "_")
    }

    /// `iot-platform-{env}-{what}-{region}`: roles are unique in an account, in all its Regions.
    pub fn role(&self, what: &str) -> String {
        format!("{}-{}", self.name(what), self.settings.region)
    }

    /// `iot-platform-{env}-{what}-{account}-{region}`: buckets are unique in the world.
    pub fn bucket(&self, what: &str) -> Expr {
        let account = self.settings.account.as_deref().map_or_else(Expr::account_id, Expr::from);
        Expr::concat([self.name(what).into(), "-".into(), account, "-".into(), self.settings.region.as_str().into()])
    }

    /// `/iot-platform/{env}/{what}`: where names are paths.
    pub fn path(&self, what: &str) -> String {
        format!("/{PLATFORM}/{}/{what}", self.settings.env)
    }

    /// `IotPlatform/{env}`: the namespace of the platform's own metrics.
    pub fn metric_namespace(&self) -> String {
        format!("IotPlatform/{}", self.settings.env)
    }

    /// The SSM parameter `/iot-platform/{env}/{region}/{stack}/{what}`.
    pub fn published(&self, stack: &str, what: &str) -> Published {
        let Settings { env, region, .. } = self.settings;
        Published::new(format!("/{PLATFORM}/{env}/{region}/{stack}/{what}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_hold_what_makes_them_unique() {
        let mut settings = Settings { env: "sim".to_owned(), ..Settings::default() };
        let naming = Naming::new(&settings);
        assert_eq!(naming.name("raw"), "iot-platform-sim-raw");
        assert_eq!(naming.function("device_tagger"), "iot-platform-sim-device-tagger");
        assert_eq!(naming.identifier("readings"), "iot_platform_sim_readings");
        assert_eq!(naming.path("trail"), "/iot-platform/sim/trail");
        assert_eq!(naming.role("rule"), "iot-platform-sim-rule-eu-west-1");
        assert_eq!(
            naming.published("streaming", "raw-stream-arn").path(),
            "/iot-platform/sim/eu-west-1/streaming/raw-stream-arn"
        );
        let bucket = serde_json::to_value(naming.bucket("raw")).unwrap();
        assert_eq!(bucket, json!({"Fn::Sub": "iot-platform-sim-raw-${AWS::AccountId}-eu-west-1"}));
        settings.account = Some("123456789012".to_owned());
        let bucket = serde_json::to_value(Naming::new(&settings).bucket("raw")).unwrap();
        assert_eq!(bucket, json!("iot-platform-sim-raw-123456789012-eu-west-1"));
    }
}
