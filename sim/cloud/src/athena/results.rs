//! `GetQueryResults`: pages of the result that a query left in S3.

use serde_json::{Value, json};

use super::engine::{ColumnInfo, read_rows};
use super::executions::{State, split_location};
use super::wire::{GetQueryResults, parse};
use super::{Athena, invalid};
use crate::core::ports::Objects;
use crate::core::{AwsError, Cx};

impl Athena {
    /// The first row of the first page holds the names of the columns.
    pub(super) fn get_query_results(
        &self,
        cx: &mut Cx<'_>,
        objects: &mut dyn Objects,
        body: &[u8],
    ) -> Result<Vec<u8>, AwsError> {
        let request: GetQueryResults = parse(body)?;
        if request.query_result_type.as_deref().is_some_and(|kind| kind != "DATA_ROWS") {
            return Err(AwsError::not_modelled("athena QueryResultType DATA_MANIFEST"));
        }
        let query = self.query(&request.query_execution_id)?;
        match query.state {
            State::Succeeded => {}
            State::Queued | State::Running => {
                let state = query.state.name();
                return Err(invalid(format!("Query has not yet finished. Current state: {state}"))
                    .with("AthenaErrorCode", "INVALID_QUERY_STATE"));
            }
            State::Failed | State::Cancelled => {
                let state = query.state.name();
                return Err(invalid(format!("Query did not finish successfully. Final query state: {state}"))
                    .with("AthenaErrorCode", "INVALID_QUERY_STATE"));
            }
        }
        let most = cx.limits.get("athena", "result_page");
        let limit = match request.max_results {
            None => most,
            Some(asked) if (1..=most).contains(&asked) => asked,
            Some(_) => return Err(invalid(format!("MaxResults is more than maximum allowed length {most}."))),
        };
        if let Some(rows) = query.inserted {
            let nothing = json!({ "Rows": [], "ResultSetMetadata": { "ColumnInfo": [] } });
            return Ok(json!({ "UpdateCount": rows, "ResultSet": nothing }).to_string().into_bytes());
        }
        let (bucket, key) = split_location(&query.output_location);
        let csv = objects.get_object(cx, bucket, key).map_err(|_| {
            invalid(format!("Could not find results of query {} at {}", query.id, query.output_location))
        })?;
        let offset = request.next_token.as_deref().map_or(Some(0), |token| {
            let offset = token.strip_prefix(query.id.as_str())?.strip_prefix(':')?.parse().ok()?;
            (offset < csv.len()).then_some(offset)
        });
        let offset = offset.ok_or_else(|| invalid("NextToken is invalid"))?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let unreadable = || invalid(format!("The results at {} cannot be read", query.output_location));
        let (rows, next) = read_rows(&csv, offset, limit).ok_or_else(unreadable)?;
        let rows = rows.into_iter().map(|row| {
            let data = row.into_iter().map(|cell| match cell {
                Some(value) => json!({ "VarCharValue": value }),
                None => json!({}),
            });
            json!({ "Data": data.collect::<Vec<_>>() })
        });
        let mut out = json!({
            "UpdateCount": 0,
            "ResultSet": {
                "Rows": rows.collect::<Vec<_>>(),
                "ResultSetMetadata": { "ColumnInfo": query.columns.iter().map(column_info).collect::<Vec<_>>() },
            },
        });
        if next < csv.len() {
            out["NextToken"] = format!("{}:{next}", query.id).into();
        }
        Ok(out.to_string().into_bytes())
    }
}

fn column_info(column: &ColumnInfo) -> Value {
    json!({
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": column.name,
        "Label": column.name,
        "Type": column.r#type,
        "Precision": column.precision,
        "Scale": column.scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": column.case_sensitive,
    })
}
