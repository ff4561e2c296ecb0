//! Compare-and-set loops: read, decide, write, and again when somebody was faster.

use jetreel_domain::id::VideoId;
use jetreel_domain::order::announce;
use jetreel_domain::order::document::{self, Document as _};
use jetreel_domain::order::state::Video;
use jetreel_domain::words::failure::Failure;

use crate::crash;
use crate::event::Event;
use crate::ports::{Ports, Swap};

/// Rounds of a loop before it gives up: far more than there are writers of one video.
const ROUNDS_MAX: usize = 64;

/// Changes the state of a video. `change` is called with what is there now, perhaps several times, and says whether to write.
/// Gives the state as it is afterwards; `None` where there is no such video.
///
/// # Errors
/// When the broker fails, `change` refuses, or others never stop writing.
pub async fn video<F>(ports: &Ports, id: &VideoId, mut change: F) -> Result<Option<Video>, Failure>
where
    F: FnMut(&mut Video) -> Result<bool, Failure> + Send,
{
    for _ in 0..ROUNDS_MAX {
        let Some(found) = ports.broker.video(id).await? else { return Ok(None) };
        let mut video = found.value;
        if !change(&mut video)? {
            return Ok(Some(video));
        }
        if video.is_newer() {
            return Err(document::newer().with_detail(id));
        }
        match ports.broker.swap_video(&video, found.revision).await? {
            Swap::Done(_) => return Ok(Some(video)),
            Swap::Conflict => ports.environment.emit(Event::SwapConflict { bucket: "videos" }),
        }
    }
    Err(Failure::dependency(
        "state-contended",
        "The state of the video is changed too often. Try again.",
    ))
}

/// Publishes every fact that state holds and PROGRESS does not, in order, each awaited; then notes how far it came.
///
/// # Errors
/// When the broker fails; what was published stays published, and a later call goes on from there.
pub async fn announce(ports: &Ports, video: &Video) -> Result<(), Failure> {
    let due = announce::due(video);
    let Some(last) = due.last().map(|(_, known)| known.seq) else { return Ok(()) };
    if video.is_newer() {
        // How far it came could not be noted.
        return Err(document::newer().with_detail(&video.id));
    }
    for (number, known) in &due {
        let order = video.order_id(*number);
        ports.broker.announce(&order, known, video).await?;
        crash::point("announce-after-fact");
        ports.environment.emit(Event::Announced { order, fact: known.fact.clone() });
    }
    crash::point("announce-before-note");
    self::video(ports, &video.id, |state| {
        let behind = state.announced < last;
        state.announced = state.announced.max(last);
        Ok(behind)
    })
    .await?;
    Ok(())
}
