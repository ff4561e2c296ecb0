//! Texts for users: reasons, warnings, advice, and the form of sentences.

pub mod sentence;
pub mod reason;
pub mod warning;
pub mod failure;
pub mod advice;
pub mod excerpt;
pub mod redact;
pub mod printable;
