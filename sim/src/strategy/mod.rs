//! proptest strategies for what the model reads and holds.

pub mod scenario;
