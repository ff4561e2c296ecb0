//! What integration tests share.

pub(crate) mod cluster;
pub(crate) mod collector;
pub(crate) mod eventually;
pub(crate) mod nats;
pub(crate) mod pager;
pub(crate) mod fake_codec;
pub(crate) mod poison;
pub(crate) mod s3;
pub(crate) mod hls;
pub(crate) mod media;
pub(crate) mod noop;
pub(crate) mod node;
pub(crate) mod original;
pub(crate) mod site;
pub(crate) mod tape;
pub(crate) mod tools;
pub(crate) mod scaling;
