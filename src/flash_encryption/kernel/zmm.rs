//! 512-bit vectors: AVX-512 with VAES. Four AES blocks per instruction.

use super::{
    block::{REVERSE, ROT_SUB_WORD, SUB_WORD, i32_at, i64_at},
    esp32::{esp32_kernel, rounds, unrolled},
    tables::{Block, Record, Rows, Tables},
    xts::{XtsKeys, xts_kernel},
};
use core::arch::x86_64::*;

type V = __m512i;
/// Blocks in a vector.
const LANES: usize = 4;
/// Eight vectors in flash order.
pub type Group = [[Block; LANES]; 8];
/// Size in bytes of a group.
pub const GROUP: usize = 512;
/// Address bits from here up are the same in a whole group.
const GROUP_BITS: u32 = 9;

fn rows(tables: &Tables) -> &Rows<LANES> {
    &tables.rows16
}

fn word_block(word: u32) -> Block {
    u128::from(word).to_le_bytes()
}

/// The blocks of these numbers out of two vectors, each reversed: a row's two blocks lie side by side in flash, and in the
/// same lane of two vectors here.
const EVEN: [Block; LANES] = reversed([0, 2, 4, 6]);
const ODD: [Block; LANES] = reversed([1, 3, 5, 7]);
/// The way back.
const LOW: [Block; LANES] = reversed([0, 4, 1, 5]);
const HIGH: [Block; LANES] = reversed([2, 6, 3, 7]);

/// The byte numbers for it.
const fn reversed(blocks: [u8; LANES]) -> [Block; LANES] {
    let mut bytes = [[0; 16]; LANES];
    let mut n = 0;
    while n < 64 {
        bytes[n / 16][n % 16] = 16 * blocks[n / 16] + 15 - n as u8 % 16;
        n += 1;
    }
    bytes
}

macro_rules! ops {
    ($(fn $name:ident($($arg:ident: $type:ty),*) $(-> $out:ty)? $body:block)*) => {$(
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,vaes,vpclmulqdq")]
        fn $name($($arg: $type),*) $(-> $out)? $body
    )*};
}

ops! {
    fn load(from: &[Block; LANES]) -> V {
        // SAFETY: 64 readable bytes, by type; the instruction takes any alignment.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }
    fn store(to: &mut [Block; LANES], v: V) {
        // SAFETY: 64 writable bytes, by type; the instruction takes any alignment.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) }
    }
    fn zero() -> V { _mm512_setzero_si512() }
    fn all_lanes(block: &Block) -> V {
        _mm512_broadcast_i32x4(_mm_set_epi64x(i64_at(block, 1), i64_at(block, 0)))
    }
    fn all_words(block: &Block, k: usize) -> V { _mm512_set1_epi32(i32_at(block, k)) }
    fn xor(a: V, b: V) -> V { _mm512_xor_si512(a, b) }
    fn enc(a: V, key: V) -> V { _mm512_aesenc_epi128(a, key) }
    fn enc_last(a: V, key: V) -> V { _mm512_aesenclast_epi128(a, key) }
    fn dec(a: V, key: V) -> V { _mm512_aesdec_epi128(a, key) }
    fn dec_last(a: V, key: V) -> V { _mm512_aesdeclast_epi128(a, key) }
    fn inv_mix_columns(a: V) -> V { dec(enc_last(a, zero()), zero()) }
    fn low_words(a: V, b: V) -> V { _mm512_unpacklo_epi32(a, b) }
    fn high_words(a: V, b: V) -> V { _mm512_unpackhi_epi32(a, b) }
    fn low_halves(a: V, b: V) -> V { _mm512_unpacklo_epi64(a, b) }
    fn high_halves(a: V, b: V) -> V { _mm512_unpackhi_epi64(a, b) }
    fn shuffle(a: V, bytes: &Block) -> V { _mm512_shuffle_epi8(a, all_lanes(bytes)) }
    fn reverse(a: V) -> V { shuffle(a, &REVERSE) }
    fn sub_word(a: V, add: V) -> V { enc_last(shuffle(a, &SUB_WORD), add) }
    fn rot_sub_word(a: V, add: V) -> V { enc_last(shuffle(a, &ROT_SUB_WORD), add) }

    fn blocks(a: V, b: V, bytes: &[Block; LANES]) -> V { _mm512_permutex2var_epi8(a, load(bytes), b) }

    fn gather(group: &Group) -> [V; 8] {
        let mut data = [zero(); 8];
        for i in 0..4 {
            let (a, b) = (load(&group[2 * i]), load(&group[2 * i + 1]));
            (data[2 * i], data[2 * i + 1]) = (blocks(a, b, &EVEN), blocks(a, b, &ODD));
        }
        data
    }
    fn scatter(data: &[V; 8], group: &mut Group) {
        for i in 0..4 {
            let (even, odd) = (data[2 * i], data[2 * i + 1]);
            store(&mut group[2 * i], blocks(even, odd, &LOW));
            store(&mut group[2 * i + 1], blocks(even, odd, &HIGH));
        }
    }

    // The tweak of vector `i` of the group, from those of its four units: vector `2 * unit` has the unit's blocks 7, 6, 5,
    // 4 and the next one 3, 2, 1, 0. Block `n` has the tweak times x^n: both halves shifted up by `n`. What leaves the lower
    // goes into the upper one; what leaves the upper comes back times x^7 + x^2 + x + 1.
    fn tweak(units: V, _after: V, i: usize) -> V {
        let unit = match i / 2 {
            0 => _mm512_shuffle_i32x4::<0x00>(units, units),
            1 => _mm512_shuffle_i32x4::<0x55>(units, units),
            2 => _mm512_shuffle_i32x4::<0xAA>(units, units),
            _ => _mm512_shuffle_i32x4::<0xFF>(units, units),
        };
        times_power(unit, if i.is_multiple_of(2) { 7 } else { 3 })
    }
    fn times_power(tweak: V, first: u32) -> V {
        let n = i64::from(first);
        let power = _mm512_set_epi64(n - 3, n - 3, n - 2, n - 2, n - 1, n - 1, n, n);
        let out = _mm512_srlv_epi64(tweak, _mm512_sub_epi64(_mm512_set1_epi64(64), power));
        let back = _mm512_clmulepi64_epi128::<0x01>(out, _mm512_set1_epi64(0x87));
        _mm512_ternarylogic_epi64::<0x96>(_mm512_sllv_epi64(tweak, power), _mm512_bslli_epi128::<8>(out), back)
    }
    fn unit_numbers(address: u32) -> V {
        let at = |n: u32| i64::from(address.wrapping_add(128 * n));
        _mm512_set_epi64(0, at(3), 0, at(2), 0, at(1), 0, at(0))
    }
}

esp32_kernel!("avx512f,avx512bw,avx512vbmi,vaes,vpclmulqdq");
xts_kernel!("avx512f,avx512bw,avx512vbmi,vaes,vpclmulqdq");
