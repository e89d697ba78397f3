//! From Trino's syntax tree to the query engine's: an allow list of constructs, names folded to lower case, and
//! rewrites where the two dialects mean different things by the same text. What is not on the list is refused.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast::{
    Cte, Expr, Ident, JoinConstraint, JoinOperator, LimitClause, ObjectName, ObjectNamePart, OrderBy, OrderByExpr,
    OrderByKind, Query, SelectItem, SetExpr, SetOperator, SetQuantifier, Spanned as _, Statement, TableAlias,
    TableFactor, TableWithJoins, Value, Values,
};

use super::super::failure::Failure;
use super::insert::{Insertion, take_apart};

/// The name of the catalog that is the Glue Data Catalog.
pub(super) const CATALOG: &str = "awsdatacatalog";
/// Begins the names of functions and columns that only the rewriter may use.
pub(super) const INTERNAL: char = '$';

/// A table that a query reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableUse {
    /// Database, lower case.
    pub(super) database: String,
    /// Table, lower case.
    pub(super) table: String,
    /// Line and column of the reference, from 1.
    pub(super) position: (u64, u64),
}

/// A statement that the query engine may plan.
#[derive(Debug)]
pub(super) struct Rewritten {
    /// The statement.
    pub(super) statement: Statement,
    /// The tables that it reads.
    pub(super) tables: Vec<TableUse>,
    /// Names of output columns as the query spells them, by their planned names.
    pub(super) display: BTreeMap<String, String>,
    /// Where each name occurs first.
    pub(super) positions: BTreeMap<String, (u64, u64)>,
    /// Where the rows go that an INSERT makes.
    pub(super) insertion: Option<Insertion>,
}

/// Rewrites a statement. `database` is where unqualified tables are found; `is_function` knows the allow list.
pub(super) fn rewrite(
    statement: Statement,
    database: &str,
    is_function: &dyn Fn(&str) -> bool,
) -> Result<Rewritten, Failure> {
    let (mut query, insertion) = take_apart(statement, database)?;
    let mut rewriter = Rewriter {
        database: database.to_lowercase(),
        is_function,
        tables: Vec::new(),
        positions: BTreeMap::new(),
        scope: Vec::new(),
        unnamed: 0,
    };
    let display = display_names(&query);
    rewriter.query(&mut query)?;
    Ok(Rewritten {
        statement: Statement::Query(query),
        tables: rewriter.tables,
        display,
        positions: rewriter.positions,
        insertion,
    })
}

/// The table that a name of one or two parts names.
pub(super) fn name_of(name: &ObjectName, database: &str, position: (u64, u64)) -> Result<TableUse, Failure> {
    let parts = name.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(ident) => Ok(ident.value.to_lowercase()),
        other => Err(Failure::not_modelled(format!("the name {other}"))),
    });
    let mut parts = parts.collect::<Result<Vec<String>, Failure>>()?;
    if parts.len() == 3 && parts[0] == CATALOG {
        parts.remove(0);
    }
    match parts.as_slice() {
        [table] => Ok(TableUse { database: database.to_lowercase(), table: table.clone(), position }),
        [database, table] => Ok(TableUse { database: database.clone(), table: table.clone(), position }),
        _ => Err(Failure::not_modelled(format!("the table name {name}"))),
    }
}

/// Output names as they are spelt: Trino shows an alias or a column as the query writes it.
fn display_names(query: &Query) -> BTreeMap<String, String> {
    let mut body = query.body.as_ref();
    loop {
        body = match body {
            SetExpr::Query(inner) => inner.body.as_ref(),
            SetExpr::SetOperation { left, .. } => left.as_ref(),
            _ => break,
        };
    }
    let SetExpr::Select(select) = body else { return BTreeMap::new() };
    let named = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(Expr::Identifier(name)) | SelectItem::ExprWithAlias { alias: name, .. } => Some(name),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path)) => path.last(),
        _ => None,
    });
    named.map(|name| (name.value.to_lowercase(), name.value.clone())).collect()
}

pub(super) struct Rewriter<'f> {
    database: String,
    pub(super) is_function: &'f dyn Fn(&str) -> bool,
    tables: Vec<TableUse>,
    positions: BTreeMap<String, (u64, u64)>,
    /// Names of common table expressions that are in sight.
    scope: Vec<String>,
    unnamed: usize,
}

impl Rewriter<'_> {
    /// Folds a name that is used to lower case and remembers where it was first used.
    pub(super) fn fold(&mut self, ident: &mut Ident) -> Result<(), Failure> {
        define(ident)?;
        let at = ident.span.start;
        self.positions.entry(ident.value.clone()).or_insert((at.line, at.column));
        Ok(())
    }

    /// A name that only the rewriter uses.
    pub(super) fn internal(&mut self, shown: &str) -> String {
        self.unnamed += 1;
        format!("{INTERNAL}{}{INTERNAL}{shown}", self.unnamed)
    }

    pub(super) fn query(&mut self, query: &mut Query) -> Result<(), Failure> {
        let depth = self.scope.len();
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if fetch.is_some()
            || !locks.is_empty()
            || for_clause.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || !pipe_operators.is_empty()
        {
            return Err(Failure::not_modelled("a clause after the body of a query other than ORDER BY and LIMIT"));
        }
        if let Some(with) = with {
            if with.recursive {
                return Err(Failure::not_modelled("WITH RECURSIVE"));
            }
            for cte in &mut with.cte_tables {
                self.cte(cte)?;
            }
        }
        self.set_expression(body)?;
        if let Some(order_by) = order_by {
            self.order_by(order_by)?;
        }
        if let Some(limit) = limit_clause {
            check_limit(limit)?;
        }
        self.scope.truncate(depth);
        Ok(())
    }

    fn cte(&mut self, cte: &mut Cte) -> Result<(), Failure> {
        if cte.from.is_some() || cte.materialized.is_some() {
            return Err(Failure::not_modelled("options of a common table expression"));
        }
        self.query(&mut cte.query)?;
        alias(&mut cte.alias)?;
        self.scope.push(cte.alias.name.value.clone());
        Ok(())
    }

    fn set_expression(&mut self, body: &mut SetExpr) -> Result<(), Failure> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let all = match set_quantifier {
                    SetQuantifier::All => true,
                    SetQuantifier::Distinct | SetQuantifier::None => false,
                    other => return Err(Failure::not_modelled(format!("{op} {other}"))),
                };
                match op {
                    SetOperator::Union => {}
                    SetOperator::Intersect | SetOperator::Except if !all => {}
                    other => return Err(Failure::not_modelled(format!("{other} {set_quantifier}"))),
                }
                self.set_expression(left)?;
                self.set_expression(right)
            }
            SetExpr::Values(Values { rows, explicit_row: false, .. }) => {
                rows.iter_mut().flat_map(|row| row.content.iter_mut()).try_for_each(|value| self.expr(value))
            }
            other => Err(Failure::not_modelled(format!("the query {other}"))),
        }
    }

    pub(super) fn object_name(&mut self, name: &mut ObjectName) -> Result<(), Failure> {
        for part in &mut name.0 {
            match part {
                ObjectNamePart::Identifier(ident) => self.fold(ident)?,
                other => return Err(Failure::not_modelled(format!("the name {other}"))),
            }
        }
        Ok(())
    }

    pub(super) fn table_with_joins(&mut self, table: &mut TableWithJoins) -> Result<(), Failure> {
        self.table(&mut table.relation)?;
        for join in &mut table.joins {
            if join.global {
                return Err(Failure::not_modelled("GLOBAL joins"));
            }
            self.table(&mut join.relation)?;
            match &mut join.join_operator {
                JoinOperator::CrossJoin(JoinConstraint::None) => {}
                JoinOperator::Join(constraint)
                | JoinOperator::Inner(constraint)
                | JoinOperator::Left(constraint)
                | JoinOperator::LeftOuter(constraint)
                | JoinOperator::Right(constraint)
                | JoinOperator::RightOuter(constraint)
                | JoinOperator::FullOuter(constraint) => self.join_constraint(constraint)?,
                _ => return Err(Failure::not_modelled("joins other than INNER, LEFT, RIGHT, FULL and CROSS")),
            }
        }
        Ok(())
    }

    fn join_constraint(&mut self, constraint: &mut JoinConstraint) -> Result<(), Failure> {
        match constraint {
            JoinConstraint::On(condition) => self.expr(condition),
            JoinConstraint::Using(_) | JoinConstraint::Natural | JoinConstraint::None => {
                Err(Failure::not_modelled("joins without ON"))
            }
        }
    }

    fn table(&mut self, factor: &mut TableFactor) -> Result<(), Failure> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                let span = name.span();
                self.object_name(name)?;
                if let Some(alias) = alias {
                    self::alias(alias)?;
                }
                self.record(name, (span.start.line, span.start.column))
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                self.query(subquery)?;
                alias.as_mut().map_or(Ok(()), self::alias)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.table_with_joins(table_with_joins),
            TableFactor::UNNEST { .. } => Err(Failure::not_modelled("UNNEST")),
            other => Err(Failure::not_modelled(format!("the relation {other}"))),
        }
    }

    fn record(&mut self, name: &ObjectName, position: (u64, u64)) -> Result<(), Failure> {
        let parts: Vec<&str> =
            name.0.iter().filter_map(|part| part.as_ident().map(|ident| ident.value.as_str())).collect();
        let (database, table) = match parts.as_slice() {
            [table] if self.scope.iter().any(|cte| cte == table) => return Ok(()),
            [table] => (self.database.as_str(), *table),
            [database, table] => (*database, *table),
            [catalog, database, table] if *catalog == CATALOG => (*database, *table),
            [catalog, ..] => {
                let (line, column) = position;
                let reason = format!("CATALOG_NOT_FOUND: line {line}:{column}: Catalog '{catalog}' does not exist");
                return Err(Failure::query(reason));
            }
            [] => return Err(Failure::not_modelled(format!("the relation {name}"))),
        };
        let (database, table) = (database.to_owned(), table.to_owned());
        if !self.tables.iter().any(|known| known.database == database && known.table == table) {
            self.tables.push(TableUse { database, table, position });
        }
        Ok(())
    }

    fn order_by(&mut self, order_by: &mut OrderBy) -> Result<(), Failure> {
        match (&mut order_by.kind, &order_by.interpolate) {
            (OrderByKind::Expressions(keys), None) => self.sort_keys(keys),
            _ => Err(Failure::not_modelled(format!("{order_by}"))),
        }
    }

    /// Trino puts nulls last in both directions unless told otherwise.
    pub(super) fn sort_keys(&mut self, keys: &mut [OrderByExpr]) -> Result<(), Failure> {
        for key in keys {
            if key.with_fill.is_some() {
                return Err(Failure::not_modelled("WITH FILL"));
            }
            self.expr(&mut key.expr)?;
            key.options.nulls_first.get_or_insert(false);
        }
        Ok(())
    }
}

fn check_limit(limit: &LimitClause) -> Result<(), Failure> {
    match limit {
        LimitClause::LimitOffset { limit: Some(Expr::Value(value)), offset: None, limit_by }
            if limit_by.is_empty() && matches!(value.value, Value::Number(..)) =>
        {
            Ok(())
        }
        other => Err(Failure::not_modelled(format!("{other}"))),
    }
}

/// Folds a name that is given to something.
pub(super) fn define(ident: &mut Ident) -> Result<(), Failure> {
    if ident.value.starts_with(INTERNAL) {
        let at = ident.span.start;
        return Err(Failure::not_modelled(format!("line {}:{}: the name \"{}\"", at.line, at.column, ident.value)));
    }
    ident.value = ident.value.to_lowercase();
    ident.quote_style = Some('"');
    Ok(())
}

fn alias(alias: &mut TableAlias) -> Result<(), Failure> {
    define(&mut alias.name)?;
    for column in &mut alias.columns {
        if column.data_type.is_some() {
            return Err(Failure::not_modelled("types in a table alias"));
        }
        define(&mut column.name)?;
    }
    if alias.at.is_some() {
        return Err(Failure::not_modelled("AT in a table alias"));
    }
    Ok(())
}
