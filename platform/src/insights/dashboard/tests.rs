use serde_json::{Map, Value};

use super::stack;
use crate::settings::Settings;

fn resources() -> Map<String, Value> {
    let template: Value = serde_json::from_str(&stack(&Settings::default()).to_json()).unwrap();
    template["Resources"].as_object().unwrap().clone()
}

/// The resources of a type, with their logical ids.
fn of_type<'r>(resources: &'r Map<String, Value>, kind: &str) -> Vec<(&'r str, &'r Value)> {
    let found = resources.iter().filter(|(_, resource)| resource["Type"] == kind);
    found.map(|(id, resource)| (id.as_str(), &resource["Properties"])).collect()
}

/// The dashboard's body, with the ARN of each alarm in place of its logical id.
fn body(resources: &Map<String, Value>) -> Value {
    let [(_, dashboard)] = of_type(resources, "AWS::CloudWatch::Dashboard").try_into().expect("one dashboard");
    let mut text = dashboard["DashboardBody"]["Fn::Sub"].as_str().expect("a text with references").to_owned();
    for (id, properties) in of_type(resources, "AWS::CloudWatch::Alarm") {
        let name = properties["AlarmName"].as_str().unwrap();
        let arn = format!("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}");
        text = text.replace(&format!("${{{id}.Arn}}"), &arn);
    }
    assert!(!text.contains("${"), "{text}");
    serde_json::from_str(&text).expect("the body is JSON")
}

/// Checks an object against the members that the API reference lists ("Dashboard Body Structure and Syntax").
fn members(value: &Value, required: &[&str], optional: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("{value} is no object"));
    for name in required {
        assert!(object.contains_key(*name), "{name} is missing in {value}");
    }
    for name in object.keys() {
        assert!(required.contains(&name.as_str()) || optional.contains(&name.as_str()), "{name} is not known: {value}");
    }
}

#[test]
fn the_body_has_the_structure_that_cloudwatch_takes() {
    let resources = resources();
    let body = body(&resources);
    members(&body, &["widgets"], &["start", "end", "periodOverride", "variables"]);
    let widgets = body["widgets"].as_array().expect("a list");
    assert!((10..=500).contains(&widgets.len()), "{} widgets", widgets.len());
    let mut taken = Vec::new();
    for widget in widgets {
        members(widget, &["type", "x", "y", "width", "height", "properties"], &[]);
        let number = |name: &str| widget[name].as_u64().expect("a whole number");
        let (x, y, width, height) = (number("x"), number("y"), number("width"), number("height"));
        assert!(width >= 1 && x + width <= 24 && (1..=1_000).contains(&height), "{widget}");
        for (other_x, other_y, other_width, other_height) in &taken {
            let apart = x + width <= *other_x || other_x + other_width <= x;
            assert!(apart || y + height <= *other_y || other_y + other_height <= y, "{widget} covers another one");
        }
        taken.push((x, y, width, height));
        let properties = &widget["properties"];
        match widget["type"].as_str() {
            Some("alarm") => {
                members(properties, &["alarms"], &["sortBy", "states", "title"]);
                let alarms = properties["alarms"].as_array().expect("a list");
                assert_eq!(alarms.len(), of_type(&resources, "AWS::CloudWatch::Alarm").len());
                assert!(alarms.len() <= 100 && alarms.iter().all(|arn| arn.as_str().is_some()));
            }
            Some("metric") => graph(properties),
            other => panic!("{other:?} is not known to this test"),
        }
    }
}

fn graph(properties: &Value) {
    members(properties, &["region", "metrics"], &["title", "view", "period", "stacked", "stat", "yAxis", "legend"]);
    assert!(properties["period"].as_u64().is_some_and(|period| period % 60 == 0 && period > 0), "{properties}");
    assert!(["timeSeries", "singleValue"].map(Some).contains(&properties["view"].as_str()), "{properties}");
    let lines = properties["metrics"].as_array().expect("a list");
    assert!(!lines.is_empty());
    for line in lines {
        let line = line.as_array().expect("a metric is a list");
        let (options, metric) = line.split_last().expect("a metric has members");
        members(options, &["label", "stat"], &[]);
        let texts: Vec<&str> = metric.iter().map(|part| part.as_str().expect("a text")).collect();
        // Namespace, name, and a name and a value for each dimension.
        assert!(texts.len() >= 4 && texts.len().is_multiple_of(2) && texts[0].starts_with("AWS/"), "{line:?}");
    }
}

#[test]
fn every_alarm_tells_the_topic_and_says_in_words_what_it_means() {
    let resources = resources();
    let alarms = of_type(&resources, "AWS::CloudWatch::Alarm");
    let watched = |namespace: &str, metric: &str| {
        let of = |properties: &&Value| properties["Namespace"] == namespace && properties["MetricName"] == metric;
        alarms.iter().map(|(_, properties)| *properties).filter(of).count()
    };
    for (namespace, metric, expected) in [
        ("AWS/Lambda", "IteratorAge", 2),
        ("AWS/Lambda", "Errors", 4),
        ("AWS/Lambda", "Throttles", 4),
        ("AWS/Firehose", "DeliveryToS3.DataFreshness", 2),
        ("AWS/IoT", "Failure", 1),
        ("AWS/IoT", "ErrorActionFailure", 1),
        ("AWS/Kinesis", "WriteProvisionedThroughputExceeded", 2),
        ("IotPlatform/dev", "SeriesWithoutDetector", 1),
        ("IotPlatform/dev", "AnomalyAlertsDropped", 1),
    ] {
        assert_eq!(watched(namespace, metric), expected, "{namespace} {metric}");
    }
    for (id, properties) in alarms {
        for actions in ["AlarmActions", "OKActions"] {
            assert_eq!(properties[actions], serde_json::json!([{ "Ref": "AlarmTopic" }]), "{id}");
        }
        assert!(properties["AlarmDescription"].as_str().is_some_and(|text| text.len() > 20), "{id}");
        let (bad, of) = (properties["DatapointsToAlarm"].as_u64(), properties["EvaluationPeriods"].as_u64());
        assert!(bad <= of && bad > Some(0), "{id}");
    }
}
