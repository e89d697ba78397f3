//! What a function is, its creation, and its changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::admission::Pool;
use super::aliases::Alias;
use super::declared::Properties;
use super::invoke_config::InvokeConfig;
use super::permission::Statement;
use super::versions::{LATEST, Published};
use crate::core::{AwsError, Cx, FunctionRevision, Provisioned, Resource, TokenBucket};
use world::time::Time;

/// How long a change of a function is in progress. AWS publishes none: an assumption.
const UPDATE_TIME: Duration = Duration::from_secs(2);

/// A function as it is configured.
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
    /// Where the deployment package lies: (bucket, key).
    pub code: (String, String),
    /// Customer-managed key of the environment variables.
    pub kms_key_arn: Option<String>,
    /// Log group of its environments.
    pub log_group: String,
    /// `PassThrough` or `Active`.
    pub tracing: String,
    /// Topic that gets events which cannot be processed.
    pub dead_letters: Option<String>,
    /// Invocations at a time that are set aside for it, and at most allowed.
    pub reserved_concurrency: Option<u64>,
    /// When it was last changed.
    pub last_modified: Time,
    /// Revision id.
    pub revision_id: String,
}

/// What an execution environment is made of.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub revision: Arc<FunctionRevision>,
    pub timeout: Duration,
    pub kms_key_arn: Option<String>,
    pub log_group: String,
}

/// A function and its execution environments.
#[derive(Debug)]
pub(super) struct Function {
    pub info: FunctionInfo,
    /// What invocations run. It is behind `info` while a change is in progress.
    version: Version,
    /// What invocations run from an instant on.
    next: Option<(Time, Version)>,
    /// Environments of `version` that run nothing.
    pub pool: Pool,
    /// The versions that are published, by number.
    pub published: BTreeMap<u64, Published>,
    /// Versions that were ever published.
    pub versions: u64,
    pub aliases: BTreeMap<String, Alias>,
    /// New environments that may start.
    pub scaling: TokenBucket,
    /// Its resource policy.
    pub policy: Vec<Statement>,
    /// How long events wait for it, how often they are tried and who is told, by version or alias.
    pub invoke_configs: BTreeMap<String, InvokeConfig>,
}

impl Function {
    /// The function that `resource` declares; `number` is the number of its first revision.
    pub fn create(cx: &mut Cx<'_>, resource: &Resource, number: u64) -> Result<Self, AwsError> {
        let properties: Properties = resource.parse()?;
        properties.check(cx, resource)?;
        let info = properties.into_info(cx);
        let burst = cx.limits.get("lambda", "scaling_rate");
        Ok(Function {
            version: Version::new(&info, number, LATEST),
            next: None,
            info,
            pool: Pool::default(),
            published: BTreeMap::new(),
            versions: 0,
            aliases: BTreeMap::new(),
            // The quota counts new environments in 10 seconds.
            scaling: TokenBucket::new(burst, burst / 10, cx.now).scaled(cx.limits.scale("lambda")),
            policy: Vec::new(),
            invoke_configs: BTreeMap::new(),
        })
    }

    /// What the function would be with the properties of `resource`.
    pub fn changed(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<FunctionInfo, AwsError> {
        let properties: Properties = resource.parse()?;
        properties.check(cx, resource)?;
        if properties.function_name != self.info.name {
            return Err(resource.refuse("a change of FunctionName needs a replacement"));
        }
        Ok(properties.into_info(cx))
    }

    /// Changes the function to `info` and says when that is done. Invocations that run go on in their environments; from
    /// the end of the change on, new environments start. Reserved concurrency counts at once and starts none.
    pub fn change(&mut self, cx: &Cx<'_>, info: FunctionInfo, number: u64) -> Result<Time, AwsError> {
        self.settle(cx.now);
        let unchanged = FunctionInfo {
            reserved_concurrency: info.reserved_concurrency,
            last_modified: info.last_modified,
            revision_id: info.revision_id.clone(),
            ..self.info.clone()
        };
        if unchanged == info {
            self.info.reserved_concurrency = info.reserved_concurrency;
            return Ok(cx.now);
        }
        if self.next.is_some() {
            let message = format!(
                "The operation cannot be performed at this time. An update is in progress for resource: {}",
                self.info.arn
            );
            return Err(AwsError::new("ResourceConflictException", message).status(409).with("Type", "User"));
        }
        let ready = cx.now + UPDATE_TIME;
        self.next = Some((ready, Version::new(&info, number, LATEST)));
        self.info = info;
        Ok(ready)
    }

    /// Ends a change whose time is over: environments of the old revision that run nothing are dropped.
    pub fn settle(&mut self, now: Time) {
        if let Some((_, version)) = self.next.take_if(|(ready, _)| *ready <= now) {
            self.version = version;
            self.pool = Pool::default();
        }
    }

    /// What an invocation of a version that exists runs when it begins now, and the environments that wait for it.
    pub fn environments(&mut self, now: Time, number: Option<u64>) -> (&Version, &mut Pool) {
        self.settle(now);
        match number.and_then(|number| self.published.get_mut(&number)) {
            Some(published) => (&published.version, &mut published.pool),
            None => (&self.version, &mut self.pool),
        }
    }

    /// The same for a version by its name, when it still exists.
    pub fn environments_of(&mut self, now: Time, version: &str) -> Option<(&Version, &mut Pool)> {
        let number = version.parse().ok();
        (number.is_none() || number.is_some_and(|number| self.published.contains_key(&number)))
            .then(|| self.environments(now, number))
    }

    /// Whether a change is in progress.
    pub fn is_changing(&self, now: Time) -> bool {
        self.next.as_ref().is_some_and(|(ready, _)| *ready > now)
    }

    /// What references to the function answer: `Ref` is its name.
    pub fn provisioned(&self) -> Provisioned {
        Provisioned::new(self.info.name.clone()).attribute("Arn", self.info.arn.clone())
    }
}

impl Version {
    pub fn new(info: &FunctionInfo, number: u64, version: &str) -> Self {
        Version {
            revision: Arc::new(FunctionRevision {
                function: info.name.clone(),
                version: version.to_owned(),
                number,
                handler: info.handler.clone(),
                environment: info.environment.clone(),
                role_arn: info.role_arn.clone(),
                memory_mib: info.memory_mib,
            }),
            timeout: info.timeout,
            kms_key_arn: info.kms_key_arn.clone(),
            log_group: info.log_group.clone(),
        }
    }
}
