//! What a cluster shows under load.

mod backlog;
mod labels;
mod scale;
mod trouble;
