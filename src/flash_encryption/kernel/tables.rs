//! What an ESP32 key turns into before the first row: all that depends on key and address without an S-box.
//!
//! The first two round keys of a row are the key XOR bits of the address, and the key schedule is linear but for
//! `SubWord` (see [`super::esp32`]). So everything linear is computed once per key, for each row of a group and for each
//! address bit; a group of rows then costs one XOR of 64 bytes.

/// An AES block, and the unit that vectors are made of.
pub type Block = [u8; 16];

/// The linear part of one row's key schedule: the first two round keys, then the words that start the even chain, then
/// those that start the odd one, each from the oldest (-3) to the newest (0).
pub type Record = [Block; 4];

/// Lowest and highest address bit that take part.
const LOW_BIT: u32 = 5;
const HIGH_BIT: u32 = 23;

/// One 16-vector table for groups of `4 * LANES` rows: 4 vectors of round key 0, 4 of round key 1, 8 chain words.
///
/// Vector `i` of a round key has row `LANES * i + lane` in each lane. A chain word has the same row in dword `i` of that
/// lane: four interleavings of chain words then give round keys that lie like the table's own.
#[repr(align(64))]
pub struct Rows<const LANES: usize>(pub [[Block; LANES]; 16]);

/// The linear parts of a key's schedules.
#[repr(align(64))]
pub struct Tables {
    /// By row in a group of 16.
    pub rows16: Rows<4>,
    /// By row in a group of 4.
    pub rows4: Rows<1>,
    /// By address bit `n`: the sum of what bits 5 up to but not including `n` add.
    sums: [Record; HIGH_BIT as usize + 2],
}

impl Tables {
    /// `row_key(address)` is the AES key of a row.
    pub fn new(row_key: impl Fn(u32) -> [u8; 32]) -> Self {
        let base = chain_starts(row_key(0));
        let mut sums = [[[0; 16]; 4]; HIGH_BIT as usize + 2];
        let mut sum = [[0; 16]; 4];
        for (bit, slot) in (0..).zip(&mut sums) {
            *slot = sum;
            if (LOW_BIT..=HIGH_BIT).contains(&bit) {
                sum = xor(&sum, &xor(&base, &chain_starts(row_key(1u32.wrapping_shl(bit)))));
            }
        }
        let row = |n: usize| chain_starts(row_key((n as u32).wrapping_mul(32)));
        Self { rows16: Rows::new(row), rows4: Rows::new(row), sums }
    }

    /// What the address bits from `low_bit` up add to every row of the group at `address`.
    pub fn group(&self, address: u32, low_bit: u32) -> Record {
        let mut all = [[0; 16]; 4];
        let bits = (0..).zip(self.sums.iter().zip(self.sums.iter().skip(1)));
        for (_, (below, with)) in bits.filter(|(bit, _)| *bit >= low_bit && address >> bit & 1 == 1) {
            all = xor(&all, &xor(below, with));
        }
        all
    }

    /// From the record of the group before to that at `address`: counting up flips the bits up to the lowest that is set.
    #[inline(always)]
    pub fn advance(&self, record: &Record, address: u32, low_bit: u32) -> Record {
        let flipped = address.trailing_zeros().min(HIGH_BIT).wrapping_add(1);
        match (self.sums.get(flipped as usize), self.sums.get(low_bit as usize)) {
            (Some(to), Some(from)) => xor(record, &xor(to, from)),
            _ => *record,
        }
    }
}

impl<const LANES: usize> Rows<LANES> {
    fn new(row: impl Fn(usize) -> Record) -> Self {
        let mut table = [[[0; 16]; LANES]; 16];
        let (key0, rest) = table.split_at_mut(4);
        let (key1, words) = rest.split_at_mut(4);
        for (i, (key0, key1)) in key0.iter_mut().zip(key1).enumerate() {
            for (lane, (key0, key1)) in key0.iter_mut().zip(key1).enumerate() {
                let record = row(i.wrapping_add(lane.wrapping_add(i.wrapping_mul(LANES.wrapping_sub(1)))));
                [*key0, *key1, _, _] = record;
                let starts = record.iter().skip(2).flat_map(|block| block.as_chunks::<4>().0);
                for (word, start) in words.iter_mut().zip(starts) {
                    let to = word.get_mut(lane).and_then(|block| block.as_chunks_mut::<4>().0.get_mut(i));
                    if let Some(to) = to {
                        *to = *start;
                    }
                }
            }
        }
        Self(table)
    }
}

/// The linear part of the schedule of an AES-256 key.
///
/// With a round key's words `[a, b, c, d]`, the chain's newest word is `d` and those that would have come before it are
/// `c ^ d`, `b ^ d`, `a ^ b ^ c ^ d`.
fn chain_starts(key: [u8; 32]) -> Record {
    let (blocks, _) = key.as_chunks::<16>();
    let mut record = [[0; 16]; 4];
    let (keys, starts) = record.split_at_mut(2);
    for ((key, start), block) in keys.iter_mut().zip(starts).zip(blocks) {
        *key = *block;
        let (words, _) = block.as_chunks();
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        let [a, b, c, d] = core::array::from_fn(|_| words.next().unwrap_or_default());
        let oldest_first = [a ^ b ^ c ^ d, b ^ d, c ^ d, d].map(u32::to_le_bytes);
        start.copy_from_slice(oldest_first.as_flattened());
    }
    record
}

#[inline(always)]
fn xor(a: &Record, b: &Record) -> Record {
    let [a0, a1, a2, a3] = a.map(u128::from_ne_bytes);
    let [b0, b1, b2, b3] = b.map(u128::from_ne_bytes);
    [a0 ^ b0, a1 ^ b1, a2 ^ b2, a3 ^ b3].map(u128::to_ne_bytes)
}
