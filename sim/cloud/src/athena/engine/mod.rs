//! SQL: Trino's text in, Athena's CSV out, computed by DataFusion on one thread without clock, files or entropy.

mod calls;
mod common;
mod csv;
mod depth;
mod dialect;
mod expressions;
mod insert;
mod rewrite;
mod selects;
mod semantics;
pub(super) mod text;
pub(super) mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::catalog::{
    CatalogProvider as _, CatalogProviderList as _, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider as _,
};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::functions::core::planner::CoreFunctionPlanner;
use datafusion::optimizer::Analyzer;
use datafusion::optimizer::analyzer::AnalyzerRule;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use futures::StreamExt as _;

pub(super) use csv::read_rows;
pub(super) use dialect::parse;
pub(super) use insert::NewFile;
pub(super) use types::ColumnInfo;

use super::failure::Failure;
use super::functions;
use super::lake::{Footers, LakeTable, Scans, Target};
use crate::core::Cx;
use crate::core::ports::{Catalog, CatalogTable, Objects};
use insert::Insertion;
use rewrite::{CATALOG, INTERNAL, Rewritten, TableUse};
use semantics::TrinoSemantics;
use world::time::Time;

/// What a query answers.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its columns.
    pub(super) columns: Vec<ColumnInfo>,
    /// Header and rows, as Athena writes them to S3.
    pub(super) csv: Vec<u8>,
    /// Rows without the header; of an INSERT, the rows that it adds.
    pub(super) rows: u64,
    /// Files that an INSERT adds; `None` when the statement is a query.
    pub(super) files: Option<Vec<NewFile>>,
}

/// How a query ended.
#[derive(Debug)]
pub(super) struct Execution {
    /// What it read, in bytes, as Athena counts it.
    pub(super) scanned_bytes: u64,
    /// `None` when it would have read more than the workgroup allows.
    pub(super) result: Result<Option<Answer>, Failure>,
}

/// Runs a query that starts at `cx.now`. `database` is where unqualified tables are found; a query that would read more
/// than `cutoff_bytes` is not executed.
pub(super) fn execute(
    cx: &mut Cx<'_>,
    catalog: &mut dyn Catalog,
    objects: &mut dyn Objects,
    footers: &mut Footers,
    sql: &str,
    database: &str,
    cutoff_bytes: Option<u64>,
) -> Execution {
    let mut scanned_bytes = 0;
    let mut run = || {
        let statement = parse(sql).map_err(|text| Failure::query(format!("SYNTAX_ERROR: {text}")))?;
        let rewritten = rewrite::rewrite(statement, database, &functions::is_known)?;
        let scans = Arc::new(Scans::default());
        let tables = open_tables(cx, catalog, objects, &rewritten.tables, &scans)?;
        // One thread and no drivers: the query engine needs nothing else to move data that is in memory.
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| Failure::not_modelled(format!("a runtime: {error}")))?;
        let state = session(cx.now, database, &rewritten.tables, tables)?;
        let target = rewritten.insertion.as_ref().map(|insertion| target(cx, catalog, insertion)).transpose()?;
        let plan = runtime.block_on(plan(&state, &rewritten))?;
        scanned_bytes = scans.load(cx, objects, footers)?;
        if cutoff_bytes.is_some_and(|cutoff| scanned_bytes > cutoff) {
            return Ok(None);
        }
        match target {
            None => runtime.block_on(collect(&state, plan, &rewritten)).map(Some),
            Some((insertion, target)) => runtime.block_on(insert(&state, plan, insertion, &target)).map(Some),
        }
    };
    let result = run();
    Execution { scanned_bytes, result }
}

fn open_tables(
    cx: &mut Cx<'_>,
    catalog: &mut dyn Catalog,
    objects: &mut dyn Objects,
    uses: &[TableUse],
    scans: &Arc<Scans>,
) -> Result<Vec<LakeTable>, Failure> {
    let mut tables = Vec::with_capacity(uses.len());
    for table in uses {
        let found = find(cx, catalog, table)?;
        tables.push(LakeTable::open(cx, objects, &found, Arc::clone(scans))?);
    }
    Ok(tables)
}

fn find(cx: &mut Cx<'_>, catalog: &mut dyn Catalog, table: &TableUse) -> Result<Arc<CatalogTable>, Failure> {
    catalog.get_table(cx, &table.database, &table.table).map_err(|error| {
        let (line, column) = table.position;
        if error.code != "EntityNotFoundException" {
            return Failure::query(format!("HIVE_METASTORE_ERROR: {} ({})", error.message, error.code));
        }
        if !catalog.database_names(cx).contains(&table.database) {
            let database = &table.database;
            return Failure::no_such_table(format!(
                "SCHEMA_NOT_FOUND: line {line}:{column}: Schema '{database}' does not exist"
            ));
        }
        let name = format!("{CATALOG}.{}.{}", table.database, table.table);
        Failure::no_such_table(format!("TABLE_NOT_FOUND: line {line}:{column}: Table '{name}' does not exist"))
    })
}

fn target<'i>(
    cx: &mut Cx<'_>,
    catalog: &mut dyn Catalog,
    insertion: &'i Insertion,
) -> Result<(&'i Insertion, Target), Failure> {
    let found = find(cx, catalog, &insertion.table)?;
    Ok((insertion, Target::open(cx, &found)?))
}

fn config(database: &str) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, database);
    let options = config.options_mut();
    options.execution.planning_concurrency = 1;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    // A rule that fails is an error, never a different plan.
    options.optimizer.skip_failed_rules = false;
    config
}

fn runtime_env() -> Result<Arc<RuntimeEnv>, Failure> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    Ok(RuntimeEnvBuilder::new().with_disk_manager_builder(disk).build_arc()?)
}

fn session(now: Time, database: &str, uses: &[TableUse], tables: Vec<LakeTable>) -> Result<SessionState, Failure> {
    let catalog = MemoryCatalogProvider::new();
    let mut schemas: BTreeMap<&str, Arc<MemorySchemaProvider>> = BTreeMap::new();
    for (table, provider) in uses.iter().zip(tables) {
        let schema = schemas.entry(&table.database).or_default();
        schema.register_table(table.table.clone(), Arc::new(provider))?;
    }
    for (name, schema) in schemas {
        catalog.register_schema(name, schema)?;
    }
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    let mut rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> = vec![Arc::new(TrinoSemantics)];
    rules.extend(Analyzer::new().rules);
    Ok(SessionStateBuilder::new()
        .with_session_id("athena".to_owned())
        .with_config(config(&database.to_lowercase()))
        .with_runtime_env(runtime_env()?)
        .with_catalog_list(Arc::new(catalogs))
        .with_scalar_functions(functions::scalars(now))
        .with_aggregate_functions(functions::aggregates())
        .with_window_functions(functions::windows())
        .with_expr_planners(vec![Arc::new(CoreFunctionPlanner::default())])
        .with_analyzer_rules(rules)
        .build())
}

/// Names the place of a column that cannot be resolved, which the query engine does not know.
fn located(failure: Failure, rewritten: &Rewritten) -> Failure {
    let column = failure.reason.strip_prefix("COLUMN_NOT_FOUND: Column '").and_then(|rest| rest.split_once('\''));
    let position = column.and_then(|(name, _)| rewritten.positions.get(name));
    match position {
        None => failure,
        Some((line, column)) => {
            let reason = failure.reason.replacen(": ", &format!(": line {line}:{column}: "), 1);
            Failure { reason, ..failure }
        }
    }
}

async fn plan(state: &SessionState, rewritten: &Rewritten) -> Result<Arc<dyn ExecutionPlan>, Failure> {
    let statement = Statement::Statement(Box::new(rewritten.statement.clone()));
    let planned = async {
        let logical = state.statement_to_plan(statement).await?;
        state.create_physical_plan(&logical).await
    };
    planned.await.map_err(|error| located(error.into(), rewritten))
}

async fn collect(state: &SessionState, plan: Arc<dyn ExecutionPlan>, rewritten: &Rewritten) -> Result<Answer, Failure> {
    let columns = columns(&plan.schema(), rewritten)?;
    let mut csv = csv::Writer::new(&columns);
    let mut batches = execute_stream(plan, state.task_ctx())?;
    while let Some(batch) = batches.next().await {
        csv.write(&batch?);
    }
    let (csv, rows) = csv.finish();
    Ok(Answer { columns, csv, rows, files: None })
}

async fn insert(
    state: &SessionState,
    plan: Arc<dyn ExecutionPlan>,
    insertion: &Insertion,
    target: &Target,
) -> Result<Answer, Failure> {
    let schema = plan.schema();
    let mut batches = Vec::new();
    let mut stream = execute_stream(plan, state.task_ctx())?;
    while let Some(batch) = stream.next().await {
        batches.push(batch?);
    }
    let (files, rows) = insert::files(insertion, target, &schema, &batches)?;
    Ok(Answer { columns: Vec::new(), csv: Vec::new(), rows, files: Some(files) })
}

/// The columns of a result under the names that the query gives them; those without one are `_col0`, `_col1`, ..
fn columns(schema: &Schema, rewritten: &Rewritten) -> Result<Vec<ColumnInfo>, Failure> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        if !text::is_written(field.data_type()) {
            return Err(Failure::not_modelled(format!("results of type {}", field.data_type())));
        }
        let planned = match field.name().strip_prefix(INTERNAL) {
            Some(internal) => internal.split_once(INTERNAL).map_or("", |(_, name)| name),
            None => field.name(),
        };
        let name = match rewritten.display.get(planned) {
            Some(display) => display.clone(),
            None if planned.is_empty() => format!("_col{index}"),
            None => planned.to_owned(),
        };
        columns.push(ColumnInfo::new(name, field.data_type()));
    }
    Ok(columns)
}
