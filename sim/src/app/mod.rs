//! The application that a boot started.
//!
//! | module | whose application |
//! |---|---|
//! | [`dryburn`] | one that updates itself with the core's updater |

pub mod dryburn;
