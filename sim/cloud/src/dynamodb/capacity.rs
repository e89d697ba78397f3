//! Request units: what reads and writes consume, and how an answer says so.

use super::table::Table;
use super::validation;
use crate::core::{AwsError, Cx};

/// Bytes of one read unit.
const READ_UNIT_BYTES: usize = 4 * 1024;

/// Bytes of one write unit.
const WRITE_UNIT_BYTES: usize = 1024;

/// Read units in halves: an eventually consistent read of up to 4 KB is one half.
pub(super) fn read_half_units(size_bytes: usize, consistent: bool) -> u64 {
    let units = size_bytes.div_ceil(READ_UNIT_BYTES).max(1) as u64;
    if consistent { 2 * units } else { units }
}

/// Write units: one for each started KB.
pub(super) fn write_units(size_bytes: usize) -> u64 {
    size_bytes.div_ceil(WRITE_UNIT_BYTES).max(1) as u64
}

/// What an answer says of the capacity that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReturnConsumedCapacity {
    /// Nothing.
    None,
    /// The sum.
    Total,
    /// The sum, and the table's part of it.
    Indexes,
}

impl ReturnConsumedCapacity {
    /// The `ConsumedCapacity` of one table as JSON, with the number of halves; nothing when none was asked for.
    pub fn render(self, table: &str, half_units: u64) -> Option<String> {
        let units = format!("{}.{}", half_units / 2, if half_units % 2 == 1 { 5 } else { 0 });
        // A table's name needs no escapes.
        match self {
            ReturnConsumedCapacity::None => None,
            ReturnConsumedCapacity::Total => Some(format!(r#"{{"TableName":"{table}","CapacityUnits":{units}}}"#)),
            ReturnConsumedCapacity::Indexes => Some(format!(
                r#"{{"TableName":"{table}","CapacityUnits":{units},"Table":{{"CapacityUnits":{units}}}}}"#
            )),
        }
    }

    /// Parses the member of a request.
    pub fn parse(given: Option<&str>) -> Result<Self, AwsError> {
        match given {
            None | Some("NONE") => Ok(ReturnConsumedCapacity::None),
            Some("TOTAL") => Ok(ReturnConsumedCapacity::Total),
            Some("INDEXES") => Ok(ReturnConsumedCapacity::Indexes),
            Some(other) => Err(validation(format!(
                "1 validation error detected: Value '{other}' at 'returnConsumedCapacity' failed to satisfy constraint: \
                 Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
            ))),
        }
    }
}

/// Takes read units from a table.
pub(super) fn consume_read(cx: &mut Cx<'_>, table: &mut Table, half_units: u64) -> Result<(), AwsError> {
    if !table.read_half_units.try_take(cx.now, half_units) {
        cx.meter.add("dynamodb", "ReadThrottleEvents", 1);
        return Err(throttled(table, "TableReadAccountLimitExceeded"));
    }
    cx.meter.add("dynamodb", "ConsumedReadCapacity_half_units", half_units);
    Ok(())
}

/// Takes write units from a table.
pub(super) fn consume_write(cx: &mut Cx<'_>, table: &mut Table, units: u64) -> Result<(), AwsError> {
    if !table.write_units.try_take(cx.now, units) {
        cx.meter.add("dynamodb", "WriteThrottleEvents", 1);
        return Err(throttled(table, "TableWriteAccountLimitExceeded"));
    }
    cx.meter.add("dynamodb", "ConsumedWriteCapacity_units", units);
    Ok(())
}

/// The refusal of a call beyond a table's quota (text unverified).
fn throttled(table: &Table, reason: &str) -> AwsError {
    let message = "Throughput exceeds the current throughput limit for your account. \
                   Please contact AWS Support to request a limit increase";
    let reasons = serde_json::json!([{ "reason": reason, "resource": table.arn }]);
    AwsError::new("ThrottlingException", message).with("throttlingReasons", reasons)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_round_up_and_are_at_least_one() {
        for (bytes, consistent, expected) in
            [(0, false, 1), (0, true, 2), (4096, true, 2), (4097, true, 4), (4097, false, 2), (409_600, false, 100)]
        {
            assert_eq!(read_half_units(bytes, consistent), expected, "{bytes} {consistent}");
        }
        for (bytes, expected) in [(0, 1), (1024, 1), (1025, 2), (409_600, 400)] {
            assert_eq!(write_units(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn halves_are_written_as_numbers() {
        let total = |half_units| ReturnConsumedCapacity::Total.render("t", half_units).unwrap();
        assert_eq!(total(1), r#"{"TableName":"t","CapacityUnits":0.5}"#);
        assert_eq!(total(6), r#"{"TableName":"t","CapacityUnits":3.0}"#);
        assert_eq!(ReturnConsumedCapacity::None.render("t", 6), None);
    }
}
