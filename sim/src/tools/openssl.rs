//! openssl, as far as ESP-IDF's documentation uses it: `openssl ecparam -name CURVE -genkey -noout -out FILE` makes a key
//! for Secure Boot, `openssl req -x509` a key and a certificate for a server. Any other use is refused as not modelled.
//!
//! Unlike openssl this one does not overwrite a file: it may be the only copy of a key. Like openssl it lets only the owner
//! read the new one (espsecure does not restrict its key files).

mod req;

use super::{Failure, Workbench};
use dryburn::{SecureBootScheme, secure_boot::sign::SigningKey};

const MODELLED: &str = "openssl: only `openssl ecparam -name prime256v1 -genkey -noout -out FILE` (also with \
                        prime192v1 and secp384r1) and `openssl req -x509` are modelled";

/// Runs one openssl command line.
///
/// # Errors
/// [`Failure`] for anything that is not modelled and for files that exist; nothing is written then.
pub fn run(bench: &mut Workbench, args: &[String]) -> Result<String, Failure> {
    let not_modelled = || Failure::new(MODELLED);
    let mut words = args.iter().map(String::as_str);
    match words.next() {
        Some("ecparam") => {}
        Some("req") => return req::run(bench, words),
        _ => return Err(not_modelled()),
    }
    let (mut curve, mut file, mut genkey, mut noout) = (None, None, false, false);
    while let Some(word) = words.next() {
        // openssl takes options with one dash or two.
        match word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
            Some("name") => curve = words.next(),
            Some("out") => file = words.next(),
            Some("genkey") => genkey = true,
            Some("noout") => noout = true,
            _ => return Err(not_modelled()),
        }
    }
    let (scheme, text) = match curve {
        Some("prime192v1") => (SecureBootScheme::V2EcdsaP192, ""),
        Some("prime256v1") => (SecureBootScheme::V2EcdsaP256, ""),
        Some("secp256r1") => (SecureBootScheme::V2EcdsaP256, "using curve name prime256v1 instead of secp256r1\n"),
        Some("secp384r1") => (SecureBootScheme::V2EcdsaP384, ""),
        _ => return Err(not_modelled()),
    };
    let file = file.filter(|_| genkey && noout).ok_or_else(not_modelled)?;
    only_new(bench, file)?;
    let pem = SigningKey::generate(scheme, &mut bench.rng)?.to_pem()?;
    bench.write_secret(file, pem.as_bytes())?;
    Ok(text.to_owned())
}

/// Refuses a file that exists.
fn only_new(bench: &Workbench, file: &str) -> Result<(), Failure> {
    bench.path(file)?;
    if bench.exists(file) {
        return Err(Failure::new(format!(
            "openssl: {file} exists; it may be the only copy of a key. Choose another name or delete it."
        )));
    }
    Ok(())
}
