//! SELECT: its clauses, its outputs and their names.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Distinct, Expr, GroupByExpr, Ident, Query, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins, UnaryOperator, Value,
    WildcardAdditionalOptions, visit_expressions,
};

use super::super::failure::Failure;
use super::rewrite::{Rewriter, define};

impl Rewriter<'_> {
    pub(super) fn select(&mut self, select: &mut Box<Select>) -> Result<(), Failure> {
        check_select(select)?;
        for table in &mut select.from {
            self.table_with_joins(table)?;
        }
        if let Some(name) = doubtful_key(select) {
            return Err(Failure::not_modelled(format!("GROUP BY {name}: a column of a join without its relation")));
        }
        let isolate = uses_alias(select);
        let mut seen = Vec::new();
        for item in &mut select.projection {
            self.item(item, &mut seen)?;
        }
        if let Some(selection) = &mut select.selection {
            self.condition(selection, true)?;
        }
        match &mut select.group_by {
            GroupByExpr::Expressions(keys, modifiers) if modifiers.is_empty() => {
                for key in keys {
                    self.expr(key)?;
                }
            }
            other => return Err(Failure::not_modelled(format!("{other}"))),
        }
        if let Some(having) = &mut select.having {
            self.expr(having)?;
        }
        if isolate { self.isolate(select) } else { Ok(()) }
    }

    /// A condition of WHERE. Here alone may subqueries stand: elsewhere, and where a null would have to be told from
    /// false, the query engine's answer differs. `sole`: all parts that reach here have to hold.
    fn condition(&mut self, expr: &mut Expr, sole: bool) -> Result<(), Failure> {
        match expr {
            Expr::Nested(inner) => self.condition(inner, sole),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.condition(left, sole)?;
                self.condition(right, sole)
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                self.condition(left, false)?;
                self.condition(right, false)
            }
            Expr::InSubquery { expr, subquery, negated } if sole || !*negated => {
                self.expr(expr)?;
                self.query(subquery)
            }
            Expr::Exists { subquery, .. } => self.query(subquery),
            Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } if matches!(**inner, Expr::Exists { .. }) => {
                self.condition(inner, false)
            }
            other => self.expr(other),
        }
    }

    /// Trino resolves names in GROUP BY and HAVING among the columns of the input only; the query engine would find
    /// output aliases too. Such a query becomes an inner one whose outputs have internal names, and an outer one that
    /// gives them theirs.
    fn isolate(&mut self, select: &mut Box<Select>) -> Result<(), Failure> {
        let mut outer = Vec::with_capacity(select.projection.len());
        for item in &mut select.projection {
            let taken = std::mem::replace(item, SelectItem::UnnamedExpr(Expr::value(Value::Null)));
            let (expr, alias) = match taken {
                SelectItem::ExprWithAlias { expr, alias } => (expr, alias),
                SelectItem::UnnamedExpr(Expr::Identifier(name)) => (Expr::Identifier(name.clone()), name),
                other => {
                    return Err(Failure::not_modelled(format!(
                        "{other} beside an alias that GROUP BY or HAVING names"
                    )));
                }
            };
            let internal = Ident::with_quote('"', self.internal(""));
            *item = SelectItem::ExprWithAlias { expr, alias: internal.clone() };
            outer.push(SelectItem::ExprWithAlias { expr: Expr::Identifier(internal), alias });
        }
        let mut wrapper = select.clone();
        wrapper.distinct = None;
        wrapper.projection = outer;
        wrapper.selection = None;
        wrapper.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
        wrapper.having = None;
        let inner = std::mem::replace(select, wrapper);
        let relation = TableFactor::Derived {
            lateral: false,
            subquery: Box::new(plain_query(SetExpr::Select(inner))),
            alias: None,
            sample: None,
        };
        select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
        Ok(())
    }

    /// An output column. Each needs a name of its own: those without one, and repeated ones, get an internal name.
    fn item(&mut self, item: &mut SelectItem, seen: &mut Vec<String>) -> Result<(), Failure> {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = match expr {
                    Expr::Identifier(name) => Some(name.value.to_lowercase()),
                    Expr::CompoundIdentifier(path) => path.last().map(|name| name.value.to_lowercase()),
                    _ => None,
                };
                self.expr(expr)?;
                if let Some(name) = &name
                    && !seen.contains(name)
                    && matches!(expr, Expr::Identifier(_))
                {
                    seen.push(name.clone());
                    return Ok(());
                }
                let alias = match name {
                    Some(name) if !seen.contains(&name) => {
                        seen.push(name.clone());
                        name
                    }
                    repeated => self.internal(&repeated.unwrap_or_default()),
                };
                let expr = std::mem::replace(expr, Expr::value(Value::Null));
                *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) };
                Ok(())
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                self.expr(expr)?;
                define(alias)?;
                if seen.contains(&alias.value) {
                    alias.value = self.internal(&alias.value);
                }
                seen.push(alias.value.clone());
                Ok(())
            }
            SelectItem::Wildcard(options) => check_wildcard(options),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                check_wildcard(options)?;
                self.object_name(name)
            }
            other => Err(Failure::not_modelled(format!("the output {other}"))),
        }
    }
}

fn check_wildcard(options: &WildcardAdditionalOptions) -> Result<(), Failure> {
    let plain = options.opt_ilike.is_none()
        && options.opt_exclude.is_none()
        && options.opt_except.is_none()
        && options.opt_replace.is_none()
        && options.opt_rename.is_none()
        && options.opt_alias.is_none();
    if plain { Ok(()) } else { Err(Failure::not_modelled("options of *")) }
}

fn check_select(select: &Select) -> Result<(), Failure> {
    let distinct_on = matches!(select.distinct, Some(Distinct::On(_)));
    let plain = !distinct_on
        && select.optimizer_hints.is_empty()
        && select.select_modifiers.is_none()
        && select.top.is_none()
        && select.exclude.is_none()
        && select.into.is_none()
        && select.lateral_views.is_empty()
        && select.prewhere.is_none()
        && select.connect_by.is_empty()
        && select.cluster_by.is_empty()
        && select.distribute_by.is_empty()
        && select.sort_by.is_empty()
        && select.named_window.is_empty()
        && select.qualify.is_none()
        && select.value_table_mode.is_none()
        && select.flavor == SelectFlavor::Standard;
    if plain { Ok(()) } else { Err(Failure::not_modelled("a clause of SELECT that Trino lacks or that is rare")) }
}

/// Whether GROUP BY or HAVING holds the name of an output that is not the column of that name.
fn uses_alias(select: &Select) -> bool {
    let aliased = |name: &Ident| {
        select.projection.iter().any(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } => {
                let same = matches!(expr, Expr::Identifier(column) if column.value.eq_ignore_ascii_case(&name.value));
                alias.value.eq_ignore_ascii_case(&name.value) && !same
            }
            _ => false,
        })
    };
    let keys = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.as_slice(),
        GroupByExpr::All(_) => &[],
    };
    keys.iter().chain(select.having.iter()).any(|expr| {
        let found = visit_expressions(expr, |expr| match expr {
            Expr::Identifier(name) if aliased(name) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        found.is_break()
    })
}

/// A key of GROUP BY without a relation, beside an output of that name with one: of several relations, the query engine
/// would take the output's where Trino may find the name ambiguous.
fn doubtful_key(select: &Select) -> Option<&Ident> {
    let relations = select.from.iter().map(|table| 1 + table.joins.len()).sum::<usize>();
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return None };
    keys.iter().filter(|_| relations > 1).find_map(|key| {
        let Expr::Identifier(name) = key else { return None };
        let output = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path)) => {
                path.last().is_some_and(|last| last.value.eq_ignore_ascii_case(&name.value))
            }
            _ => false,
        };
        select.projection.iter().any(output).then_some(name)
    })
}

fn plain_query(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}
