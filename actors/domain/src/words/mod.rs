//! What is said to people: reasons, warnings, advice, and how a sentence looks.

pub mod sentence;
pub mod reason;
pub mod warning;
pub mod failure;
pub mod advice;
pub mod excerpt;
pub mod redact;
pub mod printable;
