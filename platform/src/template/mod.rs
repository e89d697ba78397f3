//! CloudFormation templates as Rust values: one struct a resource type, with the properties that the platform uses.
//!
//! The builders are our own, and small: they offer only what the platform decides, and have no way to leave out what it
//! must not (a key, a policy that asks for TLS). Adding a resource returns a [`Handle`], the only source of references to
//! it.

mod expr;

pub mod athena;
pub mod budgets;
pub mod cloudtrail;
pub mod cloudwatch;
pub mod codebuild;
pub mod codepipeline;
pub mod cognito;
pub mod config;
pub mod dynamodb;
pub mod firehose;
pub mod glue;
pub mod iam;
pub mod iot;
pub mod kinesis;
pub mod kms;
pub mod lambda;
pub mod logs;
pub mod s3;
pub mod scheduler;
pub mod sns;
pub mod ssm;

use std::marker::PhantomData;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use crate::settings::Settings;

pub use expr::Expr;
pub use ssm::Published;

/// A type of resource. Its serialized form is the resource's `Properties`.
pub trait Resource: Serialize {
    /// Type name, such as `AWS::S3::Bucket`.
    const TYPE: &'static str;
    /// How the type takes tags. [`Template::add`] writes the stack's own.
    const TAGS: Tagging = Tagging::None;
}

/// How a type of resource takes tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tagging {
    /// It takes none.
    None,
    /// `Tags` is a list of `{Key, Value}`.
    List,
    /// `Tags` is a map from key to value.
    Map,
    /// A member of another name is a map from key to value, such as `UserPoolTags`.
    MapIn(&'static str),
    /// A member of another name is a list of `{Key, Value}`, such as `IdentityPoolTags`.
    ListIn(&'static str),
}

/// What becomes of a data-bearing resource when its stack is deleted or the resource is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// The resource is deleted with its stack, and its data with it. S3 deletes no bucket that holds objects: until it has
    /// been emptied, the deletion of its stack fails.
    Delete,
    /// The resource and its data outlive the stack. Only what a failed creation had just made is deleted again, so that
    /// the creation can be repeated.
    Retain,
}

impl Retention {
    fn on_deletion(self) -> &'static str {
        match self {
            Retention::Delete => "Delete",
            Retention::Retain => "RetainExceptOnCreate",
        }
    }

    fn on_replacement(self) -> &'static str {
        match self {
            Retention::Delete => "Delete",
            Retention::Retain => "Retain",
        }
    }
}

/// Value of the tag [`TAG_PLATFORM`].
pub const PLATFORM: &str = "iot-platform";
/// Cost-allocation tag: which platform a resource belongs to.
pub const TAG_PLATFORM: &str = "platform";
/// Cost-allocation tag: the environment.
pub const TAG_ENVIRONMENT: &str = "environment";
/// Cost-allocation tag: the stack.
pub const TAG_STACK: &str = "stack";

/// A tool that judges templates and takes reasons for what it need not look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// <https://www.checkov.io>
    Checkov,
    /// <https://github.com/aws-cloudformation/cfn-lint>
    CfnLint,
}

fn append(list: &mut Value, item: Value) {
    match list {
        Value::Array(items) => items.push(item),
        other => *other = Value::Array(vec![item]),
    }
}

/// A resource that is in a template.
#[derive(Debug)]
pub struct Handle<R> {
    logical_id: String,
    resource: PhantomData<fn() -> R>,
}

impl<R> Handle<R> {
    fn reference(&self) -> Expr {
        Expr::reference(&self.logical_id)
    }

    fn attribute(&self, name: &'static str) -> Expr {
        Expr::attribute(&self.logical_id, name)
    }
}

/// A CloudFormation template. Resources keep the order in which they were added, so the same calls give the same text.
#[derive(Clone, Debug)]
pub struct Template {
    description: String,
    retention: Retention,
    tags: Vec<(&'static str, String)>,
    resources: Map<String, Value>,
}

impl Template {
    /// An empty template whose data-bearing resources are kept or deleted as `retention` says.
    pub fn new(description: &str, retention: Retention) -> Self {
        Template { description: description.to_owned(), retention, tags: Vec::new(), resources: Map::new() }
    }

    /// An empty template of the stack `stack`: data is kept as the settings say, and every resource that takes tags
    /// carries the tags by which costs are allocated.
    pub fn of_stack(settings: &Settings, stack: &str, description: &str) -> Self {
        let tags = vec![
            (TAG_PLATFORM, PLATFORM.to_owned()),
            (TAG_ENVIRONMENT, settings.env.clone()),
            (TAG_STACK, stack.to_owned()),
        ];
        Template { tags, ..Template::new(description, settings.retention()) }
    }

    /// Says why a check of a judge does not apply to a resource: `judge` is `checkov` or `cfn-lint`. The reason is kept in
    /// the resource's metadata, where the judge looks for it.
    ///
    /// # Panics
    /// When the template has no such resource.
    pub fn explain<R>(&mut self, handle: &Handle<R>, judge: Judge, check: &str, reason: &str) {
        let resource = self.resources.get_mut(&handle.logical_id).expect("a handle comes from its own template");
        let metadata = &mut resource["Metadata"];
        match judge {
            Judge::Checkov => append(&mut metadata["checkov"]["skip"], json!({ "id": check, "comment": reason })),
            Judge::CfnLint => {
                append(&mut metadata["cfn-lint"]["config"]["ignore_checks"], json!(check));
                append(&mut metadata["cfn-lint"]["reasons"], json!(format!("{check}: {reason}")));
            }
        }
    }

    /// Makes a resource only after another that it needs without naming it, such as the policy of its bucket.
    ///
    /// # Panics
    /// When the template has no such resource.
    pub fn make_after<R, S>(&mut self, handle: &Handle<R>, before: &Handle<S>) {
        let resource = self.resources.get_mut(&handle.logical_id).expect("a handle comes from its own template");
        append(&mut resource["DependsOn"], json!(before.logical_id));
    }

    /// Adds a resource that can be made again from this template alone.
    pub fn add<R: Resource>(&mut self, logical_id: &str, resource: R) -> Handle<R> {
        self.insert(logical_id, resource, Retention::Delete)
    }

    /// Adds a resource that holds data.
    pub fn add_data<R: Resource>(&mut self, logical_id: &str, resource: R) -> Handle<R> {
        self.insert(logical_id, resource, self.retention)
    }

    /// Publishes a value for the stacks that are deployed later.
    pub fn publish(&mut self, published: &Published, description: &str, value: Expr) {
        self.add(&published.logical_id(), ssm::Parameter::new(published, description, value));
    }

    fn insert<R: Resource>(&mut self, logical_id: &str, resource: R, retention: Retention) -> Handle<R> {
        assert!(
            logical_id.bytes().all(|b| b.is_ascii_alphanumeric()) && !self.resources.contains_key(logical_id),
            "the logical id {logical_id} must be alphanumeric and free"
        );
        let mut properties =
            serde_json::to_value(resource).expect("properties are texts, numbers, lists and maps by text");
        self.tag(R::TAGS, &mut properties);
        let declaration = json!({
            "Type": R::TYPE,
            "DeletionPolicy": retention.on_deletion(),
            "UpdateReplacePolicy": retention.on_replacement(),
            "Properties": properties,
        });
        self.resources.insert(logical_id.to_owned(), declaration);
        Handle { logical_id: logical_id.to_owned(), resource: PhantomData }
    }

    fn tag(&self, tagging: Tagging, properties: &mut Value) {
        let list = || self.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect::<Value>();
        let map =
            || self.tags.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect::<Map<_, _>>().into();
        match tagging {
            _ if self.tags.is_empty() => {}
            Tagging::None => {}
            Tagging::List => properties["Tags"] = list(),
            Tagging::Map => properties["Tags"] = map(),
            Tagging::MapIn(member) => properties[member] = map(),
            Tagging::ListIn(member) => properties[member] = list(),
        }
    }

    /// Whether a deployment must be given the capability to create named IAM resources.
    pub fn names_iam_resources(&self) -> bool {
        self.resources
            .values()
            .any(|resource| resource["Type"].as_str().is_some_and(|kind| kind.starts_with("AWS::IAM::")))
    }

    /// The template as JSON, the same text for the same template.
    pub fn to_json(&self) -> String {
        let template = json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": self.description,
            "Resources": self.resources,
        });
        // One space a level: CloudFormation takes 51,200 bytes, white space included.
        let mut bytes = Vec::new();
        let formatter = PrettyFormatter::with_indent(b" ");
        template
            .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
            .expect("a JSON value is written to memory");
        bytes.push(b'\n');
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_kept_by_policy_and_everything_else_is_not() {
        for (retention, on_deletion, on_replacement) in
            [(Retention::Retain, "RetainExceptOnCreate", "Retain"), (Retention::Delete, "Delete", "Delete")]
        {
            let mut template = Template::new("test", retention);
            let bucket = template.add_data("Data", s3::Bucket::private("bucket".into()));
            template.publish(&Published::new("/a/bucket-arn".to_owned()), "ARN", bucket.arn());
            assert_eq!(template.resources["Data"]["DeletionPolicy"], on_deletion);
            assert_eq!(template.resources["Data"]["UpdateReplacePolicy"], on_replacement);
            assert_eq!(template.resources["BucketArnParameter"]["DeletionPolicy"], "Delete");
        }
    }

    #[test]
    #[should_panic(expected = "must be alphanumeric and free")]
    fn a_logical_id_is_used_once() {
        let mut template = Template::new("test", Retention::Delete);
        template.add("Data", s3::Bucket::private("one".into()));
        template.add("Data", s3::Bucket::private("two".into()));
    }
}
