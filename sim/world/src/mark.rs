//! Sometimes-marks: states that a run only reaches when something interesting happens. A suite that never reaches one of
//! them has not tested what it claims to test.
//!
//! A mark says that a state *was reached*, never that something is wrong. Whoever sees the state marks it, with
//! [`Trace::mark`](crate::trace::Trace::mark): a service, a fault, a device.

/// An interesting state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Name, in tables and summaries.
    pub id: &'static str,
    /// The state, in one sentence.
    pub meaning: &'static str,
}

macro_rules! marks {
    ($($name:ident = $id:literal: $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $name: Mark = Mark { id: $id, meaning: $meaning };)*
        /// All marks, in the order of the data path.
        pub const ALL: &[Mark] = &[$($name),*];
    };
}

marks! {
    RESTARTED_IN_FLIGHT = "restarted-in-flight": "a device restarted while messages of it waited for their PUBACK";
    SAME_TIMESTAMP = "same-timestamp": "two readings of a device, one after the other, bear the same timestamp";
    TIMESTAMP_WENT_BACK = "timestamp-went-back": "a reading of a device bears an earlier timestamp than the one before it";
    CONNECT_THROTTLED = "connect-throttled": "the broker refused a CONNECT because the account or the client connects too often";
    SESSION_TAKEN_OVER = "session-taken-over": "a client connected again while the broker still held its older session";
    PROVISIONING_THROTTLED = "provisioning-throttled": "the account's rate refused the registration of a device that joins by itself";
    DEVICE_PROVISIONED = "device-provisioned": "a device with a claim certificate was registered by a provisioning template";
    KEEP_ALIVE_ENDED = "keep-alive-ended": "the broker ended a session that was silent for one and a half times its keep-alive";
    SESSION_EXPIRED = "session-expired": "the broker gave up a persistent session whose client had not come back";
    STORED_DELIVERED = "stored-delivered": "the broker delivered a message that it had stored while the client was away";
    WILL_PUBLISHED = "will-published": "the broker published the will of a client that was gone without a goodbye";
    TOO_LARGE_FOR_THE_BROKER = "too-large-for-the-broker": "the broker ended a connection because of a message above its limit";
    RULE_FOUND_NO_OBJECT = "rule-found-no-object": "a topic rule dropped an acknowledged message because it is no JSON object";
    REPEATED_AFTER_LOST_RESPONSE = "repeated-after-lost-response":
        "a caller repeated a call that had taken effect and whose answer was lost";
    PARTIAL_PUT = "partial-put": "a call that writes many records wrote some and refused others";
    CAS_CONFLICT = "cas-conflict": "S3 refused a conditional write because the object had changed";
    PARTIAL_BATCH = "partial-batch": "a function answered that only the first part of its batch is done";
    BATCH_REPEATED = "batch-repeated": "Lambda delivered a batch again after a failure";
    BATCH_SPLIT = "batch-split": "Lambda split a batch whose function failed";
    BATCH_GIVEN_UP = "batch-given-up": "Lambda gave a batch up whose attempts were used up";
    PARENT_DRAINED_FIRST = "parent-drained-first": "a closed shard was read to its end before its children were read";
    STACK_ROLLED_BACK = "stack-rolled-back": "CloudFormation rolled a stack back while devices published";
    DENIED_THEN_ALLOWED = "denied-then-allowed": "a call that had been denied was repeated after the permission was back, and allowed";
    WAITED_FOR_KEY = "waited-for-key": "something could not be read or written because its key was disabled, and waited";
    CERTIFICATE_REFUSED = "certificate-refused": "a device was refused because its certificate was not active";
    ROT_DETECTED = "rot-detected": "S3 found a copy of an object that did not match its checksum, and served the other";
    QUOTA_LOWERED = "quota-lowered": "calls were throttled while a quota was lower than usual";
    REGION_DOWN = "region-down": "no service of the Region answered";
    FUNCTION_NOT_STARTED = "function-not-started": "a version of a function failed at its start";
    RULE_RETRIED = "rule-retried": "the action of a topic rule was tried again after a failure";
    DUPLICATE_DELIVERED = "duplicate-delivered": "the lake holds a reading more than once";
    MESSAGE_QUARANTINED = "message-quarantined": "a message that is no reading is in the quarantine";
    RULE_GAVE_UP = "rule-gave-up": "the action of a topic rule failed for good, and its error action stored the message";
    READER_BEHIND = "reader-behind": "a reader of a stream got a record that was more than a minute old";
    READER_STOOD_STILL = "reader-stood-still": "a reader of a stream was not allowed to read";
    RECORDS_EXPIRED = "records-expired": "a stream gave records up that one of its readers had not read";
    FUNCTION_THROTTLED = "function-throttled": "Lambda refused an invocation because too many ran or began";
    COLD_BESIDE_RUNNING = "cold-start-beside-running": "an environment started while others of its function ran";
    EVENT_TWICE = "event-twice": "an asynchronous event was queued for its function twice";
    EVENT_OVERTAKEN = "event-overtaken": "an asynchronous event was held back, so that later ones may overtake it";
    INVOKED_TWICE = "invoked-twice": "one event was processed by two environments at the same time";
    ZOMBIE_EFFECT = "zombie-effect":
        "a lost environment made a call that changes something after its event was delivered again";
    STALE_READ = "stale-read": "an eventually consistent read was answered with what was there before";
    DELIVERY_REPEATED = "delivery-repeated": "Firehose wrote records to S3 again whose first object it had not heard of";
    LATE_CURATED = "late-reading-curated": "an hour was curated again, because readings came to it after it was curated first";
    DELIVERY_EXPIRED = "delivery-expired": "Firehose gave up records that it could not write within their retention";
    LATE_EFFECT = "late-effect": "a call took effect after its caller had given it up";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn marks_have_names_of_their_own_and_a_meaning() {
        let ids: BTreeSet<&str> = ALL.iter().map(|mark| mark.id).collect();
        assert_eq!(ids.len(), ALL.len());
        assert!(ALL.iter().all(|mark| mark.meaning.len() > 20));
    }
}
