//! Checks which objects of an original a codec process may read.

use jetreel_domain::order::state::Video;
use jetreel_domain::words::failure::Failure;

use crate::config::Context;
use crate::ports::Readable;

/// What a codec process may read of an order's original.
///
/// # Errors
/// The settings deny a part of the original, or its list cannot be read.
pub(crate) async fn readable(
    context: &Context,
    video: &Video,
    number: u32,
) -> Result<Readable, Failure> {
    let source = video.source_of(number);
    let list = context.lists.get(context.ports.store.as_ref(), &video.id, source).await?;
    match context.config.sources.denied(&video.id, &list) {
        Some(key) => Err(source_denied(&key)),
        None => Ok(Readable { parts: list }),
    }
}

/// The failure if a message or a state names a source that the settings deny.
pub(crate) fn source_denied(key: &str) -> Failure {
    let message =
        "The key of the source lies below no prefix that the setting store.sources allows.";
    Failure::permanent("source-denied", message).with_detail(key)
}
