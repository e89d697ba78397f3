//! The function on the real SDK, against Cost Explorer and DynamoDB in memory.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::{Value, json};

use super::*;
use crate::function::FunctionError;
use crate::testing::{self, Fault, Reply, Services};

/// Cost Explorer and DynamoDB, as far as the function uses them.
#[derive(Debug, Default)]
struct Bills {
    /// (key, amount, unit) of the groups, by page.
    pages: Vec<Vec<(&'static str, &'static str, &'static str)>>,
    devices: Option<u64>,
}

/// The schedule of 2026-03-01.
const EVENT: &[u8] = br#"{"scheduled_time":"2026-03-01T06:00:00Z"}"#;

type Account = testing::Account<Bills>;

impl Services for Bills {
    const VARIABLES: &'static [(&'static str, &'static str)] =
        &[("DIRECTORY_TABLE", "directory"), ("ENVIRONMENT", "prod"), ("METRIC_NAMESPACE", "IotPlatform/Cost")];

    fn answer(&mut self, operation: &str, request: &HttpRequest) -> Reply {
        let body = testing::body(request);
        match operation {
            "DescribeTable" => {
                assert_eq!(body["TableName"], "directory");
                Reply::ok(json!({"Table": {"TableName": "directory", "ItemCount": self.devices}}).to_string())
            }
            "GetCostAndUsage" => {
                assert!(request.uri().starts_with("https://ce.us-east-1."), "{}", request.uri());
                let signed = request.headers().get("authorization").expect("the request is signed");
                assert!(signed.contains("/us-east-1/ce/aws4_request"), "{signed}");
                assert_eq!(body["TimePeriod"], json!({"Start": "2026-02-27", "End": "2026-02-28"}));
                assert_eq!(body["Granularity"], "DAILY");
                assert_eq!(body["Filter"], json!({"Tags": {"Key": "environment", "Values": ["prod"]}}));
                assert_eq!(body["GroupBy"], json!([{"Type": "TAG", "Key": "stack"}]));
                let page: usize = body["NextPageToken"].as_str().map_or(0, |token| token.parse().expect("ours"));
                let next = (page + 1 < self.pages.len()).then(|| (page + 1).to_string());
                let group = |(key, amount, unit): &(&str, &str, &str)| json!({"Keys": [key], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": unit}}});
                let groups: Vec<Value> = self.pages[page].iter().map(group).collect();
                let result = json!({"Total": {}, "Groups": groups, "Estimated": true});
                Reply::ok(json!({"ResultsByTime": [result], "NextPageToken": next}).to_string())
            }
            other => panic!("the function calls {other}"),
        }
    }
}

impl Account {
    fn with(pages: Vec<Vec<(&'static str, &'static str, &'static str)>>, devices: u64) -> Self {
        let account = Account::default();
        account.state().pages = pages;
        account.state().devices = Some(devices);
        account
    }

    fn invoke(&self) -> Result<Vec<Value>, FunctionError> {
        let function = CostExplorer::new(&self.config(), &Self::environment()).expect("the configuration is complete");
        self.invoke_raw(&function, EVENT, Duration::from_secs(60))?;
        Ok(self.state().metrics.iter().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect())
    }
}

#[test]
fn costs_of_all_pages_become_metrics_of_the_environment_and_of_each_stack() {
    let account = Account::with(
        vec![
            vec![("stack$streaming", "1.5", "USD"), ("stack$", "0.25", "USD")],
            vec![("stack$data-lake", "0.2500000000", "USD"), ("stack$streaming", "0.5", "USD")],
        ],
        1000,
    );
    let lines = account.invoke().unwrap();
    let told: Vec<(&Value, &Value, &Value, &Value)> = lines
        .iter()
        .map(|line| (&line["environment"], &line["stack"], &line[COST_PER_DAY], &line[COST_PER_DEVICE_PER_DAY]))
        .collect();
    let (prod, none) = (json!("prod"), Value::Null);
    assert_eq!(
        told,
        [
            (&prod, &none, &json!(2.5), &json!(0.0025)),
            (&prod, &json!("untagged"), &json!(0.25), &json!(0.00025)),
            (&prod, &json!("data-lake"), &json!(0.25), &json!(0.00025)),
            (&prod, &json!("streaming"), &json!(2.0), &json!(0.002)),
        ]
    );
    for line in &lines {
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], 1_772_323_200_000_i64);
        assert_eq!(directive["Namespace"], "IotPlatform/Cost");
        let dimensions =
            if line["stack"].is_null() { json!([["environment"]]) } else { json!([["environment", "stack"]]) };
        assert_eq!(directive["Dimensions"], dimensions);
        assert_eq!(line["day"], "2026-02-27");
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_f64(), "every metric that is named has a value");
        }
    }
}

#[test]
fn an_invocation_that_comes_late_measures_the_day_of_its_schedule() {
    let account = Account::with(vec![vec![("stack$streaming", "1", "USD")]], 5);
    account.state().elapsed = Duration::from_secs(3 * 86_400);
    for line in account.invoke().unwrap() {
        assert_eq!(line["day"], "2026-02-27");
        let put = line["_aws"]["Timestamp"].as_i64().unwrap();
        assert!(put >= 1_772_323_200_000 + 3 * 86_400_000, "{put}");
    }
}

#[test]
fn what_is_no_event_of_the_schedule_is_refused() {
    let account = Account::with(vec![vec![("stack$streaming", "1", "USD")]], 5);
    let function = CostExplorer::new(&account.config(), &Account::environment()).unwrap();
    let error = account.invoke_raw(&function, b"{}", Duration::from_secs(60)).unwrap_err();
    assert!(matches!(error, FunctionError::Event(_)), "{error}");
    assert_eq!(account.calls("GetCostAndUsage"), 0);
}

#[test]
fn without_devices_there_is_no_cost_of_one() {
    let lines = Account::with(vec![vec![("stack$streaming", "1", "USD")]], 0).invoke().unwrap();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert!(line.get(COST_PER_DEVICE_PER_DAY).is_none());
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"], json!([{"Name": "CostPerDay", "Unit": "None"}]));
    }
}

#[test]
fn costs_that_are_no_costs_fail_the_invocation_and_put_no_metric() {
    for (groups, reason) in [
        (vec![], "activated"),
        (vec![("stack$a", "1", "EUR")], "\"EUR\""),
        (vec![("stack$a", "much", "USD")], "\"much\""),
        (vec![("Amazon Kinesis", "1", "USD")], "Amazon Kinesis"),
    ] {
        let account = Account::with(vec![groups], 5);
        let error = account.invoke().unwrap_err();
        assert!(matches!(&error, FunctionError::Costs(text) if text.contains(reason)), "{error}");
        assert!(account.state().metrics.is_empty());
    }
    let endless = Account::with(vec![vec![("stack$a", "1", "USD")]; 50], 5);
    assert!(endless.invoke().unwrap_err().to_string().contains("more than 20 pages"));
    assert_eq!(endless.calls("GetCostAndUsage"), 20);
}

#[test]
fn what_fails_is_named() {
    for (operation, kind) in [("GetCostAndUsage", "Costs"), ("DescribeTable", "Directory")] {
        for fault in [Fault::Answer(400, "AccessDeniedException"), Fault::Silence] {
            let account = Account::with(vec![vec![("stack$a", "1", "USD")]], 5);
            account.fail_calls(move |call| (call == operation).then_some(fault));
            assert_eq!(account.invoke().unwrap_err().kind(), kind);
            assert!(account.state().metrics.is_empty());
        }
        let account = Account::with(vec![vec![("stack$a", "1", "USD")]], 5);
        let mut left = 5;
        account.fail_calls(move |call| {
            left -= i32::from(call == operation);
            (call == operation && left >= 0).then_some(Fault::Answer(400, "ThrottlingException"))
        });
        assert_eq!(account.invoke().unwrap().len(), 2);
    }
}
