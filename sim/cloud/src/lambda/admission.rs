//! Admission of invocations: concurrency, rates, and the execution environment that one gets.
//!
//! An environment that is idle is taken first, then one that broke: its process ended, or Lambda ended it after a time-out.
//! Such a one is initialised again within the time of the invocation that gets it ("suppressed init"); a new one before, for
//! at most ten seconds (Lambda guide, "Understanding the Lambda execution environment lifecycle"). That one which broke is
//! taken before a new one starts is unverified.

use std::time::Duration;

use super::function::Version;
use super::invoke::FunctionErrorKind;
use super::mapping::session;
use super::rates::Rates;
use super::versions::Target;
use super::{Lambda, Ports};
use crate::core::{AwsError, Cx, FunctionRevision, Outcome, Start};
use world::mark;
use world::time::Time;
use world::trace::{Field, Level};

/// The environments of a version that run no invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pool {
    /// They are initialised and wait for an event.
    pub idle: u64,
    /// They broke, and are initialised again by their next invocation.
    pub broken: u64,
}

/// An execution environment for one invocation.
pub(super) struct Admitted {
    pub start: Start,
    pub version: Version,
}

/// Why an invocation does not begin.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// There is no such function.
    Gone,
    /// Too many invocations; the member `Reason` of the error.
    Throttled(&'static str),
    /// The key of its environment variables cannot be used.
    Key(AwsError),
}

impl Refusal {
    fn reason(&self) -> &str {
        match self {
            Refusal::Gone => "ResourceNotFoundException",
            Refusal::Throttled(reason) => reason,
            Refusal::Key(error) => error.code,
        }
    }

    /// Counts the refusal, and leaves an event. What is not invoked is none of Lambda's `Errors`, which are of invocations
    /// that ran (Lambda guide, "Types of metrics for Lambda functions"): `NotInvoked` is a name of this simulator.
    pub fn count(&self, cx: &mut Cx<'_>, function: &str, fields: &[(&'static str, Field<'_>)]) {
        let outcome = if matches!(self, Refusal::Throttled(_)) { Outcome::Throttled } else { Outcome::Error };
        cx.meter.call("lambda", "Invoke", outcome);
        let (metric, kind) =
            if outcome == Outcome::Throttled { ("Throttles", "throttle") } else { ("NotInvoked", "not-invoked") };
        cx.meter.add("lambda", metric, 1);
        if outcome == Outcome::Throttled {
            cx.trace.mark(cx.now, mark::FUNCTION_THROTTLED, function);
        }
        let fields: Vec<_> = fields.iter().copied().chain([("reason", Field::Str(self.reason()))]).collect();
        cx.trace.event(Level::Call, cx.now, "lambda", kind, function, &fields);
    }

    /// The refusal as the API answers it.
    pub fn into_error(self, cx: &Cx<'_>, function: &str) -> AwsError {
        match self {
            Refusal::Gone => super::rest::function_not_found(cx, function),
            Refusal::Throttled(reason) => AwsError::new("TooManyRequestsException", "Rate Exceeded.")
                .status(429)
                .with("Type", "User")
                .with("Reason", reason),
            Refusal::Key(error) if error.code != "KMSAccessDeniedException" => {
                AwsError::new(error.code, error.message).status(502).with("Type", "User")
            }
            Refusal::Key(error) => {
                let why = "Lambda was unable to decrypt the environment variables because KMS access was denied. \
                           Please check the function's KMS key settings.";
                let message = format!("{why} KMS Exception: {} KMS Message: {}", error.code, error.message);
                AwsError::new("KMSAccessDeniedException", message).status(502).with("Type", "User")
            }
        }
    }
}

impl Lambda {
    /// Finds an execution environment for one invocation, or says why there is none. `rated`: whether the invocation
    /// counts for the rate of synchronous ones.
    pub(super) fn admit(
        &mut self,
        cx: &mut Cx<'_>,
        ports: &Ports<'_>,
        target: &Target,
        rated: bool,
    ) -> Result<Admitted, Refusal> {
        let name = target.function.as_str();
        self.check_concurrency(cx, name)?;
        let rates = self.rates.get_or_insert_with(|| Rates::new(cx));
        if rated && !rates.invoke.try_take(cx.now, 1) {
            return Err(Refusal::Throttled("FunctionInvocationRateLimitExceeded"));
        }
        let function = self.functions.get_mut(name).ok_or(Refusal::Gone)?;
        let number = function.resolve(cx, target.qualifier.as_deref()).ok_or(Refusal::Gone)?;
        let (version, pool) = function.environments(cx.now, number);
        let version = version.clone();
        if pool.idle > 0 {
            pool.idle -= 1;
            return Ok(Admitted { start: Start::Warm, version });
        }
        let is_broken = pool.broken > 0;
        if !is_broken && !function.scaling.try_take(cx.now, 1) {
            return Err(Refusal::Throttled("ConcurrentInvocationLimitExceeded"));
        }
        start_environment(cx, ports, &version).map_err(Refusal::Key)?;
        if !is_broken {
            let most = Duration::from_secs(cx.limits.get("lambda", "init_timeout"));
            return Ok(Admitted { start: Start::New { most }, version });
        }
        function.environments(cx.now, number).1.broken -= 1;
        Ok(Admitted { start: Start::Again, version })
    }

    /// What becomes of the environment of an invocation that has ended, and how it failed when it did: it waits for the next
    /// one, unless it serves an older revision. One whose function answered with an error of its own is dropped.
    pub(super) fn leave_environment(
        &mut self,
        now: Time,
        revision: &FunctionRevision,
        failed: Option<FunctionErrorKind>,
    ) {
        let Some(function) = self.functions.get_mut(&revision.function) else { return };
        let Some((version, pool)) = function.environments_of(now, &revision.version) else { return };
        if version.revision.number != revision.number {
            return;
        }
        match failed {
            None => pool.idle += 1,
            Some(FunctionErrorKind::Broke | FunctionErrorKind::TimedOut) => pool.broken += 1,
            Some(FunctionErrorKind::Unhandled) => {}
        }
    }

    /// Reserved concurrency is set aside from the account's, and is the most that its function gets.
    fn check_concurrency(&mut self, cx: &Cx<'_>, name: &str) -> Result<(), Refusal> {
        let account = self.rates.get_or_insert_with(|| Rates::new(cx)).concurrency;
        let reserved_by = |name: &str| self.functions.get(name).and_then(|f| f.info.reserved_concurrency);
        if let Some(reserved) = reserved_by(name) {
            let running = self.running_of(name);
            let throttled = Refusal::Throttled("ReservedFunctionConcurrentInvocationLimitExceeded");
            return if running < reserved { Ok(()) } else { Err(throttled) };
        }
        let (mut reserved, mut running) = (0, self.running.len() as u64);
        for (name, function) in &self.functions {
            if let Some(concurrency) = function.info.reserved_concurrency {
                reserved += concurrency;
                running -= self.running_of(name);
            }
        }
        let throttled = Refusal::Throttled("ConcurrentInvocationLimitExceeded");
        if running < account.saturating_sub(reserved) { Ok(()) } else { Err(throttled) }
    }

    /// The environments of functions that run nothing are gone: of those with this handler, or of all. Answers the functions' names.
    pub fn drop_idle(&mut self, handler: Option<&str>) -> Vec<String> {
        let concerned = self.functions.values_mut().filter(|f| handler.is_none_or(|handler| f.info.handler == handler));
        concerned
            .map(|function| {
                function.pool = Pool::default();
                function.published.values_mut().for_each(|published| published.pool = Pool::default());
                function.info.name.clone()
            })
            .collect()
    }

    /// How many invocations of a function run.
    pub(super) fn running_of(&self, name: &str) -> u64 {
        self.running_of.get(name).copied().unwrap_or(0)
    }

    /// Concurrency that functions have reserved, except the one named.
    pub(super) fn reserved_concurrency(&self, except: Option<&str>) -> u64 {
        let others = self.functions.values().filter(|function| Some(function.info.name.as_str()) != except);
        others.filter_map(|function| function.info.reserved_concurrency).sum()
    }
}

/// A new environment starts: its variables are decrypted, and its log stream is created, both in the function's role. A
/// function whose logs cannot be written runs all the same; that is counted and leaves an event.
fn start_environment(cx: &mut Cx<'_>, ports: &Ports<'_>, version: &Version) -> Result<(), AwsError> {
    let Version { revision, kms_key_arn, log_group, .. } = version;
    let role = session(&revision.role_arn, &revision.function, &cx.account.id);
    let mut cx = cx.acting_as(&role);
    if let Some(key) = kms_key_arn {
        cx.use_key("kms:Decrypt", key, "lambda")?;
    }
    let group = cx.account.arn("logs", &format!("log-group:{log_group}"));
    let denied = if ports.logs.has_group(log_group) {
        let stream = format!("{group}:log-stream:{}", revision.function);
        cx.authorize("logs:CreateLogStream", &stream)
            .and_then(|()| cx.authorize("logs:PutLogEvents", &stream))
            .err()
            .map(|error| error.message)
    } else {
        // Lambda creates a group that is not there, when the role may.
        cx.authorize("logs:CreateLogGroup", &group).err().map(|error| error.message)
    };
    if let Some(why) = denied {
        cx.meter.add("lambda", "LogsDenied", 1);
        let fields = [("group", log_group.as_str().into()), ("reason", why.as_str().into())];
        cx.trace.event(Level::Call, cx.now, "lambda", "logs-denied", &revision.function, &fields);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Principal;
    use crate::core::access::key_refused;
    use crate::core::cx::CxParts;
    use world::seed::Seed;
    use world::trace::Trace;

    #[test]
    fn a_key_that_cannot_be_used_is_told_by_what_is_wrong_with_it() {
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        let owner = Principal::new("owner");
        let cx = parts.cx(Time::EPOCH, &owner);
        for (of_kms, code) in [
            ("AccessDeniedException", "KMSAccessDeniedException"),
            ("NotFoundException", "KMSNotFoundException"),
            ("DisabledException", "KMSDisabledException"),
            ("KMSInvalidStateException", "KMSInvalidStateException"),
        ] {
            let refusal = Refusal::Key(key_refused("lambda", &AwsError::new(of_kms, "the key says no")));
            assert_eq!(refusal.reason(), code);
            let error = refusal.into_error(&cx, "enrich");
            assert_eq!((error.code, error.status), (code, 502));
            assert!(error.message.contains("the key says no"), "{error}");
            assert_eq!(error.message.contains("access was denied"), of_kms == "AccessDeniedException", "{error}");
        }
    }
}
