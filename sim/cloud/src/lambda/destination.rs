//! Where records of failures and invocations go: a bucket, a topic, a function.

use bytes::Bytes;

use super::Ports;
use crate::core::{AwsError, Cx, Principal};

/// Where objects of failures lie in their bucket.
const OBJECTS: &str = "aws/lambda/";

/// A destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// A bucket, by name.
    Bucket(String),
    /// A topic, by ARN.
    Topic(String),
    /// A function, by ARN: for asynchronous events only.
    Function(String),
}

impl Destination {
    /// The destination of asynchronous events with an ARN.
    pub fn of_events(cx: &Cx<'_>, arn: &str, failure: bool) -> Result<Self, String> {
        let functions = cx.account.arn("lambda", "function:");
        match Destination::parse(arn) {
            Ok(Destination::Bucket(_)) if !failure => Err(format!("{arn:?}: a bucket is told of failures only")),
            Err(_) if arn.starts_with(&functions) => Ok(Destination::Function(arn.to_owned())),
            result => result,
        }
    }

    /// The destination of a stream's failures with an ARN.
    pub fn parse(arn: &str) -> Result<Self, String> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", _, "s3", "", "", bucket] if !bucket.is_empty() && !bucket.contains('/') => {
                Ok(Destination::Bucket((*bucket).to_owned()))
            }
            ["arn", _, "sns", _, _, topic] if !topic.is_empty() => Ok(Destination::Topic(arn.to_owned())),
            ["arn", _, service, ..] => Err(format!("{arn:?}: a destination of {service} is not modelled")),
            _ => Err(format!("{arn:?} is no ARN of a destination")),
        }
    }

    /// Its ARN.
    pub fn arn(&self) -> String {
        match self {
            Destination::Bucket(name) => format!("arn:aws:s3:::{name}"),
            Destination::Topic(arn) | Destination::Function(arn) => arn.clone(),
        }
    }

    /// Whether a function's role may send there what Lambda's guide names: s3:PutObject and s3:ListBucket, sns:Publish.
    /// That Lambda asks when it is configured, and how it says no, is unverified; whether the bucket is there, it does not
    /// ask (unverified).
    pub fn permit(&self, cx: &mut Cx<'_>, role: &Principal) -> Result<(), AwsError> {
        let arn = self.arn();
        let objects = format!("{arn}/{OBJECTS}*");
        let needs: &[(&str, &str)] = match self {
            Destination::Bucket(_) => &[("s3:ListBucket", &arn), ("s3:PutObject", &objects)],
            Destination::Topic(_) => &[("sns:Publish", &arn)],
            Destination::Function(_) => &[("lambda:InvokeFunction", &arn)],
        };
        let mut cx = cx.acting_as(role);
        needs.iter().try_for_each(|(action, resource)| {
            cx.authorize(action, resource).map_err(|_| {
                let operation = action.split(':').next_back().unwrap_or(action);
                let message =
                    format!("The function execution role does not have permissions to call {operation} on {arn}");
                AwsError::new("InvalidParameterValueException", message).with("Type", "User")
            })
        })
    }

    /// Sends a record there, in the function's role. `key` names an object. What goes to a function is an event of
    /// Lambda's own queue, and not sent from here.
    pub fn send(
        &self,
        cx: &mut Cx<'_>,
        ports: &mut Ports<'_>,
        role: &Principal,
        key: &str,
        record: String,
    ) -> Result<(), AwsError> {
        let mut cx = cx.acting_as(role);
        match self {
            Destination::Bucket(bucket) => {
                let body = Bytes::from(record);
                let put = cx.called("s3", "PutObject", bucket, |cx| {
                    ports.objects.put_object(cx, bucket, key, body, "application/json")
                });
                put.map(drop).map_err(AwsError::from)
            }
            Destination::Topic(arn) => {
                let publish = cx.called("sns", "Publish", arn, |cx| ports.topics.publish(cx, arn, &record, false));
                publish.map_err(AwsError::from)
            }
            Destination::Function(arn) => Err(AwsError::not_modelled(format!("sending to {arn}"))),
        }
    }
}
