//! Properties of plans and of what follows from them, over random sources; and documents of earlier builds.

#[path = "../../src/sample.rs"]
mod sample;
#[path = "../../src/simulate.rs"]
mod simulate;
#[path = "../../src/transcript.rs"]
mod transcript;

mod contract;
mod cost;
mod documents;
mod lists;
mod plans;
mod scale;
mod locals;
mod simulation;
mod sources;
mod work;
