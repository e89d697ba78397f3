//! The allow list of functions, with Trino's meaning. What is not on it is an unknown function to a query.
//!
//! Names that begin with `$` are the rewriter's: casts (`$cast_bigint`, `$try_bigint`), `map['key']` (`$subscript`),
//! `row.field` (`$field`), `ARRAY[..]` (`$array`), whole-number arithmetic that raises overflows (`$plus`, ..).

mod calendar;
mod casts;
mod collections;
mod framework;
mod numbers;
mod strings;
mod times;

pub(super) use calendar::{datetime, parse_date, parse_timestamp};
pub(super) use collections::item;

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::DataType;
use datafusion::functions::core::{coalesce, get_field, nullif};
use datafusion::functions_aggregate::{array_agg, average, bool_and_or, count, first_last, min_max, sum};
use datafusion::functions_window::{rank, row_number};
use datafusion::logical_expr::{AggregateUDF, Operator, ScalarUDF, WindowUDF};

use world::time::Time;

/// Names that become other expressions before a query is planned.
const REWRITTEN: &[&str] = &["if", "count_if", "every", "max_by", "min_by"];

static PURE: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let own = [strings::all(), numbers::all(), times::all(), collections::all(), casts::all()];
    let own = own.into_iter().flatten().map(framework::Function::into_udf);
    let field = get_field().as_ref().clone().with_aliases(["$field"]);
    own.chain([coalesce(), nullif(), Arc::new(field)]).collect()
});

/// Scalar functions of a query that starts at `now`.
pub(super) fn scalars(now: Time) -> Vec<Arc<ScalarUDF>> {
    let clock = times::clock(now).into_iter().map(framework::Function::into_udf);
    PURE.iter().cloned().chain(clock).collect()
}

/// Aggregates. `$first` stands for `max_by` and `min_by`.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let first = first_last::first_value_udaf();
    vec![
        count::count_udaf(),
        sum::sum_udaf(),
        min_max::min_udaf(),
        min_max::max_udaf(),
        average::avg_udaf(),
        bool_and_or::bool_and_udaf(),
        bool_and_or::bool_or_udaf(),
        array_agg::array_agg_udaf(),
        Arc::new(first.as_ref().clone().with_aliases(["$first"])),
    ]
}

/// Window functions beside the aggregates.
pub(super) fn windows() -> Vec<Arc<WindowUDF>> {
    vec![row_number::row_number_udwf(), rank::rank_udwf(), rank::dense_rank_udwf()]
}

/// Whether a query may call a function of this name, lower case.
pub(super) fn is_known(name: &str) -> bool {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let scalars = scalars(Time::EPOCH);
        let mut names: Vec<String> = scalars.iter().map(|udf| udf.name().to_owned()).collect();
        names.extend(aggregates().iter().map(|udf| udf.name().to_owned()).filter(|name| name != "first_value"));
        names.extend(windows().iter().map(|udf| udf.name().to_owned()));
        names.extend(REWRITTEN.iter().map(|name| (*name).to_owned()));
        names.retain(|name| !name.starts_with('$') && name != "get_field");
        names.sort();
        names
    });
    NAMES.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
}

/// The cast to a double, a real or an instant.
pub(super) fn conversion(to: &DataType) -> &'static Arc<ScalarUDF> {
    let name = match to {
        DataType::Float32 => "$cast_real",
        DataType::Timestamp(_, None) => "$cast_timestamp",
        DataType::Timestamp(_, Some(_)) => "$cast_timestamptz",
        _ => "$cast_double",
    };
    PURE.iter().find(|udf| udf.name() == name).expect("all casts are registered")
}

/// The whole-number operator that raises an error on overflow.
pub(super) fn checked(op: Operator) -> Option<&'static Arc<ScalarUDF>> {
    let name = match op {
        Operator::Plus => "$plus",
        Operator::Minus => "$minus",
        Operator::Multiply => "$multiply",
        _ => return None,
    };
    PURE.iter().find(|udf| udf.name() == name)
}
