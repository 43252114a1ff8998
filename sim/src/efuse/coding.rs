//! How blocks other than block 0 are coded in silicon (formats sheet §8.5).
//!
//! | code | chips | data, check bytes | corrects |
//! |---|---|---|---|
//! | none | ESP32 | 32, 0 | nothing |
//! | 3/4 | ESP32 with CODING_SCHEME 1 | 24, 8: of each 6 bytes their XOR and a weighted count of their ones | one bit of each 6 bytes (UNVERIFIED) |
//! | Reed-Solomon | all others | 32, 12 | 6 of the 44 bytes |
//!
//! What the controller gives where the code cannot correct is UNVERIFIED: here it is the data as burned.

/// Data bytes of one group of the ESP32's 3/4 code; a group is burned once.
pub(crate) const GROUP_3_4: usize = 6;

/// Parity bytes of the Reed-Solomon code.
const PARITY: usize = 12;
/// Bytes of one Reed-Solomon codeword.
const CODEWORD: usize = 32 + PARITY;

/// The code of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    None,
    ThreeQuarters,
    ReedSolomon,
}

/// What the controller makes of a block's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub data: [u8; 32],
    pub error: Option<CodingError>,
}

/// Coding errors of a block, as the controller's error registers tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodingError {
    /// Wrong bytes that were corrected; 7 where there were too many (UNVERIFIED). Always 0 on the ESP32, which does not count.
    pub count: u8,
    /// The data is not what was burned.
    pub failed: bool,
}

impl Coding {
    /// The check bytes that are burned with `data`.
    pub fn check(self, data: &[u8; 32]) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::ThreeQuarters => data[..24].chunks(GROUP_3_4).flat_map(check_3_4).collect(),
            Self::ReedSolomon => reed_solomon(data).to_vec(),
        }
    }

    /// The data that a block with these cells shows.
    pub fn decode(self, data: &[u8; 32], check: &[u8]) -> Decoded {
        match self {
            Self::None => Decoded { data: *data, error: None },
            Self::ThreeQuarters => decode_3_4(data, check),
            Self::ReedSolomon => decode_reed_solomon(data, check),
        }
    }
}

/// XOR of six bytes, and the sum of (place from 1) * (ones in the byte).
fn check_3_4(group: &[u8]) -> [u8; 2] {
    let xor = group.iter().fold(0, |x, b| x ^ b);
    let sum = (1u32..).zip(group).map(|(place, byte)| place * byte.count_ones()).sum::<u32>();
    [xor, sum as u8]
}

/// A single wrong bit shows in the XOR as the bit's place in its byte, in the sum as the byte's place in its group.
fn decode_3_4(data: &[u8; 32], check: &[u8]) -> Decoded {
    let mut out = *data;
    let mut error = None;
    for (group, check) in out[..24].chunks_mut(GROUP_3_4).zip(check.chunks(2)) {
        let [xor, sum] = check_3_4(group);
        let (wrong, off) = (xor ^ check.first().unwrap_or(&0), i16::from(*check.last().unwrap_or(&0)) - i16::from(sum));
        if wrong == 0 && off == 0 {
            continue;
        }
        let place = usize::from(off.unsigned_abs()).checked_sub(1);
        // an error of the data is seen by both check bytes, an error of one check byte by that one only
        let corrected = if wrong == 0 || off == 0 {
            true
        } else if let Some(byte) = place.and_then(|at| group.get_mut(at)).filter(|byte| {
            let missing = **byte & wrong == 0;
            wrong.is_power_of_two() && missing == (off > 0)
        }) {
            *byte ^= wrong;
            true
        } else {
            false
        };
        let failed = !corrected || error.is_some_and(|e: CodingError| e.failed);
        error = Some(CodingError { count: 0, failed });
    }
    Decoded { data: out, error }
}

/// The twelve parity bytes of RS(44, 32) over GF(2^8), polynomial 0x11D, roots 2^0 to 2^11; the first byte of `data` is the
/// highest power.
pub(crate) fn reed_solomon(data: &[u8; 32]) -> [u8; PARITY] {
    const GENERATOR: [u8; PARITY] = [0x44, 0x77, 0x43, 0x76, 0xDC, 0x1F, 0x07, 0x54, 0x5C, 0x7F, 0xD5, 0x61];
    let mut parity = [0; PARITY];
    for byte in data {
        let [first, rest @ ..] = parity;
        let feedback = byte ^ first;
        let mut next = [0; PARITY];
        for ((to, shifted), factor) in next.iter_mut().zip(rest.iter().chain(&[0])).zip(GENERATOR) {
            *to = shifted ^ multiply(feedback, factor);
        }
        parity = next;
    }
    parity
}

/// Corrects up to six bytes: Berlekamp-Massey finds the polynomial of the errors' places, trying all places its roots,
/// Forney's formula the values.
fn decode_reed_solomon(data: &[u8; 32], check: &[u8]) -> Decoded {
    let mut word = [0; CODEWORD];
    word[..32].copy_from_slice(data);
    word[32..].iter_mut().zip(check).for_each(|(to, byte)| *to = *byte);
    let syndromes = syndromes(&word);
    if syndromes == [0; PARITY] {
        return Decoded { data: *data, error: None };
    }
    let failed = Decoded { data: *data, error: Some(CodingError { count: 7, failed: true }) };
    let locator = error_locator(&syndromes);
    let degree = locator.len() - 1;
    // the place with exponent n is wrong when 2^-n is a root
    let places: Vec<u8> = (0..CODEWORD as u8).filter(|n| evaluate(&locator, power(255 - n)) == 0).collect();
    if degree > PARITY / 2 || places.len() != degree {
        return failed;
    }
    // Omega = S * Lambda modulo x^12
    let omega: Vec<u8> = (0..PARITY)
        .map(|n| locator.iter().take(n + 1).zip(syndromes[..=n].iter().rev()).fold(0, |x, (l, s)| x ^ multiply(*l, *s)))
        .collect();
    // in characteristic 2 the derivative keeps the odd powers
    let derivative: Vec<u8> =
        locator.iter().enumerate().skip(1).map(|(n, l)| if n % 2 == 1 { *l } else { 0 }).collect();
    for place in &places {
        let inverse = power(255 - place);
        let value = multiply(evaluate(&omega, inverse), invert(evaluate(&derivative, inverse)));
        // the first root is 2^0, which leaves the factor 2^place
        word[CODEWORD - 1 - usize::from(*place)] ^= multiply(value, power(*place));
    }
    if self::syndromes(&word) != [0; PARITY] {
        return failed;
    }
    let mut corrected = [0; 32];
    corrected.copy_from_slice(&word[..32]);
    Decoded { data: corrected, error: Some(CodingError { count: places.len() as u8, failed: false }) }
}

/// The word as a polynomial, its first byte the highest power, at the roots of the generator.
fn syndromes(word: &[u8; CODEWORD]) -> [u8; PARITY] {
    std::array::from_fn(|n| word.iter().fold(0, |x, byte| multiply(x, power(n as u8)) ^ byte))
}

/// Berlekamp-Massey: the shortest feedback register that makes the syndromes; lowest power first, without zeros at the end.
fn error_locator(syndromes: &[u8; PARITY]) -> Vec<u8> {
    let (mut current, mut previous) = (vec![1u8], vec![1u8]);
    let (mut length, mut shift, mut scale) = (0, 1, 1u8);
    for n in 0..PARITY {
        let discrepancy =
            current.iter().take(n + 1).zip(syndromes[..=n].iter().rev()).fold(0, |x, (c, s)| x ^ multiply(*c, *s));
        if discrepancy == 0 {
            shift += 1;
            continue;
        }
        let factor = multiply(discrepancy, invert(scale));
        let old = current.clone();
        current.resize(current.len().max(previous.len() + shift), 0);
        for (to, from) in current[shift..].iter_mut().zip(&previous) {
            *to ^= multiply(factor, *from);
        }
        if 2 * length <= n {
            (length, previous, scale, shift) = (n + 1 - length, old, discrepancy, 1);
        } else {
            shift += 1;
        }
    }
    while current.last() == Some(&0) {
        current.pop();
    }
    current
}

/// A polynomial, lowest power first, at `x`.
fn evaluate(polynomial: &[u8], x: u8) -> u8 {
    polynomial.iter().rev().fold(0, |sum, factor| multiply(sum, x) ^ factor)
}

/// 2 to the power of `n`.
fn power(n: u8) -> u8 {
    (0..n).fold(1, |x, _| multiply(x, 2))
}

/// 1 / `x`, and 0 for 0.
fn invert(x: u8) -> u8 {
    // x^254
    (0..253).fold(x, |y, _| multiply(y, x))
}

/// Product in GF(2^8) modulo 0x11D.
fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        let carry = a & 0x80 != 0;
        a <<= 1;
        if carry {
            a ^= 0x1D;
        }
        b >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Parities made by the vendor's tool (formats sheet §8.5).
    #[test]
    fn parity_equals_the_vendors() {
        let counting: [u8; 32] = std::array::from_fn(|i| i as u8);
        let parity = [0xA0, 0x4C, 0x47, 0x0D, 0x3F, 0xFC, 0xB2, 0x03, 0xDA, 0xE9, 0xF4, 0x13];
        assert_eq!(reed_solomon(&counting), parity);
        let parity = [0x13, 0xA3, 0x62, 0x92, 0x59, 0x74, 0x04, 0x25, 0x73, 0x75, 0xE0, 0xAA];
        assert_eq!(reed_solomon(&[0xFF; 32]), parity);
    }

    /// Made by the vendor's tool (formats sheet §8.5).
    #[test]
    fn check_bytes_of_the_3_4_code_equal_the_vendors() {
        let counting: [u8; 32] = std::array::from_fn(|i| i as u8);
        assert_eq!(Coding::ThreeQuarters.check(&counting), [0x01, 0x1E, 0x01, 0x2F, 0x01, 0x32, 0x01, 0x41]);
    }

    proptest! {
        #[test]
        fn up_to_six_wrong_bytes_are_corrected(
            data: [u8; 32],
            wrong in prop::collection::btree_map(0..CODEWORD, 1u8.., 0..=7),
        ) {
            let check = reed_solomon(&data);
            let mut word: Vec<u8> = data.iter().chain(&check).copied().collect();
            wrong.iter().for_each(|(at, bits)| word[*at] ^= bits);
            let (burned, check) = word.split_at(32);
            let decoded = Coding::ReedSolomon.decode(burned.try_into().unwrap(), check);
            match wrong.len() {
                0 => prop_assert_eq!(decoded, Decoded { data, error: None }),
                n @ 1..=6 => {
                    prop_assert_eq!(decoded.data, data);
                    prop_assert_eq!(decoded.error, Some(CodingError { count: n as u8, failed: false }));
                }
                // beyond its reach it says so, or takes another codeword for the right one
                _ => prop_assert!(decoded.error.is_some()),
            }
        }

        #[test]
        fn a_wrong_bit_of_each_group_is_corrected(data: [u8; 32], at: [u8; 4]) {
            let check = Coding::ThreeQuarters.check(&data);
            let mut burned = data;
            for (group, at) in at.iter().enumerate() {
                burned[group * GROUP_3_4 + usize::from(at % 6)] ^= 1 << (at / 6 % 8);
            }
            let decoded = Coding::ThreeQuarters.decode(&burned, &check);
            prop_assert_eq!(&decoded.data[..24], &data[..24]);
            prop_assert_eq!(decoded.error, Some(CodingError { count: 0, failed: false }));
        }
    }
}
