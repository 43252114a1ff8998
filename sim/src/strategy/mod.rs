//! proptest strategies: valid things of every format, and named damage to them with the refusal that must follow.

pub mod board;
pub mod command;
pub mod efuse;
pub mod envelope;
pub mod image;
pub mod otadata;
pub mod partition;
pub mod scenario;
