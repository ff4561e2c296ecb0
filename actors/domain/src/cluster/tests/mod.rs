//! What a cluster shows under load.

mod backlog;
mod scale;
mod trouble;
