//! What a scenario makes of its seed, once for all its cells and documents.
//!
//! RSA keys and signatures are what a document's time goes into. On a confined bench each has a stream of random numbers of
//! its own, which depends on the seed and on what is made, not on what was made before; so one that was made from the same
//! is taken again.

use super::{Failure, Workbench};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

/// What was made since the process began, by the seed of its random numbers.
pub(super) type Memory<V> = LazyLock<Mutex<HashMap<[u8; 32], V>>>;

/// Makes a value that the bench's seed and `what` decide, or takes the one that was made of them before.
pub(super) fn once<V: Clone>(
    memory: &Memory<V>,
    bench: &mut Workbench,
    what: &[&[u8]],
    make: impl FnOnce(&mut ChaCha20Rng) -> Result<V, Failure>,
) -> Result<V, Failure> {
    if !bench.is_confined() {
        return make(&mut bench.rng);
    }
    let mut seed = Sha256::new_with_prefix(bench.rng.get_seed());
    for part in what {
        seed.update((part.len() as u64).to_le_bytes());
        seed.update(part);
    }
    let seed = seed.finalize().into();
    if let Some(value) = memory.lock().ok().and_then(|made| made.get(&seed).cloned()) {
        return Ok(value);
    }
    let value = make(&mut ChaCha20Rng::from_seed(seed))?;
    if let Ok(mut made) = memory.lock() {
        made.insert(seed, value.clone());
    }
    Ok(value)
}
