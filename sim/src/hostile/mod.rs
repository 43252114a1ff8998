//! Hostile input: one function for every kind of bytes that reach this code from outside.
//!
//! Each takes any bytes, must return, and asserts what holds for all inputs; a panic is a finding. The coverage-guided
//! targets of `sim/fuzz` call them with a nightly toolchain; `tests/fuzz_regressions.rs` calls them on stable with
//! [`seeds`] and with every input that was ever found. [`TARGETS`] lists them.
//!
//! | target | input | asserted beside "returns, does not panic" |
//! |---|---|---|
//! | [`image`] | 8 bytes of board and rules, an image | reads bounded by the flash; a good image lies inside flash and partition; a refusal is told |
//! | [`partition_table`] | a table | accepted entries lie in flash; records and tables are written back as they were |
//! | [`partition_csv`] | 2 bytes of options, CSV text | complaints point into the text; what the generator would write reads back |
//! | [`otadata`] | 8 bytes of slots and rules, two entries | written back as they were; an update chooses its slot |
//! | [`signature_block`] | 1 byte of repairs, a signature sector | who vouches has magic, CRC, digest and a trusted key |
//! | [`efuse_file`] | 1 byte of chip, an eFuse file | what was read is written and read again, the same |
//! | [`key_file`] | a PEM file | what was read is written and read again, the same |
//! | [`scenario`] | a document | complaints point into the text; what was read is written and read again, the same |
//! | [`envelope`] | 2 bytes of options, an envelope | chunks do not matter; no more plaintext than stated; no proof without it |
//! | [`boot`] | 8 bytes of board, then damages to a good flash | eFuse bits only rise; only a verified app starts; same input, same log, flash and eFuses |
//! | [`command_line`] | lines of words | same input, same output and files; nothing outside the folder |

mod board;
mod commands;
mod formats;
mod secrets;
mod seeds;

pub use board::boot;
pub use commands::command_line;
pub use formats::{efuse_file, image, otadata, partition_csv, partition_table, scenario};
pub use secrets::{envelope, key_file, signature_block};
pub use seeds::seeds;

/// A function of this module under its name.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the function, of the fuzz target and of its folder of regressions.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
}

/// Every target, the cheapest first.
pub const TARGETS: [Target; 11] = [
    Target { name: "otadata", run: otadata },
    Target { name: "partition_table", run: partition_table },
    Target { name: "partition_csv", run: partition_csv },
    Target { name: "image", run: image },
    Target { name: "efuse_file", run: efuse_file },
    Target { name: "scenario", run: scenario },
    Target { name: "signature_block", run: signature_block },
    Target { name: "key_file", run: key_file },
    Target { name: "envelope", run: envelope },
    Target { name: "boot", run: boot },
    Target { name: "command_line", run: command_line },
];

/// Takes an input apart. Behind its end it goes on with zeros, so that every input means something.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    /// The next `count` bytes, or as many as there are.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One of `choices`.
    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}
