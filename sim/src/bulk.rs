//! Flash encryption of whole images on all cores.

use dryburn::flash_encryption::{FlashCipher, Misaligned, PIECE};
use rayon::prelude::*;

/// Bytes that one core takes at a time.
const SHARE: usize = 512 * 1024;
/// From this many bytes on, starting the other cores costs less than they save.
const MANY: usize = 4 * SHARE;

/// [`FlashCipher::encrypt`], on all cores where `data` is long.
///
/// # Errors
/// [`Misaligned`] when the address or the length is not a multiple of 16.
pub fn encrypt(cipher: &FlashCipher, address: u32, data: &mut [u8]) -> Result<(), Misaligned> {
    on_all_cores(address, data, |address, data| cipher.encrypt(address, data))
}

/// [`FlashCipher::decrypt`], on all cores where `data` is long.
///
/// # Errors
/// [`Misaligned`] when the address or the length is not a multiple of 16.
pub fn decrypt(cipher: &FlashCipher, address: u32, data: &mut [u8]) -> Result<(), Misaligned> {
    on_all_cores(address, data, |address, data| cipher.decrypt(address, data))
}

fn on_all_cores(
    address: u32,
    data: &mut [u8],
    work: impl Fn(u32, &mut [u8]) -> Result<(), Misaligned> + Sync,
) -> Result<(), Misaligned> {
    // what is refused is left to the cipher to refuse, as a whole
    if data.len() < MANY || !data.len().is_multiple_of(PIECE) || !address.is_multiple_of(PIECE as u32) {
        return work(address, data);
    }
    let shares = data.par_chunks_mut(SHARE).enumerate();
    shares.try_for_each(|(n, share)| work(address.wrapping_add((n * SHARE) as u32), share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dryburn::flash_encryption::{CryptConfig, FlashKey};

    #[test]
    fn shares_are_as_the_whole() {
        let cipher = FlashCipher::new(&FlashKey::Esp32 { key: [0x3C; 32], config: CryptConfig::ALL });
        let plain: Vec<u8> = (0..MANY + SHARE / 2 + 48).map(|i| ((i * 7) >> 3) as u8).collect();
        let (mut whole, mut shared) = (plain.clone(), plain.clone());
        cipher.encrypt(0x1_0010, &mut whole).expect("aligned");
        encrypt(&cipher, 0x1_0010, &mut shared).expect("aligned");
        assert!(whole == shared);
        decrypt(&cipher, 0x1_0010, &mut shared).expect("aligned");
        assert!(plain == shared);
    }

    #[test]
    fn misaligned_data_is_refused_untouched() {
        let cipher = FlashCipher::new(&FlashKey::Xts128([1; 32]));
        for (address, len) in [(8, MANY), (0, MANY + 1)] {
            let mut data = vec![0x5A; len];
            assert_eq!(encrypt(&cipher, address, &mut data), Err(Misaligned { address, len }));
            assert_eq!(decrypt(&cipher, address, &mut data), Err(Misaligned { address, len }));
            assert!(data.iter().all(|byte| *byte == 0x5A));
        }
    }
}
