//! Powers of 3072-bit numbers modulo an odd number, for RSA with public keys: time depends on the values, stack a few numbers.
//!
//! Numbers are words of the target's width, the least significant first. Products are Montgomery's (P. L. Montgomery, *Modular
//! multiplication without trial division*, 1985), multiplication and reduction in one pass of the word at hand: Koç, Acar,
//! Kaliski, *Analyzing and comparing Montgomery multiplication algorithms*, IEEE Micro 16(3), 1996 ("finely integrated operand
//! scanning").

use core::mem::swap;

/// Size in bytes of every number: 3072 bits.
pub(super) const SIZE: usize = 384;
/// `WIDTH` of them are a number.
const WIDTH: usize = size_of::<usize>();
type Number = [usize; SIZE / WIDTH];
const _: () = assert!(WIDTH >= 4, "a word holds M'");

/// -(n^-1) mod 2^32 for an odd n, little-endian.
pub(super) fn m_prime(n: &[u8; SIZE]) -> u32 {
    word_prime(n) as u32
}

/// Puts `base ^ exponent mod n` into `out`. All numbers are little-endian; `r2` must be 2^6144 mod n.
///
/// `None` where n is even or has fewer than 3072 bits, `base` is not below n, the exponent is even or 1, or `r2` is another
/// number. A call of its own, so that its numbers take stack only while it runs.
#[inline(never)]
pub(super) fn power(
    base: &[u8; SIZE],
    exponent: u32,
    n: &[u8; SIZE],
    r2: &[u8; SIZE],
    out: &mut [u8; SIZE],
) -> Option<()> {
    let n = Modulus { n: number(n), n_prime: word_prime(n) };
    let (mut power, mut factor, mut other) = (number(r2), number(base), [0; _]);
    let (mut power, mut other) = (&mut power, &mut other);
    let in_range = n.is_odd_and_whole() && is_less(power, &n.n) && is_less(&factor, &n.n);
    if !in_range || exponent < 3 || exponent.is_multiple_of(2) {
        return None;
    }
    // 2^6144 mod n times 1 is 2^3072 mod n, which is 2^3072 - n, as n has 3072 bits; no other number below n gives that
    factor.fill(0);
    *factor.first_mut()? = 1;
    n.product(power, &factor, other);
    if !n.is_negated(other) {
        return None;
    }
    // from here on in Montgomery's form, x * 2^3072, until the last product
    factor = number(base);
    n.product(power, &factor, other);
    factor = *other;
    swap(&mut power, &mut other);
    for bit in (1..exponent.ilog2()).rev() {
        n.product(power, power, other);
        swap(&mut power, &mut other);
        if exponent >> bit & 1 == 1 {
            n.product(power, &factor, other);
            swap(&mut power, &mut other);
        }
    }
    n.product(power, power, other);
    factor = number(base);
    n.product(other, &factor, power);
    let (words, _) = out.as_chunks_mut();
    words.iter_mut().zip(power.iter()).for_each(|(to, from)| *to = from.to_le_bytes());
    Some(())
}

struct Modulus {
    n: Number,
    /// -(n^-1) mod the word.
    n_prime: usize,
}

impl Modulus {
    /// Whether n is odd and has exactly 3072 bits.
    fn is_odd_and_whole(&self) -> bool {
        let odd = self.n.first().is_some_and(|low| low & 1 == 1);
        odd && self.n.last().is_some_and(|high| high.leading_zeros() == 0)
    }

    /// `out = a * b / 2^3072 mod n`, for `a` and `b` below n.
    #[inline(never)]
    fn product(&self, a: &Number, b: &Number, out: &mut Number) {
        out.fill(0);
        let mut top = false;
        for digit in a {
            top = self.step(*digit, b, out, top);
        }
        if top || !is_less(out, &self.n) {
            let mut borrow = false;
            for (word, n) in out.iter_mut().zip(&self.n) {
                (*word, borrow) = word.borrowing_sub(*n, borrow);
            }
        }
    }

    /// `sum = (sum + digit * b + m * n) >> word` with the `m` that lets no bit fall off. `top` is the bit above `sum`, before
    /// and after: what stays below 2n stays below 2n.
    fn step(&self, digit: usize, b: &Number, sum: &mut Number, top: bool) -> bool {
        let mut words = sum.iter_mut().zip(b.iter().zip(&self.n));
        let Some((mut behind, (b, n))) = words.next() else { return top };
        let (low, mut carry_b) = digit.carrying_mul_add(*b, *behind, 0);
        let m = low.wrapping_mul(self.n_prime);
        let (_, mut carry_n) = m.carrying_mul_add(*n, low, 0);
        for (word, (b, n)) in words {
            let low;
            (low, carry_b) = digit.carrying_mul_add(*b, *word, carry_b);
            (*behind, carry_n) = m.carrying_mul_add(*n, low, carry_n);
            behind = word;
        }
        let (high, top) = carry_b.carrying_add(carry_n, top);
        *behind = high;
        top
    }

    /// Whether `number` is 2^3072 - n.
    fn is_negated(&self, number: &Number) -> bool {
        let mut carry = false;
        let zeros = number.iter().zip(&self.n).all(|(word, n)| {
            let sum;
            (sum, carry) = word.carrying_add(*n, carry);
            sum == 0
        });
        zeros && carry
    }
}

/// -(n^-1) mod the word for an odd n, by Newton's iteration: each step doubles the correct bits, and an odd number is its own
/// inverse mod 8.
fn word_prime(n: &[u8; SIZE]) -> usize {
    let n = n.first_chunk().map_or(1, |low| usize::from_le_bytes(*low));
    let mut inverse = n;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2usize.wrapping_sub(n.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg()
}

fn is_less(a: &Number, b: &Number) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

fn number(bytes: &[u8; SIZE]) -> Number {
    let mut number = [0; _];
    let (words, _) = bytes.as_chunks();
    number.iter_mut().zip(words).for_each(|(to, from)| *to = usize::from_le_bytes(*from));
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto_bigint::{
        Odd, U3072,
        modular::{FixedMontyForm, FixedMontyParams},
    };
    use proptest::prelude::*;

    fn le(number: &U3072) -> [u8; SIZE] {
        number.to_le_bytes().as_ref().try_into().unwrap()
    }

    fn power_of(base: &U3072, exponent: u32, n: &[u8; SIZE], r2: &U3072) -> Option<[u8; SIZE]> {
        let mut out = [0; SIZE];
        power(&le(base), exponent, n, &le(r2), &mut out).map(|()| out)
    }

    fn params(n: &[u8; SIZE]) -> FixedMontyParams<{ U3072::LIMBS }> {
        FixedMontyParams::new_vartime(Odd::new(U3072::from_le_slice(n)).unwrap())
    }

    /// Bytes that are often all ones or all zeros for a while: what carries run through.
    fn any_number() -> impl Strategy<Value = [u8; SIZE]> {
        let byte = prop_oneof![Just(0), Just(0xFF), any::<u8>()];
        prop::collection::vec((byte, 1usize..64), SIZE).prop_map(|runs| {
            let bytes: std::vec::Vec<_> =
                runs.into_iter().flat_map(|(byte, times)| core::iter::repeat_n(byte, times)).take(SIZE).collect();
            bytes.try_into().unwrap()
        })
    }

    fn any_modulus() -> impl Strategy<Value = [u8; SIZE]> {
        (prop_oneof![any_number(), any::<[u8; SIZE]>()]).prop_map(|mut n| {
            n[0] |= 1;
            n[SIZE - 1] |= 0x80;
            n
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn powers_are_those_of_crypto_bigint(
            n in any_modulus(), base in prop_oneof![any_number(), any::<[u8; SIZE]>()], near in 0..4_u8,
            exponent in prop_oneof![Just(3), Just(65537), Just(u32::MAX), any::<u32>()], damage in 0..U3072::BITS,
        ) {
            let params = params(&n);
            let number = U3072::from_le_slice(&n);
            // also the largest that are allowed, and the smallest that are not
            let base = match near {
                0 => number.wrapping_sub(&U3072::ONE),
                1 => number,
                _ => U3072::from_le_slice(&base),
            };
            prop_assert_eq!(m_prime(&n).wrapping_mul(number.as_words()[0] as u32), u32::MAX);
            let found = power_of(&base, exponent, &n, params.r2());
            let legal = base < number && exponent > 1 && exponent % 2 == 1;
            let expected = legal.then(|| {
                let exponent = U3072::from_u32(exponent);
                le(&FixedMontyForm::new(&base, &params).pow_vartime(&exponent).retrieve())
            });
            prop_assert_eq!(found, expected);

            let wrong = params.r2().bitxor(&U3072::ONE.shl_vartime(damage));
            prop_assert_eq!(power_of(&base, exponent, &n, &wrong), None);
        }
    }

    #[test]
    fn the_same_number_above_n_is_another() {
        let mut n = [0; SIZE];
        (n[0], n[SIZE - 1]) = (1, 0x80);
        let r2 = *params(&n).r2();
        let above = r2.wrapping_add(&U3072::from_le_slice(&n));
        assert!(above > r2, "fits");
        assert!(power_of(&U3072::ONE, 3, &n, &r2).is_some());
        assert_eq!(power_of(&U3072::ONE, 3, &n, &above), None);
    }

    #[test]
    fn a_modulus_is_odd_and_has_3072_bits() {
        for (low, high, is_one) in [(0xFF, 0xFF, true), (1, 0x80, true), (1, 0x7F, false), (0xFE, 0x80, false)] {
            let mut n = [0xFF; SIZE];
            (n[0], n[SIZE - 1]) = (low, high);
            let odd = Odd::new(U3072::from_le_slice(&n) | U3072::ONE).unwrap();
            let r2 = *FixedMontyParams::<{ U3072::LIMBS }>::new_vartime(odd).r2();
            assert_eq!(power_of(&U3072::from_u8(2), 3, &n, &r2).is_some(), is_one, "{low:#x}, {high:#x}");
        }
    }
}
