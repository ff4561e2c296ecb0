//! The frames that a codec process may send for its job.
//!
//! A decoder that hostile media took over can send any bytes, forever, at any rate. [`Contract`] is derived from the job, and so from the
//! plan. It knows the permitted names, indices, counts, sizes and order, and bounds every field of every frame. Any other frame is a
//! [`Breach`], which ends the process.
//!
//! Invariants: a frame is refused by its length before its content is parsed, as soon as its kind is known. The plan bounds the total of
//! permitted frames. No frame is permitted after the final report.
//!
//! Whether results are *right* is checked elsewhere (see [`crate::output::verify`]), and so are the limits of time, CPU and total bytes
//! (see [`crate::codec::budget`]).

mod breach;
mod frame;
mod text;
mod reads;
mod greeting;
mod facts;
mod fragment;
mod pictures;
mod sound;
mod files;
mod terms;
mod agreement;

#[cfg(test)]
mod tests;

pub use agreement::{Contract, Effect};
pub use breach::Breach;
pub use frame::FrameKind;
pub use greeting::{GREETING_BYTES_MAX, greeting};
