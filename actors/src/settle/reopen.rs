//! A message of an upload that names another object to read: a person corrected the source.

use jetreel_domain::failure::Failure;
use jetreel_domain::message::Uploaded;
use jetreel_domain::sweep::Owner;

use super::bury::Case;
use super::failed::{Settlement, refused};
use crate::change;
use crate::crash;

/// The next order reads that one. Opened once, announced as often as this comes.
pub(crate) async fn reopen(
    case: &Case<'_>,
    message: &Uploaded,
    source: &str,
) -> Result<Settlement, Failure> {
    let context = case.context;
    let ports = &context.ports;
    if !context.config.sources.allow(&message.video, source) {
        return Ok(refused(case, source_denied(source)).await);
    }
    let Some(bytes) = ports.store.size(source).await? else {
        return Ok(refused(case, source_missing(source)).await);
    };
    let now = ports.environment.now();
    let own = Owner::Original(message.video.clone()).prefix();
    let (mut opened, mut stray) = (None, false);
    change::video(ports, &message.video, |video| {
        stray = source.starts_with(&own) && !video.original_has(source);
        if stray {
            return Ok(false);
        }
        opened = video.reopen(message.number, source, bytes, now);
        Ok(opened.is_some_and(|(_, new)| new))
    })
    .await?;
    if stray {
        // In its folder, but no part of it: of an upload that broke off, perhaps.
        return Ok(refused(case, source_missing(source)).await);
    }
    crash::point("reopen-after-state");
    if let Some((number, _)) = opened {
        let upload = Uploaded::new(message.video.clone(), number, message.lane);
        ports.broker.announce_upload(&upload).await?;
    }
    Ok(Settlement::Ack)
}

/// A message, or a state, names a source that may not be read.
pub(crate) fn source_denied(key: &str) -> Failure {
    let message =
        "The key of the source lies below no prefix that the setting store.sources allows.";
    Failure::permanent("source-denied", message).with_detail(key)
}

fn source_missing(key: &str) -> Failure {
    let message = "The store has no object under the key that the message names as its source.";
    Failure::permanent("source-missing", message).with_detail(key)
}
