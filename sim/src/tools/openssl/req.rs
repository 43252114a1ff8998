//! `openssl req -x509`: a self-signed certificate and its key, for a server that hands out updates over HTTPS.
//!
//! As ESP-IDF's examples make theirs, but with a P-256 key. The certificate is both the server's own and the one that a device
//! trusts, and carries its common name as DNS name, too, without which no present client takes it. It is always valid: the
//! model has no clock, so `-days` is not looked at.

use super::{Failure, Workbench};
use p256::{
    ecdsa::{DerSignature, SigningKey, signature::Signer},
    elliptic_curve::Generate,
    pkcs8::{EncodePrivateKey, LineEnding},
};
use rcgen::{CertificateParams, DnType, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm};

const MODELLED: &str = "openssl: of `req`, only `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
                        -keyout KEY -out CERT -subj /CN=localhost` is modelled (-days may stand there)";

/// Makes key and certificate.
pub(super) fn run<'a>(bench: &mut Workbench, mut words: impl Iterator<Item = &'a str>) -> Result<String, Failure> {
    let not_modelled = || Failure::new(MODELLED);
    let (mut x509, mut ec, mut curve, mut nodes) = (false, false, false, false);
    let (mut key_file, mut file, mut name) = (None, None, None);
    while let Some(word) = words.next() {
        match word.strip_prefix("--").or_else(|| word.strip_prefix('-')) {
            Some("x509") => x509 = true,
            Some("nodes" | "noenc") => nodes = true,
            Some("newkey") => ec = words.next() == Some("ec"),
            Some("pkeyopt") => curve = words.next() == Some("ec_paramgen_curve:prime256v1"),
            Some("keyout") => key_file = words.next(),
            Some("out") => file = words.next(),
            Some("days") => drop(words.next()),
            Some("subj") => name = words.next().and_then(|subject| subject.strip_prefix("/CN=")),
            _ => return Err(not_modelled()),
        }
    }
    let all = x509 && ec && curve && nodes;
    let (Some(key_file), Some(file), Some(name), true) = (key_file, file, name, all) else {
        return Err(not_modelled());
    };
    for file in [key_file, file] {
        super::only_new(bench, file)?;
    }
    let key = SigningKey::generate_from_rng(&mut bench.rng);
    let pem = p256::SecretKey::from(&key).to_pkcs8_pem(LineEnding::LF);
    let pem = pem.map_err(|_| Failure::new("openssl: the key cannot be written"))?;
    let certificate = certificate(name, key)?;
    bench.write_secret(key_file, pem.as_bytes())?;
    bench.write(file, certificate.as_bytes())?;
    Ok("-----\n".into())
}

fn certificate(name: &str, key: SigningKey) -> Result<String, Failure> {
    let refused = |e: rcgen::Error| Failure::new(format!("openssl: -subj /CN={name}: {e}"));
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(refused)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(1));
    let public = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
    Ok(params.self_signed(&Key { key, public }).map_err(refused)?.pem())
}

/// A P-256 key that signs certificates; the same certificate gets the same signature (RFC 6979).
struct Key {
    key: SigningKey,
    public: Vec<u8>,
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature = self.key.try_sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.as_bytes().to_vec())
    }
}
