//! The operations of the data plane: which call is which.

use crate::core::AwsError;
use crate::iot::rest;

/// An operation as the service's model gives it.
#[derive(Debug)]
pub struct Operation {
    /// Name.
    pub name: &'static str,
    method: &'static str,
    /// `{}` stands for one segment.
    path: &'static str,
    /// Parameters that may stand in its query.
    pub query: &'static [&'static str],
}

const fn operation(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    query: &'static [&'static str],
) -> Operation {
    Operation { name, method, path, query }
}

static OPERATIONS: [Operation; 11] = [
    operation("Publish", "POST", "/topics/{}", &["qos", "retain", "contentType", "responseTopic", "messageExpiry"]),
    operation("GetThingShadow", "GET", "/things/{}/shadow", &["name"]),
    operation("UpdateThingShadow", "POST", "/things/{}/shadow", &["name"]),
    operation("DeleteThingShadow", "DELETE", "/things/{}/shadow", &["name"]),
    operation(
        "ListNamedShadowsForThing",
        "GET",
        "/api/things/shadow/ListNamedShadowsForThing/{}",
        &["nextToken", "pageSize"],
    ),
    operation("GetRetainedMessage", "GET", "/retainedMessage/{}", &[]),
    operation("ListRetainedMessages", "GET", "/retainedMessage", &["nextToken", "maxResults"]),
    operation("GetConnection", "GET", "/connections/{}", &["includeSocketInformation"]),
    operation("DeleteConnection", "DELETE", "/connections/{}", &["cleanSession", "preventWillMessage"]),
    operation("ListSubscriptions", "GET", "/connections/{}/subscriptions", &["nextToken", "maxResults"]),
    operation(
        "SendDirectMessage",
        "POST",
        "/connections/{}/messages",
        &["topic", "contentType", "responseTopic", "confirmation", "timeout"],
    ),
];

/// The operation that a request asks for, with the decoded segment that its path names (empty when there is none).
pub fn find(method: &str, path: &str) -> Result<(&'static Operation, String), AwsError> {
    let mut path_is_known = false;
    for operation in &OPERATIONS {
        if let Some(name) = capture(operation.path, path) {
            if operation.method == method {
                return Ok((operation, name));
            }
            path_is_known = true;
        }
    }
    if path_is_known {
        let message = "The specified combination of HTTP verb and URI is not supported.";
        return Err(AwsError::new("MethodNotAllowedException", message).status(405));
    }
    Err(AwsError::unknown_operation(&format!("{method} {path}")))
}

fn capture(template: &str, path: &str) -> Option<String> {
    let mut found = String::new();
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        if expected == "{}" {
            found = rest::decode(segment).filter(|segment| !segment.is_empty())?;
        } else if expected != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_operations_by_method_and_path() {
        for (method, path, expected) in [
            ("POST", "/topics/a%2Fb%20c", Ok(("Publish", "a/b c"))),
            ("GET", "/things/t/shadow", Ok(("GetThingShadow", "t"))),
            ("POST", "/things/t/shadow", Ok(("UpdateThingShadow", "t"))),
            ("DELETE", "/things/t/shadow", Ok(("DeleteThingShadow", "t"))),
            ("GET", "/api/things/shadow/ListNamedShadowsForThing/t", Ok(("ListNamedShadowsForThing", "t"))),
            ("GET", "/retainedMessage/a%2Fb", Ok(("GetRetainedMessage", "a/b"))),
            ("GET", "/retainedMessage", Ok(("ListRetainedMessages", ""))),
            ("GET", "/connections/c", Ok(("GetConnection", "c"))),
            ("DELETE", "/connections/c", Ok(("DeleteConnection", "c"))),
            ("GET", "/connections/c/subscriptions", Ok(("ListSubscriptions", "c"))),
            ("POST", "/connections/c/messages", Ok(("SendDirectMessage", "c"))),
            ("PUT", "/things/t/shadow", Err("MethodNotAllowedException")),
            ("GET", "/topics/a", Err("MethodNotAllowedException")),
            ("GET", "/things//shadow", Err("UnknownOperationException")),
            ("GET", "/things/%zz/shadow", Err("UnknownOperationException")),
            ("GET", "/", Err("UnknownOperationException")),
        ] {
            let found = find(method, path).map(|(operation, name)| (operation.name, name));
            let expected = expected.map(|(operation, name)| (operation, name.to_owned()));
            assert_eq!(found.map_err(|error| error.code), expected, "{method} {path}");
        }
    }
}
