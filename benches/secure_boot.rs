//! Secure boot: verify and sign per scheme, and the bootloader digest of v1.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dryburn::{
    SecureBootScheme::{self, V2EcdsaP192, V2EcdsaP256, V2EcdsaP384, V2Rsa3072},
    secure_boot::{
        sign::SigningKey,
        v1::{self, BootloaderDigest},
        v2::{self, SignatureBlock},
    },
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::hint::black_box;

const SCHEMES: [(&str, SecureBootScheme); 4] =
    [("rsa3072", V2Rsa3072), ("ecdsa192", V2EcdsaP192), ("ecdsa256", V2EcdsaP256), ("ecdsa384", V2EcdsaP384)];

fn signatures(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("secure_boot");
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    for (name, scheme) in SCHEMES {
        let key = SigningKey::generate(scheme, &mut rng).expect("a key");
        let digest = vec![0x5A; v2::digest_len(scheme)];
        let block = key.sign_v2(&digest, &mut rng).expect("a block");
        group.bench_function(format!("v2/{name}/verify"), |b| {
            b.iter(|| assert!(v2::verify_signature(SignatureBlock(black_box(&block)), &digest)));
        });
        group.bench_function(format!("v2/{name}/sign"), |b| b.iter(|| key.sign_v2(black_box(&digest), &mut rng)));
        if scheme == V2EcdsaP256 {
            let digest = [0x5A; 32];
            let block = key.sign_v1(&digest).expect("a block");
            let public = key.public().ok().and_then(|key| key.raw_p256()).expect("64 bytes");
            group.bench_function("v1/verify", |b| {
                b.iter(|| v1::verify(v1::SignatureBlock(black_box(&block)), &digest, &public));
            });
            group.bench_function("v1/sign", |b| b.iter(|| key.sign_v1(black_box(&digest))));
        }
    }
    let image = vec![0xA5; 28 * 1024];
    group.throughput(Throughput::Bytes(image.len() as u64));
    group.bench_function("v1/bootloader_digest", |b| {
        b.iter(|| {
            let mut engine = BootloaderDigest::new(&[1; 32], &[2; v1::IV]);
            engine.update(black_box(&image));
            engine.finalize()
        });
    });
    group.finish();
}

criterion_group!(benches, signatures);
criterion_main!(benches);
