//! Types: the query engine's, Trino's and Athena's names for them, and which of them compare.

use datafusion::arrow::datatypes::{DataType, TimeUnit};

/// `timestamp(3)`.
pub(crate) const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

/// `timestamp(3) with time zone`, always UTC.
pub(crate) fn timestamp_tz() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// Trino's name of a type, as its messages write it.
pub(crate) fn trino_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "unknown".to_owned(),
        DataType::Utf8 => "varchar".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 | DataType::UInt64 => "bigint".to_owned(),
        DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, None) => "timestamp(3)".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp(3) with time zone".to_owned(),
        DataType::Interval(_) => "interval".to_owned(),
        DataType::List(item) => format!("array({})", trino_name(item.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!("map({}, {})", trino_name(fields[0].data_type()), trino_name(fields[1].data_type()))
            }
            other => other.to_string(),
        },
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|field| format!("{} {}", field.name(), trino_name(field.data_type()))).collect();
            format!("row({})", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// Names, joined as messages join them.
pub(crate) fn trino_names(types: &[DataType]) -> String {
    types.iter().map(trino_name).collect::<Vec<_>>().join(", ")
}

/// Whether a type is a number.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    is_integer(data_type) || is_float(data_type) || matches!(data_type, DataType::Decimal128(..))
}

/// Whether a type is a whole number. Window functions count in an unsigned type, which Trino calls bigint.
pub(crate) fn is_integer(data_type: &DataType) -> bool {
    use DataType as T;
    matches!(data_type, T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt64)
}

/// Whether a type is a floating-point number.
pub(crate) fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// Whether a type is a date or an instant.
pub(crate) fn is_temporal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Timestamp(..))
}

/// Whether a type is a map or holds one.
pub(crate) fn holds_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) => true,
        DataType::List(item) => holds_map(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_map(field.data_type())),
        _ => false,
    }
}

/// Whether Trino compares or unites two types without a cast.
pub(crate) fn comparable(a: &DataType, b: &DataType) -> bool {
    a == b
        || *a == DataType::Null
        || *b == DataType::Null
        || (is_number(a) && is_number(b))
        || (is_temporal(a) && is_temporal(b))
}

/// A column of a result as `ResultSetMetadata.ColumnInfo` describes it. Precisions as commonly seen; unverified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnInfo {
    /// Name.
    pub(crate) name: String,
    /// Athena's name of the type.
    pub(crate) r#type: &'static str,
    /// `Precision`.
    pub(crate) precision: u32,
    /// `Scale`.
    pub(crate) scale: u32,
    /// `CaseSensitive`.
    pub(crate) case_sensitive: bool,
}

impl ColumnInfo {
    /// Describes a column of a result.
    pub(crate) fn new(name: String, data_type: &DataType) -> Self {
        let (kind, precision, scale) = match data_type {
            DataType::Utf8 => ("varchar", 2_147_483_647, 0),
            DataType::Boolean => ("boolean", 0, 0),
            DataType::Int8 => ("tinyint", 3, 0),
            DataType::Int16 => ("smallint", 5, 0),
            DataType::Int32 => ("integer", 10, 0),
            DataType::Int64 | DataType::UInt64 => ("bigint", 19, 0),
            DataType::Float32 => ("float", 17, 0),
            DataType::Float64 => ("double", 17, 0),
            DataType::Decimal128(precision, scale) => {
                ("decimal", u32::from(*precision), u32::try_from(*scale).unwrap_or(0))
            }
            DataType::Date32 => ("date", 0, 0),
            DataType::Timestamp(_, None) => ("timestamp", 3, 0),
            DataType::Timestamp(_, Some(_)) => ("timestamp with time zone", 3, 0),
            DataType::List(_) => ("array", 0, 0),
            DataType::Map(..) => ("map", 0, 0),
            DataType::Struct(_) => ("row", 0, 0),
            _ => ("unknown", 0, 0),
        };
        ColumnInfo { name, r#type: kind, precision, scale, case_sensitive: kind == "varchar" }
    }
}
