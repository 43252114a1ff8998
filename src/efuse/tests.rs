use super::*;
use crate::{SecureBootScheme, efuse::security::*, secure_boot::KeyDigest};
use std::{collections::BTreeSet, vec, vec::Vec};

/// A chip whose words are what the test says, without protection.
struct Words(Chip, Vec<(usize, usize, u32)>);

impl Efuse for Words {
    fn chip(&self) -> Chip {
        self.0
    }
    fn read_word(&self, block: usize, word: usize) -> u32 {
        self.1.iter().find(|(b, w, _)| (*b, *w) == (block, word)).map_or(0, |(_, _, v)| *v)
    }
}

#[test]
fn every_field_lies_inside_its_block_and_has_one_name() {
    for chip in Chip::ALL {
        for revision in [Revision(0), Revision(300)] {
            let mut names = BTreeSet::new();
            for f in fields_at(chip, revision) {
                let block = &blocks(chip)[usize::from(f.block)];
                assert!(f.bit + f.len <= u16::from(block.words) * 32, "{chip} {}", f.name);
                assert!(f.len > 0 && names.insert(f.name), "{chip} {} twice", f.name);
                if f.block > 0 {
                    assert_eq!(f.write_disable, block.write_disable, "{chip} {}", f.name);
                }
            }
        }
    }
}

#[test]
fn fields_are_found_by_alias_in_any_case() {
    assert_eq!(field(Chip::Esp32, "encrypt_config").map(|f| f.name), Some("FLASH_CRYPT_CONFIG"));
    assert_eq!(field(Chip::Esp32c3, "Key0_Purpose").map(|f| f.bit), Some(2 * 32 + 24));
    assert_eq!(field(Chip::Esp32p4, "KEY_PURPOSE_0_H").map(|f| f.bit), Some(4 * 32 + 27));
    assert!(field_at(Chip::Esp32h2, Revision::new(1, 1), "ECDSA_FORCE_USE_HARDWARE_K").is_some());
    assert!(field_at(Chip::Esp32h2, Revision::new(1, 2), "ECDSA_FORCE_USE_HARDWARE_K").is_none());
    assert!(field(Chip::Esp32, "KEY_PURPOSE_0").is_none());
}

#[test]
fn a_field_may_span_two_words() {
    // OCODE of the C2: block 2, bits 62..69
    let e = Words(Chip::Esp32c2, vec![(2, 1, 0xC000_0000), (2, 2, 0x0000_0015)]);
    assert_eq!(read(&e, "OCODE"), 0b101_0111);
    assert_eq!(read(&e, "NO_SUCH_FIELD"), 0);
}

#[test]
fn crypt_counts_count_bits_not_values() {
    let at = |value| CryptCount { value, bits: 7 };
    assert_eq!([0x00, 0x01, 0x03, 0x07, 0x10, 0x7F].map(|v| at(v).enabled()), [false, true, false, true, true, true]);
    assert_eq!([0x00, 0x01, 0x40, 0x07, 0x7F].map(|v| at(v).plaintext_flashes_left()), [3, 3, 3, 2, 0]);
    let e = Words(Chip::Esp32, vec![(0, 0, 0x0470_0004)]);
    assert_eq!(crypt_count(&e), CryptCount { value: 0x47, bits: 7 });
    assert!(crypt_count_write_protected(&e));
    assert!(!crypt_count_write_protected(&Words(Chip::Esp32c3, vec![(0, 0, 0x04)])));
    assert!(crypt_count_write_protected(&Words(Chip::Esp32c3, vec![(0, 0, 0x10)])));
}

#[test]
fn revisions() {
    let esp32 = |w3, w5| chip_revision(&Words(Chip::Esp32, vec![(0, 3, w3), (0, 5, w5)]));
    assert_eq!(esp32(0, 0), Revision(0));
    assert_eq!(esp32(0x8000, 0), Revision(100));
    assert_eq!(esp32(0x8000, 0x0110_0000), Revision(301));
    assert_eq!(block_revision(&Words(Chip::Esp32, vec![])), None);
    // the emulator's eFuse file of a C3 v0.3: byte 0x26 is 0x0C
    assert_eq!(chip_revision(&Words(Chip::Esp32c3, vec![(1, 3, 0x000C_0000)])), Revision(3));
    assert_eq!(chip_revision(&Words(Chip::Esp32c3, vec![(1, 5, 1 << 24 | 1 << 23)])), Revision(108));
    // P4: major 5 = 1 << 2 | 1
    let p4 = Words(Chip::Esp32p4, vec![(1, 2, 1 << 23 | 1 << 4 | 2), (0, 4, 1 << 27)]);
    assert_eq!(chip_revision(&p4), Revision(502));
    assert_eq!(key_purpose(&p4, 0), Some(16));
    // S3: block version v1.1 with minor low bits zero is v0.0 whatever the major says
    assert_eq!(chip_revision(&Words(Chip::Esp32s3, vec![(1, 5, 1 << 24), (1, 3, 1 << 24), (2, 4, 1)])), Revision(0));
    assert_eq!(chip_revision(&Words(Chip::Esp32s3, vec![(1, 5, 1 << 24), (1, 3, 1 << 24)])), Revision(100));
}

#[test]
fn the_s3s_first_revision_is_no_other_chips() {
    // block version v1.1 (block 2, word 4) and minor revision 0
    let block_1_1 = |chip, minor| {
        let major = field(chip, "WAFER_VERSION_MAJOR").unwrap();
        let blocks = ["BLK_VERSION_MAJOR", "BLK_VERSION_MINOR"].map(|name| field(chip, name).unwrap());
        let low = field(chip, "WAFER_VERSION_MINOR_LO").unwrap();
        let mut words: Vec<(usize, usize, u32)> = Vec::new();
        for (f, value) in [(major, 1), (blocks[0], 1), (blocks[1], 1), (low, minor)] {
            let (block, word) = (usize::from(f.block), usize::from(f.bit / 32));
            let bits = value << (f.bit % 32);
            match words.iter_mut().find(|(b, w, _)| (*b, *w) == (block, word)) {
                Some((.., v)) => *v |= bits,
                None => words.push((block, word, bits)),
            }
        }
        let e = Words(chip, words);
        assert_eq!(block_revision(&e), Some(Revision::new(1, 1)));
        chip_revision(&e)
    };
    assert_eq!(block_1_1(Chip::Esp32s3, 0), Revision(0));
    assert_eq!(block_1_1(Chip::Esp32s3, 2), Revision(102));
    assert_eq!(block_1_1(Chip::Esp32c3, 0), Revision(100));
    assert_eq!(block_1_1(Chip::Esp32s2, 0), Revision(100));
}

/// Formats sheet §8.2: block, word and bit of DISABLE_WAFER_VERSION_MAJOR.
#[test]
fn maximum_revisions_are_lifted_one_by_one() {
    for (chip, block, word, bit) in [
        (Chip::Esp32s2, 0, 5, 0),
        (Chip::Esp32s3, 0, 5, 0),
        (Chip::Esp32c3, 0, 5, 0),
        (Chip::Esp32c6, 0, 5, 0),
        (Chip::Esp32h2, 1, 3, 23),
        (Chip::Esp32c5, 1, 2, 6),
        (Chip::Esp32c61, 1, 2, 6),
        (Chip::Esp32p4, 1, 2, 6),
        (Chip::Esp32c2, 0, 1, 27),
    ] {
        let none = Words(chip, vec![]);
        assert!(!wafer_major_disabled(&none) && !block_major_disabled(&none), "{chip}");
        let e = Words(chip, vec![(block, word, 1 << bit)]);
        assert!(wafer_major_disabled(&e) && !block_major_disabled(&e), "{chip}");
        let f = field(chip, "DISABLE_BLK_VERSION_MAJOR").unwrap();
        let e = Words(chip, vec![(f.block.into(), (f.bit / 32).into(), 1 << (f.bit % 32))]);
        assert!(!wafer_major_disabled(&e) && block_major_disabled(&e), "{chip}");
    }
    let all = (0..4).flat_map(|block| (0..8).map(move |word| (block, word, u32::MAX))).collect();
    let esp32 = Words(Chip::Esp32, all);
    assert!(!wafer_major_disabled(&esp32) && !block_major_disabled(&esp32), "no such eFuses");
}

#[test]
fn secure_boot_is_on_by_its_own_efuse() {
    let on = |chip, words| {
        let e = Words(chip, words);
        (secure_boot_v1_enabled(&e), secure_boot_v2_enabled(&e))
    };
    // ABS_DONE_0 and ABS_DONE_1: block 0, word 6, bits 4 and 5; SECURE_BOOT_EN of the C3: word 3, bit 20
    assert_eq!(on(Chip::Esp32, vec![]), (false, false));
    assert_eq!(on(Chip::Esp32, vec![(0, 6, 1 << 4)]), (true, false));
    assert_eq!(on(Chip::Esp32, vec![(0, 6, 1 << 5)]), (false, true));
    assert_eq!(on(Chip::Esp32c3, vec![(0, 6, 3 << 4)]), (false, false));
    assert_eq!(on(Chip::Esp32c3, vec![(0, 3, 1 << 20)]), (false, true));
}

#[test]
fn digests_by_purpose_and_revocation() {
    let mut words = vec![(0, 2, 9 << 24 | 10 << 28), (5, 0, 0x0403_0201), (0, 4, 0)];
    let e = Words(Chip::Esp32c3, words.clone());
    let digests = secure_boot_digests(&e);
    assert_eq!(digests[0], Some(KeyDigest::Whole([0; 32])));
    assert!(digests[1].is_some_and(|d| d.as_ref()[..4] == [1, 2, 3, 4]));
    assert_eq!(digests[2], None);
    words[0].2 |= 1 << 22; // SECURE_BOOT_KEY_REVOKE1
    assert_eq!(secure_boot_digests(&Words(Chip::Esp32c3, words))[1], None);
    let c2 = Words(Chip::Esp32c2, vec![(3, 0, 7), (3, 4, 0x0A)]);
    let half = |first| Some(KeyDigest::FirstHalf(core::array::from_fn(|i| if i == 0 { first } else { 0 })));
    assert_eq!(secure_boot_digests(&c2)[0], half(0x0A));
    // nothing but a flash encryption key: a digest that no key has
    assert_eq!(secure_boot_digests(&Words(Chip::Esp32c2, vec![(3, 0, 7)]))[0], half(0));
    assert_eq!(secure_boot_digests(&Words(Chip::Esp32c2, vec![]))[0], None);
}

#[test]
fn sha384_en_leaves_p384_only() {
    use SecureBootScheme::{V2EcdsaP256, V2EcdsaP384, V2Rsa3072};
    let c5 = |words| secure_boot_schemes(&Words(Chip::Esp32c5, words));
    assert_eq!(c5(vec![(1, 2, 1 << 4)]), [V2Rsa3072, V2EcdsaP256, V2EcdsaP384]);
    assert_eq!(c5(vec![(1, 2, 1 << 4), (0, 4, 1 << 31)]), [V2EcdsaP384]);
    // the P4 before v3.0 has no such field
    assert_eq!(secure_boot_schemes(&Words(Chip::Esp32p4, vec![(0, 5, 1 << 19)])), [V2Rsa3072, V2EcdsaP256]);
}

#[test]
fn purposes_have_the_vendors_numbers() {
    assert_eq!(KeyPurpose::from_value(Chip::Esp32c3, 2), None);
    assert_eq!(KeyPurpose::from_value(Chip::Esp32s3, 2), Some(KeyPurpose::XtsAes256Key1));
    assert_eq!(KeyPurpose::from_name(Chip::Esp32c5, "ECDSA_KEY_P384_H").map(KeyPurpose::value), Some(18));
    assert_eq!(KeyPurpose::Reserved.value_on(Chip::Esp32h2), Some(2));
    assert_eq!(KeyPurpose::Reserved.value_on(Chip::Esp32c61), None);
    assert_eq!(KeyPurpose::all(Chip::Esp32).count(), 0);
    let values = |chip| KeyPurpose::all(chip).filter_map(|purpose| purpose.value_on(chip)).collect::<Vec<u8>>();
    assert_eq!(values(Chip::Esp32c3), [0, 1, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(values(Chip::Esp32s3), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(values(Chip::Esp32c61), [0, 1, 4, 9, 10, 11]);
    assert!(KeyPurpose::HmacUp.is_secret() && !KeyPurpose::SecureBootDigest2.is_secret());
}
