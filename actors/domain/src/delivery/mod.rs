//! Messages: their bodies and checks, claims, retries and dead letters.

pub mod subject;
pub mod stage;
pub mod message;
pub mod announcement;
pub mod intake;
pub mod signature;
pub mod turn;
pub mod trace;
pub mod dispatch;
pub mod label;
pub mod hours;
pub mod eligibility;
pub mod claim;
pub mod transfer;
pub mod retry;
pub mod trial;
pub mod breaker;
pub mod deadletter;
pub mod room;
pub mod hook;
pub mod orphan;
pub mod selection;
