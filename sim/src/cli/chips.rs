//! `dryburn chips`.

use dryburn::chip::{FlashCipher, ROWS, SecureBootScheme};
use std::fmt::Write;

/// The chip table for people.
pub fn table() -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<10} {:<9} {:>8} {:>10}  {:<22} secure boot",
        "chip", "revision", "image id", "bootloader", "flash encryption"
    );
    for row in ROWS {
        let cipher = match row.flash_cipher {
            FlashCipher::AddressTweakedAes256 => "AES-256 by address",
            FlashCipher::Xts { aes256: true, .. } => "XTS-AES-128, -256",
            FlashCipher::Xts { derived: true, .. } => "XTS-AES-128 or derived",
            FlashCipher::Xts { .. } => "XTS-AES-128",
        };
        let schemes: Vec<_> = row
            .secure_boot
            .iter()
            .map(|scheme| match scheme {
                SecureBootScheme::V1 => "v1",
                SecureBootScheme::V2Rsa3072 => "v2 RSA-3072",
                SecureBootScheme::V2EcdsaP192 => "v2 P-192",
                SecureBootScheme::V2EcdsaP256 => "v2 P-256",
                SecureBootScheme::V2EcdsaP384 => "v2 P-384",
            })
            .collect();
        let _ = writeln!(
            out,
            "{:<10} {:<9} {:>#8x} {:>#10x}  {:<22} {}",
            row.name,
            format!("{}+", row.from_revision),
            row.image_chip_id,
            row.bootloader_offset,
            cipher,
            schemes.join(", ")
        );
    }
    out
}
