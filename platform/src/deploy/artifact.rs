//! The functions' deployment package: where the templates expect it, and whether it is there.

use std::collections::BTreeSet;

use aws_sdk_s3::error::SdkError;
use serde_json::Value;

use super::aws::Aws;
use super::error::{CallError, CallErrorKind, DeployError};
use super::plan::Plan;

/// A deployment package's place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Artifact {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
}

/// What a function of the plan runs on.
const LAMBDA_FUNCTION: &str = "AWS::Lambda::Function";

/// The packages that the functions of a plan are made from, in an account.
pub fn artifacts(plan: &Plan, account: &str) -> Result<Vec<Artifact>, DeployError> {
    let mut found = BTreeSet::new();
    for stack in &plan.stacks {
        for (logical_id, _, properties) in stack.resources().filter(|(_, kind, _)| *kind == LAMBDA_FUNCTION) {
            let code = &properties["Code"];
            if code["ZipFile"].is_string() || code["ImageUri"].is_string() {
                continue;
            }
            let text = |member: &str| resolve(&code[member], account, &plan.region);
            match (text("S3Bucket"), text("S3Key")) {
                (Some(bucket), Some(key)) => found.insert(Artifact { bucket, key }),
                _ => {
                    let (stack, logical_id) = (stack.name.clone(), logical_id.to_owned());
                    return Err(DeployError::ArtifactUnknown { stack, logical_id });
                }
            };
        }
    }
    Ok(found.into_iter().collect())
}

/// The architecture of the functions of a plan, `x86_64` unless the templates say otherwise.
pub fn architecture(plan: &Plan) -> &str {
    let mut functions =
        plan.stacks.iter().flat_map(|stack| stack.resources()).filter(|(_, kind, _)| *kind == LAMBDA_FUNCTION);
    functions.find_map(|(_, _, properties)| properties["Architectures"][0].as_str()).unwrap_or("x86_64")
}

/// A text of a template with the pseudo parameters filled in; nothing when it refers to anything else.
fn resolve(value: &Value, account: &str, region: &str) -> Option<String> {
    let pseudo = |name: &str| match name {
        "AWS::AccountId" => Some(account),
        "AWS::Region" => Some(region),
        "AWS::Partition" => Some(partition(region)),
        _ => None,
    };
    match value {
        Value::String(text) if !text.contains("{{resolve:") => Some(text.clone()),
        Value::Object(function) => match function.iter().next()? {
            (name, Value::String(id)) if name == "Ref" => pseudo(id).map(str::to_owned),
            (name, Value::String(text)) if name == "Fn::Sub" && !text.contains("{{resolve:") => {
                let mut parts = text.split("${");
                let mut out = parts.next()?.to_owned();
                for part in parts {
                    let (name, rest) = part.split_once('}')?;
                    out.push_str(pseudo(name)?);
                    out.push_str(rest);
                }
                Some(out)
            }
            _ => None,
        },
        _ => None,
    }
}

/// The partition of a Region.
pub(super) fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Makes sure that every package is there, in buckets of the account.
pub(super) async fn check(aws: &Aws, artifacts: &[Artifact], account: &str) -> Result<(), DeployError> {
    for artifact in artifacts {
        let Artifact { bucket, key } = artifact;
        let call = aws.s3.head_object().bucket(bucket).key(key).expected_bucket_owner(account);
        let Err(error) = call.send().await else { continue };
        let absent = is_missing(&error);
        let error = CallError::of(format!("looking for s3://{bucket}/{key}"), &error);
        let why = match error.kind {
            _ if absent => "is not there",
            // S3 answers 403 for an absent object when the caller may not list the bucket.
            CallErrorKind::Denied => {
                "cannot be seen: it is absent, the caller may not look, or the bucket belongs to another account"
            }
            _ => return Err(error.into()),
        };
        return Err(DeployError::ArtifactMissing { bucket: bucket.clone(), key: key.clone(), why });
    }
    Ok(())
}

/// Name of the object's metadata with the package's SHA-256.
pub(super) const SHA256: &str = "sha256";

/// Whether a call to S3 failed because there is no such bucket or object.
pub(super) fn is_missing<E>(error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>) -> bool {
    error.raw_response().is_some_and(|response| response.status().as_u16() == 404)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_told_where_pseudo_parameters_alone_are_filled_in() {
        for (value, expected) in [
            (json!("builds"), Some("builds")),
            (json!({"Fn::Sub": "b-${AWS::AccountId}-${AWS::Region}"}), Some("b-123456789012-eu-west-1")),
            (json!({"Ref": "AWS::AccountId"}), Some("123456789012")),
            (json!({"Ref": "Bucket"}), None),
            (json!({"Fn::Sub": "b-${Bucket}"}), None),
            (json!("{{resolve:ssm:/a}}"), None),
            (json!(null), None),
        ] {
            assert_eq!(resolve(&value, "123456789012", "eu-west-1").as_deref(), expected, "{value}");
        }
    }
}
