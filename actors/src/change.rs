//! Compare-and-set loops: read, decide, write; on a conflict, begin again.

use jetreel_domain::id::VideoId;
use jetreel_domain::order::announce;
use jetreel_domain::order::document::{self, Document as _};
use jetreel_domain::order::state::Video;
use jetreel_domain::words::failure::Failure;

use crate::crash;
use crate::event::Event;
use crate::ports::{Ports, Swap, Versioned};

/// Rounds before a loop gives up. Far fewer writers ever change one video at once.
const ROUNDS_MAX: usize = 64;

/// Changes the state of a video. `change` gets the current state and returns whether to write it; after a conflict it is called again.
/// Returns the state afterwards, or `None` if there is no such video.
///
/// # Errors
/// The broker failed, `change` refused, or each of [`ROUNDS_MAX`] rounds met a conflict.
pub async fn video<F>(ports: &Ports, id: &VideoId, change: F) -> Result<Option<Video>, Failure>
where
    F: FnMut(&mut Video) -> Result<bool, Failure> + Send,
{
    let Some(found) = ports.broker.video(id).await? else { return Ok(None) };
    Ok(from(ports, found, change).await?.map(|found| found.value))
}

/// Like [`video`], but begins with the state as it was read before. It is read again only after a conflict. So a `change` that writes
/// nothing may have seen an older state.
///
/// # Errors
/// Like [`video`].
pub(crate) async fn from<F>(
    ports: &Ports,
    found: Versioned<Video>,
    mut change: F,
) -> Result<Option<Versioned<Video>>, Failure>
where
    F: FnMut(&mut Video) -> Result<bool, Failure> + Send,
{
    let id = found.value.id.clone();
    let mut found = found;
    for _ in 0..ROUNDS_MAX {
        let Versioned { value: mut video, revision } = found;
        if !change(&mut video)? {
            return Ok(Some(Versioned { value: video, revision }));
        }
        if video.is_newer() {
            return Err(document::newer().with_detail(&id));
        }
        match ports.broker.swap_video(&video, revision).await? {
            Swap::Done(revision) => return Ok(Some(Versioned { value: video, revision })),
            Swap::Conflict => ports.environment.emit(Event::SwapConflict { bucket: "videos" }),
        }
        match ports.broker.video(&id).await? {
            Some(current) => found = current,
            None => return Ok(None),
        }
    }
    Err(Failure::dependency(
        "state-contended",
        "The state of the video is changed too often. Try again.",
    ))
}

/// Publishes in order every fact that the state holds and PROGRESS lacks, and awaits each confirmation. Then records in the state how many
/// are published.
///
/// # Errors
/// The broker failed. Facts published so far stay published, and a later call continues after them.
pub async fn announce(ports: &Ports, video: &Video) -> Result<(), Failure> {
    let Some(last) = tell(ports, video).await? else { return Ok(()) };
    self::video(ports, &video.id, |state| Ok(note(state, last))).await?;
    Ok(())
}

/// Like [`announce`], and returns the state afterwards. `None` if the video was removed.
///
/// # Errors
/// Like [`announce`].
pub(crate) async fn announce_from(
    ports: &Ports,
    found: Versioned<Video>,
) -> Result<Option<Versioned<Video>>, Failure> {
    match tell(ports, &found.value).await? {
        Some(last) => from(ports, found, |state| Ok(note(state, last))).await,
        None => Ok(Some(found)),
    }
}

/// Publishes in order every fact that the state holds and PROGRESS lacks, and awaits each confirmation. Returns the number of the last one:
/// the next write of the state must [note](note) it.
///
/// # Errors
/// Like [`announce`].
pub(crate) async fn tell(ports: &Ports, video: &Video) -> Result<Option<u64>, Failure> {
    let due = announce::due(video);
    let Some(last) = due.last().map(|(_, known)| known.seq) else { return Ok(None) };
    if video.is_newer() {
        // The number of published facts could not be recorded.
        return Err(document::newer().with_detail(&video.id));
    }
    for (number, known) in &due {
        let order = video.order_id(*number);
        ports.broker.announce(&order, known, video).await?;
        crash::point("announce-after-fact");
        ports.environment.emit(Event::Announced { order, fact: known.fact.clone() });
    }
    crash::point("announce-before-note");
    Ok(Some(last))
}

/// Records that the facts up to this number are published. Returns whether that is news.
pub(crate) fn note(state: &mut Video, last: u64) -> bool {
    let behind = state.announced < last;
    state.announced = state.announced.max(last);
    behind
}
