//! Function calls: the allow list, and functions that become other expressions.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, OrderByExpr, OrderByOptions, Value, WindowType,
};

use super::super::failure::Failure;
use super::expressions::{call, position};
use super::rewrite::{INTERNAL, Rewriter};

impl Rewriter<'_> {
    /// Checks and rewrites a call.
    pub(super) fn function(&mut self, expr: &mut Expr) -> Result<(), Failure> {
        let (line, column) = position(expr);
        let Expr::Function(function) = expr else { return Ok(()) };
        let name = match function.name.0.as_slice() {
            [part] => part.as_ident().map(|ident| ident.value.to_lowercase()).unwrap_or_default(),
            _ => function.name.to_string(),
        };
        if self.replaced(&name, expr)? {
            return Ok(());
        }
        let Expr::Function(function) = expr else { return Ok(()) };
        if name.starts_with(INTERNAL) || !(self.is_function)(&name) {
            let reason = format!("FUNCTION_NOT_FOUND: line {line}:{column}: Function '{name}' not registered");
            return Err(Failure::query(reason));
        }
        if function.uses_odbc_syntax
            || !matches!(function.parameters, FunctionArguments::None)
            || function.null_treatment.is_some()
            || !function.within_group.is_empty()
        {
            return Err(Failure::not_modelled(format!("options of the call {function}")));
        }
        function.name.0 = vec![datafusion::sql::sqlparser::ast::ObjectNamePart::Identifier(
            datafusion::sql::sqlparser::ast::Ident::with_quote('"', name.as_str()),
        )];
        self.arguments(function, &name)?;
        if let Some(filter) = &mut function.filter {
            self.expr(filter)?;
        }
        match &mut function.over {
            None => Ok(()),
            Some(WindowType::WindowSpec(spec)) if spec.window_name.is_none() && spec.window_frame.is_none() => {
                spec.partition_by.iter_mut().try_for_each(|key| self.expr(key))?;
                self.sort_keys(&mut spec.order_by)
            }
            Some(_) => Err(Failure::not_modelled("named windows and window frames")),
        }?;
        // The query engine counts rows and ranks without a sign.
        if matches!(name.as_str(), "row_number" | "rank" | "dense_rank") {
            let counted = std::mem::replace(expr, Expr::value(Value::Null));
            *expr = call("$cast_bigint", vec![counted]);
        }
        Ok(())
    }

    fn arguments(&mut self, function: &mut Function, name: &str) -> Result<(), Failure> {
        let list = match &mut function.args {
            FunctionArguments::None => return Ok(()),
            FunctionArguments::List(list) => list,
            FunctionArguments::Subquery(_) => {
                return Err(Failure::not_modelled(format!("a query as argument of {name}")));
            }
        };
        if list.duplicate_treatment == Some(DuplicateTreatment::All) {
            list.duplicate_treatment = None;
        }
        for clause in &mut list.clauses {
            match clause {
                FunctionArgumentClause::OrderBy(keys) => self.sort_keys(keys)?,
                other => return Err(Failure::not_modelled(format!("{other} in a call of {name}"))),
            }
        }
        if name == "count" && matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] | []) {
            list.args = vec![unnamed(number(1))];
        }
        list.args.iter_mut().try_for_each(|arg| self.argument(arg))
    }

    /// Functions that are other expressions in the query engine.
    fn replaced(&mut self, name: &str, expr: &mut Expr) -> Result<bool, Failure> {
        let Expr::Function(function) = &*expr else { return Ok(false) };
        let args: Vec<Expr> = match &function.args {
            FunctionArguments::List(list) if list.clauses.is_empty() && list.duplicate_treatment.is_none() => list
                .args
                .iter()
                .filter_map(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                    _ => None,
                })
                .collect(),
            _ => return Ok(false),
        };
        *expr = match (name, args.as_slice()) {
            ("if", [condition, yes]) => case(condition, yes, None),
            ("if", [condition, yes, no]) => case(condition, yes, Some(no)),
            ("count_if", [condition]) => over(function, call("count", vec![case(condition, &number(1), None)])),
            ("every", [condition]) => over(function, call("bool_and", vec![condition.clone()])),
            ("max_by", [value, by]) if function.over.is_none() => extreme(value, by, function, false),
            ("min_by", [value, by]) if function.over.is_none() => extreme(value, by, function, true),
            _ => return Ok(false),
        };
        self.replaced_parts(expr)?;
        Ok(true)
    }

    fn replaced_parts(&mut self, expr: &mut Expr) -> Result<(), Failure> {
        match expr {
            Expr::Function(function) if function.name.to_string() == "\"$first\"" => {
                self.arguments(function, "$first")?;
                function.filter.as_mut().map_or(Ok(()), |filter| self.expr(filter))
            }
            other => self.expr(other),
        }
    }
}

fn unnamed(expr: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
}

fn number(n: u8) -> Expr {
    Expr::value(Value::Number(n.to_string(), false))
}

fn case(condition: &Expr, yes: &Expr, no: Option<&Expr>) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition: condition.clone(), result: yes.clone() }],
        else_result: no.cloned().map(Box::new),
    }
}

/// Carries FILTER and OVER of a call over to what replaces it.
fn over(from: &Function, mut to: Expr) -> Expr {
    if let Expr::Function(function) = &mut to {
        function.filter.clone_from(&from.filter);
        function.over.clone_from(&from.over);
    }
    to
}

/// `max_by(value, by)`: the value of the row with the greatest `by` that is not null.
fn extreme(value: &Expr, by: &Expr, from: &Function, ascending: bool) -> Expr {
    let mut replacement = call("$first", vec![value.clone()]);
    if let Expr::Function(function) = &mut replacement {
        let options = OrderByOptions { asc: Some(ascending), nulls_first: Some(false) };
        let key = OrderByExpr { expr: by.clone(), options, with_fill: None };
        if let FunctionArguments::List(list) = &mut function.args {
            list.clauses.push(FunctionArgumentClause::OrderBy(vec![key]));
        }
        let known = Expr::IsNotNull(Box::new(by.clone()));
        function.filter = Some(Box::new(match &from.filter {
            None => known,
            Some(filter) => Expr::BinaryOp { left: filter.clone(), op: BinaryOperator::And, right: Box::new(known) },
        }));
    }
    replacement
}
