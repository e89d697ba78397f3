//! Server-side encryption: which key protects which records, and who may use it.
//!
//! Producers need `kms:GenerateDataKey` and consumers `kms:Decrypt` on the key (guide: "Permissions to use
//! user-generated AWS KMS keys"). Kinesis asks KMS about every five minutes for each credential (guide: "What is
//! server-side encryption?", "Costs"): in between, a permission that was withdrawn still holds.

use std::sync::Arc;
use std::time::Duration;

use crate::core::access::KeyUse;
use crate::core::{AwsError, Cx, Principal};
use world::time::Time;

/// How long an answer of KMS is kept.
const KEPT: Duration = Duration::from_secs(300);
/// The key that AWS manages for Kinesis: every caller that may use the stream may use it.
const AWS_MANAGED: &str = "alias/aws/kinesis";

/// What a caller wants of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Write,
    Read,
}

/// An answer of KMS that is kept.
#[derive(Debug)]
struct Grant {
    key: Arc<str>,
    caller: Principal,
    wanted: Use,
    until: Time,
}

/// The encryption of a stream.
#[derive(Debug, Default)]
pub(super) struct Encryption {
    /// Since when which key encrypts new records; ascending. Empty while no record was ever encrypted.
    epochs: Vec<(Time, Option<Arc<str>>)>,
    grants: Vec<Grant>,
}

impl Encryption {
    /// Encryption by a key from the beginning.
    pub fn by(key: Arc<str>) -> Self {
        Encryption { epochs: vec![(Time::EPOCH, Some(key))], grants: Vec::new() }
    }

    /// The key that encrypts new records.
    pub fn key(&self) -> Option<&Arc<str>> {
        self.epochs.last().and_then(|(_, key)| key.as_ref())
    }

    /// The key that protects records that arrived at `arrival`.
    pub fn key_at(&self, arrival: Time) -> Option<&Arc<str>> {
        let after = self.epochs.partition_point(|(since, _)| *since <= arrival);
        after.checked_sub(1).and_then(|epoch| self.epochs[epoch].1.as_ref())
    }

    /// Encrypts new records with `key`, or no longer.
    pub fn set(&mut self, now: Time, key: Option<Arc<str>>) {
        self.epochs.push((now, key));
    }

    /// Until when every answer of KMS lasts by which somebody writes now; nothing while nobody does.
    pub fn writers_kept_until(&self, now: Time) -> Option<Time> {
        let live = self.grants.iter().filter(|grant| grant.wanted == Use::Write && grant.until > now);
        live.map(|grant| grant.until).min()
    }

    /// Whether the caller may put records into `stream` (its ARN). Answers whether they are encrypted.
    pub fn may_write(&mut self, cx: &mut Cx<'_>, stream: &str) -> Result<bool, AwsError> {
        match self.key().cloned() {
            Some(key) => self.may_use(cx, stream, key, Use::Write).map(|()| true),
            None => Ok(false),
        }
    }

    /// Whether the caller may read records of `stream` (its ARN) that arrived from `oldest` to `newest`.
    pub fn may_read(&mut self, cx: &mut Cx<'_>, stream: &str, oldest: Time, newest: Time) -> Result<(), AwsError> {
        let first = self.epochs.partition_point(|(since, _)| *since <= oldest).saturating_sub(1);
        for epoch in first..self.epochs.len() {
            if epoch > first && self.epochs[epoch].0 > newest {
                break;
            }
            if self.epochs[epoch].0 <= newest
                && let Some(key) = self.epochs[epoch].1.clone()
            {
                self.may_use(cx, stream, key, Use::Read)?;
            }
        }
        Ok(())
    }

    fn may_use(&mut self, cx: &mut Cx<'_>, stream: &str, key: Arc<str>, wanted: Use) -> Result<(), AwsError> {
        let kept = |grant: &Grant| {
            grant.wanted == wanted && grant.until > cx.now && grant.caller == *cx.caller && grant.key == key
        };
        if self.grants.iter().any(kept) {
            return Ok(());
        }
        let action = if wanted == Use::Write { "kms:GenerateDataKey" } else { "kms:Decrypt" };
        ask(cx, action, &key, stream)?;
        self.grants.retain(|grant| grant.until > cx.now);
        self.grants.push(Grant { key, caller: cx.caller.clone(), wanted, until: cx.now + KEPT });
        Ok(())
    }
}

/// Asks KMS whether the caller may use a key through Kinesis for `stream`, whose ARN is the encryption context.
pub(super) fn ask(cx: &mut Cx<'_>, action: &str, key: &str, stream: &str) -> Result<(), AwsError> {
    if key == AWS_MANAGED {
        return Ok(());
    }
    let context = [("kms:EncryptionContext:aws:kinesis:arn", stream)];
    cx.use_key_for(&KeyUse { action, key, via: "kinesis", context: &context, keeps_data_key: true })
        .map_err(as_kinesis_says)
}

/// KMS's error in the words of Kinesis, which has codes of its own for each.
fn as_kinesis_says(error: AwsError) -> AwsError {
    let code = match error.code {
        "AccessDenied" | "AccessDeniedException" => "KMSAccessDeniedException",
        "DisabledException" => "KMSDisabledException",
        "NotFoundException" => "KMSNotFoundException",
        "ThrottlingException" => "KMSThrottlingException",
        // Key state errors have the same code in both, and what is not modelled stays so.
        other => other,
    };
    AwsError { code, status: if code == error.code { error.status } else { 400 }, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_kms_has_its_code_in_kinesis() {
        for (kms, kinesis) in [
            ("AccessDeniedException", "KMSAccessDeniedException"),
            ("DisabledException", "KMSDisabledException"),
            ("NotFoundException", "KMSNotFoundException"),
            ("ThrottlingException", "KMSThrottlingException"),
            ("KMSInvalidStateException", "KMSInvalidStateException"),
        ] {
            let error = as_kinesis_says(AwsError::new(kms, "why"));
            assert_eq!((error.code, error.status, &*error.message), (kinesis, 400, "why"));
        }
        assert_eq!(as_kinesis_says(AwsError::not_modelled("x")).status, 501);
    }

    #[test]
    fn two_sessions_with_one_name_ask_for_themselves() {
        use crate::core::access::{Key, KeyState, Session};
        use crate::core::cx::CxParts;
        use crate::core::policy::{Document, Purpose};
        use serde_json::json;
        use world::seed::Seed;
        use world::trace::Trace;

        let policy_text = json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*",
            "Condition": {"StringEquals": {"kms:EncryptionContext:aws:kinesis:arn": "the stream"}}}});
        let key = Key {
            id: "k".to_owned(),
            arn: "arn:aws:kms:eu-west-1:123456789012:key/k".to_owned(),
            description: String::new(),
            created: Time::EPOCH,
            state: KeyState::Enabled,
            policy: Arc::new(Document::parse(&policy_text, Purpose::Resource).unwrap()),
            policy_text,
            rotation_days: None,
            tags: std::collections::BTreeMap::new(),
        };
        let mut parts = CxParts::new("eu-west-1", Trace::new(), Seed::root(1).rng());
        parts.access = crate::core::access::Access::enforced();
        parts.access.keys.by_id.insert("k".to_owned(), key);
        let mut encryption = Encryption::by("k".into());
        for (session, stream, expected) in [
            ("one", "the stream", Ok(1)),
            ("one", "the stream", Ok(1)),
            ("two", "the stream", Ok(2)),
            ("x", "y", Err(())),
        ] {
            let caller = Principal::new("arn:aws:iam::123456789012:root").within(Session::new(session, Time::EPOCH));
            let result = encryption.may_write(&mut parts.cx(Time::EPOCH, &caller), stream).map_err(drop);
            let calls = result.map(|_| parts.meter.calls()[&("kms", "GenerateDataKey")].ok);
            assert_eq!(calls, expected, "{session} {stream}");
        }
    }

    #[test]
    fn records_keep_the_key_under_which_they_arrived() {
        let at = Time::from_unix_secs;
        let mut encryption = Encryption::default();
        assert_eq!((encryption.key(), encryption.key_at(at(5))), (None, None));
        for (second, key) in [(10, Some("a")), (20, None), (30, Some("b"))] {
            encryption.set(at(second), key.map(Arc::from));
        }
        for (second, expected) in [(9, None), (10, Some("a")), (19, Some("a")), (20, None), (31, Some("b"))] {
            assert_eq!(encryption.key_at(at(second)).map(|key| &**key), expected, "{second}");
        }
        assert_eq!(encryption.key().map(|key| &**key), Some("b"));
    }
}
