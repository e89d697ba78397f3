//! The columns of a batch by their names.

use arrow::array::{ArrayRef, AsArray as _, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};

/// The columns of a batch, which are found by their names and are of the types that their table says.
pub(super) struct Named<'b>(pub &'b RecordBatch);

impl<'b> Named<'b> {
    /// A column as `of` takes it.
    pub fn get<T>(&self, name: &str, of: impl Fn(&'b ArrayRef) -> Option<T>) -> Result<T, String> {
        let column = self.0.column_by_name(name).ok_or_else(|| format!("there is no column {name}"))?;
        of(column).ok_or_else(|| format!("the column {name} has another type than its table says"))
    }

    /// A column of texts.
    pub fn text(&self, name: &str) -> Result<&'b StringArray, String> {
        self.get(name, |column| column.as_string_opt::<i32>())
    }

    /// A column of whole numbers.
    pub fn number(&self, name: &str) -> Result<&'b Int64Array, String> {
        self.get(name, |column| column.as_primitive_opt::<Int64Type>())
    }

    /// A column of floating-point numbers.
    pub fn double(&self, name: &str) -> Result<&'b Float64Array, String> {
        self.get(name, |column| column.as_primitive_opt::<Float64Type>())
    }
}
