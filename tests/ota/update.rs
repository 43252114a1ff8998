//! The three ways in, and everything that is refused.

use super::board::{APP, Kind, OTADATA, Power, SLOT_SIZE, SLOTS, app, boot, entries, on_supply, reset, sign};
use dryburn::{
    Chip, Revision, SECTOR,
    boot::{Slot, Slots},
    flash_encryption::FlashCipher,
    image::{Builder, Damage, Refusal, Region, damage},
    ota::{
        BeginError, CheckError, Ciphertext, Confirmed, Envelope, Erase, FinishError, LayoutError, Opened, Opener,
        Plain, PlainImage, Progress, Proof, ResumeError, RollBackError, Updater, WriteError,
    },
    otadata::{Entry, State},
};
use dryburn_sim::{
    app::dryburn::{policy, slots},
    device::Device,
};
use proptest::prelude::*;

const FIRST: [Option<Entry>; 2] = [None, None];

/// The app in `running` confirms itself and installs `image` in the next slot, which is returned.
fn install(device: &mut Device, running: Slot, image: &[u8], chunk: usize, erase: Erase, size: Option<u32>) -> u8 {
    on_supply(device, running, &Power::steady(), |updater| {
        updater.confirm().unwrap();
        let slot = updater.next_slot().unwrap();
        let mut update = updater.begin(slot, PlainImage, size, erase).unwrap();
        image.chunks(chunk).for_each(|chunk| update.write(chunk).unwrap());
        assert_eq!(update.written() as usize, image.len());
        update.finish(&mut |_| {}).unwrap().set_boot().unwrap();
        slot
    })
}

#[test]
fn chunks_of_any_size_make_the_new_app_start() {
    let esp32 = Kind { chip: Chip::Esp32, ..Kind::ENCRYPTED };
    for kind in [Kind::PLAIN, Kind::ENCRYPTED, esp32, Kind { factory: true, slots: 3, ..esp32 }] {
        let mut device = kind.board(FIRST);
        let (mut running, _) = boot(&mut device);
        for (i, chunk) in [1, 15, 16, 17, 1000, 4095, 4096, 4100, 100_000].into_iter().enumerate() {
            let image = kind.app(&format!("2.0.{i}"));
            let erase = if i % 2 == 0 { Erase::AsWritten } else { Erase::First };
            let size = (i % 3 == 0).then_some(image.len() as u32);
            let slot = install(&mut device, running, &image, chunk, erase, size);
            let now = reset(&mut device);
            assert_eq!(now, (Slot::Ota(slot), format!("2.0.{i}")), "{kind:?} in chunks of {chunk}");
            running = now.0;
            on_supply(&mut device, running, &Power::steady(), |updater| {
                assert_eq!(updater.state(), Ok(Some(State::PendingVerify)));
                let again = updater.begin(updater.next_slot().unwrap(), PlainImage, None, erase).err();
                assert_eq!(again, Some(BeginError::Unconfirmed { state: State::PendingVerify }));
            });
        }
    }
}

#[test]
fn an_app_that_is_not_confirmed_gives_way_to_the_one_before() {
    for kind in [Kind::PLAIN, Kind::ENCRYPTED, Kind { factory: true, ..Kind::PLAIN }] {
        let mut device = kind.board(FIRST);
        let before = boot(&mut device);
        install(&mut device, before.0, &kind.app("2.0.0"), 1000, Erase::AsWritten, None);
        assert_eq!(reset(&mut device).1, "2.0.0");
        assert_eq!(boot(&mut device), before, "{kind:?}");
        // and the next one is taken
        install(&mut device, before.0, &kind.app("2.0.1"), 1000, Erase::AsWritten, None);
        assert_eq!(reset(&mut device).1, "2.0.1");
    }
}

#[test]
fn an_app_that_is_confirmed_stays_and_one_that_is_refused_goes() {
    let mut device = Kind::ENCRYPTED.board(FIRST);
    let before = boot(&mut device);
    install(&mut device, before.0, &Kind::ENCRYPTED.app("2.0.0"), 4096, Erase::AsWritten, None);
    let new = reset(&mut device);
    on_supply(&mut device, new.0, &Power::steady(), |updater| {
        assert_eq!(updater.confirm(), Ok(Confirmed::Now));
        assert_eq!(updater.confirm(), Ok(Confirmed::Already));
    });
    assert_eq!(boot(&mut device), new);
    assert_eq!(boot(&mut device), new);
    on_supply(&mut device, new.0, &Power::steady(), |updater| assert_eq!(updater.roll_back(), Ok(before.0)));
    assert_eq!(reset(&mut device), before);
    on_supply(&mut device, before.0, &Power::steady(), |updater| {
        assert_eq!(updater.state(), Ok(Some(State::Valid)));
    });
}

#[test]
fn there_is_no_rolling_back_to_nothing() {
    let mut device = Kind::PLAIN.board([Some(Entry::new(1, State::Valid)), None]);
    let before = device.flash.clone();
    let error = app(&mut device).updater().unwrap().roll_back().unwrap_err();
    assert!(matches!(error, RollBackError::NothingToRollBackTo), "{error:?}");
    let factory = Kind { factory: true, ..Kind::PLAIN };
    let error = app(&mut factory.board(FIRST)).updater().unwrap().roll_back().unwrap_err();
    assert!(matches!(error, RollBackError::NoEntry { running: Slot::Factory }), "{error:?}");
    assert!(device.flash == before);
}

fn encrypted_for(device: &Device, slot: u8, image: &[u8]) -> Vec<u8> {
    let mut bytes = image.to_vec();
    FlashCipher::new(&device.efuses.flash_key()).encrypt(SLOTS[usize::from(slot)], &mut bytes).unwrap();
    bytes
}

#[test]
fn ciphertext_for_the_slot_is_written_raw_and_otadata_is_not() {
    for chip in [Chip::Esp32, Chip::Esp32c3] {
        let kind = Kind { chip, ..Kind::ENCRYPTED };
        let mut device = kind.board(FIRST);
        let bytes = encrypted_for(&device, 1, &kind.app("3.0.0"));
        let mut running = app(&mut device);
        let mut updater = running.updater().unwrap();
        let mut update = updater.begin(1, Ciphertext, Some(bytes.len() as u32), Erase::AsWritten).unwrap();
        bytes.chunks(1000).for_each(|chunk| update.write(chunk).unwrap());
        update.finish(&mut |_| {}).unwrap().set_boot().unwrap();
        let mut raw = vec![0; bytes.len()];
        device.flash.read(SLOTS[1], &mut raw).unwrap();
        assert!(raw == bytes, "what was sent lies in flash as it is");
        // report R5: the bootloader reads otadata through the encryption unit
        let new = entries(&device).into_iter().find(|e| e.ota_seq() == 2).expect("the CPU reads the choice");
        let mut stored = [0; 32];
        device.flash.read(OTADATA + SECTOR, &mut stored).unwrap();
        assert_ne!(stored, new.to_bytes());
        assert_eq!(reset(&mut device), (Slot::Ota(1), "3.0.0".into()));
    }
}

#[test]
fn ciphertext_for_another_slot_or_key_or_twice_encrypted_is_refused() {
    let kind = Kind::ENCRYPTED;
    let mut device = kind.board(FIRST);
    let image = kind.app("3.0.0");
    let right = encrypted_for(&device, 1, &image);
    let mut other_key = image.clone();
    let key = dryburn::flash_encryption::FlashKey::Xts128([9; 32]);
    FlashCipher::new(&key).encrypt(SLOTS[1], &mut other_key).unwrap();
    for bytes in [encrypted_for(&device, 0, &image), encrypted_for(&device, 1, &right), other_key, image.clone()] {
        let mut running = app(&mut device);
        let mut updater = running.updater().unwrap();
        let mut update = updater.begin(1, Ciphertext, None, Erase::AsWritten).unwrap();
        update.write(&bytes).unwrap();
        let error = update.finish(&mut |_| {}).err().expect("refused");
        assert!(matches!(error, FinishError::Image(Refusal::BadMagic { .. })), "{error:?}");
        assert_eq!(reset(&mut device).1, "1.0.0");
    }
    // and the way round: what is encrypted already is told from a plain image by its first byte
    let mut running = app(&mut device);
    let mut updater = running.updater().unwrap();
    let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).unwrap();
    assert_eq!(update.write(&right), Err(WriteError::BadMagic { found: right[0] }));
    assert!(matches!(update.write(&image), Err(WriteError::Failed)));
    assert!(matches!(update.finish(&mut |_| {}), Err(FinishError::Failed)));

    let mut plain = Kind::PLAIN.board(FIRST);
    let mut running = app(&mut plain);
    let error = running.updater().unwrap().begin(1, Ciphertext, None, Erase::AsWritten).err();
    assert!(matches!(error, Some(BeginError::NotEncrypted)), "{error:?}");
}

/// A toy transport encryption: bytes XORed with 0x5A, and their sum at the end.
struct Toy {
    sum: u8,
    held: Option<u8>,
    proof: Proof,
}

impl Toy {
    const NEW: Self = Self { sum: 0, held: None, proof: Proof::Enough };
}

impl Opener for Toy {
    type Error = &'static str;
    fn open(&mut self, input: &[u8], output: &mut [u8]) -> Result<Opened, Self::Error> {
        let mut produced = 0;
        let mut consumed = 0;
        for byte in input {
            if produced == output.len() {
                break;
            }
            consumed += 1;
            if let Some(held) = self.held.replace(*byte) {
                output[produced] = held ^ 0x5A;
                self.sum = self.sum.wrapping_add(held ^ 0x5A);
                produced += 1;
            }
        }
        Ok(Opened { consumed, produced })
    }
    fn finish(self) -> Result<Proof, Self::Error> {
        if self.held == Some(self.sum) { Ok(self.proof) } else { Err("the sum is wrong") }
    }
}

fn sealed(image: &[u8]) -> Vec<u8> {
    let sum = image.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    image.iter().map(|byte| byte ^ 0x5A).chain([sum]).collect()
}

#[test]
fn nothing_out_of_an_envelope_can_start_before_its_proof() {
    for kind in [Kind::PLAIN, Kind::ENCRYPTED] {
        let mut device = kind.board(FIRST);
        let good = sealed(&kind.app("4.0.0"));
        let mut tampered = good.clone();
        *tampered.last_mut().unwrap() ^= 1;
        for (bytes, opener, want) in [
            (&tampered, Toy::NEW, "Source"),
            (&good, Toy { proof: Proof::NeedsSignature, ..Toy::NEW }, "SignatureNeeded"),
        ] {
            let mut running = app(&mut device);
            let mut updater = running.updater().unwrap();
            let mut update = updater.begin(1, Envelope(opener), None, Erase::AsWritten).unwrap();
            bytes.chunks(777).for_each(|chunk| update.write(chunk).unwrap());
            let error = update.finish(&mut |_| {}).err().expect("refused");
            assert!(format!("{error:?}").starts_with(want), "{error:?}");
            // the plaintext is whole but for its first bytes: no bootloader takes it, whatever otadata says
            let check = updater.check(1, &mut |_| {}).err().expect("no image");
            assert!(matches!(check, CheckError::Image(FinishError::Image(Refusal::BadMagic { .. }))), "{check:?}");
        }
        let mut running = app(&mut device);
        let mut updater = running.updater().unwrap();
        let mut update = updater.begin(1, Envelope(Toy::NEW), None, Erase::AsWritten).unwrap();
        good.chunks(777).for_each(|chunk| update.write(chunk).unwrap());
        update.finish(&mut |_| {}).unwrap().set_boot().unwrap();
        assert_eq!(reset(&mut device).1, "4.0.0", "{kind:?}");
    }
}

#[test]
fn every_bad_image_is_refused_and_a_good_one_taken_after_it() {
    let kind = Kind::PLAIN;
    let good = kind.app("2.0.0");
    let damaged = |what, repair| {
        let mut image = good.clone();
        damage(&mut image, what, repair);
        image
    };
    let chip = Builder::app(Chip::Esp32s3).size(APP).build();
    let revision = Builder::app(kind.chip).size(APP).revisions(Revision::new(9, 0), Revision(u16::MAX)).build();
    let flipped = {
        let mut image = good.clone();
        image[5000] ^= 1;
        image
    };
    let cases: [(&str, Vec<u8>); 8] = [
        ("BadMagic", damaged(Damage::Magic, true)),
        ("WrongChip", chip),
        ("RevisionTooLow", revision),
        ("Checksum", flipped),
        ("Hash", damaged(Damage::Hash, false)),
        ("Hash", good[..good.len() - 16].to_vec()),
        ("Truncated", good[..2 * SECTOR as usize].to_vec()),
        ("Empty", Vec::new()),
    ];
    let mut device = kind.board(FIRST);
    for (want, image) in cases {
        // an identical app already lies there: what is missing must not be taken from it
        device.flash.erase(SLOTS[1], SLOTS[1] + SLOT_SIZE).unwrap();
        device.flash.program(SLOTS[1], &good).unwrap();
        let mut running = app(&mut device);
        let mut updater = running.updater().unwrap();
        let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).unwrap();
        let said = match update.write(&image) {
            Err(error) => format!("{error:?}"),
            Ok(()) => format!("{:?}", update.finish(&mut |_| {}).err().expect("refused")),
        };
        assert!(said.contains(want), "{want}: {said}");
        assert_eq!(reset(&mut device), (Slot::Ota(0), "1.0.0".into()), "{want}");
    }
    install(&mut device, Slot::Ota(0), &good, 500, Erase::AsWritten, None);
    assert_eq!(reset(&mut device).1, "2.0.0");
}

#[test]
fn a_signature_is_asked_for_where_the_bootloader_asks() {
    let kind = Kind::SIGNED;
    let mut device = kind.board(FIRST);
    assert_eq!(boot(&mut device).1, "1.0.0");
    let unsigned = kind.unsigned_app("6.6.6");
    let mut tampered = kind.app("6.6.7");
    tampered[6000] ^= 1;
    for image in [unsigned.clone(), sign(&unsigned, "b"), tampered] {
        let mut running = app(&mut device);
        let mut updater = running.updater().unwrap();
        let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).unwrap();
        update.write(&image).unwrap();
        let error = update.finish(&mut |_| {}).err().expect("refused");
        assert!(matches!(error, FinishError::Image(Refusal::Signature { .. } | Refusal::Checksum { .. })), "{error:?}");
        assert_eq!(reset(&mut device).1, "1.0.0");
    }
    install(&mut device, Slot::Ota(0), &kind.app("2.0.0"), 1000, Erase::AsWritten, None);
    assert_eq!(reset(&mut device).1, "2.0.0");
}

#[test]
fn an_app_that_is_too_old_for_the_efuses_is_refused() {
    let kind = Kind { factory: true, ..Kind::PLAIN };
    let mut device = kind.board(FIRST);
    let app_of = |version| Builder::app(kind.chip).size(APP).version("5.0.0").secure_version(version).build();
    device.efuses.burn_field("SECURE_VERSION", 0b11).unwrap();
    device.config.set("BOOTLOADER_APP_ANTI_ROLLBACK=y").unwrap();
    device.flash.erase(0x1_0000, 0x2_0000).unwrap();
    device.flash.program(0x1_0000, &app_of(2)).unwrap();
    let mut running = app(&mut device);
    let mut updater = running.updater().unwrap();
    for (version, verdict) in [(1, false), (2, true), (3, true)] {
        let mut update = updater.begin(0, PlainImage, None, Erase::AsWritten).unwrap();
        update.write(&app_of(version)).unwrap();
        match update.finish(&mut |_| {}) {
            Ok(_) => assert!(verdict, "{version}"),
            Err(error) => {
                assert!(
                    !verdict && error == FinishError::SecureVersion { app: version, burned: 2 },
                    "{version}: {error:?}"
                );
            }
        }
    }
}

#[test]
fn what_cannot_be_right_does_not_begin() {
    let mut device = Kind::PLAIN.board(FIRST);
    let before = device.flash.clone();
    let mut running = app(&mut device);
    let mut updater = running.updater().unwrap();
    assert_eq!(updater.next_slot(), Some(1));
    let mut begin = |slot, size| updater.begin(slot, PlainImage, size, Erase::First).err();
    assert!(matches!(begin(0, None), Some(BeginError::RunningSlot { slot: 0 })));
    assert!(matches!(begin(2, None), Some(BeginError::NoSuchSlot { slot: 2, slots: 2 })));
    assert!(matches!(
        begin(1, Some(SLOT_SIZE + 1)),
        Some(BeginError::TooLarge { size: 0x1_0001, slot_size: 0x1_0000 })
    ));
    // the first boot wrote its choice down; nothing else changed
    assert_eq!(device.flash.changed_sectors(&before), [OTADATA]);
}

#[test]
fn a_partition_table_that_would_overwrite_the_running_app_is_none() {
    let device = Kind::PLAIN.board(FIRST);
    let good = slots(&device).unwrap();
    let made = |slots: Slots, running| {
        let flash = Plain(device.flash.clone());
        Updater::new(flash, slots, running, policy(&device)).map(drop)
    };
    assert_eq!(made(good, Slot::Ota(0)), Ok(()));
    assert_eq!(made(good, Slot::Factory), Err(LayoutError::NoRunningSlot { slot: Slot::Factory }));
    assert_eq!(made(Slots { otadata: None, ..good }, Slot::Ota(0)), Err(LayoutError::NoOtadata));
    let mut twice = good;
    twice.ota[1] = twice.ota[0];
    assert_eq!(made(twice, Slot::Ota(0)), Err(LayoutError::Overlap { a: SLOTS[0], b: SLOTS[0] }));
    let mut beyond = good;
    beyond.ota[1] = Some(Region { offset: 0xF_F000, size: 0x2000 });
    assert_eq!(made(beyond, Slot::Ota(0)), Err(LayoutError::NotInFlash { offset: 0xF_F000, size: 0x2000 }));
}

#[test]
fn sizes_are_kept_to() {
    let kind = Kind::PLAIN;
    let mut device = kind.board(FIRST);
    let image = kind.app("2.0.0");
    let size = image.len() as u32;
    let mut running = app(&mut device);
    let mut updater = running.updater().unwrap();
    // an endless body
    let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).unwrap();
    let error = std::iter::repeat(&image).find_map(|image| update.write(image).err());
    assert!(matches!(error, Some(WriteError::TooMuch { room: SLOT_SIZE, .. })), "{error:?}");
    // more and less than announced
    let mut update = updater.begin(1, PlainImage, Some(size), Erase::AsWritten).unwrap();
    update.write(&image).unwrap();
    assert!(matches!(update.write(&[0]), Err(WriteError::TooMuch { .. })));
    let mut update = updater.begin(1, PlainImage, Some(size), Erase::AsWritten).unwrap();
    update.write(&image[..5000]).unwrap();
    assert!(matches!(update.finish(&mut |_| {}), Err(FinishError::Incomplete { written: 5000, .. })));
    // trailing bytes are nobody's harm
    let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).unwrap();
    update.write(&image).unwrap();
    update.write(&[0xAA; 33]).unwrap();
    assert!(update.finish(&mut |_| {}).is_ok());
}

#[test]
fn an_image_that_is_verified_but_not_chosen_can_be_chosen_later() {
    let kind = Kind::ENCRYPTED;
    let mut device = kind.board(FIRST);
    let mut running = app(&mut device);
    let mut updater = running.updater().unwrap();
    let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).unwrap();
    update.write(&kind.app("2.0.0")).unwrap();
    drop(update.finish(&mut |_| {}).unwrap());
    assert_eq!(reset(&mut device).1, "1.0.0");
    let mut running = app(&mut device);
    let mut updater = running.updater().unwrap();
    let ready = updater.check(1, &mut |_| {}).unwrap();
    assert_eq!((ready.slot(), ready.image().length as usize), (1, APP));
    ready.set_boot().unwrap();
    assert_eq!(reset(&mut device).1, "2.0.0");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn chunks_in_any_order_make_the_same_app(encrypted: bool, raw: bool, order in Just((0..APP / 512).collect::<Vec<_>>()).prop_shuffle()) {
        let kind = Kind { encrypted, ..Kind::PLAIN };
        let mut device = kind.board(FIRST);
        let image = kind.app("2.0.0");
        let raw = raw && encrypted;
        let bytes = if raw { encrypted_for(&device, 1, &image) } else { image };
        let mut running = app(&mut device);
        let mut updater = running.updater().unwrap();
        macro_rules! scatter {
            ($way:expr) => {{
                let mut update = updater.begin_scattered(1, $way, Some(bytes.len() as u32)).unwrap();
                for i in order {
                    update.write_at(i as u32 * 512, &bytes[i * 512..][..512]).unwrap();
                }
                update.finish(&mut |_| {}).unwrap().set_boot().unwrap();
            }};
        }
        if raw { scatter!(Ciphertext) } else { scatter!(PlainImage) }
        prop_assert_eq!(reset(&mut device).1, "2.0.0");
    }

    #[test]
    fn a_download_goes_on_where_it_stopped(encrypted: bool, raw: bool, stop in 0..APP, stored in 0..APP) {
        let kind = Kind { encrypted, ..Kind::PLAIN };
        let mut device = kind.board(FIRST);
        let image = kind.app("2.0.0");
        let raw = raw && encrypted;
        let bytes = if raw { encrypted_for(&device, 1, &image) } else { image };
        // the record may be older than what lies in flash
        let stored = stored.min(stop);
        macro_rules! run {
            ($way:expr) => {{
                let record = {
                    let mut running = app(&mut device);
                    let mut updater = running.updater().unwrap();
                    let mut update = updater.begin(1, $way, None, Erase::AsWritten).unwrap();
                    update.write(&bytes[..stored]).unwrap();
                    let record = update.progress().to_bytes();
                    update.write(&bytes[stored..stop]).unwrap();
                    record
                };
                let record = Progress::from_bytes(&record).unwrap();
                prop_assert_eq!(record.offset() as usize, stored / 4096 * 4096);
                let mut running = app(&mut device);
                let mut updater = running.updater().unwrap();
                let mut update = updater.resume(&record, $way).unwrap();
                update.write(&bytes[record.offset() as usize..]).unwrap();
                update.finish(&mut |_| {}).unwrap().set_boot().unwrap();
            }};
        }
        if raw { run!(Ciphertext) } else { run!(PlainImage) }
        prop_assert_eq!(reset(&mut device).1, "2.0.0");
    }
}

#[test]
fn a_record_of_something_else_is_refused() {
    let kind = Kind::PLAIN;
    let mut device = kind.board(FIRST);
    let image = kind.app("2.0.0");
    let record = {
        let mut running = app(&mut device);
        let mut updater = running.updater().unwrap();
        let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).unwrap();
        update.write(&image[..9000]).unwrap();
        update.progress()
    };
    assert_eq!((record.slot(), record.offset()), (1, 8192));
    device.flash.program(SLOTS[1] + 5000, &[0]).unwrap();
    let mut running = app(&mut device);
    let mut updater = running.updater().unwrap();
    assert!(matches!(updater.resume(&record, PlainImage), Err(ResumeError::FlashDiffers { written: 8192 })));
    assert!(matches!(updater.resume(&record, Ciphertext), Err(ResumeError::OtherWay { raw: false })));
}
