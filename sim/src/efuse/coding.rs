//! How blocks other than block 0 are coded in silicon (formats sheet §8.5).

/// Data bytes of one group of the ESP32's 3/4 code; a group is burned once.
pub(crate) const GROUP_3_4: usize = 6;

/// The twelve parity bytes of RS(44, 32) over GF(2^8), polynomial 0x11D, roots 2^0 to 2^11; the first byte of `data` is the
/// highest power.
pub(crate) fn reed_solomon(data: &[u8; 32]) -> [u8; 12] {
    const GENERATOR: [u8; 12] = [0x44, 0x77, 0x43, 0x76, 0xDC, 0x1F, 0x07, 0x54, 0x5C, 0x7F, 0xD5, 0x61];
    let mut parity = [0; 12];
    for byte in data {
        let [first, rest @ ..] = parity;
        let feedback = byte ^ first;
        let mut next = [0; 12];
        for ((to, shifted), factor) in next.iter_mut().zip(rest.iter().chain(&[0])).zip(GENERATOR) {
            *to = shifted ^ multiply(feedback, factor);
        }
        parity = next;
    }
    parity
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

    /// Parities made by the vendor's tool (formats sheet §8.5).
    #[test]
    fn parity_equals_the_vendors() {
        let counting: [u8; 32] = std::array::from_fn(|i| i as u8);
        let parity = [0xA0, 0x4C, 0x47, 0x0D, 0x3F, 0xFC, 0xB2, 0x03, 0xDA, 0xE9, 0xF4, 0x13];
        assert_eq!(reed_solomon(&counting), parity);
        let parity = [0x13, 0xA3, 0x62, 0x92, 0x59, 0x74, 0x04, 0x25, 0x73, 0x75, 0xE0, 0xAA];
        assert_eq!(reed_solomon(&[0xFF; 32]), parity);
    }
}
