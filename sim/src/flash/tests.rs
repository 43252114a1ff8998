use super::*;
use embedded_storage::nor_flash::{NorFlashError, NorFlashErrorKind};
use proptest::prelude::*;

const SIZE: u32 = Flash::MIN_SIZE;

fn blank() -> Flash {
    Flash::new(SIZE).expect("256 KB is a size")
}

fn bytes_at(flash: &Flash, address: u32, length: usize) -> Vec<u8> {
    let mut buf = vec![0; length];
    flash.read(address, &mut buf).expect("inside the chip");
    buf
}

#[test]
fn sizes_are_powers_of_two_from_256k_to_128m() {
    for shift in 18..=27 {
        assert_eq!(Flash::new(1 << shift).expect("a size").size(), 1 << shift);
    }
    for size in [0, 1, 4096, SIZE / 2, SIZE + 4096, 3 * 1024 * 1024, 1 << 28, u32::MAX] {
        assert_eq!(Flash::new(size).err(), Some(FlashError::BadSize { size: u64::from(size) }));
    }
    assert!(matches!(Flash::from_bytes(&[0; 4096]), Err(FlashError::BadSize { size: 4096 })));
}

#[test]
fn program_clears_bits_and_only_erase_sets_them() {
    let mut flash = blank();
    flash.program(0x0FFE, &[0xF0, 0x0F, 0xAA]).expect("inside");
    flash.program(0x0FFE, &[0x3C, 0xFF, 0x55]).expect("inside");
    assert_eq!(bytes_at(&flash, 0x0FFD, 5), [0xFF, 0x30, 0x0F, 0x00, 0xFF]);
    flash.erase_sector(0x1000).expect("aligned");
    assert_eq!(bytes_at(&flash, 0x0FFD, 5), [0xFF, 0x30, 0x0F, 0xFF, 0xFF]);
}

#[test]
fn refusals_name_the_access_and_change_nothing() {
    let mut flash = blank();
    let before = flash.clone();
    let out = flash.program(SIZE - 1, &[0, 0]).expect_err("one byte too many");
    assert_eq!(out, FlashError::OutOfBounds { address: SIZE - 1, length: 2, size: SIZE });
    assert_eq!(out.kind(), NorFlashErrorKind::OutOfBounds);
    assert_eq!(out.to_string(), "flash access at 0x3ffff, 0x2 bytes, leaves the chip, whose size is 0x40000 bytes");
    assert_eq!(flash.read(u32::MAX, &mut [0; 16]).expect_err("far out").kind(), NorFlashErrorKind::OutOfBounds);
    assert_eq!(flash.erase(0x1000, 0x1800).expect_err("half a sector").kind(), NorFlashErrorKind::NotAligned);
    assert_eq!(flash.erase_sector(0x10).expect_err("inside a sector").kind(), NorFlashErrorKind::NotAligned);
    assert_eq!(flash.erase_sector(u32::MAX - 4095).expect_err("far out").kind(), NorFlashErrorKind::OutOfBounds);
    assert_eq!(flash.erase(0x2000, 0x1000).expect_err("backwards").kind(), NorFlashErrorKind::OutOfBounds);
    assert_eq!(flash, before);
    assert_eq!(flash.counters(), before.counters());
    flash.program(SIZE, &[]).expect("nothing, at the very end");
    flash.erase(SIZE, SIZE).expect("nothing, at the very end");
}

#[test]
fn counters_count_pages_bytes_and_wear() {
    let mut flash = blank();
    flash.program(0xFF, &[0; 2]).expect("two pages");
    flash.program(0x200, &[0; 256]).expect("one page");
    flash.program(0x300, &[]).expect("no page");
    flash.erase(0, 0x2000).expect("two sectors");
    flash.erase_sector(0x1000).expect("one sector");
    let counters = flash.counters();
    assert_eq!((counters.bytes_programmed, counters.page_programs, counters.sector_erases), (258, 3, 3));
    assert_eq!(counters.wear[..3], [1, 2, 0]);
    assert_eq!(counters.wear.len(), 64);
}

#[test]
fn changed_sectors_are_addresses_of_changed_content() {
    let mut flash = blank();
    let before = flash.clone();
    flash.program(0x3FFF, &[0, 0]).expect("two sectors");
    flash.program(0x8000, &[0xFF; 16]).expect("nothing to clear");
    flash.program(0x9000, &[0]).expect("inside");
    flash.erase_sector(0x9000).expect("back to blank");
    assert_eq!(flash.changed_sectors(&before), [0x3000, 0x4000]);
    let larger = Flash::new(2 * SIZE).expect("a size");
    assert_eq!(larger.changed_sectors(&before).len(), 64);
    assert_ne!(larger, before);
}

#[test]
fn erased_sectors_share_memory() {
    let mut bytes = vec![0xFF; SIZE as usize];
    bytes[0x5000] = 0;
    let flash = Flash::from_bytes(&bytes).expect("a size");
    assert_eq!(flash.sectors.iter().filter(|s| !Arc::ptr_eq(s, &ERASED)).count(), 1);
    assert_eq!(flash.to_bytes(), bytes);
}

#[derive(Clone, Debug)]
enum Step {
    Program(u32, Vec<u8>),
    Erase(u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let sectors = SIZE / SECTOR;
    prop_oneof![
        (0..SIZE + 300, proptest::collection::vec(any::<u8>(), 0..9000)).prop_map(|(at, data)| Step::Program(at, data)),
        (0..=sectors + 1, 0..=sectors + 1).prop_map(|(a, b)| Step::Erase(a * SECTOR, b * SECTOR)),
        (0..SIZE, 0..SIZE).prop_map(|(a, b)| Step::Erase(a, b)),
    ]
}

/// The same step on a plain vector; whether it was allowed.
fn naive(model: &mut [u8], step: &Step) -> bool {
    match step {
        Step::Program(at, data) => match model.get_mut(*at as usize..*at as usize + data.len()) {
            Some(cells) => {
                cells.iter_mut().zip(data).for_each(|(c, d)| *c &= d);
                true
            }
            None => false,
        },
        Step::Erase(from, to) => {
            let aligned = from.is_multiple_of(SECTOR) && to.is_multiple_of(SECTOR);
            match model.get_mut(*from as usize..*to as usize).filter(|_| aligned) {
                Some(cells) => {
                    cells.fill(0xFF);
                    true
                }
                None => false,
            }
        }
    }
}

fn apply(flash: &mut Flash, step: &Step) -> bool {
    match step {
        Step::Program(at, data) => flash.program(*at, data).is_ok(),
        Step::Erase(from, to) => Flash::erase(flash, *from, *to).is_ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequence_equals_a_plain_vector(steps in proptest::collection::vec(step(), 1..24)) {
        let mut flash = blank();
        let mut model = vec![0xFF; SIZE as usize];
        for step in &steps {
            prop_assert_eq!(apply(&mut flash, step), naive(&mut model, step));
        }
        prop_assert!(flash.to_bytes() == model);
        prop_assert!(Flash::from_bytes(&model).expect("a size") == flash);
        prop_assert!(bytes_at(&flash, 0xFF1, 0x2345)[..] == model[0xFF1..0xFF1 + 0x2345]);
    }

    #[test]
    fn a_clone_is_independent(first in proptest::collection::vec(step(), 1..8), second in proptest::collection::vec(step(), 1..8)) {
        let mut flash = blank();
        first.iter().for_each(|s| { apply(&mut flash, s); });
        let frozen = flash.to_bytes();
        let mut clone = flash.clone();
        second.iter().for_each(|s| { apply(&mut clone, s); });
        prop_assert!(flash.to_bytes() == frozen);
        let mut model = frozen.clone();
        second.iter().for_each(|s| { naive(&mut model, s); });
        prop_assert!(clone.to_bytes() == model);
    }
}
