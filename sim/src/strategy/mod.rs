//! proptest strategies: valid things of every format, and named damage to them with the refusal that must follow.
//!
//! | module | makes | damages |
//! |---|---|---|
//! | [`image`] | images and boards that accept them | 23 kinds, each with its refusal |
//! | [`partition`] | tables, text like a CSV | 5 kinds, each with its refusal |
//! | [`otadata`] | entries, pairs, histories of updates | torn by power cuts, erased, noise |
//! | [`efuse`] | eFuses after burns, eFuse files | changed and cut files |
//! | [`envelope`] | sealed envelopes, chunks | changed, cut, longer; each with the refusals it may lead to |
//! | [`scenario`] | documents and their text | scraps of text in no order |
//! | [`board`] | flash of a good device, plain or encrypted | 5 kinds |
//! | [`command`] | command lines of every tool, and the desk that they work at | 5 kinds |

pub mod board;
pub mod command;
pub mod efuse;
pub mod envelope;
pub mod image;
pub mod otadata;
pub mod partition;
pub mod scenario;
