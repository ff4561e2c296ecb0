//! Upkeep of a cluster: presence, leadership, repair, sweep, and relations between settings.

pub mod presence;
pub mod peers;
pub mod waits;
pub mod leadership;
pub mod reconcile;
pub mod sweep;
pub mod restart;
pub mod binding;
pub mod sign;
pub mod relations;
