//! The eFuse blocks of each chip (formats sheet §8.1).

use crate::Chip;

/// One eFuse block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// The vendor's name.
    pub name: &'static str,
    /// Other names that the vendor's tool accepts.
    pub aliases: &'static [&'static str],
    /// Length in 32-bit words.
    pub words: u8,
    /// Offset in bytes of the first read register from the base of the eFuse controller.
    pub read_offset: u16,
    /// The WR_DIS bit that freezes the whole block; none for block 0, whose fields have their own.
    pub write_disable: Option<u8>,
    /// The RD_DIS bits that hide it: one bit hides all words, two bits hide one half each. (The ESP32's RD_DIS bit 3
    /// hides single fields of block 0 and is not listed here but with the fields.)
    pub read_disable: &'static [u8],
}

const fn block(
    name: &'static str,
    aliases: &'static [&'static str],
    words: u8,
    read_offset: u16,
    write_disable: Option<u8>,
    read_disable: &'static [u8],
) -> Block {
    Block { name, aliases, words, read_offset, write_disable, read_disable }
}

#[rustfmt::skip]
static ESP32: &[Block] = &[
    block("BLOCK0", &[], 7, 0x000, None, &[]),
    block("BLOCK1", &["flash_encryption"], 8, 0x038, Some(7), &[0]),
    block("BLOCK2", &["secure_boot_v1", "secure_boot_v2"], 8, 0x058, Some(8), &[1]),
    block("BLOCK3", &[], 8, 0x078, Some(9), &[2]),
];

#[rustfmt::skip]
static ESP32C2: &[Block] = &[
    block("BLOCK0", &["BLOCK0"], 2, 0x02C, None, &[]),
    block("BLOCK1", &["BLOCK1"], 3, 0x034, Some(5), &[]),
    block("BLOCK2", &["BLOCK2"], 8, 0x040, Some(6), &[]),
    block("BLOCK_KEY0", &["BLOCK3"], 8, 0x060, Some(7), &[0, 1]),
];

#[rustfmt::skip]
static OTHERS: &[Block] = &[
    block("BLOCK0", &[], 6, 0x02C, None, &[]),
    block("MAC_SPI_8M_0", &["BLOCK1"], 6, 0x044, Some(20), &[]),
    block("BLOCK_SYS_DATA", &["BLOCK2"], 8, 0x05C, Some(21), &[]),
    block("BLOCK_USR_DATA", &["BLOCK3"], 8, 0x07C, Some(22), &[]),
    block("BLOCK_KEY0", &["BLOCK4"], 8, 0x09C, Some(23), &[0]),
    block("BLOCK_KEY1", &["BLOCK5"], 8, 0x0BC, Some(24), &[1]),
    block("BLOCK_KEY2", &["BLOCK6"], 8, 0x0DC, Some(25), &[2]),
    block("BLOCK_KEY3", &["BLOCK7"], 8, 0x0FC, Some(26), &[3]),
    block("BLOCK_KEY4", &["BLOCK8"], 8, 0x11C, Some(27), &[4]),
    block("BLOCK_KEY5", &["BLOCK9"], 8, 0x13C, Some(28), &[5]),
    block("BLOCK_SYS_DATA2", &["BLOCK10"], 8, 0x15C, Some(29), &[6]),
];

/// The blocks of a chip; the position in the list is the block number.
pub fn blocks(chip: Chip) -> &'static [Block] {
    match chip {
        Chip::Esp32 => ESP32,
        Chip::Esp32c2 => ESP32C2,
        _ => OTHERS,
    }
}
