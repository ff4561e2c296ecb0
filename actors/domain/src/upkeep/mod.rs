//! What a cluster does for itself: presence, leadership, repair, sweeping, and settings that fit each other.

pub mod presence;
pub mod peers;
pub mod leadership;
pub mod reconcile;
pub mod sweep;
pub mod restart;
pub mod binding;
pub mod relations;
