//! The codec process: its jobs, its permitted answers, and the correction of a source's times.

pub mod wire;
pub mod forks;
pub mod job;
pub mod limits;
pub mod budget;
pub mod contract;
pub mod failure;
pub mod death;
pub mod clock;
pub mod jump;
pub mod discontinuity;
mod excursion;
pub mod joint;
pub mod misplaced;
pub mod lasting;
pub mod preroll;
pub mod pace;
pub mod soundclock;
pub mod hdr;
pub mod trespass;
