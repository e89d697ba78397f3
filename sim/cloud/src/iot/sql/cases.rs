//! The table of cases, `cases.toml`: every one is run.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::tests::TestHost;
use super::{Evaluation, Message, Segments, Selected, Statement};
use crate::iot::message::{Posted, Properties};
use world::time::Time;

/// Fewer cases than this would not cover the reference.
const CASES_MIN: usize = 150;

#[derive(Deserialize)]
struct Table {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    reference: String,
    sql: String,
    #[serde(default = "default_topic")]
    topic: String,
    #[serde(default = "default_payload")]
    payload: String,
    #[serde(default)]
    service: bool,
    #[serde(default)]
    mqtt5: bool,
    #[serde(default)]
    undefined: bool,
    selected: Option<String>,
    expected: Option<String>,
    error: Option<Refusal>,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    position: usize,
    text: String,
}

fn default_topic() -> String {
    "a/b".to_owned()
}

fn default_payload() -> String {
    "{}".to_owned()
}

impl Case {
    fn posted(&self) -> Posted {
        let mut posted = Posted::by_service(self.topic.as_str(), 1, Bytes::copy_from_slice(self.payload.as_bytes()));
        if !self.service {
            posted.client = Some("c1".into());
            posted.principal = Some("ba67293af50bf2506f5f93469686da660c7c844e7b3950bfb16813e0d31e9373".into());
        }
        if self.mqtt5 {
            posted.properties = Some(Arc::new(Properties {
                is_utf8: true,
                content_type: Some("text/plain".into()),
                response_topic: Some("r/t".into()),
                correlation_data: Some(Bytes::from_static(b"cid")),
                user: [("k", "v1"), ("o", "v"), ("k", "v2")].map(|(name, value)| (name.into(), value.into())).into(),
                expiry_s: None,
            }));
        }
        posted
    }

    /// What the statement gives: its result, or what became of it.
    fn outcome(&self) -> String {
        let statement = match Statement::parse(&self.sql) {
            Ok(statement) => statement,
            Err(error) => return format!("refused {error}"),
        };
        let posted = self.posted();
        let segments = Segments::of(&posted.topic).expect("a topic of eight levels at most");
        let message = Message::new(&posted, &posted.topic, segments, Time::from_unix_millis(1_481_825_251_155));
        let mut out = Vec::new();
        match statement.select(&mut Evaluation::new(&message), &mut TestHost::default(), &mut out) {
            Selected::No => "no".to_owned(),
            Selected::ParseError => "parse-error".to_owned(),
            Selected::Failed => "failed".to_owned(),
            Selected::Yes | Selected::YesWithParseError => format!("yes {}", String::from_utf8_lossy(&out)),
        }
    }

    /// Whether the outcome is what the table says.
    fn holds(&self, outcome: &str) -> bool {
        match (&self.error, &self.selected, &self.expected, self.undefined) {
            (Some(refusal), None, None, false) => {
                let refused = outcome.strip_prefix(&format!("refused at byte {}: ", refusal.position));
                refused.is_some_and(|why| why.contains(&refusal.text))
            }
            (None, Some(selected), None, false) => outcome == selected,
            (None, None, Some(expected), false) => outcome.strip_prefix("yes ") == Some(expected),
            (None, None, None, true) => outcome == "yes {}",
            _ => panic!("{}: a case says one of error, selected, expected, undefined", self.sql),
        }
    }
}

#[test]
fn every_case_of_the_table_holds() {
    let Table { case: cases } = toml::from_str(include_str!("cases.toml")).expect("the table is TOML");
    assert!(cases.len() >= CASES_MIN, "the table has {} cases, fewer than {CASES_MIN}", cases.len());
    let mut failed = Vec::new();
    for case in &cases {
        assert!(!case.reference.is_empty(), "{}: a case names its section", case.sql);
        let outcome = case.outcome();
        if !case.holds(&outcome) {
            let Case { reference, sql, payload, expected, note, .. } = case;
            failed.push(format!("{reference}: {sql} on {payload}: {outcome}, not {expected:?} ({note:?})"));
        }
    }
    assert!(failed.is_empty(), "{} of {} cases fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
