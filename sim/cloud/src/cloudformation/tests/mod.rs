//! Stacks in an account, by the interface and the account's timers.

mod changes;
mod lives;
mod replaced;
mod rollback;

use serde_json::{Value, json};

use crate::account::Account;
use crate::core::{AwsError, Resource};
use crate::front::query::dialect;
use world::seed::Seed;
use world::time::Time;
use world::trace::Trace;

struct World {
    account: Account,
    now: Time,
}

impl World {
    fn new() -> Self {
        let now = Time::from_unix_secs(1_772_323_200);
        World { account: Account::new("eu-west-1", Seed::root(1), Trace::new()), now }
    }

    /// Sends a request.
    fn ask(&mut self, action: &str, members: &[(&str, &str)]) -> Result<String, AwsError> {
        let dialect = dialect("cloudformation").unwrap();
        let mut body = format!("Action={action}&Version={}", dialect.version);
        for (name, value) in members {
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            body.push_str(&format!("&{name}={value}"));
        }
        let mut form = dialect.parse(body.as_bytes())?;
        let call = self
            .account
            .with_cloudformation(self.now, |cloudformation, services, cx| cloudformation.call(services, cx, &mut form));
        call.map(|xml| String::from_utf8(xml.into_bytes()).unwrap())
    }

    fn refused(&mut self, action: &str, members: &[(&str, &str)], code: &str, expected: &str) {
        let error = self.ask(action, members).expect_err(expected);
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(expected), "{error}");
    }

    /// Lets one timer ring.
    fn step(&mut self) -> bool {
        let due = self.account.next_due();
        if let Some(due) = due {
            self.now = due;
            self.account.wake_due(due);
        }
        due.is_some()
    }

    /// Lets time pass until nothing is left to be done.
    fn settle(&mut self) {
        while self.step() {}
    }

    fn create(&mut self, name: &str, template: &Value) -> String {
        self.ask("CreateStack", &[("StackName", name), ("TemplateBody", &template.to_string())]).unwrap();
        self.settle();
        self.status(name)
    }

    fn update(&mut self, name: &str, template: &Value) -> String {
        self.ask("UpdateStack", &[("StackName", name), ("TemplateBody", &template.to_string())]).unwrap();
        self.settle();
        self.status(name)
    }

    fn delete(&mut self, name: &str) -> String {
        let id = self.member(name, "StackId");
        self.ask("DeleteStack", &[("StackName", name)]).unwrap();
        self.settle();
        self.status(&id)
    }

    /// A member of the description of a stack; empty when it has none.
    fn member(&mut self, name: &str, member: &str) -> String {
        let xml = self.ask("DescribeStacks", &[("StackName", name)]).unwrap();
        texts(&xml, member).into_iter().next().unwrap_or_default()
    }

    fn status(&mut self, name: &str) -> String {
        self.member(name, "StackStatus")
    }

    fn output(&mut self, name: &str) -> String {
        self.member(name, "OutputValue")
    }

    /// Everything that happened to a stack, oldest first: `LogicalId STATUS reason`.
    fn events(&mut self, name: &str) -> Vec<String> {
        let xml = self.ask("DescribeStackEvents", &[("StackName", name)]).unwrap();
        let mut events: Vec<String> = xml
            .split("<member>")
            .skip(1)
            .map(|event| {
                let one = |member| texts(event, member).into_iter().next().unwrap_or_default();
                let (id, status, reason) =
                    (one("LogicalResourceId"), one("ResourceStatus"), one("ResourceStatusReason"));
                format!("{id} {status} {reason}").trim_end().to_owned()
            })
            .collect();
        events.reverse();
        events
    }

    /// What the account holds of the types that these tests use, as text.
    fn held(&self) -> Vec<String> {
        let kinds =
            ["AWS::Logs::LogGroup", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::CloudTrail::Trail"];
        let kept = &self.account.services.kept;
        let all = kinds.into_iter().flat_map(|kind| kept.of_kind(kind).map(move |(id, p)| format!("{kind} {id} {p}")));
        let topic = self.account.services.sns.topic("arn:aws:sns:eu-west-1:123456789012:topic");
        all.chain(topic.map(|topic| format!("{topic:?}"))).collect()
    }

    /// Sends a request that changes a stack with a template, and lets it be done.
    fn change(&mut self, action: &str, template: &Value, members: &[(&str, &str)]) -> String {
        let body = template.to_string();
        let base = [("StackName", "s"), ("TemplateBody", body.as_str())];
        let answer = self.ask(action, &[&base[..], members].concat()).unwrap();
        self.settle();
        self.status(&texts(&answer, "StackId")[0])
    }

    /// Lets time pass until this has happened to the stack `s`.
    fn until(&mut self, event: &str) {
        while !self.events("s").contains(&event.to_owned()) {
            assert!(self.step(), "{event}: {:#?}", self.events("s"));
        }
    }

    /// Someone else's log group.
    fn foreign_group(&mut self, name: &str) {
        self.foreign("AWS::Logs::LogGroup", json!({ "LogGroupName": name }));
    }

    /// Someone deletes a log group behind the stack's back.
    fn lose_group(&mut self, name: &str) {
        let (stack, logical_id, properties) = (String::new(), String::new(), json!({ "LogGroupName": name }));
        let resource = Resource { stack, logical_id, kind: "AWS::Logs::LogGroup".to_owned(), properties };
        self.account.as_owner(self.now, |services, cx| services.kept.delete(cx, &resource, name)).unwrap();
    }

    /// A resource that belongs to no stack.
    fn foreign(&mut self, kind: &str, properties: Value) {
        let (stack, logical_id) = (String::new(), String::new());
        let resource = Resource { stack, logical_id, kind: kind.to_owned(), properties };
        self.account.as_owner(self.now, |services, cx| services.kept.provision(cx, &resource)).unwrap();
    }
}

/// The texts of the elements with this name, in order.
fn texts(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&open).skip(1).filter_map(|rest| rest.split_once(&close));
    parts.map(|(text, _)| text.replace("&quot;", "\"").replace("&amp;", "&")).collect()
}

fn group(name: &str, days: u32) -> Value {
    json!({"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name, "RetentionInDays": days}})
}

/// An alarm whose description is what `description` evaluates to.
fn alarm(name: &str, description: &Value) -> Value {
    json!({"Type": "AWS::CloudWatch::Alarm", "Properties": {
        "AlarmName": name, "AlarmDescription": description, "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 1, "MetricName": "m", "Namespace": "n", "Period": 60, "Statistic": "Sum", "Threshold": 1,
    }})
}
