//! What the vector kernels are held against beside the vendor's vectors: each other, over long runs.

use super::*;
use std::vec::Vec;

#[test]
fn paths_have_names() {
    assert_eq!(Path::ALL.map(Path::name), ["portable", "aes-ni", "avx512"]);
}

#[test]
fn long_runs_are_the_same_on_every_path() {
    let plain: Vec<u8> = (0..0x10_0000_u32).map(|i| (i.wrapping_mul(0x9E37_79B9) >> 24) as u8).collect();
    for key in [FlashKey::Xts128([0x5A; 32]), FlashKey::Esp32 { key: [0x5A; 32], config: CryptConfig::new(0xF) }] {
        let by = |path| {
            let mut bytes = plain.clone();
            FlashCipher::with_path(&key, path).encrypt(0x1_0010, &mut bytes).unwrap();
            bytes
        };
        let expected = by(Path::Portable);
        assert!(expected != plain);
        for path in Path::ALL.into_iter().filter(|path| path.is_available()) {
            assert!(by(path) == expected, "{key:?} on {}", path.name());
            let mut bytes = expected.clone();
            FlashCipher::with_path(&key, path).decrypt(0x1_0010, &mut bytes).unwrap();
            assert!(bytes == plain, "{key:?} back on {}", path.name());
        }
    }
}
