//! What the stack IoTCore owns: the policy that is attached to each device's certificate, the template by which devices
//! register themselves, the logging of IoT Core and an own name for its endpoint.

use sha2::{Digest as _, Sha256};

use super::{device_policy, provisioning};
use crate::cross_cutting::logging;
use crate::declare::bounded;
use crate::naming::Naming;
use crate::settings::{IotDomain, Settings};
use crate::template::iam::{Role, allow};
use crate::template::{Expr, Published, Template, iot};

/// Name of the stack inside an environment.
pub const STACK: &str = "iot-core";

/// Topics of all readings: `tenant/{tenant}/device/{device}/data`. A device's id is its thing name, unique in the
/// account; its tenant is an attribute of its thing.
pub const READINGS_TOPIC_FILTER: &str = "tenant/+/device/+/data";

/// What the stack publishes for later stacks and for the provisioning of devices.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the policy to attach to a device's certificate.
    pub device_policy_name: Published,
    /// Name of the template by which devices register themselves.
    pub provisioning_template_name: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            device_policy_name: naming.published(STACK, "device-policy-name"),
            provisioning_template_name: naming.published(STACK, "provisioning-template-name"),
        }
    }
}

/// Type of each device's thing, by name: the registry owns it.
pub fn thing_type_name(naming: Naming<'_>) -> String {
    naming.name("device")
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let mut template =
        Template::of_stack(settings, STACK, "Ingest: what devices may do, scoped to their tenant and their name.");
    let policy = template.add(
        "DevicePolicy",
        iot::Policy { policy_name: naming.name("device"), policy_document: device_policy::document() },
    );
    let provisioning = provisioning::add(&mut template, settings);
    if settings.iot_logging() {
        add_logging(&mut template, naming);
    }
    if let Some(domain) = &settings.iot.domain {
        template.add(
            "Domain",
            iot::DomainConfiguration {
                domain_configuration_name: domain_name(naming, domain),
                domain_name: domain.name.clone(),
                server_certificate_arns: [domain.certificate_arn.clone()],
                service_type: "DATA",
                // TLS 1.2 and 1.3 (IoT Core guide, "Configuring TLS settings in domain configurations").
                tls_config: iot::TlsConfig { security_policy: "IoTSecurityPolicy_TLS13_1_2_2022_10" },
            },
        );
    }
    template.publish(&outputs.device_policy_name, "Policy of each device's certificate", policy.name());
    let registers = "Template by which devices register themselves";
    template.publish(&outputs.provisioning_template_name, registers, provisioning.name());
    template
}

/// Name of the domain configuration. CloudFormation cannot replace a resource of the same custom name, and another name or
/// certificate replaces this one: so the name changes with them.
fn domain_name(naming: Naming<'_>, domain: &IotDomain) -> String {
    let hash = Sha256::digest(format!("{} {}", domain.name, domain.certificate_arn));
    let short: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    naming.name(&format!("devices-{short}"))
}

/// The logging of IoT Core: warnings and errors. The log group is there already, so the role may not make one.
fn add_logging(template: &mut Template, naming: Naming<'_>) {
    let log = Expr::arn("logs", format!("log-group:{}:*", logging::IOT_LOG_GROUP));
    let write = vec![allow(["logs:CreateLogStream", "logs:PutLogEvents"], [log])];
    let role = Role::for_service(naming.role("iot-logging"), "iot.amazonaws.com", [("write-logs", write)]);
    let role = template.add("LoggingRole", bounded(naming, role.for_this_account_only()));
    template.add(
        "Logging",
        iot::Logging { account_id: Expr::account_id(), default_log_level: "WARN", role_arn: role.arn() },
    );
}
