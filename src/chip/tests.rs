use super::*;

#[test]
fn every_chip_has_a_row_and_every_row_a_chip() {
    for chip in Chip::ALL {
        assert_eq!(chip.spec().chip, chip);
        assert_eq!(chip.name().parse(), Ok(chip));
        assert_eq!(chip.spec().title.parse(), Ok(chip));
        assert_eq!(Chip::from_image_chip_id(chip.spec().image_chip_id), Some(chip));
    }
    assert_eq!("esp8266".parse::<Chip>(), Err(UnknownChip));
}

#[test]
fn esp32_secure_boot_depends_on_the_revision() {
    assert_eq!(Chip::Esp32.spec_at(Revision::new(1, 1)).secure_boot, &[V1]);
    assert_eq!(Chip::Esp32.spec_at(Revision::new(3, 0)).secure_boot, &[V1, V2Rsa3072]);
}

#[test]
fn c5_and_p4_learned_schemes_later() {
    assert_eq!(Chip::Esp32c5.spec().secure_boot, &[V2EcdsaP256, V2EcdsaP384]);
    assert!(Chip::Esp32c5.spec_at(Revision::new(1, 0)).secure_boot.contains(&V2Rsa3072));
    assert_eq!(Chip::Esp32p4.spec_at(Revision::new(1, 3)).secure_boot, &[V2Rsa3072, V2EcdsaP256]);
    assert!(Chip::Esp32p4.spec_at(Revision::new(3, 1)).secure_boot.contains(&V2EcdsaP384));
}

#[test]
fn revisions_read_and_print() {
    assert_eq!("v3.1".parse(), Ok(Revision(301)));
    assert_eq!("0".parse(), Ok(Revision(0)));
    assert_eq!("three".parse::<Revision>(), Err(BadRevision));
    // what 16 bits hold of major * 100 + minor
    assert_eq!("655.35".parse(), Ok(Revision(65_535)));
    for text in ["656.0", "3.100", "656.100", "3.", "-1.0"] {
        assert_eq!(text.parse::<Revision>(), Err(BadRevision), "{text}");
    }
    assert_eq!(std::format!("{}", Revision(301)), "v3.1");
}

/// Formats sheet §0: chip, image chip id, bootloader offset, MMU page sizes in KiB, shared window, cipher, key digests,
/// base of the eFuse controller.
#[test]
fn rows_are_those_of_the_sheets_chip_table() {
    use Chip::*;
    let xts = |aes256, derived| FlashCipher::Xts { aes256, derived };
    let pages = [&[64][..], &[64, 32, 16], &[64, 32, 16, 8]];
    for (chip, id, bootloader, pages, shared, cipher, digests, efuse) in [
        (Esp32, 0x0000, 0x1000, pages[0], false, FlashCipher::AddressTweakedAes256, 0, 0x3FF5_A000),
        (Esp32s2, 0x0002, 0x1000, pages[0], false, xts(true, false), 3, 0x3F41_A000),
        (Esp32c3, 0x0005, 0x0000, pages[0], false, xts(false, false), 3, 0x6000_8800),
        (Esp32s3, 0x0009, 0x0000, pages[0], false, xts(true, false), 3, 0x6000_7000),
        (Esp32c2, 0x000C, 0x0000, pages[1], false, xts(false, true), 1, 0x6000_8800),
        (Esp32c6, 0x000D, 0x0000, pages[2], true, xts(false, false), 3, 0x600B_0800),
        (Esp32h2, 0x0010, 0x0000, pages[2], true, xts(false, false), 3, 0x600B_0800),
        (Esp32p4, 0x0012, 0x2000, pages[0], true, xts(true, false), 3, 0x5012_D000),
        (Esp32c61, 0x0014, 0x0000, pages[2], true, xts(false, false), 3, 0x600B_4800),
        (Esp32c5, 0x0017, 0x2000, pages[0], true, xts(false, false), 3, 0x600B_4800),
    ] {
        // the older silicon, and the newer where it has a row of its own
        for row in ROWS.iter().filter(|row| row.chip == chip) {
            assert_eq!((row.image_chip_id, row.bootloader_offset, row.efuse_base), (id, bootloader, efuse), "{chip}");
            assert!(row.mmu_pages.iter().map(|bytes| bytes / 1024).eq(pages.iter().copied()), "{chip}");
            assert_eq!((row.shared_map, row.flash_cipher), (shared, cipher), "{chip}");
            assert_eq!(row.signature_blocks, if chip == Esp32c2 { 1 } else { 3 }, "{chip}");
            let digests = if row.from_revision == Revision(300) && chip == Esp32 { 1 } else { digests };
            assert_eq!(row.key_digests, digests, "{chip}");
            assert_eq!(row.memory.drom == row.memory.irom, shared, "{chip}");
            assert_eq!(row.memory.dram == row.memory.iram, shared, "{chip}: one bus with one window");
            assert_eq!(row.wide_map, matches!(chip, Esp32s3 | Esp32c5 | Esp32c61 | Esp32p4), "{chip}");
        }
        let title = chip.spec().title;
        assert_eq!(title.to_lowercase().replace('-', ""), chip.name());
        assert_eq!(std::format!("{chip:?}").to_lowercase(), chip.name());
    }
}

/// The sheet's columns on secure boot, silicon by silicon.
#[test]
fn schemes_are_those_of_the_sheets_chip_table() {
    for (chip, revision, schemes) in [
        (Chip::Esp32, 299, &[V1][..]),
        (Chip::Esp32, 300, &[V1, V2Rsa3072]),
        (Chip::Esp32s2, 0, &[V2Rsa3072]),
        (Chip::Esp32c3, 0, &[V2Rsa3072]),
        (Chip::Esp32s3, 0, &[V2Rsa3072]),
        (Chip::Esp32c2, 0, &[V2EcdsaP192, V2EcdsaP256]),
        (Chip::Esp32c6, 0, &[V2Rsa3072, V2EcdsaP192, V2EcdsaP256]),
        (Chip::Esp32h2, 0, &[V2Rsa3072, V2EcdsaP192, V2EcdsaP256]),
        (Chip::Esp32p4, 299, &[V2Rsa3072, V2EcdsaP256]),
        (Chip::Esp32p4, 300, &[V2Rsa3072, V2EcdsaP256, V2EcdsaP384]),
        (Chip::Esp32c61, 0, &[V2EcdsaP256]),
        (Chip::Esp32c5, 0, &[V2EcdsaP256, V2EcdsaP384]),
        (Chip::Esp32c5, 1, &[V2Rsa3072, V2EcdsaP256, V2EcdsaP384]),
    ] {
        assert_eq!(chip.spec_at(Revision(revision)).secure_boot, schemes, "{chip} at {revision}");
    }
}

/// Formats sheet §1.3: chip, mapped data, mapped code, RAM on the data bus and on the instruction bus, and the first of the
/// other ranges that a segment may be loaded to.
#[test]
fn memory_ranges_are_the_sheets() {
    use Chip::*;
    for (chip, drom, irom, dram, iram, rtc) in [
        (Esp32, 0x3F40..0x3F80, 0x400D..0x4040, 0x3FFA_E000..0x4000_0000, 0x4008_0000..0x400A_A000, 0x400C_0000),
        (Esp32s2, 0x3F00..0x3FF8, 0x4008..0x4080, 0x3FFB_0000..0x4000_0000, 0x4002_0000..0x4007_0000, 0x4007_0000),
        (Esp32s3, 0x3C00..0x3E00, 0x4200..0x4400, 0x3FC8_8000..0x3FD0_0000, 0x4037_0000..0x403E_0000, 0x600F_E000),
        (Esp32c3, 0x3C00..0x3C80, 0x4200..0x4280, 0x3FC8_0000..0x3FCE_0000, 0x4037_C000..0x403E_0000, 0x5000_0000),
        (Esp32c2, 0x3C00..0x3C40, 0x4200..0x4240, 0x3FCA_0000..0x3FCE_0000, 0x4037_C000..0x403C_0000, 0),
        (Esp32c5, 0x4200..0x4400, 0x4200..0x4400, 0x4080_0000..0x4086_0000, 0x4080_0000..0x4086_0000, 0x5000_0000),
        (Esp32c6, 0x4200..0x4300, 0x4200..0x4300, 0x4080_0000..0x4088_0000, 0x4080_0000..0x4088_0000, 0x5000_0000),
        (Esp32c61, 0x4200..0x4400, 0x4200..0x4400, 0x4080_0000..0x4085_0000, 0x4080_0000..0x4085_0000, 0),
        (Esp32h2, 0x4200..0x4300, 0x4200..0x4300, 0x4080_0000..0x4085_0000, 0x4080_0000..0x4085_0000, 0x5000_0000),
        (Esp32p4, 0x4000..0x4400, 0x4000..0x4400, 0x4FF0_0000..0x4FFC_0000, 0x4FF0_0000..0x4FFC_0000, 0x3010_0000),
    ] {
        let wide = |high: Range<u32>| high.start << 16..high.end << 16;
        for Spec { memory, .. } in ROWS.iter().filter(|row| row.chip == chip) {
            assert_eq!((&memory.drom, &memory.irom), (&wide(drom.clone()), &wide(irom.clone())), "{chip}");
            assert_eq!((&memory.dram, &memory.iram), (&dram, &iram), "{chip}");
            assert_eq!(memory.rtc.first().map_or(0, |range| range.start), rtc, "{chip}");
            // the PSRAM window of the P4
            let psram = if chip == Esp32p4 { &[0x4800_0000..0x4C00_0000][..] } else { &[] };
            assert_eq!(memory.mapped, psram, "{chip}");
        }
    }
}
