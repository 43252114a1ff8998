//! What power fails in.

use crate::{
    device::Device,
    fault::{Cut, Operation, Power, PoweredFlash, Tear, Write},
    flash::{Flash, journal::Change},
};

/// Something that writes to a board.
pub trait Action: Sync {
    /// Runs it.
    fn run(&self, device: &mut Device, power: &Power);

    /// The board when write number `op` is due, and that write. None where there are fewer.
    fn before(&self, board: &Device, op: u64) -> Option<(Device, Write)> {
        let power = Power::failing(Cut { op, tear: Tear::None });
        let mut device = board.clone();
        self.run(&mut device, &power);
        // the same boots with the same random numbers lead to the same write
        let write = power.last().filter(|_| power.is_lost())?;
        Some((device, write))
    }

    /// What flashing anew may put back, beside what was in flash before: what the action itself flashes.
    fn flashes(&self) -> bool {
        false
    }
}

impl<T: Fn(&mut Device, &Power) + Sync> Action for T {
    fn run(&self, device: &mut Device, power: &Power) {
        self(device, power);
    }
}

/// Writes between two snapshots.
const STRIDE: usize = 64;

/// An action that knows nothing of power, by the writes that it made on a board: flash only.
pub struct Recorded {
    operations: Vec<Operation>,
    /// Flash before every [`STRIDE`]-th write, from the first on.
    snapshots: Vec<Flash>,
    flashes: bool,
}

impl Recorded {
    /// The writes of an action that began with this flash. `flashes` as [`Action::flashes`].
    pub fn new(flash: &Flash, changes: Vec<Change>, flashes: bool) -> Self {
        let operations: Vec<Operation> = changes.into_iter().map(Operation::from).collect();
        let mut flash = flash.clone();
        let mut snapshots = vec![flash.clone()];
        let power = Power::steady();
        for stride in operations.chunks_exact(STRIDE) {
            replay(stride, &mut flash, &power);
            snapshots.push(flash.clone());
        }
        Self { operations, snapshots, flashes }
    }
}

impl Action for Recorded {
    fn run(&self, device: &mut Device, power: &Power) {
        replay(&self.operations, &mut device.flash, power);
    }

    fn before(&self, board: &Device, op: u64) -> Option<(Device, Write)> {
        let at = usize::try_from(op).ok()?.checked_sub(1)?;
        let operation = self.operations.get(at)?.clone();
        let from = at - at % STRIDE;
        let mut device = Device { flash: self.snapshots.get(at / STRIDE)?.clone(), ..board.clone() };
        replay(self.operations.get(from..at)?, &mut device.flash, &Power::steady());
        let states = operation.flash_states();
        Some((device, Write { operation, states }))
    }

    fn flashes(&self) -> bool {
        self.flashes
    }
}

/// Until power fails; the chip took the same writes before, so it refuses none.
fn replay(operations: &[Operation], flash: &mut Flash, power: &Power) {
    let mut flash = PoweredFlash::new(flash, power);
    for operation in operations {
        if flash.execute(operation.clone()).is_err() {
            return;
        }
    }
}
