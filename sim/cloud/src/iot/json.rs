//! What the readers of JSON have in common that keep numbers as they were written: those of the rules engine and of shadows.

/// Where the number ends that begins at byte `from` of the text (RFC 8259, section 6); nothing when none begins there.
pub(super) fn number_end(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let peek = |at: usize| bytes.get(at).copied();
    let digits = |from: usize| {
        let count = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let mut at = from + usize::from(peek(from) == Some(b'-'));
    at = if peek(at) == Some(b'0') { at + 1 } else { digits(at)? };
    if peek(at) == Some(b'.') {
        at = digits(at + 1)?;
    }
    if matches!(peek(at), Some(b'e' | b'E')) {
        at += 1;
        at = digits(at + usize::from(matches!(peek(at), Some(b'+' | b'-'))))?;
    }
    Some(at)
}
