//! Flash encryption against files made by espsecure (`tests/vectors/fe_esp32`, `fe_xts`) and against a second, slow
//! implementation written straight from the formats sheet (§4.1, §5.1).

use aes::{
    Aes128, Aes256, Block,
    cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit},
};
use dryburn::flash_encryption::{BadKeyLength, CryptConfig, FlashCipher, FlashKey, KeyScheme, Misaligned, Path};
use proptest::prelude::*;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::{fs, path::PathBuf};

fn vector(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn encrypted(key: &FlashKey, address: u32, data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    FlashCipher::new(key).encrypt(address, &mut data).unwrap();
    data
}

fn decrypted(key: &FlashKey, address: u32, data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    FlashCipher::new(key).decrypt(address, &mut data).unwrap();
    data
}

/// The paths that this machine has.
fn paths() -> impl Iterator<Item = Path> {
    Path::ALL.into_iter().filter(|path| path.is_available())
}

fn check(ciphertext: &str, plaintext: &str, key: &str, scheme: KeyScheme, address: u32) {
    let key = FlashKey::from_file(&vector(key), scheme).unwrap();
    let (plain, cipher) = (vector(plaintext), vector(ciphertext));
    for path in paths() {
        let engine = FlashCipher::with_path(&key, path);
        let (mut there, mut back) = (plain.clone(), cipher.clone());
        engine.encrypt(address, &mut there).unwrap();
        assert_eq!(hex::encode(there), hex::encode(&cipher), "encrypting {ciphertext}, {}", path.name());
        engine.decrypt(address, &mut back).unwrap();
        assert_eq!(hex::encode(back), hex::encode(&plain), "decrypting {ciphertext}, {}", path.name());
    }
}

#[test]
fn esp32_files_of_espsecure() {
    let k32 = "keys/k32_00_1f.bin";
    for (file, key, address, config) in [
        ("ct64_k24_a0x10000_c0xF", "keys/k24_00_17.bin", 0x10000, 0xF),
        ("ct64_k32_a0x0_c0xF", k32, 0, 0xF),
        ("ct64_k32_a0x1000_c0xF", k32, 0x1000, 0xF),
        ("ct64_k32_a0x10000_c0xF", k32, 0x10000, 0xF),
        ("ct64_k32_a0x10010_c0xF", k32, 0x10010, 0xF),
        ("ct64_k32_a0xABCDE0_c0x0", k32, 0xAB_CDE0, 0),
        ("ct64_k32_a0xABCDE0_c0x1", k32, 0xAB_CDE0, 1),
        ("ct64_k32_a0xABCDE0_c0x2", k32, 0xAB_CDE0, 2),
        ("ct64_k32_a0xABCDE0_c0x4", k32, 0xAB_CDE0, 4),
        ("ct64_k32_a0xABCDE0_c0x8", k32, 0xAB_CDE0, 8),
        ("ct64_k32_a0xABCDE0_c0xF", k32, 0xAB_CDE0, 0xF),
        ("ct64_k32_a0xFFFFC0_c0xF", k32, 0xFF_FFC0, 0xF),
    ] {
        let scheme = KeyScheme::Esp32(CryptConfig::new(config));
        check(&format!("fe_esp32/{file}.bin"), "fe_esp32/pt64.bin", key, scheme, address);
    }
    let zero = "fe_esp32/ct32zero_k32zero_a0.bin";
    check(zero, "fe_esp32/pt32_zero.bin", "keys/k32_zero.bin", KeyScheme::Esp32(CryptConfig::ALL), 0);
}

#[test]
fn xts_files_of_espsecure() {
    let [k16, k32, k64] = ["k16_00_0f", "k32_00_1f", "k64_00_3f"];
    for (file, plain, key, address) in [
        ("ct256_xts128_a0x0", "pt256", k32, 0),
        ("ct256_xts128_a0x10000", "pt256", k32, 0x10000),
        ("ct256_xts128_a0x10010", "pt256", k32, 0x10010),
        ("ct256_xts128_a0x10040", "pt256", k32, 0x10040),
        ("ct256_xts128_a0x1FFFF80", "pt256", k32, 0x1FF_FF80),
        ("ct256_xts128_a0xABCD80", "pt256", k32, 0xAB_CD80),
        ("ct256_xts256_a0x10000", "pt256", k64, 0x10000),
        ("ct256_xts256_a0x10010", "pt256", k64, 0x10010),
        ("ct256_xtsderived_a0x10000", "pt256", k16, 0x10000),
        ("ct256_xtsderived_a0x10010", "pt256", k16, 0x10010),
        ("ct48_xts128_a0x10010", "pt48", k32, 0x10010),
        ("ct16zero_xts128_a0x10000", "pt16_zero", k32, 0x10000),
    ] {
        let files = [format!("fe_xts/{file}.bin"), format!("fe_xts/{plain}.bin"), format!("keys/{key}.bin")];
        check(&files[0], &files[1], &files[2], KeyScheme::Xts, address);
    }
}

#[test]
fn every_vector_file_is_used() {
    let here = include_str!("flash_encryption.rs");
    for folder in ["fe_esp32", "fe_xts"] {
        for entry in fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder)).unwrap()
        {
            let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(here.contains(&name), "{folder}/{name} is not in any test");
        }
    }
}

#[test]
fn key_lengths() {
    let esp32 = KeyScheme::Esp32(CryptConfig::ALL);
    for len in 0..=80 {
        let bytes = vec![1; len];
        assert_eq!(FlashKey::from_file(&bytes, esp32).is_ok(), [24, 32].contains(&len), "ESP32, {len} bytes");
        assert_eq!(
            FlashKey::from_file(&bytes, KeyScheme::Xts).is_ok(),
            [16, 32, 64].contains(&len),
            "XTS, {len} bytes"
        );
    }
    assert_eq!(FlashKey::from_file(&[0; 16], esp32), Err(BadKeyLength::Esp32 { found: 16 }));
    assert_eq!(FlashKey::from_file(&[0; 24], KeyScheme::Xts), Err(BadKeyLength::Xts { found: 24 }));
}

#[test]
fn debug_shows_no_key() {
    for key in [
        FlashKey::Esp32 { key: [0xA7; 32], config: CryptConfig::ALL },
        FlashKey::Xts128([0xA7; 32]),
        FlashKey::Xts256([0xA7; 64]),
    ] {
        let text = format!("{key:?} {:?}", FlashCipher::new(&key));
        assert!(!text.contains("167") && !text.to_lowercase().contains("a7"), "{text}");
    }
}

#[test]
fn misaligned_data_is_refused_untouched() {
    let cipher = FlashCipher::new(&FlashKey::Xts128([1; 32]));
    for (address, len) in [(8, 32), (0, 31), (1, 1)] {
        let mut data = vec![0x5A; len];
        assert_eq!(cipher.encrypt(address, &mut data), Err(Misaligned { address, len }));
        assert_eq!(cipher.decrypt(address, &mut data), Err(Misaligned { address, len }));
        assert_eq!(data, vec![0x5A; len]);
    }
    assert_eq!(cipher.encrypt(0, &mut []), Ok(()));
}

/// The sheet's formulas for one 16-byte piece, bit by bit and without any of the crate's code.
fn naive(key: &FlashKey, address: u32, piece: [u8; 16], encrypt: bool) -> [u8; 16] {
    let mut block = Block::from(piece);
    block.reverse();
    match key {
        FlashKey::Esp32 { key, config } => {
            let mut tweaked = *key;
            for n in 0..256 {
                let (range, first, last_run) = match n {
                    0..=66 => (0, 0, 14),
                    67..=131 => (1, 67, 12),
                    132..=194 => (2, 132, 10),
                    _ => (3, 195, 8),
                };
                let n_in = n - first;
                let address_bit = if n_in < 57 { 23 - n_in % 19 } else { last_run - (n_in - 57) };
                if config.bits() >> range & 1 == 1 && address >> address_bit & 1 == 1 {
                    tweaked[n / 8] ^= 1 << (7 - n % 8);
                }
            }
            let cipher = Aes256::new(&tweaked.into());
            if encrypt { cipher.decrypt_block(&mut block) } else { cipher.encrypt_block(&mut block) }
        }
        FlashKey::Xts128(key) => {
            let [data, tweak] = [0, 16].map(|at| Aes128::new(key[at..at + 16].try_into().unwrap()));
            naive_xts(&data, &tweak, address, &mut block, encrypt);
        }
        FlashKey::Xts256(key) => {
            let [data, tweak] = [0, 32].map(|at| Aes256::new(key[at..at + 32].try_into().unwrap()));
            naive_xts(&data, &tweak, address, &mut block, encrypt);
        }
    }
    block.reverse();
    block.into()
}

fn naive_xts<C>(data: &C, tweak: &C, address: u32, block: &mut Block, encrypt: bool)
where
    C: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16> + BlockCipherDecrypt,
{
    let mut t = Block::from(u128::from(address & !0x7F).to_le_bytes());
    tweak.encrypt_block(&mut t);
    let mut t = u128::from_le_bytes(t.into());
    for _ in 0..7 - (address & 0x7F) / 16 {
        t = (t << 1) ^ if t >> 127 == 1 { 0x87 } else { 0 };
    }
    let t = t.to_le_bytes();
    block.iter_mut().zip(t).for_each(|(b, t)| *b ^= t);
    if encrypt {
        data.encrypt_block(block)
    } else {
        data.decrypt_block(block)
    }
    block.iter_mut().zip(t).for_each(|(b, t)| *b ^= t);
}

fn naive_all(key: &FlashKey, address: u32, data: &[u8], encrypt: bool) -> Vec<u8> {
    let pieces = data.chunks(16).zip((0u32..).step_by(16));
    pieces.flat_map(|(piece, at)| naive(key, address.wrapping_add(at), piece.try_into().unwrap(), encrypt)).collect()
}

fn key() -> impl Strategy<Value = FlashKey> {
    prop_oneof![
        (any::<[u8; 32]>(), 0u8..16).prop_map(|(key, c)| FlashKey::Esp32 { key, config: CryptConfig::new(c) }),
        (any::<[u8; 24]>(), 0u8..16).prop_map(|(key, c)| FlashKey::esp32_192(key, CryptConfig::new(c))),
        any::<[u8; 16]>().prop_map(FlashKey::xts_derived),
        any::<[u8; 32]>().prop_map(FlashKey::Xts128),
        prop::collection::vec(any::<u8>(), 64).prop_map(|k| FlashKey::Xts256(k.try_into().unwrap())),
    ]
}

/// Addresses anywhere, with the ends of the ESP32's 16 MB and of the address space well represented.
fn address() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0u32..0x40_0000, 0xFF_FF00u32..0x100_0100, 0xFFFF_FF00u32..=0xFFFF_FFFF]
        .prop_map(|a| a & !15)
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    (0usize..=40).prop_flat_map(|pieces| prop::collection::vec(any::<u8>(), pieces * 16))
}

/// A random number below `end`.
fn below(rng: &mut ChaCha8Rng, end: u32) -> u32 {
    rng.next_u32() % end
}

fn random_key(rng: &mut ChaCha8Rng) -> FlashKey {
    let mut key = [0; 64];
    rng.fill_bytes(&mut key);
    let half = *key.first_chunk().unwrap();
    match below(rng, 4) {
        0 | 1 => FlashKey::Esp32 { key: half, config: CryptConfig::new(below(rng, 16) as u8) },
        2 => FlashKey::Xts128(half),
        _ => FlashKey::Xts256(key),
    }
}

/// Every path gives the sheet's bytes, for any key, configuration, address, length and alignment of the buffer, and
/// leaves the bytes beside them alone.
#[test]
fn every_path_gives_the_same_bytes() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let mut cases = [0; 3];
    for case in 0..12_000u32 {
        let key = random_key(rng);
        let near = [0x1_0000, 0xFF_F000, 0x7F_FE00, 0xFFFF_F000, rng.next_u32()][below(rng, 5) as usize];
        let address = below(rng, 0x1000).wrapping_add(near) & !15;
        let longest = [8, 40, 160][below(rng, 3) as usize];
        let pieces = below(rng, longest) as usize;
        let (before, after) = (below(rng, 64) as usize, below(rng, 64) as usize);
        let mut plain = vec![0; before + pieces * 16 + after];
        rng.fill_bytes(&mut plain);
        let data = before..before + pieces * 16;
        let mut there = plain.clone();
        there[data.clone()].copy_from_slice(&naive_all(&key, address, &plain[data.clone()], true));
        for path in paths() {
            let what = format!("case {case}: {key:?}, {address:#x}, {pieces} pieces, {}", path.name());
            let (engine, mut bytes) = (FlashCipher::with_path(&key, path), plain.clone());
            engine.encrypt(address, &mut bytes[data.clone()]).unwrap();
            assert!(bytes == there, "encrypting, {what}");
            engine.decrypt(address, &mut bytes[data.clone()]).unwrap();
            assert!(bytes == plain, "decrypting, {what}");
            cases[path as usize] += 1;
        }
    }
    for path in Path::ALL {
        match cases[path as usize] {
            0 => println!("skipped: this machine has no {}", path.name()),
            count => println!("{count} cases on {}", path.name()),
        }
    }
}

proptest! {
    #[test]
    fn decrypting_undoes_encrypting(key in key(), address in address(), data in data()) {
        let there = encrypted(&key, address, &data);
        prop_assert_eq!(decrypted(&key, address, &there), data);
    }

    #[test]
    fn agrees_with_the_sheet_piece_by_piece(key in key(), address in address(), data in data()) {
        prop_assert_eq!(encrypted(&key, address, &data), naive_all(&key, address, &data, true));
        prop_assert_eq!(decrypted(&key, address, &data), naive_all(&key, address, &data, false));
    }

    #[test]
    fn may_be_cut_anywhere(key in key(), address in address(), data in data(), cut in any::<prop::sample::Index>()) {
        let at = cut.index(data.len() / 16 + 1) * 16;
        let (left, right) = data.split_at(at);
        let after = address.wrapping_add(at as u32);
        let parts = [encrypted(&key, address, left), encrypted(&key, after, right)].concat();
        prop_assert_eq!(parts, encrypted(&key, address, &data));
        let parts = [decrypted(&key, address, left), decrypted(&key, after, right)].concat();
        prop_assert_eq!(parts, decrypted(&key, address, &data));
    }

    #[test]
    fn the_esp32_ignores_address_bits_24_and_up(key in any::<[u8; 32]>(), address in address(), data in data()) {
        let key = FlashKey::Esp32 { key, config: CryptConfig::ALL };
        prop_assert_eq!(encrypted(&key, address, &data), encrypted(&key, address & 0xFF_FFFF, &data));
    }
}
