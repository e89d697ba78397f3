//! `AWS::Lambda::Function`: what a function is, and its creation.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::cloud::core::{AwsError, Cx, Provisioned, Resource, TokenBucket};
use crate::world::time::Time;

/// A function as it was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Name, unique in the account.
    pub name: String,
    /// ARN without a version.
    pub arn: String,
    /// What of the deployment package runs.
    pub handler: String,
    /// Runtime, such as `provided.al2023`.
    pub runtime: String,
    /// Environment variables by name, without those that Lambda adds.
    pub environment: BTreeMap<String, String>,
    /// Execution role.
    pub role_arn: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Longest run of one invocation.
    pub timeout: Duration,
    /// Description, empty when there is none.
    pub description: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Size of `/tmp` in MiB.
    pub ephemeral_storage_mib: u64,
    /// When it was created.
    pub created: Time,
    /// Revision id.
    pub revision_id: String,
}

/// A function and its execution environments.
#[derive(Debug)]
pub(super) struct Function {
    pub info: FunctionInfo,
    /// Environments that are initialised and wait for an event.
    pub idle: u64,
    /// New environments that may start.
    pub scaling: TokenBucket,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    function_name: String,
    handler: String,
    runtime: String,
    role: String,
    code: Code,
    memory_size: Option<u64>,
    timeout: Option<u64>,
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    description: String,
    architectures: Option<Vec<String>>,
    ephemeral_storage: Option<EphemeralStorage>,
    package_type: Option<String>,
    #[serde(default, rename = "Tags")]
    _tags: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    #[serde(rename = "S3Bucket")]
    bucket: String,
    #[serde(rename = "S3Key")]
    key: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Environment {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EphemeralStorage {
    size: u64,
}

/// Runtimes that run a program named `bootstrap`; the only ones that the seam can run.
const RUNTIMES: [&str; 2] = ["provided.al2", "provided.al2023"];

/// Environment variables that Lambda sets itself (Lambda facts, "Custom runtime API").
const RESERVED_VARIABLES: [&str; 14] = [
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "TZ",
];

impl Function {
    /// The function that `resource` declares. `Ref` is its name.
    pub fn create(cx: &mut Cx<'_>, resource: &Resource) -> Result<(Self, Provisioned), AwsError> {
        let properties: Properties = resource.parse()?;
        properties.check(cx, resource)?;
        let name = properties.function_name;
        let info = FunctionInfo {
            arn: cx.account.arn("lambda", &format!("function:{name}")),
            handler: properties.handler,
            runtime: properties.runtime,
            environment: properties.environment.variables,
            role_arn: properties.role,
            memory_mib: properties.memory_size.unwrap_or_else(|| cx.limits.get("lambda", "memory_min")),
            timeout: Duration::from_secs(
                properties.timeout.unwrap_or_else(|| cx.limits.get("lambda", "timeout_default")),
            ),
            description: properties.description,
            architecture: properties.architectures.map_or_else(|| "x86_64".to_owned(), |list| list[0].clone()),
            ephemeral_storage_mib: properties
                .ephemeral_storage
                .map_or_else(|| cx.limits.get("lambda", "tmp_min"), |storage| storage.size),
            created: cx.now,
            revision_id: cx.uuid(),
            name,
        };
        let burst = cx.limits.get("lambda", "scaling_rate");
        // The quota counts new environments in 10 seconds.
        let scaling = TokenBucket::new(burst, burst / 10, cx.now);
        let provisioned = Provisioned::new(info.name.clone()).attribute("Arn", info.arn.clone());
        Ok((Function { info, idle: 0, scaling }, provisioned))
    }
}

impl Properties {
    fn check(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), AwsError> {
        let limit = |name| cx.limits.get("lambda", name);
        let within = |member: &str, value: Option<u64>, min: u64, max: u64| match value {
            Some(value) if value < min || value > max => {
                Err(resource.refuse(format!("{member} is {value}; Lambda takes {min} to {max}")))
            }
            _ => Ok(()),
        };
        if !is_name(&self.function_name) {
            return Err(resource.refuse("FunctionName has 1 to 64 letters, digits, hyphens and underscores"));
        }
        if !RUNTIMES.contains(&self.runtime.as_str()) {
            return Err(resource.refuse(format!("the runtime {} is not modelled", self.runtime)));
        }
        if self.handler.is_empty() || self.handler.len() > 128 || self.handler.contains(char::is_whitespace) {
            return Err(resource.refuse("Handler has 1 to 128 characters without white space"));
        }
        if !(self.role.starts_with("arn:aws:iam::") && self.role.contains(":role/")) {
            return Err(resource.refuse(format!("Role is {:?}, which is not the ARN of a role", self.role)));
        }
        if self.code.bucket.is_empty() || self.code.key.is_empty() {
            return Err(resource.refuse("Code needs S3Bucket and S3Key"));
        }
        if self.package_type.as_deref().is_some_and(|kind| kind != "Zip") {
            return Err(resource.refuse("PackageType other than Zip is not modelled"));
        }
        if let Some(list) = &self.architectures
            && !matches!(list.as_slice(), [one] if one == "x86_64" || one == "arm64")
        {
            return Err(resource.refuse("Architectures holds x86_64 or arm64"));
        }
        if self.description.chars().count() > 256 {
            return Err(resource.refuse("Description has at most 256 characters"));
        }
        within("MemorySize", self.memory_size, limit("memory_min"), limit("memory_max"))?;
        within("Timeout", self.timeout, 1, limit("timeout_max"))?;
        let storage = self.ephemeral_storage.as_ref().map(|storage| storage.size);
        within("EphemeralStorage.Size", storage, limit("tmp_min"), limit("tmp_max"))?;
        check_environment(&self.environment.variables, limit("env_size"))
    }
}

/// Checks environment variables. The texts of the refusals are unverified.
fn check_environment(variables: &BTreeMap<String, String>, size_max: u64) -> Result<(), AwsError> {
    let refuse = |message: String| Err(AwsError::new("InvalidParameterValueException", message).with("Type", "User"));
    let unable =
        "Lambda was unable to configure your environment variables because the environment variables you have provided";
    for name in variables.keys() {
        let well_formed = name.len() > 1
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !well_formed {
            return refuse(format!(
                "the name {name:?} of an environment variable does not match [a-zA-Z][a-zA-Z0-9_]+"
            ));
        }
        if RESERVED_VARIABLES.contains(&name.as_str()) {
            return refuse(format!(
                "{unable} contains reserved keys that are currently not supported for modification. \
                 Reserved keys used in this request: {name}"
            ));
        }
    }
    let text = serde_json::to_string(variables).expect("a map of texts is JSON");
    if text.len() as u64 > size_max {
        return refuse(format!("{unable} exceeded the 4KB limit. String measured: {text}"));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
