//! State as bytes: one list of a part's fields, in both directions.

/// Goes over the fields of a state, in order. It reads or writes them.
pub(super) trait Fields {
    /// The next bytes are those of a field.
    fn bytes<const N: usize>(&mut self, bytes: &mut [u8; N]);

    fn f32(&mut self, field: &mut f32) {
        let mut bytes = field.to_le_bytes();
        self.bytes(&mut bytes);
        *field = f32::from_le_bytes(bytes);
    }

    fn f64(&mut self, field: &mut f64) {
        let mut bytes = field.to_le_bytes();
        self.bytes(&mut bytes);
        *field = f64::from_le_bytes(bytes);
    }

    fn i64(&mut self, field: &mut i64) {
        let mut bytes = field.to_le_bytes();
        self.bytes(&mut bytes);
        *field = i64::from_le_bytes(bytes);
    }

    fn u32(&mut self, field: &mut u32) {
        let mut bytes = field.to_le_bytes();
        self.bytes(&mut bytes);
        *field = u32::from_le_bytes(bytes);
    }

    fn u16(&mut self, field: &mut u16) {
        let mut bytes = field.to_le_bytes();
        self.bytes(&mut bytes);
        *field = u16::from_le_bytes(bytes);
    }

    fn u8(&mut self, field: &mut u8) {
        let mut bytes = [*field];
        self.bytes(&mut bytes);
        [*field] = bytes;
    }
}

/// Writes fields.
pub(super) struct Writer<'a>(pub &'a mut [u8]);

impl Fields for Writer<'_> {
    fn bytes<const N: usize>(&mut self, bytes: &mut [u8; N]) {
        let (now, later) = std::mem::take(&mut self.0).split_at_mut(N);
        now.copy_from_slice(bytes);
        self.0 = later;
    }
}

/// Reads fields.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl Fields for Reader<'_> {
    fn bytes<const N: usize>(&mut self, bytes: &mut [u8; N]) {
        let (now, later) = self.0.split_at(N);
        bytes.copy_from_slice(now);
        self.0 = later;
    }
}
