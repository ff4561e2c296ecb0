//! The gateway: uploads, jobs, playback and pages over HTTP.
//!
//! Invariants: an answer below 300 to an upload means that it is on disk and in the state; every error is a problem document;
//! memory does not grow with the size of a file or the number of viewers of one video.

mod cancel;
mod disposition;
mod gateway;
mod health;
mod job_document;
mod jobs;
mod objects;
mod error_page;
mod orders;
mod pages;
mod playback;
mod problem;
mod range;
mod time;
mod videos;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use gateway::{Gateway, GatewayOptions, Hooks, Seen, Warning, admin_router, router, serve};
pub use problem::Problem;
pub use time::rfc3339;
