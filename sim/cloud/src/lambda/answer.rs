//! What a function's answer says of its batch (`ReportBatchItemFailures`).

use serde_json::Value;

use crate::core::ports::parse_sequence_number;

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of it is done.
    Done,
    /// The records before this position are done; this one and all behind it come again.
    Again(usize),
    /// All of it comes again; why.
    Failed(&'static str),
}

/// Judges an answer. `position_of` finds a sequence number in the batch.
///
/// An empty answer, `null`, `""`, `{}`, and a list of failures that is absent, null or empty mean success. An item
/// identifier that is absent, null, empty, or not of the batch fails all of the batch, and so does what is not JSON.
/// An object with other members only counts as success (unverified).
pub(super) fn judge(answer: &[u8], position_of: impl Fn(u128) -> Option<usize>) -> Verdict {
    if answer.trim_ascii().is_empty() {
        return Verdict::Done;
    }
    let object = match serde_json::from_slice(answer) {
        Ok(Value::Null) => return Verdict::Done,
        Ok(Value::String(text)) if text.is_empty() => return Verdict::Done,
        Ok(Value::Object(object)) => object,
        Ok(_) => return Verdict::Failed("the answer is not an object"),
        Err(_) => return Verdict::Failed("the answer is not JSON"),
    };
    let failures = match object.get("batchItemFailures") {
        None | Some(Value::Null) => return Verdict::Done,
        Some(Value::Array(failures)) => failures,
        Some(_) => return Verdict::Failed("batchItemFailures is not a list"),
    };
    let mut lowest = None;
    for failure in failures {
        let identifier = failure.get("itemIdentifier").and_then(Value::as_str);
        let position = identifier.and_then(parse_sequence_number).and_then(&position_of);
        match position {
            None => return Verdict::Failed("an itemIdentifier is not of the batch"),
            Some(position) => lowest = Some(lowest.map_or(position, |l: usize| l.min(position))),
        }
    }
    lowest.map_or(Verdict::Done, Verdict::Again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ports::render_sequence_number;

    fn judged(answer: &str) -> Verdict {
        // A batch of the sequence numbers 100 to 104.
        judge(answer.as_bytes(), |n| (100..105).contains(&n).then(|| usize::try_from(n - 100).unwrap()))
    }

    #[test]
    fn answers_that_mean_success() {
        for answer in [
            "",
            " ",
            "null",
            "\"\"",
            "{}",
            r#"{"batchItemFailures":[]}"#,
            r#"{"batchItemFailures":null}"#,
            r#"{"statusCode":200}"#,
        ] {
            assert_eq!(judged(answer), Verdict::Done, "{answer}");
        }
    }

    #[test]
    fn answers_that_fail_the_whole_batch() {
        let unknown = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{}"}}]}}"#, render_sequence_number(99));
        for answer in [
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":7}]}"#,
            r#"{"batchItemFailures":[{"item":"x"}]}"#,
            r#"{"batchItemFailures":["x"]}"#,
            r#"{"batchItemFailures":{}}"#,
            &unknown,
            "[]",
            "\"text\"",
            "7",
            "{",
        ] {
            assert!(matches!(judged(answer), Verdict::Failed(_)), "{answer}");
        }
    }

    #[test]
    fn the_lowest_sequence_number_is_the_checkpoint() {
        for (failed, expected) in [(vec![103], 3), (vec![104, 101, 103], 1), (vec![100], 0)] {
            let items: Vec<_> =
                failed.iter().map(|n| serde_json::json!({"itemIdentifier": render_sequence_number(*n)})).collect();
            let answer = serde_json::json!({ "batchItemFailures": items }).to_string();
            assert_eq!(judged(&answer), Verdict::Again(expected), "{answer}");
        }
    }
}
