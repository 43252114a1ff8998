//! eFuses for property tests: chips, burns, and files that almost are eFuse files.

use crate::efuse::{Efuses, Format};
use dryburn::Chip;
use proptest::prelude::*;

/// Any chip.
pub fn chip() -> impl Strategy<Value = Chip> {
    prop::sample::select(&Chip::ALL[..])
}

/// A burn: a block number and the bits for its words.
pub fn burn() -> impl Strategy<Value = (usize, Vec<u32>)> {
    (0..12_usize, prop::collection::vec(any::<u32>(), 0..10))
}

/// eFuses after a few random burns.
pub fn efuses() -> impl Strategy<Value = Efuses> {
    (chip(), prop::collection::vec(burn(), 0..6)).prop_map(|(chip, burns)| {
        let mut e = Efuses::new(chip);
        for (block, bits) in burns {
            e.burn(block, &bits);
        }
        e
    })
}

/// Bytes of any kind, among them eFuse files with damage.
pub fn file() -> impl Strategy<Value = Vec<u8>> {
    let format = prop::sample::select(&[Format::Raw, Format::Virt, Format::Qemu][..]);
    let damaged = (efuses(), format, any::<prop::sample::Index>(), any::<u8>(), 0..40_usize).prop_map(
        |(e, format, at, byte, cut)| {
            let mut bytes = e.to_bytes(format);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(bytes.len() - cut.saturating_sub(30));
            bytes
        },
    );
    let text = prop::sample::select(
        &["EFSR:esp32:000:", "BLOCK1 () [1 ] dump: ", "{\"MAC\": ", "{\"A\": {\"block\": 1, \"word\": "][..],
    );
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600),
        damaged,
        (text, "[ -~\n]{0,200}").prop_map(|(head, tail)| format!("{head}{tail}").into_bytes()),
    ]
}
