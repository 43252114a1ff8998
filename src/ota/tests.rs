//! The updater over plain arrays: its limits, and that it treats the drivers as their units demand.

mod flash;

use self::flash::{Nor, Veiled, veil};
use super::*;
use crate::{
    Chip, IdfVersion, Revision,
    image::Builder,
    otadata::{Entry, State},
};
use core::convert::Infallible;
use std::{vec, vec::Vec};

const SLOT: u32 = 0x1_0000;
const OTADATA: Region = Region { offset: 0xD000, size: 0x2000 };

/// A table with these OTA slots, one behind the other from 0x10000 on.
fn table(numbers: &[u8]) -> Slots {
    let mut slots = Slots::default();
    slots.add(1, 0, OTADATA);
    for (i, number) in (0..).zip(numbers) {
        slots.add(0, 0x10 + number, Region { offset: 0x1_0000 + i * SLOT, size: SLOT });
    }
    slots
}

const POLICY: Policy = Policy {
    target: Target {
        chip: Chip::Esp32c3,
        revision: Revision(3),
        block_revision: None,
        ignore_max_revision: false,
        ignore_max_block_revision: false,
        idf: IdfVersion::LATEST,
    },
    signature: None,
    boot: boot::Options { rollback: true, anti_rollback: None },
};

fn updater<M: Medium>(medium: M, running: u8) -> Updater<M> {
    Updater::new(medium, table(&[0, 1]), Slot::Ota(running), POLICY).unwrap()
}

fn app() -> Vec<u8> {
    Builder::app(Chip::Esp32c3).size(10 * 1024).build()
}

#[test]
fn reads_of_any_extent_fit_the_drivers_unit() {
    fn read<const READ: usize>(plain: &mut Plain<Nor<READ>>, at: usize, len: usize) -> usize {
        let mut bytes = vec![0; len];
        plain.read(at as u32, &mut bytes).unwrap();
        assert_eq!(bytes, plain.0.bytes[at..][..len], "{len} bytes at {at} in units of {READ}");
        bytes.fill(0);
        plain.0.reads = 0;
        plain.read_raw(at as u32, &mut bytes).unwrap();
        assert_eq!(bytes, plain.0.bytes[at..][..len]);
        plain.0.reads
    }
    fn flash<const READ: usize>() -> Plain<Nor<READ>> {
        let mut nor = Nor::new();
        nor.bytes.iter_mut().zip(0_u32..).for_each(|(byte, i)| *byte = (i * 7 % 251) as u8);
        Plain(nor)
    }
    let (mut by_1, mut by_4, mut by_16) = (flash::<1>(), flash::<4>(), flash::<16>());
    for at in 0..40 {
        for len in 0..70 {
            read(&mut by_1, at, len);
            read(&mut by_4, at, len);
            read(&mut by_16, at, len);
        }
    }
    by_1.erase_sector(SECTOR).unwrap();
    by_1.program_raw(SECTOR + 16, &[0xA5; 16]).unwrap();
    let mut stored = [0; 33];
    by_1.read(SECTOR + 15, &mut stored).unwrap();
    assert!(stored[0] == 0xFF && stored[1..17] == [0xA5; 16] && stored[17..] == [0xFF; 16]);
    // whole pieces are read in one go; ends that stick out cost a piece each
    assert_eq!(read(&mut by_1, 5, 4096), 1);
    assert_eq!(read(&mut by_16, 32, 4096), 1);
    assert_eq!(read(&mut by_16, 37, 4096), 3);
    assert_eq!(read(&mut by_16, 32, 4100), 2);
    assert_eq!(read(&mut by_16, 37, 4), 1);
}

#[test]
fn a_borrowed_driver_is_as_good_as_an_owned_one() {
    let app = app();
    let mut flash = Veiled(Nor::new());
    // ciphertext for slot 1, then plaintext for slot 0
    let mut sent = app.clone();
    veil(0x1_0000 + SLOT, &mut sent);
    let mut first = updater(Encrypted(&mut flash), 0);
    let mut update = first.begin(1, Ciphertext, None, Erase::AsWritten).unwrap();
    update.write(&sent).unwrap();
    let ready = update.finish(&mut |_| {}).unwrap();
    assert_eq!((ready.slot(), ready.image().length as usize), (1, app.len()));
    ready.set_boot().unwrap();
    assert_eq!(flash.0.bytes[0x2_0000..][..sent.len()], sent);

    let mut second = updater(Encrypted(&mut flash), 1);
    second.confirm().unwrap();
    let mut update = second.begin(0, PlainImage, Some(app.len() as u32), Erase::First).unwrap();
    update.write(&app).unwrap();
    let ready = update.finish(&mut |_| {}).unwrap();
    assert_eq!(ready.slot(), 0);
    let mut stored = vec![0; app.len()];
    flash.read(0x1_0000, &mut stored).unwrap();
    assert_eq!(stored, app);
    assert_ne!(flash.0.bytes[0x1_0000..][..app.len()], app);
    // a record of ciphertext is compared with what lies in flash
    let mut third = updater(Encrypted(&mut flash), 0);
    let mut update = third.begin(1, Ciphertext, None, Erase::AsWritten).unwrap();
    update.write(&sent[..2 * SECTOR as usize]).unwrap();
    let record = update.progress();
    assert_eq!((record.slot(), record.offset()), (1, 2 * SECTOR));
    let mut update = third.resume(&record, Ciphertext).unwrap();
    update.write(&sent[2 * SECTOR as usize..]).unwrap();
    assert!(update.finish(&mut |_| {}).is_ok());
}

#[test]
fn the_table_must_be_one_to_update_with() {
    let new = |slots| Updater::new(Plain(Nor::<1>::new()), slots, Slot::Ota(0), POLICY).map(|_| ());
    let with = |number: usize, offset, size| {
        let mut slots = table(&[0, 1]);
        slots.ota[number] = Some(Region { offset, size });
        new(slots)
    };
    assert_eq!(with(1, 0x2_0000, SLOT), Ok(()));
    // to the last byte of flash, and over it
    assert_eq!(with(1, 0x3_0000, SLOT), Ok(()));
    for (offset, size) in [(0x3_1000, SLOT), (0x2_0800, SLOT), (0x2_0000, SLOT - 16), (0xFFFF_F000, SLOT)] {
        assert_eq!(with(1, offset, size), Err(LayoutError::NotInFlash { offset, size }));
    }
    assert!(with(1, 0x1_F000, SLOT).is_err(), "into the running one");
    assert!(with(1, 0xE000, 0x2000).is_err(), "into otadata");
    assert_eq!(with(1, 0xF000, 0x1000), Ok(()));
}

#[test]
fn slots_are_those_of_the_table_without_the_running_one() {
    let next = |numbers: &[u8], running| {
        Updater::new(Plain(Nor::<1>::new()), table(numbers), Slot::Ota(running), POLICY).unwrap().next_slot()
    };
    assert_eq!([next(&[0, 1], 0), next(&[0, 1], 1)], [Some(1), Some(0)]);
    assert_eq!([next(&[0, 1, 2], 0), next(&[0, 1, 2], 1), next(&[0, 1, 2], 2)], [Some(1), Some(2), Some(0)]);
    assert_eq!(next(&[0], 0), None);
    // with a gap, the bootloader counts two slots and never looks at ota_2
    assert_eq!([next(&[0, 2], 0), next(&[0, 2], 2)], [None, Some(0)]);
    let mut updater = Updater::new(Plain(Nor::<1>::new()), table(&[0, 2]), Slot::Ota(0), POLICY).unwrap();
    assert_eq!([0, 1, 2].map(|slot| updater.slot_size(slot)), [Some(SLOT), None, Some(SLOT)]);
    for slot in [1, 2, 16, 255] {
        let error = updater.begin(slot, PlainImage, None, Erase::AsWritten).err();
        assert_eq!(error, Some(BeginError::NoSuchSlot { slot, slots: 2 }));
    }
}

#[test]
fn an_update_may_fill_its_slot() {
    let mut updater = updater(Plain(Nor::<1>::new()), 0);
    let mut begin = |size| updater.begin(1, PlainImage, Some(size), Erase::AsWritten).err();
    assert_eq!(begin(SLOT), None);
    assert_eq!(begin(SLOT + 1), Some(BeginError::TooLarge { size: SLOT + 1, slot_size: SLOT }));
    let error = updater.begin(1, Ciphertext, None, Erase::AsWritten).err();
    assert_eq!(error, Some(BeginError::NotEncrypted), "nothing decrypts it");
    // byte by byte to the last
    let mut update = updater.begin(1, PlainImage, None, Erase::AsWritten).unwrap();
    update.write(&vec![crate::image::MAGIC; SLOT as usize]).unwrap();
    assert_eq!(update.write(&[0]), Err(WriteError::TooMuch { end: u64::from(SLOT) + 1, room: SLOT }));
}

#[test]
fn erasing_first_erases_what_the_size_needs() {
    for (size, sectors) in [(Some(1), 1), (Some(SECTOR), 1), (Some(SECTOR + 1), 2), (Some(SLOT), 16), (None, 16)] {
        for (erase, expected) in [(Erase::First, sectors), (Erase::AsWritten, 0)] {
            let mut nor = Nor::<1>::new();
            nor.bytes[0x2_0000..].fill(0);
            let mut updater = updater(Plain(nor), 0);
            updater.begin(1, PlainImage, size, erase).unwrap();
            let erases = updater.into_inner().0.erases;
            let erases: Vec<u32> = erases.into_iter().filter(|at| *at >= 0x1_0000).collect();
            let all: Vec<u32> = (0..expected).map(|i| 0x2_0000 + i * SECTOR).collect();
            assert_eq!(erases, all, "{size:?}, {erase:?}");
        }
    }
}

#[test]
fn records_of_more_than_the_slot_are_refused() {
    let mut updater = updater(Plain(Nor::<1>::new()), 0);
    let mut resume = |written, size| {
        let record = Progress { slot: 1, raw: false, size, written, head: [0; 16], crc: 0x1234 };
        updater.resume(&record, PlainImage).err()
    };
    for (written, size, within) in [
        (SLOT, None, true),
        (SLOT + SECTOR, None, false),
        (SECTOR, Some(SECTOR), true),
        (SECTOR, Some(SECTOR + 1), true),
        (SECTOR, Some(SECTOR - 1), false),
        (2 * SECTOR, Some(SECTOR), false),
        (SECTOR + 16, None, false),
        (16, Some(SECTOR), false),
    ] {
        let expected = if within { ResumeError::FlashDiffers { written } } else { ResumeError::BadExtent { written } };
        assert_eq!(resume(written, size), Some(expected), "{written:#x} of {size:?}");
    }
    assert_eq!(resume(0, Some(SECTOR)), None, "a record from before the first sector");
}

#[test]
fn scattered_chunks_begin_at_pieces() {
    let mut plain = updater(Plain(Nor::<1>::new()), 0);
    let mut update = plain.begin_scattered(1, PlainImage, Some(SLOT)).unwrap();
    assert_eq!(update.write_at(16, &[1; 20]), Ok(()));
    assert_eq!(update.write_at(40, &[1; 16]), Err(WriteError::Misaligned { offset: 40, length: 16 }));
    assert_eq!(update.write_at(SLOT - 16, &[1; 16]), Ok(()));
    let beyond = WriteError::TooMuch { end: u64::from(SLOT) + 1, room: SLOT };
    assert_eq!(update.write_at(SLOT - 16, &[1; 17]), Err(beyond));
    let mut veiled = updater(Encrypted(Veiled(Nor::new())), 0);
    let mut update = veiled.begin_scattered(1, Ciphertext, Some(SLOT)).unwrap();
    assert_eq!(update.write_at(16, &[1; 20]), Err(WriteError::Misaligned { offset: 16, length: 20 }));
    assert_eq!(update.write_at(8, &[1; 32]), Err(WriteError::Misaligned { offset: 8, length: 32 }));
    assert_eq!(update.write_at(16, &[1; 32]), Ok(()));
}

/// Takes three bytes at most, keeps the first six to itself, and gives each later one twice, one call later.
#[derive(Default)]
struct Slow {
    taken: usize,
    due: Vec<u8>,
    refuses: bool,
}

impl Opener for Slow {
    type Error = &'static str;
    fn open(&mut self, input: &[u8], output: &mut [u8]) -> Result<Opened, &'static str> {
        if self.refuses {
            return Err("no");
        }
        if !self.due.is_empty() {
            let produced = self.due.len();
            output[..produced].copy_from_slice(&self.due);
            self.due.clear();
            return Ok(Opened { consumed: 0, produced });
        }
        let consumed = input.len().min(3);
        for byte in &input[..consumed] {
            if self.taken >= 6 {
                self.due.extend([*byte, *byte]);
            }
            self.taken += 1;
        }
        Ok(Opened { consumed, produced: 0 })
    }
    fn finish(self) -> Result<Proof, &'static str> {
        Ok(Proof::Enough)
    }
}

#[test]
fn an_opener_is_asked_until_it_has_taken_and_given_all() {
    for chunk in 1..12 {
        let mut way = Envelope(Slow::default());
        let mut out = Vec::new();
        for input in (0..20).collect::<Vec<u8>>().chunks(chunk) {
            way.feed::<Infallible>(out.len() as u32, input, |plain| {
                out.extend_from_slice(plain);
                Ok(())
            })
            .unwrap();
        }
        // what the last bytes are due comes with the next ones
        way.feed::<Infallible>(out.len() as u32, &[], |plain| {
            out.extend_from_slice(plain);
            Ok(())
        })
        .unwrap();
        let expected: Vec<u8> = (6..20).flat_map(|byte| [byte, byte]).collect();
        assert_eq!(out, expected, "in chunks of {chunk}");
    }
}

/// An opener that has all it wants.
struct Sated;

impl Opener for Sated {
    type Error = Infallible;
    fn open(&mut self, _: &[u8], _: &mut [u8]) -> Result<Opened, Infallible> {
        Ok(Opened { consumed: 0, produced: 0 })
    }
    fn finish(self) -> Result<Proof, Infallible> {
        Ok(Proof::Enough)
    }
}

#[test]
fn an_opener_that_wants_no_more_is_left_alone() {
    let mut way = Envelope(Sated);
    let mut out = Vec::new();
    let fed = way.feed::<Infallible>(0, &[1, 2, 3], |plain| {
        out.extend_from_slice(plain);
        Ok(())
    });
    assert_eq!((fed, out), (Ok(()), Vec::new()));
}

#[test]
fn after_a_refusal_the_update_is_over() {
    let mut updater = updater(Plain(Nor::<1>::new()), 0);
    let mut update = updater.begin(1, Envelope(Slow { refuses: true, ..Slow::default() }), None, Erase::First).unwrap();
    assert_eq!(update.write(&[1]), Err(WriteError::Source("no")));
    assert_eq!(update.write(&[1]), Err(WriteError::Failed));
    assert_eq!(update.finish(&mut |_| {}).err(), Some(FinishError::Failed));
}

#[test]
fn records_and_proofs_speak_of_their_slot() {
    let mut nor = Nor::<1>::new();
    nor.bytes[OTADATA.offset as usize..][..32].copy_from_slice(&Entry::new(2, State::Valid).to_bytes());
    let mut updater = updater(Plain(nor), 1);
    let mut update = updater.begin(0, PlainImage, None, Erase::AsWritten).unwrap();
    update.write(&app()).unwrap();
    assert_eq!((update.progress().slot(), update.progress().offset()), (0, 2 * SECTOR));
    assert_eq!(update.finish(&mut |_| {}).unwrap().slot(), 0);
    assert_eq!(updater.check(0, &mut |_| {}).map(|ready| ready.slot()).ok(), Some(0));
}
