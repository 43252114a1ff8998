//! What a scenario makes of its random numbers, once for all its cells and documents.
//!
//! RSA keys and signatures are what a document's time goes into, and they depend on nothing but their input and on where
//! the random numbers stand: one that was made from the same before is taken again. Only for a confined bench, whose
//! numbers come from a seed.

use super::{Failure, Workbench};
use rand_chacha::ChaCha20Rng;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{LazyLock, Mutex},
};

/// What was made of which input and which random numbers, and where those stood then.
type Made<K, V> = HashMap<(K, [u8; 32], u128), (V, ChaCha20Rng)>;

/// What was made since the process began.
pub(super) type Memory<K, V> = LazyLock<Mutex<Made<K, V>>>;

/// Makes a value of `input` and the bench's random numbers, or takes the one that was made of the same.
pub(super) fn once<K: Eq + Hash, V: Clone>(
    memory: &Memory<K, V>,
    bench: &mut Workbench,
    input: K,
    make: impl FnOnce(&mut Workbench) -> Result<V, Failure>,
) -> Result<V, Failure> {
    if !bench.is_confined() {
        return make(bench);
    }
    let start = (input, bench.rng.get_seed(), bench.rng.get_word_pos());
    if let Some((value, rng)) = memory.lock().ok().and_then(|made| made.get(&start).cloned()) {
        bench.rng = rng;
        return Ok(value);
    }
    let value = make(bench)?;
    if let Ok(mut made) = memory.lock() {
        made.insert(start, (value.clone(), bench.rng.clone()));
    }
    Ok(value)
}
