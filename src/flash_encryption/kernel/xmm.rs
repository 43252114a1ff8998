//! 128-bit vectors: AES-NI with AVX. One AES block per instruction.

use super::{
    block::{REVERSE, ROT_SUB_WORD, SUB_WORD, i32_at, i64_at},
    esp32::{esp32_kernel, rounds, unrolled},
    tables::{Block, Record, Rows, Tables},
    xts::{XtsKeys, xts_kernel},
};
use core::arch::x86_64::*;

type V = __m128i;
/// Blocks in a vector.
const LANES: usize = 1;
/// Eight vectors in flash order.
pub type Group = [[Block; LANES]; 8];
/// Size in bytes of a group.
pub const GROUP: usize = 128;
/// Address bits from here up are the same in a whole group.
const GROUP_BITS: u32 = 7;

fn rows(tables: &Tables) -> &Rows<LANES> {
    &tables.rows4
}

fn word_block(word: u32) -> Block {
    u128::from(word).to_le_bytes()
}

macro_rules! ops {
    ($(fn $name:ident($($arg:ident: $type:ty),*) $(-> $out:ty)? $body:block)*) => {$(
        #[inline]
        #[target_feature(enable = "aes,avx")]
        fn $name($($arg: $type),*) $(-> $out)? $body
    )*};
}

ops! {
    fn load(from: &[Block; LANES]) -> V {
        // SAFETY: 16 readable bytes, by type; the instruction takes any alignment.
        unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
    }
    fn store(to: &mut [Block; LANES], v: V) {
        // SAFETY: 16 writable bytes, by type; the instruction takes any alignment.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), v) }
    }
    fn zero() -> V { _mm_setzero_si128() }
    fn all_lanes(block: &Block) -> V { _mm_set_epi64x(i64_at(block, 1), i64_at(block, 0)) }
    fn all_words(block: &Block, k: usize) -> V { _mm_set1_epi32(i32_at(block, k)) }
    fn xor(a: V, b: V) -> V { _mm_xor_si128(a, b) }
    fn enc(a: V, key: V) -> V { _mm_aesenc_si128(a, key) }
    fn enc_last(a: V, key: V) -> V { _mm_aesenclast_si128(a, key) }
    fn dec(a: V, key: V) -> V { _mm_aesdec_si128(a, key) }
    fn dec_last(a: V, key: V) -> V { _mm_aesdeclast_si128(a, key) }
    fn inv_mix_columns(a: V) -> V { _mm_aesimc_si128(a) }
    fn low_words(a: V, b: V) -> V { _mm_unpacklo_epi32(a, b) }
    fn high_words(a: V, b: V) -> V { _mm_unpackhi_epi32(a, b) }
    fn low_halves(a: V, b: V) -> V { _mm_unpacklo_epi64(a, b) }
    fn high_halves(a: V, b: V) -> V { _mm_unpackhi_epi64(a, b) }
    fn shuffle(a: V, bytes: &Block) -> V { _mm_shuffle_epi8(a, all_lanes(bytes)) }
    fn reverse(a: V) -> V { shuffle(a, &REVERSE) }
    fn sub_word(a: V, add: V) -> V { enc_last(shuffle(a, &SUB_WORD), add) }
    fn rot_sub_word(a: V, add: V) -> V { enc_last(shuffle(a, &ROT_SUB_WORD), add) }

    fn gather(group: &Group) -> [V; 8] {
        let mut data = [zero(); 8];
        for i in 0..8 {
            data[i] = reverse(load(&group[i]));
        }
        data
    }
    fn scatter(data: &[V; 8], group: &mut Group) {
        for i in 0..8 {
            store(&mut group[i], reverse(data[i]));
        }
    }

    // The last vector in flash is block 0 of the unit and has its tweak; the one before it the tweak times x, and so on.
    fn tweak(units: V, after: V, i: usize) -> V {
        if i == 7 { units } else { doubled(after) }
    }
    fn doubled(tweak: V) -> V {
        let carries = _mm_srai_epi32::<31>(_mm_shuffle_epi32::<0b01_01_11_11>(tweak));
        let back = _mm_and_si128(carries, _mm_set_epi64x(1, 0x87));
        xor(_mm_add_epi64(tweak, tweak), back)
    }
    fn unit_numbers(address: u32) -> V { _mm_set_epi64x(0, i64::from(address)) }
}

esp32_kernel!("aes,avx");
xts_kernel!("aes,avx");

/// InvMixColumns of one block.
#[target_feature(enable = "aes,avx")]
pub fn mixed(block: Block) -> Block {
    let mut mixed = [block];
    let value = inv_mix_columns(load(&mixed));
    store(&mut mixed, value);
    let [mixed] = mixed;
    mixed
}

/// The round keys of an AES key: 11 of 4 words each, or 15 of 8.
#[target_feature(enable = "aes,avx")]
pub fn expanded<const ROUND_KEYS: usize>(key: &[u8]) -> [Block; ROUND_KEYS] {
    let words = key.len() / 4;
    let mut keys = [[0; 16]; ROUND_KEYS];
    let (schedule, _) = keys.as_flattened_mut().as_chunks_mut::<4>();
    let mut rcon = 1u8;
    for n in 0..schedule.len() {
        if n < words {
            schedule[n] = [key[4 * n], key[4 * n + 1], key[4 * n + 2], key[4 * n + 3]];
            continue;
        }
        let mut word = u32::from_le_bytes(schedule[n - 1]);
        if n % words == 0 {
            word = substituted(word.rotate_right(8)) ^ u32::from(rcon);
            rcon = (rcon << 1) ^ if rcon >> 7 == 1 { 0x1B } else { 0 };
        } else if words == 8 && n % words == 4 {
            word = substituted(word);
        }
        schedule[n] = (word ^ u32::from_le_bytes(schedule[n - words])).to_le_bytes();
    }
    keys
}

/// `SubWord`.
#[inline]
#[target_feature(enable = "aes,avx")]
fn substituted(word: u32) -> u32 {
    let all = all_words(&word_block(word), 0);
    _mm_cvtsi128_si32(enc_last(all, zero())).cast_unsigned()
}
