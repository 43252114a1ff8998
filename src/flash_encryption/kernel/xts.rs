//! XTS-AES of the later chips: written once, for vectors of any width.
//!
//! A unit of 128 bytes needs one AES operation for its tweak and eight for its blocks, too few to keep the AES units busy:
//! each waits for the one before. So a group's eight vectors go through the rounds together, and with them the tweaks of
//! the next group; the tweaks of the four units of a 512-bit group are one vector.
//!
//! The byte reversal of the whole unit is a byte reversal of each block and the other order of the tweaks.

use super::tables::Block;

/// An XTS key for the kernels: round keys in the order of use.
pub struct XtsKeys<const KEYS: usize> {
    /// Of the data, forwards.
    pub encrypt: [Block; KEYS],
    /// Of the data, backwards.
    pub decrypt: [Block; KEYS],
    /// Of the tweak.
    pub tweak: [Block; KEYS],
}

macro_rules! xts_kernel {
    ($features:literal) => {
        /// Encrypts groups. `address` is that of the first group, a multiple of 128.
        #[target_feature(enable = $features)]
        #[allow(clippy::redundant_closure, reason = "a function with target features does not implement Fn")]
        pub fn xts_encrypt<const KEYS: usize>(keys: &XtsKeys<KEYS>, address: u32, groups: &mut [Group]) {
            let data_keys = vectors(&keys.encrypt);
            xts_run(
                &data_keys,
                &keys.tweak,
                address,
                groups,
                |data, key| enc(data, key),
                |data, key| enc_last(data, key),
            );
        }

        /// Decrypts groups. `address` is that of the first group, a multiple of 128.
        #[target_feature(enable = $features)]
        #[allow(clippy::redundant_closure, reason = "a function with target features does not implement Fn")]
        pub fn xts_decrypt<const KEYS: usize>(keys: &XtsKeys<KEYS>, address: u32, groups: &mut [Group]) {
            let data_keys = vectors(&keys.decrypt);
            xts_run(
                &data_keys,
                &keys.tweak,
                address,
                groups,
                |data, key| dec(data, key),
                |data, key| dec_last(data, key),
            );
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn vectors<const KEYS: usize>(keys: &[Block; KEYS]) -> [V; KEYS] {
            let mut vectors = [zero(); KEYS];
            for (vector, key) in vectors.iter_mut().zip(keys) {
                *vector = all_lanes(key);
            }
            vectors
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn xts_run<const KEYS: usize>(
            keys: &[V; KEYS],
            tweak_keys: &[Block; KEYS],
            mut address: u32,
            groups: &mut [Group],
            round: impl Fn(V, V) -> V,
            last_round: impl Fn(V, V) -> V,
        ) {
            let Some(first) = groups.first() else { return };
            let tweak_keys = vectors(tweak_keys);
            // the first group's tweaks and data, and what the second group's tweaks are made of
            let units = unit_tweaks(&tweak_keys, address);
            let (mut tweaks, mut ready) = ([units; 8], [units; 8]);
            for i in (0..8).rev() {
                tweaks[i] = tweak(units, tweaks[(i + 1) % 8], i);
                ready[i] = xor(xor(reverse(load(&first[i])), tweaks[i]), keys[0]);
            }
            address = address.wrapping_add(GROUP as u32);
            let mut units = unit_tweaks(&tweak_keys, address);
            for n in 0..groups.len() {
                let (mut data, whitening) = (ready, tweaks);
                let next = groups.get(n + 1).unwrap_or(&groups[n]);
                address = address.wrapping_add(GROUP as u32);
                let mut far_units = xor(unit_numbers(address), tweak_keys[0]);
                for r in 1..KEYS - 1 {
                    for i in 0..8 {
                        data[i] = round(data[i], keys[r]);
                    }
                    far_units = enc(far_units, tweak_keys[r]);
                    if r <= 8 {
                        let i = 8 - r;
                        tweaks[i] = tweak(units, tweaks[(i + 1) % 8], i);
                        ready[i] = xor(xor(reverse(load(&next[i])), tweaks[i]), keys[0]);
                    }
                }
                for i in 0..8 {
                    let out = xor(last_round(data[i], keys[KEYS - 1]), whitening[i]);
                    store(&mut groups[n][i], reverse(out));
                }
                units = enc_last(far_units, tweak_keys[KEYS - 1]);
            }
        }

        /// The tweaks of the units at `address`.
        #[inline]
        #[target_feature(enable = $features)]
        fn unit_tweaks<const KEYS: usize>(keys: &[V; KEYS], address: u32) -> V {
            let mut units = xor(unit_numbers(address), keys[0]);
            for r in 1..KEYS - 1 {
                units = enc(units, keys[r]);
            }
            enc_last(units, keys[KEYS - 1])
        }
    };
}
pub(super) use xts_kernel;
