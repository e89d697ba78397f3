//! What stacks declare alike: functions with their roles and schedules, buckets, grants on keys.
//!
//! A stack says what is its own; the package, the log group, the encryption, the permissions boundary and the reasons why
//! a check does not apply are the same everywhere, so they are said here once.

mod bucket;
mod function;
mod key;
mod schedule;

pub(crate) use bucket::{DataBucket, add_bucket};
pub(crate) use function::{FunctionSpec, READ_STREAM, add_function, bounded, keep_failed_batches};
pub(crate) use key::{data_key, decrypt, encrypt, encrypt_and_decrypt, encrypt_logs};
pub(crate) use schedule::{ScheduleSpec, add_schedule};
