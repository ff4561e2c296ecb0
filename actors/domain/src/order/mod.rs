//! The state of a video and of its orders, with their due, finished and next tasks.

pub mod lane;
pub mod status;
pub mod source;
pub mod state;
pub mod owner;
pub mod owner_name;
pub mod parts;
pub mod document;
pub mod unknown;
pub mod ledger;
pub mod stretch;
pub mod release;
pub mod line;
pub mod admission;
pub mod progress;
pub mod announce;
pub mod cancel;
pub mod priority;
pub mod erase;
pub mod again;
pub mod reopen;
pub mod takeover;
pub mod succession;
