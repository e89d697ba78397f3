//! The body of the dashboard (CloudWatch API reference, "Dashboard Body Structure and Syntax").

use serde_json::{Value, json};

use super::metrics::{FUNCTIONS, STREAM_READERS, broker, deliveries, function, rule, streams};
use crate::naming::{Naming, function_suffix};
use crate::settings::Settings;
use crate::template::cloudwatch::{Alarm, Metric};
use crate::template::{Expr, Handle};

/// Columns of a dashboard.
const COLUMNS: u32 = 24;
const WIDTH: u32 = 8;
const HEIGHT: u32 = 6;

/// A line of a graph: its label and its metric.
type Line = (String, Metric);

/// The body: the alarms, then graphs along the way of a reading.
pub(super) fn body(settings: &Settings, alarms: &[Handle<Alarm>]) -> Expr {
    let mut parts = vec![Expr::from(r#"{"widgets":["#), alarm_widget(alarms)];
    for (position, (title, lines)) in graphs(Naming::new(settings)).into_iter().enumerate() {
        let position = u32::try_from(position).expect("a dashboard has few graphs");
        let (column, row) = (position % (COLUMNS / WIDTH), position / (COLUMNS / WIDTH));
        let widget = graph(settings, title, lines, [column * WIDTH, (row + 1) * HEIGHT]);
        parts.push(format!(",{widget}").into());
    }
    parts.push("]}".into());
    Expr::concat(parts)
}

/// The states of all alarms, across the top.
fn alarm_widget(alarms: &[Handle<Alarm>]) -> Expr {
    let begin = format!(
        r#"{{"type":"alarm","x":0,"y":0,"width":{COLUMNS},"height":{HEIGHT},"properties":{{"title":"Alarms","alarms":["#
    );
    let mut parts = vec![Expr::from(begin)];
    for (position, alarm) in alarms.iter().enumerate() {
        let quote = if position == 0 { "\"" } else { "\",\"" };
        parts.push(quote.into());
        parts.push(alarm.arn());
    }
    parts.push("\"]}}".into());
    Expr::concat(parts)
}

fn graph(settings: &Settings, title: &str, lines: Vec<Line>, [x, y]: [u32; 2]) -> Value {
    let metrics = lines.into_iter().map(|(label, metric)| {
        let mut row = vec![json!(metric.namespace), json!(metric.name)];
        row.extend(metric.dimensions.into_iter().flat_map(|(name, value)| [json!(name), json!(value)]));
        row.push(json!({ "label": label, "stat": metric.statistic }));
        Value::from(row)
    });
    json!({
        "type": "metric",
        "x": x,
        "y": y,
        "width": WIDTH,
        "height": HEIGHT,
        "properties": {
            "title": title,
            "region": settings.region,
            "view": "timeSeries",
            "period": 60,
            "metrics": metrics.collect::<Vec<_>>(),
        },
    })
}

/// (title, lines) of each graph.
fn graphs(naming: Naming<'_>) -> Vec<(&'static str, Vec<Line>)> {
    let of_functions = |handlers: &[&str], name, statistic| -> Vec<Line> {
        let line = |handler: &&str| (function_suffix(handler), function(naming, handler, name, statistic));
        handlers.iter().map(line).collect()
    };
    let labelled = |lines: [(&'static str, Metric); 2]| lines.map(|(what, metric)| (what.to_owned(), metric)).to_vec();
    let broker = |lines: &[(&str, &'static str)]| -> Vec<Line> {
        lines.iter().map(|(label, name)| ((*label).to_owned(), broker(name))).collect()
    };
    vec![
        (
            "Published by devices",
            broker(&[
                ("taken", "PublishIn.Success"),
                ("throttled", "PublishIn.Throttle"),
                ("refused", "PublishIn.AuthError"),
            ]),
        ),
        (
            "Connections of devices",
            broker(&[("made", "Connect.Success"), ("throttled", "Connect.Throttle"), ("refused", "Connect.AuthError")]),
        ),
        (
            "Readings of the rule",
            vec![
                ("matched".to_owned(), rule(naming, None, "TopicMatch")),
                ("put into the raw stream".to_owned(), rule(naming, Some("Kinesis"), "Success")),
                ("failed".to_owned(), rule(naming, Some("Kinesis"), "Failure")),
            ],
        ),
        ("Records of the streams", labelled(streams(naming, "IncomingRecords", "Sum"))),
        ("Bytes of the streams", labelled(streams(naming, "IncomingBytes", "Sum"))),
        ("Throttled writes of the streams", labelled(streams(naming, "WriteProvisionedThroughputExceeded", "Sum"))),
        ("Behind the stream, ms", of_functions(&STREAM_READERS, "IteratorAge", "Maximum")),
        ("Errors of functions", of_functions(&FUNCTIONS, "Errors", "Sum")),
        ("Duration of functions, ms", of_functions(&FUNCTIONS, "Duration", "Average")),
        ("Behind the lake, s", labelled(deliveries(naming, "DeliveryToS3.DataFreshness", "Maximum"))),
        ("Records delivered to the lake", labelled(deliveries(naming, "DeliveryToS3.Records", "Sum"))),
        ("Bytes delivered to the lake", labelled(deliveries(naming, "DeliveryToS3.Bytes", "Sum"))),
    ]
}
