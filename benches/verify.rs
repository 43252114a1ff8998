//! Where the time of a boot check goes: an encrypted app of 1.5 MiB with a Secure Boot v2 signature, then its parts alone.
//!
//! `share` prints from one interleaved run how much of the check is SHA-256 and signature, which nothing here can shorten.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dryburn::{
    Chip, IdfVersion, Revision, SecureBootScheme,
    efuse::security,
    image::{self, Builder, Kind, Purpose, Region, Rules, SignaturePolicy, Target, V2Policy},
    secure_boot::{
        KeyDigest,
        sign::SigningKey,
        v2::{self, SignatureBlock},
    },
};
use dryburn_sim::{bus::EncryptionUnit, efuse::Efuses, flash::Flash};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use sha2::{Digest, Sha256};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const APP: usize = 1536 * 1024;
const REGION: Region = Region { offset: 0x1_0000, size: 0x20_0000 };
const SECTOR: usize = dryburn::SECTOR as usize;

/// A board's flash with a signed app, encrypted.
struct Board {
    name: &'static str,
    flash: Flash,
    unit: EncryptionUnit,
    target: Target,
    policy: SignaturePolicy,
    /// The app as the CPU reads it, up to its signature.
    app: Vec<u8>,
    block: [u8; v2::BLOCK],
}

impl Board {
    fn new(name: &'static str, chip: Chip, scheme: SecureBootScheme) -> Self {
        let mut efuses = Efuses::new(chip);
        efuses.burn(security::key_block_number(chip, 0), &[0x0123_4567; 8]);
        let (field, value) = if chip == Chip::Esp32 { ("FLASH_CRYPT_CONFIG", 0xF) } else { ("KEY_PURPOSE_0", 4) };
        efuses.burn_field(field, value).expect("a virgin field");
        efuses.burn_field(security::crypt_count_name(chip), 1).expect("a virgin field");
        let unit = EncryptionUnit::at_reset(&efuses);
        assert!(unit.is_on());

        let mut app = Builder::app(chip).size(APP).build();
        app.resize(app.len().next_multiple_of(SECTOR), 0xFF);
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let key = SigningKey::generate(scheme, &mut rng).expect("a key");
        let block = key.sign_v2(&Sha256::digest(&app), &mut rng).expect("a block");
        let mut flash = Flash::new(4 * 1024 * 1024).expect("4 MB");
        let mut signed = app.clone();
        signed.extend_from_slice(&block);
        signed.resize(app.len() + SECTOR, 0xFF);
        unit.program(&mut flash, REGION.offset, &signed).expect("inside");

        let trusted = [SignatureBlock(&block).key_digest().map(KeyDigest::Whole), None, None];
        let policy = SignaturePolicy::V2(V2Policy { scheme, trusted, enforced: true });
        let target = Target {
            chip,
            revision: Revision::new(3, 0),
            block_revision: None,
            ignore_max_revision: false,
            ignore_max_block_revision: false,
            idf: IdfVersion::LATEST,
        };
        Self { name, flash, unit, target, policy, app, block }
    }

    fn check(&self) {
        let rules =
            Rules { target: &self.target, kind: Kind::App, purpose: Purpose::Verify, signature: Some(&self.policy) };
        image::verify(&mut self.unit.view(&self.flash), REGION, &rules, &mut |_| {}).expect("a good app");
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(black_box(&self.app)).into()
    }

    fn signature(&self, digest: &[u8]) {
        assert!(v2::verify_signature(SignatureBlock(black_box(&self.block)), digest));
    }

    /// Flash as the CPU reads it, and no look at it.
    fn read(&self) {
        let mut buf = vec![0; 64 * 1024];
        let view = self.unit.view(&self.flash);
        for at in (0..self.app.len() as u32).step_by(buf.len()) {
            view.fill(REGION.offset + at, &mut buf).expect("inside");
        }
        black_box(buf);
    }
}

fn fastest(times: &mut [Duration], jobs: &[&dyn Fn()]) {
    for _ in 0..200 {
        for (time, job) in times.iter_mut().zip(jobs) {
            let start = Instant::now();
            job();
            *time = (*time).min(start.elapsed());
        }
    }
}

fn share(board: &Board, digest: &[u8]) {
    let mut times = [Duration::MAX; 4];
    fastest(
        &mut times,
        &[
            &|| board.check(),
            &|| {
                black_box(board.hash());
            },
            &|| board.signature(digest),
            &|| board.read(),
        ],
    );
    let [check, hash, signature, read] = times.map(|time| time.as_secs_f64() * 1e6);
    println!(
        "verify/{}: check {check:.0} us = SHA-256 {hash:.0} + signature {signature:.0} + other {:.0} (reading decrypted alone: \
         {read:.0}); SHA-256 and signature are {:.0} %",
        board.name,
        check - hash - signature,
        100.0 * (hash + signature) / check
    );
}

fn verify(criterion: &mut Criterion) {
    for board in [
        Board::new("esp32/rsa3072", Chip::Esp32, SecureBootScheme::V2Rsa3072),
        Board::new("esp32c3/rsa3072", Chip::Esp32c3, SecureBootScheme::V2Rsa3072),
    ] {
        let digest = board.hash();
        share(&board, &digest);
        let mut group = criterion.benchmark_group(format!("verify/{}", board.name));
        group.throughput(Throughput::Bytes(board.app.len() as u64)).sample_size(20);
        group.bench_function("check", |b| b.iter(|| board.check()));
        group.bench_function("sha256", |b| b.iter(|| board.hash()));
        group.bench_function("signature", |b| b.iter(|| board.signature(&digest)));
        group.bench_function("read", |b| b.iter(|| board.read()));
        group.finish();
    }
}

criterion_group!(benches, verify);
criterion_main!(benches);
