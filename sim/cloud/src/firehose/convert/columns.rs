//! Columns that grow row by row and can be cut back to a row, so that a record that fails half-way leaves nothing.

use std::mem::take;
use std::sync::Arc;

use arrow::array::builder::NullBufferBuilder;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields as ArrowFields};

use super::hive::HiveType;

/// Chunks are kept below 2 GiB, so offsets fit.
const OFFSETS_FIT: &str = "a chunk of rows holds less than 2 GiB";
const LENGTHS_MATCH: &str = "the parts of a column are filled together";

/// One column.
pub(super) struct Column {
    nulls: NullBufferBuilder,
    pub values: Values,
}

/// The values of a column; where the row is null, a default stands or nothing.
pub(super) enum Values {
    Boolean(BooleanBufferBuilder),
    TinyInt(Vec<i8>),
    SmallInt(Vec<i16>),
    Int(Vec<i32>),
    BigInt(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    String(Text),
    /// Texts of so many characters at most.
    Limited {
        text: Text,
        most: usize,
    },
    Binary(Text),
    /// Microseconds since the Unix epoch.
    Timestamp(Vec<i64>),
    /// Days since the Unix epoch.
    Date(Vec<i32>),
    /// Values times ten to the power of the scale.
    Decimal {
        values: Vec<i128>,
        precision: u8,
        scale: i8,
    },
    Array {
        field: FieldRef,
        offsets: Vec<i32>,
        element: Box<Column>,
    },
    Map {
        field: FieldRef,
        offsets: Vec<i32>,
        keys: Text,
        values: Box<Column>,
    },
    Struct(Members),
}

/// Strings, one after the other.
pub(super) struct Text {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
}

/// The columns of a struct, or of the table.
pub(super) struct Members {
    /// Names as they are looked up.
    pub names: Vec<String>,
    pub columns: Vec<Column>,
    /// Rows that are complete.
    pub rows: usize,
    fields: ArrowFields,
}

fn offset(len: usize) -> i32 {
    i32::try_from(len).expect(OFFSETS_FIT)
}

fn position(offset: i32) -> usize {
    usize::try_from(offset).expect("offsets are counted from 0")
}

impl Text {
    pub fn new() -> Self {
        Text { bytes: Vec::new(), offsets: vec![0] }
    }

    pub fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.offsets.push(offset(self.bytes.len()));
    }

    /// Adds the first `most` characters of a text.
    pub fn push_cut(&mut self, text: &str, most: usize) {
        self.push(text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end]));
    }

    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The bytes of the string at `index`.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.bytes[position(self.offsets[index])..position(self.offsets[index + 1])]
    }

    fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.bytes.truncate(position(self.offsets[len]));
    }

    fn finish(&mut self, nulls: Option<NullBuffer>) -> StringArray {
        let bytes = Buffer::from_vec(take(&mut self.bytes));
        StringArray::new(finish_offsets(&mut self.offsets), bytes, nulls)
    }

    fn finish_binary(&mut self, nulls: Option<NullBuffer>) -> BinaryArray {
        let bytes = Buffer::from_vec(take(&mut self.bytes));
        BinaryArray::new(finish_offsets(&mut self.offsets), bytes, nulls)
    }
}

fn finish_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(std::mem::replace(offsets, vec![0]).into())
}

impl Members {
    /// Empty columns. With `lower_case`, members are looked up by their lower-cased name.
    pub fn new(members: &[(String, HiveType)], lower_case: bool) -> Self {
        let name = |name: &String| if lower_case { name.to_lowercase() } else { name.clone() };
        Members {
            names: members.iter().map(|(n, _)| name(n)).collect(),
            columns: members.iter().map(|(_, hive)| Column::new(hive, lower_case)).collect(),
            rows: 0,
            fields: members.iter().map(|(name, hive)| hive.field(name)).collect(),
        }
    }

    /// The fields in Arrow.
    pub fn fields(&self) -> &ArrowFields {
        &self.fields
    }

    /// Drops all rows from `rows` on, complete or not.
    pub fn truncate(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
        self.rows = rows;
    }

    /// Completes the row: what it did not name is null.
    pub fn end_row(&mut self) {
        for column in &mut self.columns {
            if column.len() == self.rows {
                column.append_null();
            }
        }
        self.rows += 1;
    }

    /// Takes the rows out.
    pub fn finish(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        self.columns.iter_mut().map(Column::finish).collect()
    }
}

impl Column {
    fn new(hive: &HiveType, lower_case: bool) -> Self {
        let values = match hive {
            HiveType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            HiveType::TinyInt => Values::TinyInt(Vec::new()),
            HiveType::SmallInt => Values::SmallInt(Vec::new()),
            HiveType::Int => Values::Int(Vec::new()),
            HiveType::BigInt => Values::BigInt(Vec::new()),
            HiveType::Float => Values::Float(Vec::new()),
            HiveType::Double => Values::Double(Vec::new()),
            HiveType::String => Values::String(Text::new()),
            HiveType::Limited(most) => Values::Limited { text: Text::new(), most: *most },
            HiveType::Binary => Values::Binary(Text::new()),
            HiveType::Timestamp => Values::Timestamp(Vec::new()),
            HiveType::Date => Values::Date(Vec::new()),
            HiveType::Decimal(precision, scale) => {
                Values::Decimal { values: Vec::new(), precision: *precision, scale: *scale }
            }
            HiveType::Array(element) => {
                let column = Box::new(Column::new(element, lower_case));
                Values::Array { field: element.field("element"), offsets: vec![0], element: column }
            }
            HiveType::Map(value) => {
                let DataType::Map(field, _) = hive.arrow() else { unreachable!("a map is a map in Arrow") };
                let values = Box::new(Column::new(value, lower_case));
                Values::Map { field, offsets: vec![0], keys: Text::new(), values }
            }
            HiveType::Struct(members) => Values::Struct(Members::new(members, lower_case)),
        };
        Column { nulls: NullBufferBuilder::new(0), values }
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Marks the row whose value was just added as there.
    pub fn append_valid(&mut self) {
        self.nulls.append_non_null();
    }

    /// Adds a null.
    pub fn append_null(&mut self) {
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::TinyInt(values) => values.push(0),
            Values::SmallInt(values) => values.push(0),
            Values::Int(values) => values.push(0),
            Values::BigInt(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::String(text) | Values::Limited { text, .. } | Values::Binary(text) => text.push(""),
            Values::Timestamp(values) => values.push(0),
            Values::Date(values) => values.push(0),
            Values::Decimal { values, .. } => values.push(0),
            Values::Array { offsets, element, .. } => offsets.push(offset(element.len())),
            Values::Map { offsets, keys, .. } => offsets.push(offset(keys.len())),
            Values::Struct(members) => members.end_row(),
        }
        self.nulls.append_null();
    }

    /// Completes the row of an array or a map with what was added to its children.
    pub fn end_offsets(&mut self) {
        match &mut self.values {
            Values::Array { offsets, element, .. } => offsets.push(offset(element.len())),
            Values::Map { offsets, keys, .. } => offsets.push(offset(keys.len())),
            _ => {}
        }
        self.append_valid();
    }

    fn truncate(&mut self, len: usize) {
        self.nulls.truncate(len);
        match &mut self.values {
            Values::Boolean(values) => values.truncate(len),
            Values::TinyInt(values) => values.truncate(len),
            Values::SmallInt(values) => values.truncate(len),
            Values::Int(values) => values.truncate(len),
            Values::BigInt(values) => values.truncate(len),
            Values::Float(values) => values.truncate(len),
            Values::Double(values) => values.truncate(len),
            Values::String(text) | Values::Limited { text, .. } | Values::Binary(text) => text.truncate(len),
            Values::Timestamp(values) => values.truncate(len),
            Values::Date(values) => values.truncate(len),
            Values::Decimal { values, .. } => values.truncate(len),
            Values::Array { offsets, element, .. } => {
                offsets.truncate(len + 1);
                element.truncate(position(offsets[len]));
            }
            Values::Map { offsets, keys, values, .. } => {
                offsets.truncate(len + 1);
                keys.truncate(position(offsets[len]));
                values.truncate(position(offsets[len]));
            }
            Values::Struct(members) => members.truncate(len),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        let nulls = self.nulls.finish();
        match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::TinyInt(values) => Arc::new(Int8Array::new(take(values).into(), nulls)),
            Values::SmallInt(values) => Arc::new(Int16Array::new(take(values).into(), nulls)),
            Values::Int(values) => Arc::new(Int32Array::new(take(values).into(), nulls)),
            Values::BigInt(values) => Arc::new(Int64Array::new(take(values).into(), nulls)),
            Values::Float(values) => Arc::new(Float32Array::new(take(values).into(), nulls)),
            Values::Double(values) => Arc::new(Float64Array::new(take(values).into(), nulls)),
            Values::String(text) | Values::Limited { text, .. } => Arc::new(text.finish(nulls)),
            Values::Binary(text) => Arc::new(text.finish_binary(nulls)),
            Values::Timestamp(values) => Arc::new(TimestampMicrosecondArray::new(take(values).into(), nulls)),
            Values::Date(values) => Arc::new(Date32Array::new(take(values).into(), nulls)),
            Values::Decimal { values, precision, scale } => {
                let array = Decimal128Array::new(take(values).into(), nulls);
                Arc::new(array.with_precision_and_scale(*precision, *scale).expect("a type of Hive fits"))
            }
            Values::Array { field, offsets, element } => {
                let (offsets, values) = (finish_offsets(offsets), element.finish());
                Arc::new(ListArray::try_new(field.clone(), offsets, values, nulls).expect(LENGTHS_MATCH))
            }
            Values::Map { field, offsets, keys, values } => {
                let DataType::Struct(members) = field.data_type() else { unreachable!("entries are a struct") };
                let arrays: Vec<ArrayRef> = vec![Arc::new(keys.finish(None)), values.finish()];
                let entries = StructArray::try_new(members.clone(), arrays, None).expect(LENGTHS_MATCH);
                let offsets = finish_offsets(offsets);
                Arc::new(MapArray::try_new(field.clone(), offsets, entries, nulls, false).expect(LENGTHS_MATCH))
            }
            Values::Struct(members) => {
                let arrays = members.finish();
                Arc::new(StructArray::try_new(members.fields.clone(), arrays, nulls).expect(LENGTHS_MATCH))
            }
        }
    }
}
