//! proptest strategies for everything that the model holds.

pub mod efuse;
