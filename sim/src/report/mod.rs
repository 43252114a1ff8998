//! Results for people ([`console`]) and machines ([`json`], [`junit`]).

pub mod console;
pub mod json;
pub mod junit;
