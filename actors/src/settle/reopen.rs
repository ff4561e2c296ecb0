//! Handles an upload message that names another source: an operator corrected the source.

use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::order::owner::Owner;
use jetreel_domain::order::parts::PartList;
use jetreel_domain::order::state::Source;
use jetreel_domain::words::failure::Failure;

use super::case::Case;
use super::failed::refused;
use super::settlement::Settlement;
use crate::change;
use crate::config::Context;
use crate::crash;
use crate::original::source_denied;
use crate::parts;

/// Opens the next order, which reads the named source. The order is opened once and announced for each delivery of the message.
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
    let Some(asked) = ask(context, message, source, bytes).await? else {
        // The object lies in the video's folder and is no part of the original, perhaps left by an aborted upload.
        return Ok(refused(case, source_missing(source)).await);
    };
    let now = ports.environment.now();
    let mut opened = None;
    change::video(ports, &message.video, |video| {
        opened = video.reopen(message.number, source, asked.clone(), now);
        Ok(opened.is_some_and(|(_, new)| new))
    })
    .await?;
    crash::point("reopen-after-state");
    if let Some((number, _)) = opened {
        let upload = Uploaded::new(message.video.clone(), number, message.lane);
        ports.broker.announce_upload(&upload).await?;
    }
    Ok(Settlement::Ack)
}

/// The source of the next order. The inner `None` means the original again. The outer `None` means that the key lies in the original's
/// folder and is no part of it.
async fn ask(
    context: &Context,
    message: &Uploaded,
    source: &str,
    bytes: u64,
) -> Result<Option<Option<Source>>, Failure> {
    let (ports, id) = (&context.ports, &message.video);
    if source.starts_with(&Owner::Original(id.clone()).prefix()) {
        let Some(video) = ports.broker.video(id).await? else { return Ok(Some(None)) };
        let list = context.lists.get(ports.store.as_ref(), id, &video.value.source).await?;
        return Ok(list.has(source).then_some(None));
    }
    let found = ports.broker.video(id).await?;
    if found.is_none_or(|found| found.value.reopened(message.number, source).is_some()) {
        return Ok(Some(None));
    }
    let (list, uuid) = (PartList::one(source, bytes), ports.environment.uuid());
    let other = parts::write(ports.store.as_ref(), &uuid, id, &list).await?;
    Ok(Some(Some(other)))
}

fn source_missing(key: &str) -> Failure {
    let message = "The store has no object under the key that the message names as its source.";
    Failure::permanent("source-missing", message).with_detail(key)
}
