//! The gateway: uploads, jobs, playback and pages over HTTP.
//!
//! Invariants: a status below 300 for an upload means that it is on disk and in the state. Every error is a problem document. Memory does
//! not grow with the size of a file or the number of viewers of one video. No client takes more descriptors than its share, or makes the
//! server wait longer than the settings allow.

mod asking;
mod attachment;
mod cancel;
mod catalog;
mod connection;
mod cost;
mod crowd;
mod disposition;
mod erase;
mod error_page;
mod gateway;
mod health;
mod job_document;
mod jobs;
mod listing;
mod objects;
mod orders;
mod origin;
mod pace;
mod pages;
mod parts;
mod playback;
mod priority;
mod problem;
mod range;
mod server;
mod time;
mod upload;
mod videos;
mod waiting;
#[cfg(test)]
mod counted;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod clients_tests;
#[cfg(test)]
mod outage_tests;
#[cfg(test)]
mod reads_tests;

pub use connection::{Closing, Patience};
pub use gateway::{Gateway, GatewayOptions, Hooks, OnSeen, Seen, StandingOf, Waits, Warning};
pub use gateway::{admin_router, router};
pub(crate) use health::{STORE_NOT_SHARED, TOPOLOGY_MISSING};
pub use origin::Hosts;
pub use pace::Pace;
pub use parts::{PartLog, Place, UploadError, store_parts};
pub use problem::Problem;
pub use server::{Bounds, listen, serve};
pub use time::rfc3339;
