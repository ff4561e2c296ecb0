//! What a codec process may send for its job, frame by frame.
//!
//! A decoder that hostile media took over can send any bytes, for ever, at any rate. [`Contract`] is derived from the job, and so
//! from the plan: it knows the permitted names, indices, counts, sizes and order, and bounds every field of every frame. A frame
//! outside of it is a [`Breach`], which ends the process.
//!
//! Invariants: a frame is refused by its length before its content is read, as soon as its kind is known; the plan bounds the total of
//! permitted frames; no frame is permitted after the final report.
//!
//! Absent on purpose: whether results are *right* (see [`crate::output::verify`]), and the limits on time, CPU and bytes in all (see
//! [`crate::codec::budget`]).

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
