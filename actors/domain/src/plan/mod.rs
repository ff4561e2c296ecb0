//! Facts of a source, and its plan: the ladder, the chunks, the tasks.

pub mod rational;
pub mod media;
pub mod frame;
pub mod framerate;
pub mod ladder;
pub mod h264;
pub mod x264;
pub mod gop;
pub mod refusal;
pub mod classify;
pub mod soundtrack;
pub mod still;
pub mod chunking;
pub mod cost;
pub mod tasks;
pub mod shares;
pub mod batch;
pub mod thumbnails;
pub mod policy;
pub mod planner;

mod document;

pub use document::{AudioPlan, Chunk, Class, ImagePlan, Plan, PlannedTask, Work};
