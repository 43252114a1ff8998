//! HTTP and HTTPS, for updates that are fetched: a client that is at home with hostile servers, and a server that is one.
//!
//! Nothing leaves the machine: the [`Client`] speaks to loopback addresses only, looks up no names, and takes no proxy
//! from the environment. Time and memory are bounded whatever a server does ([`Settings`]). The [`Server`] hands out the
//! files of a folder on a free loopback port, with [`Fault`]s of choice.
//!
//! | file | what it holds |
//! |---|---|
//! | [`client`](Client) | requests, redirects, time-outs |
//! | [`reply`](Reply) | status, length, range, and the body in pieces |
//! | [`error`](HttpError) | everything that can go wrong, in words |
//! | [`range`](ContentRange) | the `Content-Range` header |
//! | [`loopback`](check_url) | which hosts may be spoken to |
//! | [`server`](Server) | files of a folder, with faults |

mod client;
mod error;
mod loopback;
mod range;
mod reply;
pub mod server;

pub use client::{Client, Part, Settings};
pub use error::HttpError;
pub use loopback::{Ports, check_url};
pub use range::ContentRange;
pub use reply::Reply;
pub use server::{Fault, Server};
