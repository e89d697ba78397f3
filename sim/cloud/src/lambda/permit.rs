//! Who may do what to functions and mappings, and what a function's role needs to read a stream.

use crate::core::{AwsError, Cx, Principal};

/// What Lambda checks of a function's role when a mapping is created (Lambda guide, "Using Lambda with Kinesis"). Lambda
/// also names ListStreams there; that it checks it is unverified, and it is not checked here.
const READ_STREAM: [&str; 4] =
    ["kinesis:DescribeStream", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"];

/// Whether the caller may run an operation of the REST interface. `named` is the first part of the path that names
/// something: a function by name or ARN, a mapping by its UUID. `qualifier`: a version or an alias that the query names.
pub(super) fn permit(
    cx: &mut Cx<'_>,
    operation: &str,
    named: Option<&str>,
    qualifier: Option<&str>,
) -> Result<(), AwsError> {
    let resource = match (operation, named) {
        ("GetAccountSettings", _) | (_, None) => "*".to_owned(),
        (_, Some(arn)) if arn.starts_with("arn:") => arn.to_owned(),
        ("GetEventSourceMapping" | "UpdateEventSourceMapping" | "DeleteEventSourceMapping", Some(uuid)) => {
            cx.account.arn("lambda", &format!("event-source-mapping:{uuid}"))
        }
        (_, Some(name)) => {
            let partial = format!("{}:function:", cx.account.id);
            cx.account.arn("lambda", &format!("function:{}", name.strip_prefix(&partial).unwrap_or(name)))
        }
    };
    let resource = match qualifier {
        Some(qualifier) if qualifier != super::versions::LATEST => format!("{resource}:{qualifier}"),
        _ => resource,
    };
    let operation = if operation == "Invoke" { "InvokeFunction" } else { operation };
    cx.authorize(&format!("lambda:{operation}"), &resource)
}

/// Whether the session in which a function reads its stream may do so.
pub(super) fn permit_reader(cx: &mut Cx<'_>, reader: &Principal, stream_arn: &str) -> Result<(), AwsError> {
    let mut cx = cx.acting_as(reader);
    READ_STREAM.iter().try_for_each(|action| cx.authorize(action, stream_arn)).map_err(|_| {
        let message = format!(
            "Cannot access stream {stream_arn}. Please ensure the role can perform the GetRecords, GetShardIterator, \
             DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
        );
        AwsError::new("InvalidParameterValueException", message).with("Type", "User")
    })
}
