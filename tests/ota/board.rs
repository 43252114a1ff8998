//! Boards to update, and flash whose power can fail.

use dryburn::{
    Chip, IdfVersion, SECTOR,
    boot::Slot,
    efuse::security,
    image::Builder,
    ota::{Either, Encrypted, EncryptedFlash, Plain, Updater},
    otadata::{self, Entry},
    partition::{self, PartitionType, Subtype},
    secure_boot::{KeyDigest, sign::SigningKey},
};
use dryburn_sim::{
    app::dryburn::{App, policy, slots},
    bus::EncryptionUnit,
    device::{Device, PowerCycle, Watch},
    efuse::Efuses,
    event::Outcome,
    flash::{Flash, FlashError},
};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use sha2::{Digest, Sha256};
use std::{cell::Cell, collections::BTreeMap, fs, path::PathBuf, sync::Mutex};

pub const OTADATA: u32 = 0xD000;
const FACTORY: u32 = 0x1_0000;
pub const SLOTS: [u32; 3] = [0x2_0000, 0x3_0000, 0x4_0000];
pub const SLOT_SIZE: u32 = 0x1_0000;
/// Apps take three sectors.
pub const APP: usize = 10 * 1024;

#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub chip: Chip,
    pub encrypted: bool,
    pub signed: bool,
    pub rollback: bool,
    pub factory: bool,
    pub slots: u8,
}

impl Kind {
    pub const PLAIN: Self =
        Self { chip: Chip::Esp32c3, encrypted: false, signed: false, rollback: true, factory: false, slots: 2 };
    pub const ENCRYPTED: Self = Self { encrypted: true, ..Self::PLAIN };
    pub const SIGNED: Self = Self { signed: true, ..Self::PLAIN };

    /// A board of this kind with version 1.0.0 in its first slot (factory app or ota_0) and this otadata, as the CPU
    /// reads it; `None` leaves it erased in flash.
    pub fn board(self, otadata: [Option<Entry>; 2]) -> Device {
        let mut efuses = Efuses::new(self.chip);
        if self.encrypted {
            efuses.burn(security::key_block_number(self.chip, 0), &[0x0123_4567; 8]);
            let (name, value) =
                if self.chip == Chip::Esp32 { ("FLASH_CRYPT_CONFIG", 0xF) } else { ("KEY_PURPOSE_0", 4) };
            efuses.burn_field(name, value).unwrap();
            efuses.burn_field(security::crypt_count_name(self.chip), 1).unwrap();
        }
        if self.signed {
            let digest = key("rsa3072_a").public().unwrap().digest();
            let words: Vec<u32> = digest.chunks(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect();
            efuses.burn(security::key_block_number(self.chip, 1), &words);
            efuses.burn_field("KEY_PURPOSE_1", 9).unwrap();
            efuses.burn_field("SECURE_BOOT_EN", 1).unwrap();
            assert_eq!(security::secure_boot_digests(&efuses)[0], Some(KeyDigest::Whole(digest)));
        }
        let unit = EncryptionUnit::at_reset(&efuses);
        let mut flash = Flash::new(0x10_0000).unwrap();
        let row = |label: &str, kind, subtype, offset, size| {
            partition::Entry::new(label, PartitionType(kind), Subtype(subtype), offset, size)
        };
        let mut table = vec![row("otadata", 1, 0, OTADATA, 0x2000)];
        table.extend(self.factory.then(|| row("factory", 0, 0, FACTORY, SLOT_SIZE)));
        for (i, at) in SLOTS.iter().enumerate().take(self.slots.into()) {
            let label = format!("ota_{i}");
            table.push(row(&label, 0, 0x10 + i as u8, *at, SLOT_SIZE));
        }
        let bootloader = Builder::bootloader(self.chip, IdfVersion::LATEST).flash_size(0).size(8 * 1024).build();
        let bootloader = if self.signed { sign(&bootloader, "a") } else { bootloader };
        let first = if self.factory { FACTORY } else { SLOTS[0] };
        let mut program = |at, bytes: &[u8]| unit.program(&mut flash, at, bytes).unwrap();
        program(self.chip.spec().bootloader_offset, &bootloader);
        program(0x8000, &partition::build(&table, true).unwrap());
        program(first, &self.app("1.0.0"));
        for (sector, entry) in otadata.iter().enumerate() {
            if let Some(entry) = entry {
                program(OTADATA + sector as u32 * SECTOR, &entry.to_bytes());
            }
        }
        let mut device = Device::new(flash, efuses);
        if self.rollback {
            device.config.set("BOOTLOADER_APP_ROLLBACK_ENABLE=y").unwrap();
        }
        if self.signed {
            device.config.set("SECURE_BOOT_V2_ENABLED=y").unwrap();
        }
        device
    }

    /// A good app of this version.
    pub fn app(self, version: &str) -> Vec<u8> {
        let app = self.unsigned_app(version);
        if self.signed { sign(&app, "a") } else { app }
    }

    pub fn unsigned_app(self, version: &str) -> Vec<u8> {
        Builder::app(self.chip).size(APP).version(version).build()
    }
}

/// A key of the vectors.
pub fn key(name: &str) -> SigningKey {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/vectors/keys/{name}.pem"));
    SigningKey::from_pem(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Name of a key, and what it signed.
type Signed = (&'static str, [u8; 32]);

/// Signature blocks: each is made once.
static BLOCKS: Mutex<BTreeMap<Signed, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// The image with a signature sector by the vectors' key `name`.
pub fn sign(image: &[u8], name: &'static str) -> Vec<u8> {
    let mut signed = image.to_vec();
    signed.resize(signed.len().next_multiple_of(SECTOR as usize), 0xFF);
    let digest: [u8; 32] = Sha256::digest(&signed).into();
    let mut blocks = BLOCKS.lock().unwrap();
    let block = blocks.entry((name, digest)).or_insert_with(|| {
        key(&format!("rsa3072_{name}")).sign_v2(&digest, &mut ChaCha20Rng::seed_from_u64(1)).unwrap().to_vec()
    });
    signed.extend(&*block);
    signed.resize(signed.len().next_multiple_of(SECTOR as usize), 0xFF);
    signed
}

/// Powers the board on; the slot and version that runs then.
pub fn boot(device: &mut Device) -> (Slot, String) {
    started(&device.power_on(Watch::UntilSettled))
}

/// As the app that runs resets the chip.
pub fn reset(device: &mut Device) -> (Slot, String) {
    started(&device.reset(Watch::UntilSettled))
}

fn started(cycle: &PowerCycle) -> (Slot, String) {
    match cycle.outcome() {
        Some(Outcome::App { slot, version, .. }) => (*slot, version.clone().unwrap_or_default()),
        outcome => panic!("no app runs: {outcome:?}"),
    }
}

/// Boots and gives the app that runs.
pub fn app(device: &mut Device) -> App<'_> {
    let cycle = device.power_on(Watch::UntilSettled);
    App::started(device, &cycle).expect("an app runs")
}

/// Both entries as the CPU reads them.
pub fn entries(device: &Device) -> [Entry; 2] {
    let unit = EncryptionUnit::at_reset(&device.efuses);
    [0, 1].map(|sector| {
        let mut raw = [0; otadata::ENTRY_SIZE];
        unit.view(&device.flash).fill(OTADATA + sector * SECTOR, &mut raw).unwrap();
        Entry::from_bytes(raw)
    })
}

/// What the failing operation leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// Nothing happened.
    Before,
    /// The first half happened.
    FirstHalf,
    /// The second half happened.
    SecondHalf,
    /// Some bits happened, at random.
    Bits(u64),
    /// All of it happened.
    After,
}

pub const TEARS: [Tear; 6] =
    [Tear::Before, Tear::FirstHalf, Tear::SecondHalf, Tear::Bits(1), Tear::Bits(0xD00D), Tear::After];

/// A power supply that fails at one operation. Reads do not count.
#[derive(Debug)]
pub struct Power {
    left: Cell<Option<u32>>,
    tear: Tear,
    ops: Cell<u32>,
}

impl Power {
    pub fn steady() -> Self {
        Self { left: Cell::new(None), tear: Tear::After, ops: Cell::new(0) }
    }
    /// Fails at the operation of this number, counted from 0.
    pub fn failing(at: u32, tear: Tear) -> Self {
        Self { left: Cell::new(Some(at)), tear, ops: Cell::new(0) }
    }
    /// Operations that were begun.
    pub fn ops(&self) -> u32 {
        self.ops.get()
    }
    pub fn failed(&self) -> bool {
        self.left.get().is_some_and(|left| self.ops.get() > left)
    }
}

/// Flash on such a supply.
pub struct CutFlash<'a> {
    flash: &'a mut Flash,
    unit: &'a EncryptionUnit,
    power: &'a Power,
}

#[derive(Debug, PartialEq, Eq)]
pub enum CutError {
    NoPower,
    Flash(FlashError),
    Units(NorFlashErrorKind),
}

impl NorFlashError for CutError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl CutFlash<'_> {
    /// Does `op` on the bytes `at..at + length`, as far as power allows.
    fn write(
        &mut self,
        at: u32,
        length: usize,
        op: impl FnOnce(&mut Flash, &EncryptionUnit) -> Result<(), FlashError>,
    ) -> Result<(), CutError> {
        if self.power.failed() {
            return Err(CutError::NoPower);
        }
        self.power.ops.set(self.power.ops.get() + 1);
        let before = self.flash.clone();
        op(self.flash, self.unit).map_err(CutError::Flash)?;
        if !self.power.failed() {
            return Ok(());
        }
        let (mut old, mut new) = (vec![0; length], vec![0; length]);
        before.read(at, &mut old).unwrap();
        self.flash.read(at, &mut new).unwrap();
        let mut state = 0;
        for (i, (old, new)) in old.iter().zip(&mut new).enumerate() {
            let mask = match self.power.tear {
                Tear::Before => 0,
                Tear::FirstHalf => u8::from(i < length / 2) * 0xFF,
                Tear::SecondHalf => u8::from(i >= length / 2) * 0xFF,
                Tear::Bits(seed) => {
                    state = (state ^ seed ^ i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    (state >> 56) as u8
                }
                Tear::After => 0xFF,
            };
            *new = *old & !mask | *new & mask;
        }
        // the sectors of the operation, as they were, with the mixture in its place
        *self.flash = before;
        let from = at & !(SECTOR - 1);
        let to = (at + length as u32).next_multiple_of(SECTOR);
        let mut sectors = vec![0; (to - from) as usize];
        self.flash.read(from, &mut sectors).unwrap();
        sectors[(at - from) as usize..][..length].copy_from_slice(&new);
        self.flash.erase(from, to).unwrap();
        self.flash.program(from, &sectors).unwrap();
        Err(CutError::NoPower)
    }

    fn alive(&self) -> Result<(), CutError> {
        if self.power.failed() { Err(CutError::NoPower) } else { Ok(()) }
    }
}

impl ErrorType for CutFlash<'_> {
    type Error = CutError;
}

/// Units as on the real chips: words of 4 bytes, sectors.
impl ReadNorFlash for CutFlash<'_> {
    const READ_SIZE: usize = 4;
    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), CutError> {
        self.alive()?;
        check_read(self, offset, bytes.len()).map_err(CutError::Units)?;
        Flash::read(self.flash, offset, bytes).map_err(CutError::Flash)
    }
    fn capacity(&self) -> usize {
        self.flash.size() as usize
    }
}

impl NorFlash for CutFlash<'_> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR as usize;
    fn erase(&mut self, from: u32, to: u32) -> Result<(), CutError> {
        check_erase(self, from, to).map_err(CutError::Units)?;
        CutFlash::write(self, from, (to - from) as usize, |flash, _| flash.erase(from, to))
    }
    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), CutError> {
        check_write(self, offset, bytes.len()).map_err(CutError::Units)?;
        CutFlash::write(self, offset, bytes.len(), |flash, _| flash.program(offset, bytes))
    }
}

impl EncryptedFlash for CutFlash<'_> {
    type Error = CutError;
    fn capacity(&self) -> u32 {
        self.flash.size()
    }
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), CutError> {
        self.alive()?;
        self.unit.view(self.flash).fill(address, bytes).map_err(CutError::Flash)
    }
    fn read_raw(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), CutError> {
        self.alive()?;
        Flash::read(self.flash, address, bytes).map_err(CutError::Flash)
    }
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), CutError> {
        self.write(address, bytes.len(), |flash, unit| unit.program(flash, address, bytes))
    }
    fn program_raw(&mut self, address: u32, bytes: &[u8]) -> Result<(), CutError> {
        self.write(address, bytes.len(), |flash, _| flash.program(address, bytes))
    }
    fn erase_sector(&mut self, address: u32) -> Result<(), CutError> {
        self.write(address, SECTOR as usize, |flash, _| flash.erase_sector(address))
    }
}

pub type CutUpdater<'a> = Updater<Either<CutFlash<'a>, CutFlash<'a>>>;

/// Lets the app in `running` do `work` with its updater, on this supply.
pub fn on_supply<R>(
    device: &mut Device,
    running: Slot,
    power: &Power,
    work: impl FnOnce(&mut CutUpdater<'_>) -> R,
) -> R {
    let (slots, policy) = (slots(device).unwrap(), policy(device));
    let unit = EncryptionUnit::at_reset(&device.efuses);
    let flash = CutFlash { flash: &mut device.flash, unit: &unit, power };
    let medium = if unit.is_on() { Either::Encrypted(Encrypted(flash)) } else { Either::Plain(Plain(flash)) };
    work(&mut Updater::new(medium, slots, running, policy).unwrap())
}
