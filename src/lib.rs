//! # dryburn: what an ESP32-family device decides at boot, as a library
//!
//! This crate *decides*: it reads the bytes that lie in flash and eFuse and says what the boot code of ESP-IDF makes of
//! them. It never simulates a board (that is `dryburn-sim`), so firmware and release tools can depend on it. It is
//! `no_std`; parsing and verifying need no allocator.
//!
//! Read it in this order:
//!
//! | module | question it answers |
//! |---|---|
//! | [`chip`] | what is different between the chips? |
//! | [`image`] | is this an app or a bootloader that the chip will start? |
//! | [`partition`] | what lies where in flash? |
//! | [`otadata`] | which slot did the last update choose? |
//! | [`efuse`] | which bits are burned, and which may be read? |
//! | [`flash_encryption`] | what does the CPU see where flash holds ciphertext? |
//! | [`secure_boot`] | who signed it? |
//! | [`envelope`] | what was the update wrapped in on its way? |
//! | [`boot`] | which slot starts, and what happens when it does not? |
//! | [`ota`] | how does a new app get into a slot, and become the one that starts? |
//!
//! Two rules hold everywhere. *Views* show bytes as they are and never judge; *reprs* can hold only valid meanings, and
//! every refusal says which check failed, where, and with what value. Nothing that lies in flash can make this crate
//! panic or loop.
//!
//! `unsafe` is denied, but for one module: the vector kernels of [`flash_encryption`], which say at each block why it is
//! sound.
#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        missing_docs,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod boot;
mod bytes;
pub mod chip;
pub mod efuse;
pub mod envelope;
pub mod flash_encryption;
pub mod idf;
pub mod image;
pub mod ota;
pub mod otadata;
pub mod partition;
pub mod secure_boot;

pub use chip::{Chip, Revision, SecureBootScheme};
pub use idf::IdfVersion;

/// Size in bytes of the flash sector: the unit of erase.
pub const SECTOR: u32 = 4096;
/// Size in bytes of the flash page: the unit that one page-program command can reach.
pub const PAGE: u32 = 256;
