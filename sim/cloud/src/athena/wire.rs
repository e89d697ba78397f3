//! Requests as they come over the wire. Members that are not modelled are refused by name.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::invalid;
use crate::core::AwsError;

/// `StartQueryExecution`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StartQueryExecution {
    pub(super) query_string: String,
    pub(super) client_request_token: Option<String>,
    #[serde(default)]
    pub(super) query_execution_context: QueryExecutionContext,
    #[serde(default)]
    pub(super) result_configuration: ResultConfiguration,
    pub(super) work_group: Option<String>,
    #[serde(default)]
    pub(super) result_reuse_configuration: ResultReuseConfiguration,
}

/// Where unqualified tables are found.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct QueryExecutionContext {
    pub(super) database: Option<String>,
    pub(super) catalog: Option<String>,
}

/// Where results go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ResultConfiguration {
    pub(super) output_location: Option<String>,
    pub(super) encryption_configuration: Option<EncryptionConfiguration>,
}

/// `SSE_S3` changes nothing that can be seen; `SSE_KMS` uses its key in the caller's name whenever a result is written.
/// Client-side encryption is refused.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct EncryptionConfiguration {
    pub(super) encryption_option: String,
    pub(super) kms_key: Option<String>,
}

impl ResultConfiguration {
    /// The customer-managed key that encrypts results.
    pub(super) fn key(&self) -> Option<&str> {
        self.encryption_configuration.as_ref()?.kms_key.as_deref()
    }

    /// Refuses what is not modelled, and what is not a location in S3.
    pub(super) fn check(&self) -> Result<(), AwsError> {
        if let Some(EncryptionConfiguration { encryption_option, kms_key }) = &self.encryption_configuration {
            match (encryption_option.as_str(), kms_key) {
                ("SSE_S3", None) | ("SSE_KMS", Some(_)) => {}
                ("SSE_S3", Some(_)) => return Err(invalid("KmsKey belongs to SSE_KMS and CSE_KMS")),
                ("SSE_KMS", None) => return Err(invalid("KmsKey is required for SSE_KMS")),
                (other, _) => return Err(AwsError::not_modelled(format!("athena results encrypted by {other}"))),
            }
        }
        match self.output_location.as_deref() {
            Some(location) if !is_location(location) => {
                Err(invalid(format!("outputLocation is not a valid S3 path: {location}")))
            }
            _ => Ok(()),
        }
    }
}

fn is_location(location: &str) -> bool {
    let bucket = location.strip_prefix("s3://").map(|rest| rest.split('/').next().unwrap_or_default());
    bucket.is_some_and(|bucket| bucket.len() >= 3)
}

/// Whether earlier results may be answered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ResultReuseConfiguration {
    pub(super) result_reuse_by_age_configuration: Option<ResultReuseByAge>,
}

/// Result reuse by age.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ResultReuseByAge {
    pub(super) enabled: bool,
    #[serde(rename = "MaxAgeInMinutes")]
    pub(super) _max_age_in_minutes: Option<u32>,
}

/// `GetQueryExecution`, `StopQueryExecution`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ByQueryExecutionId {
    pub(super) query_execution_id: String,
}

/// `BatchGetQueryExecution`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct BatchGetQueryExecution {
    pub(super) query_execution_ids: Vec<String>,
}

/// `GetQueryResults`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetQueryResults {
    pub(super) query_execution_id: String,
    pub(super) next_token: Option<String>,
    pub(super) max_results: Option<u64>,
    pub(super) query_result_type: Option<String>,
}

/// `ListQueryExecutions`, `ListNamedQueries`, `ListWorkGroups`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct List {
    pub(super) next_token: Option<String>,
    pub(super) max_results: Option<u64>,
    pub(super) work_group: Option<String>,
}

/// `GetWorkGroup`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetWorkGroup {
    pub(super) work_group: String,
}

/// `GetNamedQuery`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetNamedQuery {
    pub(super) named_query_id: String,
}

/// Parses a request.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AwsError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        if let Some(member) = text.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
            return AwsError::not_modelled(format!("athena request member {member}"));
        }
        match text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(member) => required(member),
            None => AwsError::serialization(text),
        }
    })
}

fn required(member: &str) -> AwsError {
    let mut name = member.to_owned();
    name[..1].make_ascii_lowercase();
    invalid(format!(
        "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
    ))
}

/// A page of `items`: at most `max` of them from the position that the token names, and the token of the next page.
pub(super) fn page<'i, T>(
    items: &'i [T],
    token: Option<&str>,
    asked: Option<u64>,
    max: usize,
) -> Result<(&'i [T], Option<String>), AwsError> {
    let start = match token {
        None => 0,
        Some(token) => {
            token.parse().ok().filter(|at| *at <= items.len()).ok_or_else(|| invalid("NextToken is invalid"))?
        }
    };
    let wanted = match asked {
        None | Some(0) => max,
        Some(asked) => usize::try_from(asked).ok().filter(|asked| *asked <= max).ok_or_else(|| too_many(max))?,
    };
    let end = (start + wanted).min(items.len());
    Ok((&items[start..end], (end < items.len()).then(|| end.to_string())))
}

fn too_many(max: usize) -> AwsError {
    invalid(format!("MaxResults is more than maximum allowed length {max}."))
}
