//! The ESP32's scheme with a key schedule that is sliced by words: written once, for vectors of any width.
//!
//! A new AES key every 32 bytes makes the key schedule the larger part of the work. Three observations shrink it.
//!
//! *It is linear but for `SubWord`.* A round key `[a, b, c, d]` of the even (or odd) rounds becomes the next one of them
//! by adding `s` (the only S-box output) to `a` and then XORing each word onto its right neighbour, in turn. Four times
//! this prefix XOR is nothing at all, so of each round key only the last word `L` is carried:
//!
//! ```text
//! L[k] = L[k-4] ^ s[k]                          E: even chain, s = SubWord(RotWord(O[k-1])) ^ rcon
//!                                               O: odd chain,  s = SubWord(E[k])
//! c, d = L[k] ^ L[k-1], L[k]        = pair(k)
//! a, b = pair(k) ^ pair(k-2)
//! ```
//!
//! *Words of many rows fit one vector.* `L` is held for 4 rows per 128-bit lane, so that one AES instruction does the
//! `SubWord` of all of them: the last round is `SubBytes` and `ShiftRows`, the latter undone beforehand by a byte shuffle,
//! and its key operand adds `L[k-4]` for nothing. Interleaving words then gives round keys of one row per lane.
//!
//! *The chain of one group can hide behind the rounds of another.* Its steps wait for each other, the rounds of 8
//! vectors of data do not: both are written side by side, the chain one group ahead.
//!
//! Encrypting runs AES backwards, with InvMixColumns of the round keys. That is linear too, so it is done to `L`.

/// Does one round to both blocks of each row: vectors `2 * i` and `2 * i + 1` of the data share key `i`.
macro_rules! rounds {
    ($round:ident, $data:ident, $key:expr) => {{
        let key = $key;
        for i in 0..4 {
            $data[2 * i] = $round($data[2 * i], key[i]);
            $data[2 * i + 1] = $round($data[2 * i + 1], key[i]);
        }
    }};
}

macro_rules! esp32_kernel {
    ($features:literal) => {
        /// Where word 0 of a chain lies; words `-3..=-1` are before it.
        const ZERO: usize = 3;

        /// The words `-3..=7` of a chain.
        type Chain = [V; 11];

        /// The even and the odd chain of a group's rows.
        #[derive(Clone, Copy)]
        struct Chains {
            even: Chain,
            odd: Chain,
        }

        /// Added to word `k` of the even chain.
        const RCON: [u32; 8] = [0, 1, 2, 4, 8, 16, 32, 64];

        impl Chains {
            #[inline]
            #[target_feature(enable = $features)]
            fn empty() -> Self {
                Self { even: [zero(); 11], odd: [zero(); 11] }
            }

            /// The words up to 0, which come from the table.
            #[inline]
            #[target_feature(enable = $features)]
            fn start(&mut self, rows: &Rows<LANES>, record: &Record) {
                // read back from memory, where a broadcast costs no vector operation
                let [_, _, even, odd] = core::hint::black_box(record);
                for k in 0..4 {
                    self.even[k] = xor(load(&rows.0[8 + k]), all_words(even, k));
                    self.odd[k] = xor(load(&rows.0[12 + k]), all_words(odd, k));
                }
            }

            /// Word `k` of the even chain, for `k` from 1.
            #[inline]
            #[target_feature(enable = $features)]
            fn step_even(&mut self, k: usize) {
                let before = xor(self.even[ZERO + k - 4], all_words(&word_block(RCON[k]), 0));
                self.even[ZERO + k] = rot_sub_word(self.odd[ZERO + k - 1], before);
            }

            /// Word `k` of the odd chain, for `k` from 1.
            #[inline]
            #[target_feature(enable = $features)]
            fn step_odd(&mut self, k: usize) {
                self.odd[ZERO + k] = sub_word(self.even[ZERO + k], self.odd[ZERO + k - 4]);
            }
        }

        /// `pair(k)` for `at = ZERO + k`: of rows 0 and 1 of each lane's four, then of rows 2 and 3.
        #[inline]
        #[target_feature(enable = $features)]
        fn pair(chain: &Chain, at: usize) -> [V; 2] {
            let (c, d) = (xor(chain[at], chain[at - 1]), chain[at]);
            [low_words(c, d), high_words(c, d)]
        }

        /// The round key of `pair(k - 2)` and `pair(k)`.
        #[inline]
        #[target_feature(enable = $features)]
        fn round_key(old: [V; 2], [cd01, cd23]: [V; 2]) -> [V; 4] {
            let (ab01, ab23) = (xor(old[0], cd01), xor(old[1], cd23));
            [low_halves(ab01, cd01), high_halves(ab01, cd01), low_halves(ab23, cd23), high_halves(ab23, cd23)]
        }

        /// Round key 0 or 1, which come from the table.
        #[inline]
        #[target_feature(enable = $features)]
        fn table_key(rows: &Rows<LANES>, which: usize, record: &Record) -> [V; 4] {
            let added = all_lanes(&core::hint::black_box(record)[which]);
            let mut key = [zero(); 4];
            for i in 0..4 {
                key[i] = xor(load(&rows.0[4 * which + i]), added);
            }
            key
        }

        /// Decrypts groups with AES forwards. `address` is that of the first group, a multiple of its size.
        #[target_feature(enable = $features)]
        pub fn esp32_decrypt(tables: &Esp32Tables, mut address: u32, groups: &mut [Group]) {
            let tables = &tables.plain;
            let mut record = tables.group(address, GROUP_BITS);
            let (now, ahead) = (&mut Chains::empty(), &mut Chains::empty());
            let (mut now, mut ahead) = (now, ahead);
            ahead.start(rows(tables), &record);
            for k in 1..7 {
                ahead.step_even(k);
                ahead.step_odd(k);
            }
            ahead.step_even(7);
            for group in groups {
                core::mem::swap(&mut now, &mut ahead);
                let mut data = gather(group);
                rounds!(xor, data, table_key(rows(tables), 0, &record));
                rounds!(enc, data, table_key(rows(tables), 1, &record));
                address = address.wrapping_add(GROUP as u32);
                record = tables.advance(&record, address, GROUP_BITS);
                ahead.start(rows(tables), &record);
                let mut even = [pair(&now.even, ZERO - 1), pair(&now.even, ZERO)];
                let mut odd = [pair(&now.odd, ZERO - 1), pair(&now.odd, ZERO)];
                for k in 1..7 {
                    let new = pair(&now.even, ZERO + k);
                    rounds!(enc, data, round_key(even[0], new));
                    even = [even[1], new];
                    ahead.step_even(k);
                    let new = pair(&now.odd, ZERO + k);
                    rounds!(enc, data, round_key(odd[0], new));
                    odd = [odd[1], new];
                    ahead.step_odd(k);
                }
                rounds!(enc_last, data, round_key(even[0], pair(&now.even, ZERO + 7)));
                ahead.step_even(7);
                scatter(&data, group);
            }
        }

        /// Encrypts groups with AES backwards. `address` is that of the first group, a multiple of its size.
        #[target_feature(enable = $features)]
        pub fn esp32_encrypt(tables: &Esp32Tables, mut address: u32, groups: &mut [Group]) {
            let Esp32Tables { plain, mixed } = tables;
            let (mut record, mut mixed_record) = (plain.group(address, GROUP_BITS), mixed.group(address, GROUP_BITS));
            // each with its words after InvMixColumns
            let (now, ahead) = (&mut [Chains::empty(); 2], &mut [Chains::empty(); 2]);
            let (mut now, mut ahead) = (now, ahead);
            ahead[0].start(rows(plain), &record);
            ahead[1].start(rows(mixed), &mixed_record);
            for k in 1..7 {
                step_even_mixed(ahead, k);
                step_odd_mixed(ahead, k);
            }
            ahead[0].step_even(7);
            for group in groups {
                core::mem::swap(&mut now, &mut ahead);
                let mut data = gather(group);
                rounds!(xor, data, round_key(pair(&now[0].even, ZERO + 5), pair(&now[0].even, ZERO + 7)));
                let (key0, key1) = (table_key(rows(plain), 0, &record), table_key(rows(mixed), 1, &mixed_record));
                address = address.wrapping_add(GROUP as u32);
                record = plain.advance(&record, address, GROUP_BITS);
                mixed_record = mixed.advance(&mixed_record, address, GROUP_BITS);
                ahead[0].start(rows(plain), &record);
                ahead[1].start(rows(mixed), &mixed_record);
                let [_, Chains { even, odd }] = &*now;
                let mut even_pairs = [pair(even, ZERO + 6), pair(even, ZERO + 5)];
                let mut odd_pairs = [pair(odd, ZERO + 6), pair(odd, ZERO + 5)];
                for k in (1..7).rev() {
                    let old = pair(odd, ZERO + k - 2);
                    rounds!(dec, data, round_key(old, odd_pairs[0]));
                    odd_pairs = [odd_pairs[1], old];
                    step_even_mixed(ahead, 7 - k);
                    let old = pair(even, ZERO + k - 2);
                    rounds!(dec, data, round_key(old, even_pairs[0]));
                    even_pairs = [even_pairs[1], old];
                    step_odd_mixed(ahead, 7 - k);
                }
                ahead[0].step_even(7);
                rounds!(dec, data, key1);
                rounds!(dec_last, data, key0);
                scatter(&data, group);
            }
        }

        /// Word `k` of the even chain, and of its twin behind InvMixColumns.
        #[inline]
        #[target_feature(enable = $features)]
        fn step_even_mixed([plain, mixed]: &mut [Chains; 2], k: usize) {
            plain.step_even(k);
            mixed.even[ZERO + k] = inv_mix_columns(plain.even[ZERO + k]);
        }

        /// Word `k` of the odd chain, and of its twin behind InvMixColumns.
        #[inline]
        #[target_feature(enable = $features)]
        fn step_odd_mixed([plain, mixed]: &mut [Chains; 2], k: usize) {
            plain.step_odd(k);
            mixed.odd[ZERO + k] = inv_mix_columns(plain.odd[ZERO + k]);
        }
    };
}
pub(super) use {esp32_kernel, rounds};
