//! Reading little-endian fields out of byte slices without a path to a panic.

/// `N` bytes at `offset`, or `None` where the slice is too short.
pub(crate) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

/// The little-endian `u16` at `offset`.
pub(crate) fn le16(bytes: &[u8], offset: usize) -> Option<u16> {
    array(bytes, offset).map(u16::from_le_bytes)
}

/// The little-endian `u32` at `offset`.
pub(crate) fn le32(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_le_bytes)
}

/// Text up to the first NUL, as far as it is UTF-8.
pub(crate) fn c_str(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let text = bytes.get(..end).unwrap_or(bytes);
    match core::str::from_utf8(text) {
        Ok(s) => s,
        Err(e) => text.get(..e.valid_up_to()).and_then(|t| core::str::from_utf8(t).ok()).unwrap_or(""),
    }
}
