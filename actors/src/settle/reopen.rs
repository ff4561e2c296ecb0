//! A message of an upload that names another object to read: a person corrected the source.

use jetreel_domain::failure::Failure;
use jetreel_domain::message::Uploaded;

use super::bury::Case;
use super::failed::{Settlement, refused};
use crate::change;
use crate::config::Context;
use crate::crash;

/// The next order reads that one. Opened once, announced as often as this comes.
pub(crate) async fn reopen(
    case: &Case<'_>,
    message: &Uploaded,
    source: &str,
) -> Result<Settlement, Failure> {
    let context = case.context;
    let ports = &context.ports;
    let Some(bytes) = size_of(context, source).await? else {
        let failure = Failure::permanent(
            "source-missing",
            "The store has no object under the key that the message names as its source.",
        );
        return Ok(refused(case, failure.with_detail(source)).await);
    };
    let now = ports.environment.now();
    let mut opened = None;
    change::video(ports, &message.video, |video| {
        opened = video.reopen(message.number, source, bytes, now);
        Ok(opened.is_some_and(|(_, new)| new))
    })
    .await?;
    crash::point("reopen-after-state");
    if let Some((number, _)) = opened {
        ports.broker.announce_upload(&message.video, number, message.lane).await?;
    }
    Ok(Settlement::Ack)
}

/// Size of an object that a person named. A key that leaves the store is as good as none.
async fn size_of(context: &Context, key: &str) -> Result<Option<u64>, Failure> {
    let inside = key.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if inside { context.ports.store.size(key).await } else { Ok(None) }
}
