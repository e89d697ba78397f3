//! Texts of a template, some parts of which CloudFormation fills in.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// A text that may refer to resources, pseudo parameters and SSM parameters.
///
/// References to resources come only from a [`super::Handle`], so that a dangling one does not compile. It is written
/// as a plain text, `Ref`, `Fn::GetAtt` or `Fn::Sub`, whichever is shortest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Ref(String),
    GetAtt(String, &'static str),
}

impl Expr {
    pub(super) fn reference(logical_id: &str) -> Self {
        Expr(vec![Part::Ref(logical_id.to_owned())])
    }

    pub(super) fn attribute(logical_id: &str, name: &'static str) -> Self {
        Expr(vec![Part::GetAtt(logical_id.to_owned(), name)])
    }

    pub(super) fn ssm(path: &str) -> Self {
        Expr::from(format!("{{{{resolve:ssm:{path}}}}}"))
    }

    /// The account that the stack is deployed to.
    pub fn account_id() -> Self {
        Expr::reference("AWS::AccountId")
    }

    /// The partition that the stack is deployed to: `aws`, `aws-cn`, ...
    pub fn partition() -> Self {
        Expr::reference("AWS::Partition")
    }

    /// The Region that the stack is deployed to.
    pub fn region() -> Self {
        Expr::reference("AWS::Region")
    }

    /// An ARN of a service without Regions, of the stack's partition and account: `arn:aws:{service}::{account}:{resource}`.
    pub fn global_arn(service: &str, resource: impl Into<Expr>) -> Self {
        Expr::concat([
            "arn:".into(),
            Expr::partition(),
            format!(":{service}::").into(),
            Expr::account_id(),
            ":".into(),
            resource.into(),
        ])
    }

    /// An ARN of the stack's partition, Region and account: `arn:aws:{service}:{region}:{account}:{resource}`.
    pub fn arn(service: &str, resource: impl Into<Expr>) -> Self {
        Expr::concat([
            "arn:".into(),
            Expr::partition(),
            format!(":{service}:").into(),
            Expr::region(),
            ":".into(),
            Expr::account_id(),
            ":".into(),
            resource.into(),
        ])
    }

    /// The ARN of a bucket, or of objects in it: `arn:aws:s3:::{resource}`.
    pub fn s3_arn(resource: impl Into<Expr>) -> Self {
        Expr::concat(["arn:".into(), Expr::partition(), ":s3:::".into(), resource.into()])
    }

    /// The parts, one after the other.
    pub fn concat(parts: impl IntoIterator<Item = Expr>) -> Self {
        let mut all: Vec<Part> = Vec::new();
        for part in parts.into_iter().flat_map(|expr| expr.0) {
            match (all.last_mut(), part) {
                (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
                (_, part) => all.push(part),
            }
        }
        Expr(all)
    }

    /// This text with another after it.
    #[must_use]
    pub fn then(self, next: impl Into<Expr>) -> Self {
        Expr::concat([self, next.into()])
    }

    /// The string form of `Fn::Sub`.
    fn substitution(&self) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(&text.replace("${", "${!")),
                Part::Ref(id) => out.push_str(&format!("${{{id}}}")),
                Part::GetAtt(id, name) => out.push_str(&format!("${{{id}.{name}}}")),
            }
        }
        out
    }
}

impl From<&str> for Expr {
    fn from(text: &str) -> Self {
        Expr(vec![Part::Text(text.to_owned())])
    }
}

impl From<String> for Expr {
    fn from(text: String) -> Self {
        Expr(vec![Part::Text(text)])
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [] => serializer.serialize_str(""),
            [Part::Text(text)] => serializer.serialize_str(text),
            [Part::Ref(id)] => single(serializer, "Ref", id),
            [Part::GetAtt(id, name)] => single(serializer, "Fn::GetAtt", &[id.as_str(), name]),
            _ => single(serializer, "Fn::Sub", &self.substitution()),
        }
    }
}

fn single<S: Serializer, V: Serialize + ?Sized>(
    serializer: S,
    function: &str,
    argument: &V,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(function, argument)?;
    map.end()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_shortest_intrinsic_function_is_written() {
        for (expr, expected) in [
            (Expr::from("${topic(4)}"), json!("${topic(4)}")),
            (Expr::reference("Bucket"), json!({"Ref": "Bucket"})),
            (Expr::attribute("Bucket", "Arn"), json!({"Fn::GetAtt": ["Bucket", "Arn"]})),
            (Expr::ssm("/a/b"), json!("{{resolve:ssm:/a/b}}")),
            (Expr::ssm("/a/b").then("/*"), json!("{{resolve:ssm:/a/b}}/*")),
            (Expr::attribute("Bucket", "Arn").then("/*"), json!({"Fn::Sub": "${Bucket.Arn}/*"})),
            (Expr::s3_arn("b"), json!({"Fn::Sub": "arn:${AWS::Partition}:s3:::b"})),
        ] {
            assert_eq!(serde_json::to_value(&expr).unwrap(), expected, "{expr:?}");
        }
    }

    #[test]
    fn texts_that_look_like_placeholders_are_escaped_beside_real_ones() {
        let expr = Expr::arn("iot", "topic/${iot:ClientId}");
        let expected = "arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:topic/${!iot:ClientId}";
        assert_eq!(serde_json::to_value(&expr).unwrap(), json!({ "Fn::Sub": expected }));
    }
}
