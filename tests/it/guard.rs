//! What is read from broker and store is not believed: who may publish to one subject reaches nothing else, documents of newer
//! programs stay as they are.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod forged;
mod forgeries;
mod reach;
mod versions;
