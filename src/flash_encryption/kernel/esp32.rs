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
//! vectors of data do not: both are written side by side, the chain one group ahead. Its newest words stay in registers;
//! of all others only what round keys are made of goes to memory.
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

/// A loop that is written out: the compiler finds the body too long to do so, and would carry the chains through memory.
macro_rules! unrolled {
    ($k:ident in [$($n:literal)*] $body:block) => {
        $(
            #[allow(unused_assignments, reason = "what the last of them leaves")]
            {
                let $k = $n;
                $body
            }
        )*
    };
}

macro_rules! esp32_kernel {
    ($features:literal) => {
        /// Where word 0 of [`Words`] lies; words -2 and -1 are before it.
        const ZERO: usize = 2;

        /// The words of a group's chains that its round keys are made of: from -2 to 7 and to 6.
        struct Words {
            even: [V; 10],
            odd: [V; 9],
        }

        /// The newest four words of a group's chains.
        struct Chains {
            even: [V; 4],
            odd: [V; 4],
        }

        /// Added to word `k` of the even chain.
        const RCON: [u32; 8] = [0, 1, 2, 4, 8, 16, 32, 64];

        impl Words {
            #[inline]
            #[target_feature(enable = $features)]
            fn empty() -> Self {
                Self { even: [zero(); 10], odd: [zero(); 9] }
            }

            /// The words up to 0.
            #[inline]
            #[target_feature(enable = $features)]
            fn start(&mut self, chains: &Chains) {
                for k in 0..3 {
                    self.even[k] = chains.even[k + 1];
                    self.odd[k] = chains.odd[k + 1];
                }
            }

            /// The same behind InvMixColumns.
            #[inline]
            #[target_feature(enable = $features)]
            fn start_mixed(&mut self, chains: &Chains) {
                for k in 0..3 {
                    self.even[k] = inv_mix_columns(chains.even[k + 1]);
                    self.odd[k] = inv_mix_columns(chains.odd[k + 1]);
                }
            }
        }

        impl Chains {
            /// The words up to 0, which come from the table.
            #[inline]
            #[target_feature(enable = $features)]
            fn start(rows: &Rows<LANES>, record: &Record) -> Self {
                // read back from memory, where a broadcast costs no vector operation
                let [_, _, even, odd] = core::hint::black_box(record);
                let mut chains = Self { even: [zero(); 4], odd: [zero(); 4] };
                for k in 0..4 {
                    chains.even[k] = xor(load(&rows.0[8 + k]), all_words(even, k));
                    chains.odd[k] = xor(load(&rows.0[12 + k]), all_words(odd, k));
                }
                chains
            }

            /// Word `k` of the even chain, for `k` from 1.
            #[inline]
            #[target_feature(enable = $features)]
            fn next_even(&mut self, k: usize) -> V {
                let [before, a, b, c] = self.even;
                let word = rot_sub_word(self.odd[3], xor(before, all_words(&word_block(RCON[k]), 0)));
                self.even = [a, b, c, word];
                word
            }

            /// The next word of the odd chain, which has no constants.
            #[inline]
            #[target_feature(enable = $features)]
            fn next_odd(&mut self) -> V {
                let [before, a, b, c] = self.odd;
                let word = sub_word(self.even[3], before);
                self.odd = [a, b, c, word];
                word
            }
        }

        /// `pair(k)` for the place `at` of word `k`: of rows 0 and 1 of each lane's four, then of rows 2 and 3.
        #[inline]
        #[target_feature(enable = $features)]
        fn pair<const N: usize>(chain: &[V; N], at: usize) -> [V; 2] {
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
        pub fn esp32_decrypt(tables: &Tables, mut address: u32, groups: &mut [Group]) {
            let mut record = tables.group(address, GROUP_BITS);
            let (mut now, mut ahead) = (&mut Words::empty(), &mut Words::empty());
            let mut chains = Chains::start(rows(tables), &record);
            ahead.start(&chains);
            for k in 1..7 {
                ahead.even[ZERO + k] = chains.next_even(k);
                ahead.odd[ZERO + k] = chains.next_odd();
            }
            ahead.even[ZERO + 7] = chains.next_even(7);
            for group in groups {
                core::mem::swap(&mut now, &mut ahead);
                let mut data = gather(group);
                rounds!(xor, data, table_key(rows(tables), 0, &record));
                rounds!(enc, data, table_key(rows(tables), 1, &record));
                address = address.wrapping_add(GROUP as u32);
                record = tables.advance(&record, address, GROUP_BITS);
                let mut chains = Chains::start(rows(tables), &record);
                ahead.start(&chains);
                let mut even = [pair(&now.even, ZERO - 1), pair(&now.even, ZERO)];
                let mut odd = [pair(&now.odd, ZERO - 1), pair(&now.odd, ZERO)];
                unrolled!(k in [1 2 3 4 5 6] {
                    let new = pair(&now.even, ZERO + k);
                    rounds!(enc, data, round_key(even[0], new));
                    even = [even[1], new];
                    ahead.even[ZERO + k] = chains.next_even(k);
                    let new = pair(&now.odd, ZERO + k);
                    rounds!(enc, data, round_key(odd[0], new));
                    odd = [odd[1], new];
                    ahead.odd[ZERO + k] = chains.next_odd();
                });
                rounds!(enc_last, data, round_key(even[0], pair(&now.even, ZERO + 7)));
                ahead.even[ZERO + 7] = chains.next_even(7);
                scatter(&data, group);
            }
        }

        /// Encrypts groups with AES backwards. `address` is that of the first group, a multiple of its size.
        #[target_feature(enable = $features)]
        pub fn esp32_encrypt(tables: &Tables, mut address: u32, groups: &mut [Group]) {
            let mut record = tables.group(address, GROUP_BITS);
            let (mut now, mut ahead) = (&mut Words::empty(), &mut Words::empty());
            let mut chains = Chains::start(rows(tables), &record);
            ahead.start_mixed(&chains);
            for k in 1..7 {
                ahead.even[ZERO + k] = inv_mix_columns(chains.next_even(k));
                ahead.odd[ZERO + k] = inv_mix_columns(chains.next_odd());
            }
            // of round key 14, the first to be used and not behind InvMixColumns
            chains.next_even(7);
            let mut last = chains.even;
            for group in groups {
                core::mem::swap(&mut now, &mut ahead);
                let mut data = gather(group);
                rounds!(xor, data, round_key(pair(&last, 1), pair(&last, 3)));
                let (key0, mut key1) = (table_key(rows(tables), 0, &record), table_key(rows(tables), 1, &record));
                for key in &mut key1 {
                    *key = inv_mix_columns(*key);
                }
                address = address.wrapping_add(GROUP as u32);
                record = tables.advance(&record, address, GROUP_BITS);
                let mut chains = Chains::start(rows(tables), &record);
                ahead.start_mixed(&chains);
                let Words { even, odd } = &*now;
                let mut even_pairs = [pair(even, ZERO + 6), pair(even, ZERO + 5)];
                let mut odd_pairs = [pair(odd, ZERO + 6), pair(odd, ZERO + 5)];
                unrolled!(k in [6 5 4 3 2 1] {
                    let old = pair(odd, ZERO + k - 2);
                    rounds!(dec, data, round_key(old, odd_pairs[0]));
                    odd_pairs = [odd_pairs[1], old];
                    ahead.even[ZERO + 7 - k] = inv_mix_columns(chains.next_even(7 - k));
                    let old = pair(even, ZERO + k - 2);
                    rounds!(dec, data, round_key(old, even_pairs[0]));
                    even_pairs = [even_pairs[1], old];
                    ahead.odd[ZERO + 7 - k] = inv_mix_columns(chains.next_odd());
                });
                chains.next_even(7);
                last = chains.even;
                rounds!(dec, data, key1);
                rounds!(dec_last, data, key0);
                scatter(&data, group);
            }
        }
    };
}
pub(super) use {esp32_kernel, rounds, unrolled};
