//! Expressions: the allow list and the rewrites.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, CeilFloorKind, DataType, DateTimeField, ExactNumberInfo, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, Interval, ObjectName,
    Query, SelectItem, SetExpr, Spanned as _, Subscript, TimezoneInfo, UnaryOperator, Value,
};

use super::super::failure::Failure;
use super::rewrite::Rewriter;

impl Rewriter<'_> {
    /// Rewrites one expression and all below it.
    pub(super) fn expr(&mut self, expr: &mut Expr) -> Result<(), Failure> {
        match expr {
            Expr::Identifier(name) => self.fold(name),
            Expr::CompoundIdentifier(path) => path.iter_mut().try_for_each(|name| self.fold(name)),
            Expr::Value(_) => literal(expr),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) | Expr::Nested(inner) => self.expr(inner),
            Expr::UnaryOp { op: UnaryOperator::Not | UnaryOperator::Minus, expr: inner } => self.expr(inner),
            Expr::BinaryOp { left, op, right } => {
                check_operator(op)?;
                self.expr(left)?;
                self.expr(right)
            }
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.expr(left)?;
                self.expr(right)
            }
            Expr::Between { expr, low, high, .. } => {
                self.expr(expr)?;
                self.expr(low)?;
                self.expr(high)
            }
            Expr::InList { expr, list, .. } => {
                self.expr(expr)?;
                list.iter_mut().try_for_each(|item| self.expr(item))
            }
            Expr::Like { any: false, expr, pattern, escape_char: None, .. } => {
                check_pattern(pattern)?;
                self.expr(expr)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                for part in operand.iter_mut().chain(else_result.iter_mut()) {
                    self.expr(part)?;
                }
                for when in conditions {
                    self.expr(&mut when.condition)?;
                    self.expr(&mut when.result)?;
                }
                Ok(())
            }
            Expr::InSubquery { .. } | Expr::Exists { .. } => {
                Err(Failure::not_modelled("subqueries of IN and EXISTS other than as conditions of WHERE"))
            }
            Expr::Subquery(query) => {
                check_scalar_subquery(query)?;
                self.query(query)
            }
            Expr::Interval(interval) => check_interval(interval),
            Expr::Function(_) => self.function(expr),
            _ => self.special(expr),
        }
    }

    /// Special syntax that becomes a function call.
    fn special(&mut self, expr: &mut Expr) -> Result<(), Failure> {
        let text = expr.to_string();
        let taken = std::mem::replace(expr, Expr::value(Value::Null));
        *expr = match taken {
            Expr::CompoundFieldAccess { root, access_chain } => return self.access(expr, *root, access_chain),
            Expr::Cast {
                kind: kind @ (CastKind::Cast | CastKind::TryCast),
                expr: inner,
                data_type,
                array: false,
                format: None,
            } => {
                let way = if kind == CastKind::Cast { "cast" } else { "try" };
                call(&format!("${way}_{}", cast_target(&data_type)?), vec![*inner])
            }
            Expr::TypedString(typed) if !typed.uses_odbc_syntax => {
                let target = match typed.data_type {
                    DataType::Date => "$cast_date",
                    DataType::Timestamp(None, TimezoneInfo::None) => "$cast_timestamp",
                    other => return Err(Failure::not_modelled(format!("literals of type {other}"))),
                };
                call(target, vec![Expr::Value(typed.value)])
            }
            Expr::Extract { field, expr: inner, .. } => call(extract(&field)?, vec![*inner]),
            Expr::Ceil { expr: inner, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                call("ceil", vec![*inner])
            }
            Expr::Floor { expr: inner, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                call("floor", vec![*inner])
            }
            Expr::Position { expr: inner, r#in } => call("strpos", vec![*r#in, *inner]),
            Expr::Substring { expr: inner, substring_from: Some(from), substring_for, .. } => {
                let mut args = vec![*inner, *from];
                args.extend(substring_for.map(|length| *length));
                call("substr", args)
            }
            Expr::Trim { trim_where: None, trim_what: None, expr: inner, trim_characters: None } => {
                call("trim", vec![*inner])
            }
            Expr::Array(array) if array.named => call("$array", array.elem),
            _ => return Err(Failure::not_modelled(format!("the expression {text}"))),
        };
        let Expr::Function(Function { args: FunctionArguments::List(list), .. }) = expr else { return Ok(()) };
        list.args.iter_mut().try_for_each(|arg| self.argument(arg))
    }

    pub(super) fn argument(&mut self, arg: &mut FunctionArg) -> Result<(), Failure> {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr),
            other => Err(Failure::not_modelled(format!("the argument {other}"))),
        }
    }

    /// `map['key']`, `array[1]` and `row.field`.
    fn access(&mut self, expr: &mut Expr, root: Expr, chain: Vec<AccessExpr>) -> Result<(), Failure> {
        let mut chain = chain.into_iter().peekable();
        let mut root = match root {
            Expr::Identifier(first) => {
                // `table.column['key']`: leading names are one path.
                let mut path = vec![first];
                while let Some(AccessExpr::Dot(Expr::Identifier(name))) =
                    chain.next_if(|step| matches!(step, AccessExpr::Dot(Expr::Identifier(_))))
                {
                    path.push(name);
                }
                if path.len() == 1 { Expr::Identifier(path.remove(0)) } else { Expr::CompoundIdentifier(path) }
            }
            other => other,
        };
        self.expr(&mut root)?;
        for step in chain {
            root = match step {
                AccessExpr::Subscript(Subscript::Index { mut index }) => {
                    self.expr(&mut index)?;
                    call("$subscript", vec![root, index])
                }
                AccessExpr::Dot(Expr::Identifier(field)) => {
                    let name = Value::SingleQuotedString(field.value.to_lowercase());
                    call("$field", vec![root, Expr::value(name)])
                }
                other => return Err(Failure::not_modelled(format!("the access {other}"))),
            };
        }
        *expr = root;
        Ok(())
    }
}

/// A call of one of our functions.
pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_quote('"', name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn literal(expr: &mut Expr) -> Result<(), Failure> {
    let Expr::Value(value) = expr else { return Ok(()) };
    match &value.value {
        Value::Number(digits, false) if digits.contains(['e', 'E']) => {
            let digits = Value::SingleQuotedString(digits.clone());
            *expr = call("$cast_double", vec![Expr::value(digits)]);
            Ok(())
        }
        Value::Number(_, false) | Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => Ok(()),
        Value::Placeholder(_) => Err(Failure::not_modelled("parameters (?) in a query")),
        other => Err(Failure::not_modelled(format!("the literal {other}"))),
    }
}

fn check_operator(op: &BinaryOperator) -> Result<(), Failure> {
    use BinaryOperator as Op;
    match op {
        Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo | Op::StringConcat => Ok(()),
        Op::Gt | Op::Lt | Op::GtEq | Op::LtEq | Op::Eq | Op::NotEq | Op::And | Op::Or => Ok(()),
        other => Err(Failure::not_modelled(format!("the operator {other}"))),
    }
}

/// The query engine takes a backslash for an escape character; Trino has none unless ESCAPE names it.
fn check_pattern(pattern: &Expr) -> Result<(), Failure> {
    let text = match pattern {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    };
    match text {
        Some(text) if !text.contains('\\') => Ok(()),
        _ => Err(Failure::not_modelled("LIKE with a pattern that is not a literal or holds a backslash")),
    }
}

fn check_interval(interval: &Interval) -> Result<(), Failure> {
    use DateTimeField as Unit;
    let amount = match interval.value.as_ref() {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.parse::<i32>().ok(),
            _ => None,
        },
        _ => None,
    };
    // A thousand years: a sum of intervals stays in the calendar.
    let most: u32 = match interval.leading_field {
        Some(Unit::Year) => 1_000,
        Some(Unit::Month) => 12_000,
        Some(Unit::Day) => 365_000,
        Some(Unit::Hour) => 8_760_000,
        _ => 525_600_000,
    };
    if amount.is_some_and(|amount| amount.unsigned_abs() > most) {
        return Err(Failure::not_modelled(format!("{interval}: intervals of more than a thousand years")));
    }
    let unit = matches!(
        interval.leading_field,
        Some(Unit::Second | Unit::Minute | Unit::Hour | Unit::Day | Unit::Month | Unit::Year)
    );
    if amount.is_some() && unit && interval.leading_precision.is_none() && interval.last_field.is_none() {
        return Ok(());
    }
    Err(Failure::not_modelled(format!("{interval}: an interval is a whole number in quotes and one unit")))
}

/// A scalar subquery that can give more than one row fails at run time in Trino; only those that cannot are taken.
fn check_scalar_subquery(query: &Query) -> Result<(), Failure> {
    if let SetExpr::Select(select) = query.body.as_ref()
        && let [
            SelectItem::UnnamedExpr(Expr::Function(function))
            | SelectItem::ExprWithAlias { expr: Expr::Function(function), .. },
        ] = select.projection.as_slice()
        && matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty())
        && function.over.is_none()
        && matches!(function.name.to_string().to_lowercase().as_str(), "count" | "sum" | "min" | "max" | "avg")
    {
        return Ok(());
    }
    Err(Failure::not_modelled("scalar subqueries other than one aggregate without GROUP BY"))
}

fn cast_target(data_type: &DataType) -> Result<&'static str, Failure> {
    Ok(match data_type {
        DataType::Varchar(None) => "varchar",
        DataType::TinyInt(None) => "tinyint",
        DataType::SmallInt(None) => "smallint",
        DataType::Int(None) | DataType::Integer(None) => "integer",
        DataType::BigInt(None) => "bigint",
        DataType::Real => "real",
        DataType::Double(ExactNumberInfo::None) => "double",
        DataType::Boolean => "boolean",
        DataType::Date => "date",
        DataType::Timestamp(None | Some(3), TimezoneInfo::None) => "timestamp",
        DataType::Timestamp(None | Some(3), TimezoneInfo::WithTimeZone) => "timestamptz",
        DataType::String(None) | DataType::Text => {
            let at = data_type.to_string().to_lowercase();
            return Err(Failure::query(format!("TYPE_NOT_FOUND: Unknown type: {at}")));
        }
        other => return Err(Failure::not_modelled(format!("CAST to {other}"))),
    })
}

fn extract(field: &DateTimeField) -> Result<&'static str, Failure> {
    Ok(match field {
        DateTimeField::Year => "year",
        DateTimeField::Month => "month",
        DateTimeField::Day => "day",
        DateTimeField::Hour => "hour",
        DateTimeField::Minute => "minute",
        DateTimeField::Second => "second",
        other => return Err(Failure::not_modelled(format!("EXTRACT of {other}"))),
    })
}

/// Where an expression begins: line and column, from 1.
pub(super) fn position(expr: &Expr) -> (u64, u64) {
    let start = expr.span().start;
    (start.line, start.column)
}
