//! Results as CSV: every value in double quotes, a header of column names, nulls empty and without quotes.

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Int64Type};

use super::text;
use super::types::ColumnInfo;

/// Writes a result.
pub(super) struct Writer {
    out: Vec<u8>,
    scratch: String,
    rows: u64,
}

impl Writer {
    /// Begins with the header.
    pub(super) fn new(columns: &[ColumnInfo]) -> Self {
        let mut out = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            quote(&mut out, column.name.as_bytes());
        }
        out.push(b'\n');
        Writer { out, scratch: String::new(), rows: 0 }
    }

    /// Appends the rows of a batch.
    pub(super) fn write(&mut self, batch: &RecordBatch) {
        for row in 0..batch.num_rows() {
            for (index, column) in batch.columns().iter().enumerate() {
                if index > 0 {
                    self.out.push(b',');
                }
                self.value(column, row);
            }
            self.out.push(b'\n');
        }
        self.rows += batch.num_rows() as u64;
    }

    fn value(&mut self, column: &ArrayRef, row: usize) {
        if column.is_null(row) || *column.data_type() == DataType::Null {
            return;
        }
        match column.data_type() {
            DataType::Utf8 => quote(&mut self.out, column.as_string::<i32>().value(row).as_bytes()),
            DataType::Int64 => whole(&mut self.out, column.as_primitive::<Int64Type>().value(row)),
            _ => {
                self.scratch.clear();
                text::write(&mut self.scratch, column, row);
                quote(&mut self.out, self.scratch.as_bytes());
            }
        }
    }

    /// The bytes, and the rows without the header.
    pub(super) fn finish(self) -> (Vec<u8>, u64) {
        (self.out, self.rows)
    }
}

fn whole(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push(b'"');
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
    out.push(b'"');
}

fn quote(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.contains(&b'"') {
        for byte in text {
            if *byte == b'"' {
                out.push(b'"');
            }
            out.push(*byte);
        }
    } else {
        out.extend_from_slice(text);
    }
    out.push(b'"');
}

/// A value of a result; `None` is null.
pub(crate) type Cell = Option<String>;

/// Reads up to `limit` rows from the byte at `offset` of a result that [`Writer`] wrote. Answers the rows and where the
/// next one begins; `None` at the end, or when the bytes are not such a result.
pub(crate) fn read_rows(csv: &[u8], offset: usize, limit: usize) -> Option<(Vec<Vec<Cell>>, usize)> {
    let (mut at, mut rows) = (offset, Vec::new());
    while at < csv.len() && rows.len() < limit {
        let mut row = Vec::new();
        loop {
            row.push(cell(csv, &mut at)?);
            at += 1;
            match csv.get(at - 1)? {
                b',' => {}
                b'\n' => break,
                _ => return None,
            }
        }
        rows.push(row);
    }
    Some((rows, at))
}

/// One value; leaves `at` on the separator after it.
fn cell(csv: &[u8], at: &mut usize) -> Option<Cell> {
    if csv.get(*at) != Some(&b'"') {
        return Some(None);
    }
    let mut value = Vec::new();
    *at += 1;
    loop {
        let rest = csv.get(*at..)?;
        let end = rest.iter().position(|byte| *byte == b'"')?;
        value.extend_from_slice(&rest[..end]);
        *at += end + 1;
        if csv.get(*at) != Some(&b'"') {
            return String::from_utf8(value).ok().map(Some);
        }
        value.push(b'"');
        *at += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::StringArray;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_is_written_is_read_back(rows in prop::collection::vec((any::<Option<String>>(), any::<Option<i64>>()), 0..20), limit in 1usize..7) {
            let kinds = [("a", DataType::Utf8), ("b \"quoted\"", DataType::Int64)];
            let columns: Vec<ColumnInfo> = kinds.iter().map(|(name, kind)| ColumnInfo::new((*name).to_owned(), kind)).collect();
            let text: StringArray = rows.iter().map(|(text, _)| text.as_deref()).collect();
            let whole: datafusion::arrow::array::Int64Array = rows.iter().map(|(_, whole)| *whole).collect();
            let batch = RecordBatch::try_from_iter([("a", Arc::new(text) as ArrayRef), ("b", Arc::new(whole) as ArrayRef)]).unwrap();
            let mut writer = Writer::new(&columns);
            writer.write(&batch);
            let (csv, count) = writer.finish();
            prop_assert_eq!(count, rows.len() as u64);
            let (mut at, mut read) = (0, Vec::new());
            while at < csv.len() {
                let (page, next) = read_rows(&csv, at, limit).unwrap();
                prop_assert!(page.len() <= limit && next > at);
                read.extend(page);
                at = next;
            }
            let header = kinds.iter().map(|(name, _)| Some((*name).to_owned())).collect();
            let cells = rows.into_iter().map(|(text, whole)| vec![text, whole.map(|n| n.to_string())]);
            let expected: Vec<Vec<Cell>> = std::iter::once(header).chain(cells).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
