//! Keys made ready for the kernels, and the choice of kernel for each part of the data.

use super::{
    Direction, Path,
    tables::{Block, Tables},
    xmm,
    xts::XtsKeys,
    zmm,
};

/// A key for a path. Made only for paths that the machine has.
struct For<K> {
    path: Path,
    key: Option<K>,
}

impl<K> For<K> {
    /// `key` is called on machines with AES-NI and AVX only.
    fn new(path: Path, key: impl FnOnce() -> K) -> Self {
        let path = path.min(Path::fastest());
        Self { path, key: (path >= Path::AesNi).then(key) }
    }
}

/// The ESP32's scheme in bulk.
pub struct Esp32(For<Tables>);

impl Esp32 {
    /// `row_key(address)` is the AES key of a row. A path that the machine has not is lowered to one that it has.
    pub fn new(path: Path, row_key: impl Fn(u32) -> [u8; 32]) -> Self {
        Self(For::new(path, || Tables::new(row_key)))
    }

    /// Hands what no kernel takes to `rest`. Address and length are multiples of 16.
    pub fn run(&self, direction: Direction, address: u32, data: &mut [u8], rest: &mut dyn FnMut(u32, &mut [u8])) {
        let For { path, key } = &self.0;
        let Some(key) = key else { return rest(address, data) };
        let mut narrow = |address: u32, data: &mut [u8]| {
            if data.is_empty() {
                return;
            }
            let (at, [head, groups, tail]) = cut::<{ xmm::GROUP }>(address, data);
            // SAFETY: a key is there, so the machine has AES-NI and AVX.
            match direction {
                Direction::Encrypt => unsafe { xmm::esp32_encrypt(key, at[1], xmm_groups(groups)) },
                Direction::Decrypt => unsafe { xmm::esp32_decrypt(key, at[1], xmm_groups(groups)) },
            }
            rest(at[0], head);
            rest(at[2], tail);
        };
        if *path < Path::Avx512 {
            return narrow(address, data);
        }
        let (at, [head, groups, tail]) = cut::<{ zmm::GROUP }>(address, data);
        // SAFETY: the path is one that the machine has: AVX-512 and VAES.
        match direction {
            Direction::Encrypt => unsafe { zmm::esp32_encrypt(key, at[1], zmm_groups(groups)) },
            Direction::Decrypt => unsafe { zmm::esp32_decrypt(key, at[1], zmm_groups(groups)) },
        }
        narrow(at[0], head);
        narrow(at[2], tail);
    }
}

/// XTS-AES in bulk: 11 round keys with AES-128, 15 with AES-256.
pub struct Xts<const KEYS: usize>(For<XtsKeys<KEYS>>);

impl<const KEYS: usize> Xts<KEYS> {
    /// The key's halves are for data and tweak. A path that the machine has not is lowered to one that it has.
    pub fn new(path: Path, key: &[u8]) -> Self {
        let (data, tweak) = key.split_at(key.len() / 2);
        Self(For::new(path, || {
            // SAFETY: `For::new` calls this on machines with AES-NI and AVX only.
            let (encrypt, tweak) = unsafe { (xmm::expanded(data), xmm::expanded(tweak)) };
            let mut decrypt: [Block; KEYS] = encrypt;
            decrypt.reverse();
            if let [_, between @ .., _] = &mut decrypt[..] {
                for key in between {
                    // SAFETY: as above.
                    *key = unsafe { xmm::mixed(*key) };
                }
            }
            XtsKeys { encrypt, decrypt, tweak }
        }))
    }

    /// Hands what no kernel takes to `rest`. Address and length are multiples of 16.
    pub fn run(&self, direction: Direction, address: u32, data: &mut [u8], rest: &mut dyn FnMut(u32, &mut [u8])) {
        let For { path, key } = &self.0;
        let Some(key) = key else { return rest(address, data) };
        // the units of a group need not be aligned to more than a unit
        let (at, [head, units, tail]) = cut::<{ xmm::GROUP }>(address, data);
        let wide = if *path < Path::Avx512 { 0 } else { units.len() / zmm::GROUP * zmm::GROUP };
        let (wide, narrow) = units.split_at_mut(wide);
        let narrow_at = at[1].wrapping_add(wide.len() as u32);
        // SAFETY: the path is one that the machine has, if `wide` is not empty: AVX-512 and VAES. A key is there, so the
        // machine has AES-NI and AVX.
        match direction {
            Direction::Encrypt => unsafe {
                if !wide.is_empty() {
                    zmm::xts_encrypt(key, at[1], zmm_groups(wide));
                }
                xmm::xts_encrypt(key, narrow_at, xmm_groups(narrow));
            },
            Direction::Decrypt => unsafe {
                if !wide.is_empty() {
                    zmm::xts_decrypt(key, at[1], zmm_groups(wide));
                }
                xmm::xts_decrypt(key, narrow_at, xmm_groups(narrow));
            },
        }
        rest(at[0], head);
        rest(at[2], tail);
    }
}

/// Cuts `data` into what lies before, in, and after the whole groups of `SIZE` bytes (a power of two) in flash; with the
/// addresses of the three.
fn cut<const SIZE: usize>(address: u32, data: &mut [u8]) -> ([u32; 3], [&mut [u8]; 3]) {
    let to_boundary = address.wrapping_neg() as usize % SIZE;
    let (head, rest) = data.split_at_mut(to_boundary.min(data.len()));
    let (groups, tail) = rest.split_at_mut(rest.len() / SIZE * SIZE);
    let groups_at = address.wrapping_add(head.len() as u32);
    let tail_at = groups_at.wrapping_add(groups.len() as u32);
    ([address, groups_at, tail_at], [head, groups, tail])
}

fn xmm_groups(data: &mut [u8]) -> &mut [xmm::Group] {
    data.as_chunks_mut().0.as_chunks_mut().0.as_chunks_mut().0
}

fn zmm_groups(data: &mut [u8]) -> &mut [zmm::Group] {
    data.as_chunks_mut().0.as_chunks_mut().0.as_chunks_mut().0
}
