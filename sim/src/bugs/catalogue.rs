//! The list of planted bugs.

use super::{Bug, Planted, calls, curation, handlers, templates, wire};

macro_rules! bugs {
    ($(on $on:literal { $($id:literal, $planted:ident, [$($by:literal),*], $plant:path, $what:literal;)* })*) => {
        /// All bugs.
        pub const BUGS: &[Bug] = &[$($(
            Bug {
                id: $id,
                what: $what,
                planted: Planted::$planted,
                found_by: &[$($by),*],
                found_on: $on,
                plant: $plant,
            },
        )*)*];
    };
}

bugs! {
    on "bugs" {
        // What a handler does with a batch.
        "checkpoint-before-write", Handler, ["conservation", "order"], handlers::checkpoint_before_write,
            "The batch is answered as done before it is written: what fails then is lost, and the next batch overtakes it. Consumers that commit offsets before their work.";
        "last-batch-held", Handler, ["conservation", "unsettled"], handlers::held_in_memory,
            "A batch stays in memory until the next one comes, and the last one for ever. Buffers that are only flushed when they are full.";
        "dropped-last-reading", Handler, ["conservation"], handlers::last_reading_dropped,
            "The last record of each batch is left out: an end index that is off by one.";
        "one-reading-a-device", Handler, ["conservation"], handlers::one_reading_a_device,
            "Of several readings of a device in a batch only the last is kept: a map by device where a list was meant.";
        "newest-first", Handler, ["order"], handlers::newest_first,
            "A batch is worked through from its end, as results of a query that sorts descending.";
        "sorted-by-device-clock", Handler, ["order"], handlers::sorted_by_device_clock,
            "Readings are sorted by the device's timestamp: order breaks when a device's clock jumps back.";
        "deduplicated-by-timestamp", Handler, ["conservation"], handlers::deduplicated_by_timestamp,
            "A reading whose timestamp is not above the last one of its device is taken for a duplicate: lost when a batch comes again, or a clock goes back.";
        "late-readings-dropped", Handler, ["conservation"], handlers::late_dropped,
            "Readings older than a minute are dropped, as stream processors do behind their watermark.";
        "poison-pill", Handler, ["conservation", "unsettled"], handlers::poison_pill,
            "One record that is not as expected (no reading, or a whole number among fractions) fails its batch again and again, and the shard stands still.";
        "timestamp-in-seconds", Handler, ["integrity"], handlers::timestamp_in_seconds,
            "Timestamps lose their milliseconds on the way through a type of whole seconds.";

        // What a handler answers.
        "ignored-item-failures", Handler, ["conservation"], handlers::item_failures_ignored,
            "The handler knows what it could not write and does not answer it: partial failures of a batch are lost.";
        "swallowed-errors", Handler, ["conservation"], handlers::errors_swallowed,
            "An error is caught, logged, and answered as success.";
        "checkpoint-one-too-far", Handler, ["conservation"], handlers::one_too_far,
            "The first record that failed is taken for the last one that is done: one record is lost at each failure.";
        "retry-limit-without-dead-letters", Handler, ["conservation"], handlers::gives_up,
            "A batch is given up after two attempts, and nobody keeps it: MaximumRetryAttempts without a destination for failures.";
        "detection-gives-up", Handler, ["anomalies-told"], handlers::detection_gives_up,
            "A batch that could not be examined is answered as done: what was unusual in it is never told.";

        // What is asked of AWS.
        "single-precision", Call, ["integrity"], calls::single_precision,
            "Values pass through 32-bit floating point.";
        "cross-tenant-write", Call, ["integrity"], calls::cross_tenant_write,
            "All readings of a call are written with the tenant of the first: a variable outside its loop.";
        "random-partition-key", Call, ["order"], calls::random_partition_key,
            "Readings of one device go to different shards of the enriched stream, for the sake of an even load.";
        "long-calls-cut-off", Call, ["conservation"], calls::long_calls_cut_off,
            "More entries than fit one call are left out, and taken for written.";
        "anomalies-under-new-names", Call, ["anomalies-once"], calls::anomalies_under_new_names,
            "Each attempt writes its anomalies under a new name: what is repeated after a lost answer is there twice.";
        "detectors-forget", Call, ["anomalies-told"], calls::detectors_forget,
            "The detectors' state is kept where the next invocation does not look: each batch begins with detectors that know nothing.";
        "quarantine-under-one-name", Call, ["quarantine"], calls::quarantine_under_one_name,
            "What is refused is kept under one name: each object replaces the one before.";

        // What is made of answers.
        "ignored-partial-put", Call, ["conservation"], calls::partial_put_ignored,
            "PutRecords succeeds as a call while entries of it fail, and nobody looks at the entries: the classic of Kinesis producers.";
        "swallowed-throttle", Call, ["conservation"], calls::throttle_swallowed,
            "A throttled or failed write is taken for a written one.";
        "swallowed-403", Call, ["conservation"], calls::denial_swallowed,
            "A denied write is taken for a written one: a log line where an alarm should be.";
        "reset-taken-for-success", Call, ["conservation"], calls::reset_taken_for_success,
            "A connection that ends without an answer is taken for success.";
        "retry-storm", Call, ["back-off"], calls::retry_storm,
            "What fails is sent again at once and without end: the load that keeps a service down.";
        "swallowed-anomalies", Call, ["anomalies-told"], calls::anomalies_swallowed,
            "An anomaly that could not be written is taken for a written one, and its batch is done.";
        "alerts-taken-for-sent", Call, ["alerts-told"], calls::alerts_taken_for_sent,
            "A message that the topic did not take is taken for a sent one: nobody is told of what was unusual.";
        "alerts-under-new-ids", Call, ["alerts-told"], calls::alerts_under_new_ids,
            "Each attempt to send a message gives it a new id: a subscriber takes a repetition for another alert.";
        "wrong-unit", Call, ["integrity"], calls::wrong_unit,
            "A unit of the directory is taken for another: bar for millibar.";

        // What is deployed.
        "tenant-from-another-level", Template, ["conservation", "integrity"], templates::tenant_from_another_level,
            "The rule takes the tenant from another level of the topic.";
        "rule-partitions-at-random", Template, ["order"], templates::rule_partitions_at_random,
            "The rule spreads the readings of a device over all shards, as a random partition key does.";
        "rule-begins-at-two", Template, ["conservation"], templates::rule_begins_at_two,
            "The rule's condition leaves the first reading of each device out: greater where greater or equal was meant.";
        "item-failures-not-reported", Template, ["conservation"], templates::item_failures_not_reported,
            "The mapping lacks ReportBatchItemFailures: Lambda takes every answer for success.";
        "alerts-held-for-a-second", Template, ["alerts-told"], templates::alerts_held_for_a_second,
            "Alerts of a device and kind are held back for a second where a quarter of an hour was agreed: minutes and seconds confused, and everybody is told all the time.";
        "permission-missing", Template, ["authorization", "conservation"], templates::permission_missing,
            "A role lacks an action that its function needs.";
        "delivery-too-late", Template, ["unsettled"], templates::delivery_too_late,
            "The delivery buffers for 15 minutes where one was agreed.";
        "window-too-long", Template, ["unsettled"], templates::window_too_long,
            "The mapping gathers batches for 5 minutes where a second was agreed.";
        "lake-ends-an-hour-ago", Template, ["conservation"], templates::lake_ends_an_hour_ago,
            "The table's projection ends an hour ago: the newest readings are in the lake, and no query finds them.";
        "delivered-by-the-day", Template, ["conservation"], templates::delivered_by_the_day,
            "Objects are named by the day, and the table looks for them by the hour: no query finds them.";
        "delivery-of-the-wrong-stream", Template, ["integrity"], templates::delivery_of_the_wrong_stream,
            "The delivery of processed readings reads the raw stream: values are not converted.";
        "devices-publish-for-all", Template, ["tenant-isolation"], templates::devices_publish_for_all,
            "The devices' policy allows publishing below tenant/*: a wildcard where a variable was meant.";
        "devices-hear-all", Template, ["tenant-isolation"], templates::devices_hear_all,
            "The devices' policy allows every subscription: left from the first trial.";
        "devices-connect-as-any", Template, ["tenant-isolation"], templates::devices_connect_as_any,
            "The devices' policy allows every client id.";

        // What passes between devices and the broker.
        "sessions-forgotten", Wire, ["session-semantics"], wire::sessions_forgotten,
            "Every session is taken for a clean one: what was queued for a device that was away is gone. A broker that keeps sessions in memory, or a client library whose default is a clean session.";
        "desired-firmware-unheard", Wire, ["shadow-convergence", "unsettled"], wire::desired_firmware_unheard,
            "Devices do not know the key under which a firmware is desired: the rollout reaches their shadows, and not them.";
        "commands-to-the-neighbour", Wire, ["session-semantics"], wire::commands_to_the_neighbour,
            "A command says the number of the one before: a device acts on what was meant for its neighbour.";
    }

    // What is curated.
    on "bugs-of-gold" {
        "curated-again", Call, ["exactly-once-in-gold"], curation::curated_again,
            "The statement of an hour does not look whether its readings are curated already: each run that looks back at the hour inserts them again.";
        "copies-not-told-apart", Call, ["exactly-once-in-gold"], curation::copies_not_told_apart,
            "All copies of a reading in an hour are inserted, and not the first alone: NOT EXISTS does not see what its own statement inserts.";
        "hours-before-ten-skipped", Call, ["exactly-once-in-gold"], curation::hours_before_ten_skipped,
            "Hours are looked for without their leading zero: those before ten o'clock are never found.";
        "late-rows-left", Call, ["exactly-once-in-gold"], curation::late_rows_left,
            "Only the last complete hour is curated, and none is looked at again: what was delivered late to an earlier one is left out.";
        "duplicates-of-one-hour", Call, ["exactly-once-in-gold"], curation::duplicates_of_one_hour,
            "Duplicates are looked for in the same hour alone: a reading whose copies lie in two hours comes twice.";
    }
    // What becomes of batches that fail.
    on "poison-message" {
        "batches-not-split", Template, ["conservation"], templates::batches_not_split,
            "The mapping lacks BisectBatchOnFunctionError: one record that ends the function takes its whole batch with it.";
        "failures-kept-nowhere", Template, ["conservation"], templates::failures_kept_nowhere,
            "The mapping has no destination for failures: what it gives up is gone.";
    }
    on "lambda-crash-loop" {
        "few-attempts", Template, ["conservation"], templates::few_attempts,
            "A batch has three attempts: what would have passed some minutes later is given up.";
    }
}
