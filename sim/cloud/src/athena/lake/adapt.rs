//! Columns of files as the table's types have them: the widenings that Athena allows, nested fields by name.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _, ListArray, MapArray, StructArray, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Fields, TimeUnit};

use super::super::engine::types::trino_name;

/// A column as `to`. The error says what does not fit.
pub(super) fn adapt(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, String> {
    use DataType as T;
    let from = array.data_type();
    if from == to {
        return Ok(Arc::clone(array));
    }
    let widened = matches!(
        (from, to),
        (T::Int8, T::Int16 | T::Int32 | T::Int64)
            | (T::Int16, T::Int8 | T::Int32 | T::Int64)
            | (T::Int32, T::Int8 | T::Int16 | T::Int64)
            | (T::Float32, T::Float64)
            | (T::LargeUtf8 | T::Utf8View | T::Dictionary(..), T::Utf8)
            | (T::Timestamp(..), T::Timestamp(TimeUnit::Millisecond, None))
    );
    if widened {
        return cast(array, to).map_err(|error| error.to_string());
    }
    match (from, to) {
        (T::List(_), T::List(item)) => {
            let list = array.as_list::<i32>();
            let values = adapt(list.values(), item.data_type())?;
            Ok(Arc::new(ListArray::new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())))
        }
        (T::Map(..), T::Map(entries, ordered)) => {
            let map = array.as_map();
            let T::Struct(fields) = entries.data_type() else { return Err(mismatch(from, to)) };
            let keys = adapt(map.keys(), fields[0].data_type())?;
            let values = adapt(map.values(), fields[1].data_type())?;
            let pairs = StructArray::new(fields.clone(), vec![keys, values], None);
            let map = MapArray::new(Arc::clone(entries), map.offsets().clone(), pairs, map.nulls().cloned(), *ordered);
            Ok(Arc::new(map))
        }
        (T::Struct(_), T::Struct(fields)) => row(array.as_struct(), fields),
        _ => Err(mismatch(from, to)),
    }
}

fn row(from: &StructArray, fields: &Fields) -> Result<ArrayRef, String> {
    let column = |name: &str| {
        let index = from.fields().iter().position(|field| field.name().eq_ignore_ascii_case(name));
        index.map(|index| from.column(index))
    };
    let columns = fields.iter().map(|field| match column(field.name()) {
        Some(found) => adapt(found, field.data_type()),
        None => Ok(new_null_array(field.data_type(), from.len())),
    });
    let columns = columns.collect::<Result<Vec<_>, String>>()?;
    Ok(Arc::new(StructArray::new(fields.clone(), columns, from.nulls().cloned())))
}

fn mismatch(from: &DataType, to: &DataType) -> String {
    format!("its type {} in the file is incompatible with {} in the table", trino_name(from), trino_name(to))
}
