use super::*;

/// A field of formats sheet §1.6 or §1.7: offset, the bytes to put there, whether the view then reads them.
type Field<View> = (usize, &'static [u8], fn(&View) -> bool);

/// Each field comes from its own bytes, and from no others.
fn each_field_alone<const N: usize, View>(view: fn([u8; N]) -> View, fields: &[Field<View>]) {
    for (i, (offset, bytes, reads)) in fields.iter().enumerate() {
        assert!(!reads(&view([0; N])), "field {i} of zeros");
        let mut raw = [0; N];
        raw[*offset..][..bytes.len()].copy_from_slice(bytes);
        assert!(reads(&view(raw)), "field {i} at {offset}");
        let mut others = [0xA5; N];
        others[*offset..][..bytes.len()].copy_from_slice(bytes);
        assert!(reads(&view(others)), "field {i} at {offset} among others");
    }
}

#[test]
fn the_header_is_the_sheets() {
    each_field_alone(
        Header::from_bytes,
        &[
            (0, &[0xE9], |h| h.magic() == MAGIC),
            (1, &[6], |h| h.segment_count() == 6),
            (2, &[2], |h| h.spi_mode() == 2),
            (3, &[0x2F], |h| (h.spi_speed(), h.spi_size()) == (0xF, 2)),
            (4, &[4, 3, 2, 1], |h| h.entry_addr() == 0x0102_0304),
            (8, &[0xEE, 1, 2, 3], |h| h.pins() == [0xEE, 1, 2, 3]),
            (12, &[0x17, 0x01], |h| h.chip_id() == 0x0117),
            (14, &[3], |h| h.min_chip_rev() == 3),
            (15, &[0x2D, 0x01], |h| h.min_chip_rev_full() == Revision::new(3, 1)),
            (17, &[0x8F, 0x01], |h| h.max_chip_rev_full() == Revision::new(3, 99)),
            (23, &[1], |h| h.hash_appended() == 1),
        ],
    );
    let raw = core::array::from_fn(|i| i as u8);
    assert_eq!(Header::from_bytes(raw).to_bytes(), raw);
}

#[test]
fn the_app_descriptor_is_the_sheets() {
    const TEXT: &[u8; 32] = b"v1.2.3-rc1\0 behind the end     ~";
    const SHA: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    each_field_alone(
        AppDescriptor::from_bytes,
        &[
            (0, &[0x32, 0x54, 0xCD, 0xAB], |d| d.magic_word() == 0xABCD_5432),
            (4, &[4, 3, 2, 1], |d| d.secure_version() == 0x0102_0304),
            (16, TEXT, |d| d.version() == "v1.2.3-rc1"),
            (48, TEXT, |d| d.project_name() == "v1.2.3-rc1"),
            (80, b"12:34:56\0\0\0\0\0\0\0\0", |d| d.time() == "12:34:56"),
            (96, b"Jan  2 2026\0\0\0\0\0", |d| d.date() == "Jan  2 2026"),
            (112, TEXT, |d| d.idf_ver() == "v1.2.3-rc1"),
            (144, SHA, |d| d.app_elf_sha256() == *SHA),
            (176, &[0x2D, 0x01], |d| d.min_efuse_blk_rev_full() == Revision::new(3, 1)),
            (178, &[0x2E, 0x01], |d| d.max_efuse_blk_rev_full() == Revision::new(3, 2)),
            (180, &[16], |d| d.mmu_page_size_log2() == 16),
        ],
    );
}

#[test]
fn the_bootloader_descriptor_is_the_sheets() {
    const IDF: &[u8; 32] = b"v5.4.1\0~~~~~~~~~~~~~~~~~~~~~~~~~";
    each_field_alone(
        BootloaderDescriptor::from_bytes,
        &[
            (0, &[0x50], |d| d.magic_byte() == BOOTLOADER_DESCRIPTOR_MAGIC),
            (3, &[7], |d| d.secure_version() == 7),
            (4, &[4, 3, 2, 1], |d| d.version() == 0x0102_0304),
            (8, IDF, |d| d.idf_ver() == "v5.4.1"),
            (40, b"Jan  2 2026 12:34:56\0\0\0\0", |d| d.date_time() == "Jan  2 2026 12:34:56"),
        ],
    );
}

#[test]
fn segment_headers_are_two_little_endian_words() {
    let header = SegmentHeader { load_addr: 0x3C00_0020, data_len: 0x0001_0203 };
    let raw = [0x20, 0x00, 0x00, 0x3C, 0x03, 0x02, 0x01, 0x00];
    assert_eq!(SegmentHeader::from_bytes(raw), header);
    assert_eq!(header.to_bytes(), raw);
}
