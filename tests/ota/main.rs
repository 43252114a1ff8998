//! The core's updater on the modelled board.
//!
//! | module | what it shows |
//! |---|---|
//! | `board` | boards to update, and flash whose power can fail |
//! | `update` | the three ways in, and everything that is refused |
//! | `faults` | the field's known faults: red on the faulty logic, green on ours |
//! | `cuts` | power that fails at every flash operation |
//! | `machine` | any sequence of steps against a reference of the rules |
//! | `memory` | how much RAM an update takes |

mod board;
mod cuts;
mod faults;
mod machine;
mod memory;
mod update;
