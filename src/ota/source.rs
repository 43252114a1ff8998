//! The three ways in: what is done to the bytes that arrive before they are programmed.

use super::error::WriteError;
use crate::envelope::MIN_OUTPUT;
use core::convert::Infallible;
use core::fmt::Debug;

mod sealed {
    pub trait Sealed {}
}

/// How an update arrives: [`PlainImage`], [`Ciphertext`] or [`Envelope`].
pub trait Way: sealed::Sealed {
    /// Whether bytes are programmed as they are, past the encryption unit.
    const RAW: bool;
    /// Why the way refuses what arrives.
    type Error: Debug;

    /// Takes `input` and hands what is to be programmed to `put`, in order; `written` bytes were handed on before.
    ///
    /// # Errors
    /// What `put` reports, or that the input is refused.
    fn feed<E>(
        &mut self,
        written: u32,
        input: &[u8],
        put: impl FnMut(&[u8]) -> Result<(), WriteError<E, Self::Error>>,
    ) -> Result<(), WriteError<E, Self::Error>>;

    /// The input is complete: what does the way vouch for?
    ///
    /// # Errors
    /// The input is refused as a whole.
    fn close(self) -> Result<Proof, Self::Error>;
}

/// What is known of the image once all of it has arrived, beside what verification will tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing more is asked than the device's own policy.
    Enough,
    /// Nobody but the app's signature says that the image was not changed on the way: a device that checks none must not
    /// take it.
    NeedsSignature,
}

/// Ways that hand bytes through one to one. They can be resumed and written out of order.
pub trait Direct: Way<Error = Infallible> + Copy {}

/// The app as the signing tool made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainImage;

/// The app, encrypted with this device's flash encryption key for the address of the slot that it goes to. Its length is a
/// multiple of 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ciphertext;

impl sealed::Sealed for PlainImage {}
impl sealed::Sealed for Ciphertext {}
impl Direct for PlainImage {}
impl Direct for Ciphertext {}

impl Way for PlainImage {
    const RAW: bool = false;
    type Error = Infallible;

    fn feed<E>(
        &mut self,
        _: u32,
        input: &[u8],
        mut put: impl FnMut(&[u8]) -> Result<(), WriteError<E, Infallible>>,
    ) -> Result<(), WriteError<E, Infallible>> {
        put(input)
    }

    fn close(self) -> Result<Proof, Infallible> {
        Ok(Proof::Enough)
    }
}

impl Way for Ciphertext {
    const RAW: bool = true;
    type Error = Infallible;

    fn feed<E>(
        &mut self,
        _: u32,
        input: &[u8],
        mut put: impl FnMut(&[u8]) -> Result<(), WriteError<E, Infallible>>,
    ) -> Result<(), WriteError<E, Infallible>> {
        put(input)
    }

    fn close(self) -> Result<Proof, Infallible> {
        Ok(Proof::Enough)
    }
}

/// Opens a transport encryption as it arrives.
pub trait Opener {
    /// Why an envelope is refused.
    type Error: Debug;

    /// Uses up some of `input` and writes plaintext to the front of `output`, which has at least
    /// [`MIN_OUTPUT`](crate::envelope::MIN_OUTPUT) bytes.
    ///
    /// # Errors
    /// The envelope is refused. No call but a drop may follow.
    fn open(&mut self, input: &[u8], output: &mut [u8]) -> Result<Opened, Self::Error>;

    /// The envelope is complete: checks its tag.
    ///
    /// # Errors
    /// It is not authentic, or not complete.
    fn finish(self) -> Result<Proof, Self::Error>;
}

/// What one call of [`Opener::open`] did. Where both are 0, the opener wants no more input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of the input that were used up.
    pub consumed: usize,
    /// Bytes of plaintext in the output.
    pub produced: usize,
}

/// An app in a transport encryption. The plaintext is programmed as it comes, without its first 16 bytes; those follow when
/// the envelope has proved authentic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope<O>(pub O);

/// Plaintext is handed on in pieces of at most this size, in bytes.
const OPENED: usize = crate::PAGE as usize;

impl<O> sealed::Sealed for Envelope<O> {}

impl<O: Opener> Way for Envelope<O> {
    const RAW: bool = false;
    type Error = O::Error;

    fn feed<E>(
        &mut self,
        mut written: u32,
        input: &[u8],
        mut put: impl FnMut(&[u8]) -> Result<(), WriteError<E, O::Error>>,
    ) -> Result<(), WriteError<E, O::Error>> {
        let mut rest = input;
        let mut plain = [0; OPENED];
        loop {
            // up to the end of a page, whatever length the envelope's header has: less to program, and to encrypt, in parts
            let page = OPENED.saturating_sub(written as usize % OPENED).max(MIN_OUTPUT);
            let room = plain.get_mut(..page).unwrap_or(&mut []);
            let Opened { consumed, produced } = self.0.open(rest, room).map_err(WriteError::Source)?;
            written = written.saturating_add(produced as u32);
            rest = rest.get(consumed..).unwrap_or(&[]);
            put(plain.get(..produced).unwrap_or(&[]))?;
            if produced == 0 && (consumed == 0 || rest.is_empty()) {
                return Ok(());
            }
        }
    }

    fn close(self) -> Result<Proof, O::Error> {
        self.0.finish()
    }
}
