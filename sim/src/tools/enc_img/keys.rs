//! New keys, in files whose names are the tool's.

use super::{Failure, Workbench, error};
use crate::tools::espsecure;
use dryburn::{
    SecureBootScheme,
    envelope::EciesKey,
    secure_boot::sign::{PublicKey, SigningKey},
};
use rand_chacha::rand_core::Rng;

/// An RSA-3072 pair for a server and all its devices.
pub(super) fn rsa(bench: &mut Workbench, text: &mut String) -> Result<(), Failure> {
    let (private, public) = ("rsa_priv_key.pem", "rsa_pub_key.pem");
    only_new(bench, &[private, public])?;
    let pem = espsecure::new_key(SecureBootScheme::V2Rsa3072, bench)?;
    bench.write(private, pem.as_bytes())?;
    bench.write(public, SigningKey::from_pem(&pem)?.public()?.to_pem().as_bytes())?;
    text.push_str("Server RSA-3072 keypair generated successfully\nKey generation completed successfully\n");
    Ok(())
}

/// The HMAC key for a device's eFuse, and the public key that it leads to.
pub(super) fn ecc(bench: &mut Workbench, text: &mut String) -> Result<(), Failure> {
    let (hmac_file, public) = ("device_hmac_key.bin", "device_pub_key.pem");
    only_new(bench, &[hmac_file, public])?;
    let (key, device) = loop {
        let mut key = [0; 32];
        bench.rng.fill_bytes(&mut key);
        if let Some(device) = EciesKey::from_hmac_key(&key) {
            break (key, device);
        }
    };
    bench.write(hmac_file, &key)?;
    bench.write(public, PublicKey::from_raw_p256(&device.public())?.to_pem().as_bytes())?;
    text.push_str(
        "ECC-256 key generated successfully\nServer ECC-256 keypair generated successfully\nKey generation completed \
         successfully\n",
    );
    Ok(())
}

fn only_new(bench: &Workbench, files: &[&str]) -> Result<(), Failure> {
    match files.iter().find(|file| bench.exists(file)) {
        Some(file) => Err(error(format!("{file} exists; it may be the only copy of a key. Move or delete it."))),
        None => Ok(()),
    }
}
