//! How much RAM an update takes beside the caller's buffer. There is no heap in it: the core crate's updater compiles without
//! `alloc` (`.ci/run core`), so the stack is all.
//!
//! The stack is measured from outside: a child process uses up some of a thread's stack, then runs the update in what is left.
//! The most that can be used up so that the update still fits, against the same for doing nothing, is what the update needs.

use super::board::{Kind, key};
use dryburn::{
    SecureBootScheme::{self, V2EcdsaP256, V2EcdsaP384, V2Rsa3072},
    boot::{Slot, Slots},
    image::{Builder, Region, SignaturePolicy, V2Policy},
    ota::{Erase, Plain, PlainImage, Policy, Progress, Update, Updater},
    otadata::{Entry, State},
    secure_boot::{ImageDigest, KeyDigest},
};
use dryburn_sim::{app::dryburn::policy, flash::Flash};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{
    hint::black_box,
    process::{Command, Stdio},
};

const LEVEL: &str = "DRYBURN_STACK_PROBE";
const STACK: usize = 256 * 1024;
const APP: usize = 1536 * 1024;
/// The scheme of a signature, and the key of the vectors that makes it.
type Signed = (SecureBootScheme, &'static str);

/// What an update may take: without a signature, and by the scheme of the signature. Of what the
/// curves take above RSA's 8 KiB, the tables of multiples in the crates' multiplication of points are most.
const LIMITS: [(&str, Option<Signed>, usize); 4] = [
    ("plain", None, 5 * 1024),
    ("RSA-3072", Some((V2Rsa3072, "rsa3072_a")), 8 * 1024),
    ("P-256", Some((V2EcdsaP256, "p256")), 16 * 1024),
    ("P-384", Some((V2EcdsaP384, "p384")), 20 * 1024),
];

/// Uses up stack, `levels` times the same, then does `work`; gives the addresses of the last two frames.
#[inline(never)]
fn deep(levels: u32, last: usize, work: &mut dyn FnMut()) -> (usize, usize) {
    let pad = black_box([0u8; 128]);
    let here = std::ptr::from_ref(&pad) as usize;
    if levels == 0 {
        work();
        return (last, here);
    }
    let frames = deep(levels - 1, here, work);
    black_box(&pad);
    frames
}

struct Job {
    flash: Flash,
    slots: Slots,
    policy: Policy,
    image: Vec<u8>,
}

impl Job {
    fn new(signed: Option<Signed>) -> Self {
        let kind = Kind::PLAIN;
        let mut policy = policy(&kind.board([None, None]));
        let mut flash = Flash::new(4 * 1024 * 1024).unwrap();
        let mut slots = Slots::default();
        slots.add(1, 0, Region { offset: 0xD000, size: 0x2000 });
        slots.add(0, 0x10, Region { offset: 0x1_0000, size: 0x18_0000 });
        slots.add(0, 0x11, Region { offset: 0x20_0000, size: 0x1C_0000 });
        flash.program(0xD000, &Entry::new(1, State::Valid).to_bytes()).unwrap();
        let mut image = Builder::app(kind.chip).size(APP).build();
        if let Some((scheme, name)) = signed {
            let key = key(name);
            let trusted = [Some(KeyDigest::Whole(key.public().unwrap().digest())), None, None];
            policy.signature = Some(SignaturePolicy::V2(V2Policy { scheme, trusted, enforced: true }));
            image.resize(image.len().next_multiple_of(4096), 0xFF);
            let digest = ImageDigest::of(scheme, &image);
            image.extend(key.sign_v2(digest.as_ref(), &mut ChaCha20Rng::seed_from_u64(1)).unwrap());
            image.resize(image.len().next_multiple_of(4096), 0xFF);
        }
        Self { flash, slots, policy, image }
    }

    fn update(&mut self) {
        let mut updater = Updater::new(Plain(&mut self.flash), self.slots, Slot::Ota(0), self.policy).unwrap();
        let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).unwrap();
        for chunk in self.image.chunks(4096) {
            update.write(chunk).unwrap();
        }
        update.finish(&mut |_| {}).unwrap().set_boot().unwrap();
    }
}

/// Not a test of its own: what the child process runs.
#[test]
fn probe() {
    let Ok(order) = std::env::var(LEVEL) else { return };
    let (levels, what) = order.split_once(' ').unwrap();
    let levels: u32 = levels.parse().unwrap();
    let mut job = LIMITS.iter().find(|(name, ..)| *name == what).map(|(_, signed, _)| Job::new(*signed));
    let run = move || {
        let (last, here) = deep(levels, 0, &mut || {
            if let Some(job) = job.as_mut() {
                job.update();
            }
        });
        println!("frame {}", last.saturating_sub(here));
    };
    std::thread::Builder::new().stack_size(STACK).spawn(run).unwrap().join().unwrap();
}

/// The frame size that the child reports, where it survives.
fn survives(what: &str, levels: u32) -> Option<usize> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::probe", "--nocapture"])
        .env(LEVEL, format!("{levels} {what}"))
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let frame = text.lines().find_map(|line| line.split("frame ").nth(1))?.trim().parse().ok()?;
    output.status.success().then_some(frame)
}

/// The most levels that leave room for the work.
fn most(what: &str) -> u32 {
    let (mut fits, mut too_many) = (1, (STACK / 128) as u32);
    while fits + 1 < too_many {
        let levels = fits.midpoint(too_many);
        if survives(what, levels).is_some() {
            fits = levels;
        } else {
            too_many = levels;
        }
    }
    fits
}

#[test]
fn an_update_of_1_5_mib_takes_little_stack() {
    let frame = survives("nothing", 8).expect("a child process runs");
    let nothing = most("nothing");
    let mut wrong = vec![];
    for (what, _, limit) in LIMITS {
        let used = (nothing - most(what)) as usize * frame;
        println!("{what}: {used} bytes of stack (in steps of {frame})");
        if !(512..=limit).contains(&used) {
            wrong.push(what);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_states_of_an_update_are_small() {
    type Flashed<'a> = Plain<&'a mut Flash>;
    for (what, size, most) in [
        ("Updater", size_of::<Updater<Flashed<'_>>>(), 512),
        ("Update", size_of::<Update<'_, Flashed<'_>, PlainImage>>(), 160),
        ("Progress", size_of::<Progress>(), 48),
    ] {
        println!("{what}: {size} bytes");
        assert!(size <= most, "{what}: {size} bytes");
    }
}
