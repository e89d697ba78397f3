//! Functions of arrays, maps and rows.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray as _, BooleanArray, Int64Array, ListArray, MapArray, UInt64Array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::kernels::cmp::eq;
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::error::Result;

use super::super::failure::Failure;
use super::framework::{Function, coerces, common};

/// All of them.
pub(super) fn all() -> Vec<Function> {
    vec![
        Function::resolving("element_at", element_types, |args, _| element(args, false)),
        Function::resolving("$subscript", element_types, |args, _| element(args, true)),
        Function::resolving(
            "cardinality",
            |types| match types {
                [kind @ (DataType::List(_) | DataType::Map(..))] => Some((vec![kind.clone()], DataType::Int64)),
                _ => None,
            },
            |args, _| Ok(cardinality(&args[0])),
        ),
        Function::resolving(
            "contains",
            |types| match types {
                [list @ DataType::List(item), value] if coerces(value, item.data_type()) => {
                    Some((vec![list.clone(), item.data_type().clone()], DataType::Boolean))
                }
                _ => None,
            },
            |args, _| contains(args),
        ),
        Function::resolving("map_keys", |types| entries_type(types, 0), |args, _| Ok(entries(&args[0], 0))),
        Function::resolving("map_values", |types| entries_type(types, 1), |args, _| Ok(entries(&args[0], 1))),
        Function::resolving(
            "$array",
            |types| {
                let kind = common(types)?;
                Some((vec![kind.clone(); types.len()], DataType::List(item(kind))))
            },
            array,
        ),
    ]
}

/// The items of an array, as this module builds them.
pub(crate) fn item(kind: DataType) -> FieldRef {
    Arc::new(Field::new("item", kind, true))
}

fn key_and_value(kind: &DataType) -> Option<(&DataType, &DataType)> {
    let DataType::Map(entries, _) = kind else { return None };
    let DataType::Struct(fields) = entries.data_type() else { return None };
    Some((fields.first()?.data_type(), fields.get(1)?.data_type()))
}

fn element_types(types: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    match types {
        [list @ DataType::List(item), index] if coerces(index, &DataType::Int64) => {
            Some((vec![list.clone(), DataType::Int64], item.data_type().clone()))
        }
        [map @ DataType::Map(..), key] => {
            let (key_type, value_type) = key_and_value(map)?;
            coerces(key, key_type).then(|| (vec![map.clone(), key_type.clone()], value_type.clone()))
        }
        _ => None,
    }
}

/// `element_at`, where what is absent is null; or the subscript, where it is an error.
fn element(args: &[ArrayRef], strict: bool) -> Result<ArrayRef> {
    match args[0].data_type() {
        DataType::Map(..) => map_element(args[0].as_map(), &args[1], strict),
        _ => list_element(args[0].as_list(), args[1].as_primitive::<Int64Type>(), strict),
    }
}

fn map_element(map: &MapArray, wanted: &ArrayRef, strict: bool) -> Result<ArrayRef> {
    let (keys, offsets) = (map.keys(), map.offsets());
    let mut indices = Vec::with_capacity(map.len());
    for row in 0..map.len() {
        if map.is_null(row) || wanted.is_null(row) {
            indices.push(None);
            continue;
        }
        let range = span(offsets, row);
        let found = find(keys, range, wanted, row)?;
        if found.is_none() && strict {
            let mut key = String::new();
            super::super::engine::text::write(&mut key, wanted, row);
            let reason = format!("INVALID_FUNCTION_ARGUMENT: Key not present in map: {key}");
            return Err(Failure::query(reason).into_engine());
        }
        indices.push(found);
    }
    Ok(take(map.values(), &UInt64Array::from(indices), None)?)
}

fn span(offsets: &OffsetBuffer<i32>, row: usize) -> std::ops::Range<usize> {
    let at = |index: usize| usize::try_from(offsets[index]).expect("offsets are not negative");
    at(row)..at(row + 1)
}

fn find(keys: &ArrayRef, mut range: std::ops::Range<usize>, wanted: &ArrayRef, row: usize) -> Result<Option<u64>> {
    let found = if let (Some(keys), Some(wanted)) = (keys.as_string_opt::<i32>(), wanted.as_string_opt::<i32>()) {
        let wanted = wanted.value(row);
        range.find(|at| keys.value(*at) == wanted)
    } else {
        let start = range.start;
        let part = keys.slice(start, range.len());
        let equal = eq(&part, &datafusion::arrow::array::Scalar::new(wanted.slice(row, 1)))?;
        equal.iter().position(|equal| equal == Some(true)).map(|at| start + at)
    };
    Ok(found.map(|at| at as u64))
}

fn list_element(list: &ListArray, wanted: &Int64Array, strict: bool) -> Result<ArrayRef> {
    let bad = |text: String| Err(Failure::query(format!("INVALID_FUNCTION_ARGUMENT: {text}")).into_engine());
    let mut indices = Vec::with_capacity(list.len());
    for row in 0..list.len() {
        if list.is_null(row) || wanted.is_null(row) {
            indices.push(None);
            continue;
        }
        let range = span(list.offsets(), row);
        let (index, length) = (wanted.value(row), i64::try_from(range.len()).unwrap_or(i64::MAX));
        if index == 0 {
            return bad("SQL array indices start at 1".to_owned());
        }
        if strict && index < 0 {
            return bad(format!("Array subscript is negative: {index}"));
        }
        if strict && index > length {
            return bad(format!("Array subscript must be less than or equal to array length: {index} > {length}"));
        }
        let offset = if index > 0 { index - 1 } else { length + index };
        let inside = (0..length).contains(&offset);
        indices.push(inside.then(|| range.start as u64 + offset.unsigned_abs()));
    }
    Ok(take(list.values(), &UInt64Array::from(indices), None)?)
}

fn cardinality(values: &ArrayRef) -> ArrayRef {
    let (offsets, nulls) = match values.data_type() {
        DataType::Map(..) => (values.as_map().offsets(), values.nulls()),
        _ => (values.as_list::<i32>().offsets(), values.nulls()),
    };
    let lengths = offsets.lengths().map(|length| i64::try_from(length).unwrap_or(i64::MAX));
    Arc::new(Int64Array::new(lengths.collect(), nulls.cloned()))
}

fn contains(args: &[ArrayRef]) -> Result<ArrayRef> {
    let list = args[0].as_list::<i32>();
    let mut values = Vec::with_capacity(list.len());
    for row in 0..list.len() {
        if list.is_null(row) || args[1].is_null(row) {
            values.push(None);
            continue;
        }
        let items = list.value(row);
        let equal = eq(&items, &datafusion::arrow::array::Scalar::new(args[1].slice(row, 1)))?;
        let found = equal.iter().any(|equal| equal == Some(true));
        values.push(if !found && items.null_count() > 0 { None } else { Some(found) });
    }
    Ok(Arc::new(BooleanArray::from(values)))
}

fn entries_type(types: &[DataType], column: usize) -> Option<(Vec<DataType>, DataType)> {
    let [map] = types else { return None };
    let (key, value) = key_and_value(map)?;
    let kind = if column == 0 { key } else { value };
    Some((vec![map.clone()], DataType::List(item(kind.clone()))))
}

fn entries(map: &ArrayRef, column: usize) -> ArrayRef {
    let map = map.as_map();
    let values = Arc::clone(if column == 0 { map.keys() } else { map.values() });
    Arc::new(ListArray::new(item(values.data_type().clone()), map.offsets().clone(), values, map.nulls().cloned()))
}

fn array(args: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let kind = args[0].data_type().clone();
    let columns: Vec<&dyn Array> = args.iter().map(AsRef::as_ref).collect();
    let all = concat(&columns)?;
    let order = (0..rows).flat_map(|row| (0..columns.len()).map(move |column| (column * rows + row) as u64));
    let values = take(&all, &order.collect::<UInt64Array>(), None)?;
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(columns.len(), rows));
    Ok(Arc::new(ListArray::new(item(kind), offsets, values, None)))
}
