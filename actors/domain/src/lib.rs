//! Every decision of Jetreel, as pure functions over plain data.
//!
//! Purpose: what a stage decides (refuse or plan, release, verify, announce, what a playlist says) stands here, where it
//! can be tested without a broker, a store, a clock or a codec.
//!
//! Invariant: nothing here does I/O, reads a clock, draws a random number or names a runtime. Time and identity are arguments.
//!
//! Reading order is pipeline order.

pub mod id;
pub mod subject;
pub mod stage;
pub mod media;
pub mod discontinuity;
mod excursion;
pub mod joint;
pub mod order;
pub mod lasting;
pub mod preroll;
pub mod pace;
pub mod frame;
pub mod ladder;
pub mod h264;
pub mod x264;
pub mod refusal;
pub mod classify;
pub mod clock;
pub mod soundtrack;
pub mod soundclock;
pub mod hdr;
pub mod chunking;
pub mod cost;
pub mod tasks;
pub mod batch;
pub mod framerate;
pub mod gop;
pub mod still;
pub mod plan;
pub mod planner;
pub mod job;
pub mod release;
pub mod lane;
pub mod message;
pub mod signature;
pub mod turn;
pub mod ledger;
pub mod assembly;
pub mod claim;
pub mod sentence;
pub mod reason;
pub mod warning;
pub mod failure;
pub mod excerpt;
pub mod redact;
pub mod printable;
pub mod retry;
pub mod trial;
pub mod breaker;
pub mod deadletter;
pub mod hook;
pub mod orphan;
pub mod selection;
pub mod advice;
pub mod restart;
pub mod room;
pub mod state;
pub mod parts;
pub mod unknown;
pub mod document;
pub mod cancel;
pub mod erase;
pub mod again;
pub mod reopen;
pub mod takeover;
pub mod announce;
pub mod verify;
pub mod bitrate;
pub mod playlist;
pub mod language;
pub mod manifest;
pub mod progress;
pub mod codec_failure;
pub mod wire;
pub mod trespass;
pub mod limits;
pub mod losses;
pub mod budget;
pub mod thumbnails;
pub mod contract;
pub mod presence;
pub mod peers;
pub mod reconcile;
pub mod leadership;
pub mod sweep;
pub mod intake;
pub mod binding;
pub mod relations;

#[cfg(test)]
extern crate self as jetreel_domain;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod simulate;
#[cfg(test)]
mod transcript;
#[cfg(test)]
mod lies;
