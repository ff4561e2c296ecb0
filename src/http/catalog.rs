//! Cache of all videos: which exist, and where the finished set of each is.
//!
//! It is a view of the bucket `videos`, read on from the last read, so a list costs as much as has changed. The state decides: a playback
//! request reads the broker, and the cached answer is valid for one more second, or for as long as the broker is down. A finished set never
//! changes under its key, so finished videos keep playing, even ones that were not played before.
//!
//! Memory: about 100 bytes per video, and 400 more for each of the newest [`FINISHED_MAX`] finished ones.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jetreel_actors::ports::{Broker, Changed, Versioned};
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::state::{Published, Video};
use jetreel_domain::words::failure::{Failure, Severity};

use super::asking::{at_once, soon};

/// Finished sets that are cached for an outage of the broker.
const FINISHED_MAX: usize = 100_000;
/// Shortest time between two reads of a finished video's state. Many viewers cost the broker as much as one.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(1);

/// The finished set of a video, for playback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finished {
    /// The order that made it.
    pub(super) order: OrderId,
    pub(super) published: Published,
}

/// What playback of a video needs.
#[derive(Debug)]
pub(super) enum Playing {
    /// The finished set.
    Finished(Arc<Finished>),
    /// The state of a video without a finished set.
    Open(Box<Video>),
}

/// The cache.
#[derive(Default)]
pub(super) struct Catalog {
    read: tokio::sync::Mutex<Read>,
    view: RwLock<View>,
    is_away: AtomicBool,
    /// Whether the whole bucket was read once.
    is_loaded: AtomicBool,
}

#[derive(Default)]
struct Read {
    upto: u64,
    /// When the bucket that was read was created, in nanoseconds since the Unix epoch.
    born: i64,
    began: Option<Instant>,
    /// When the last reading failed, and of what.
    failed: Option<(Instant, Failure)>,
}

#[derive(Default)]
struct View {
    entries: BTreeMap<VideoId, Entry>,
    finished: BTreeMap<VideoId, Kept>,
}

struct Entry {
    revision: u64,
    /// Whether lists show the video.
    listed: bool,
}

#[derive(Clone)]
struct Kept {
    finished: Arc<Finished>,
    /// When the broker was last asked; `None` before the first time.
    asked: Option<Instant>,
}

impl Catalog {
    /// Reads the changes for a list. After the start of a node it reads the whole bucket, which takes seconds if there are very many
    /// videos.
    pub(super) async fn catch_up(&self, broker: &dyn Broker) -> Result<(), Failure> {
        let reading = self.read_on(broker);
        if self.is_loaded.load(Ordering::Relaxed) { soon(reading).await } else { reading.await }
    }

    /// Reads the changes. Concurrent callers share one read.
    pub(super) async fn read_on(&self, broker: &dyn Broker) -> Result<(), Failure> {
        let called = Instant::now();
        let mut read = self.read.lock().await;
        if read.began.is_some_and(|began| began >= called) {
            return Ok(());
        }
        if let Some((_, failure)) = read.failed.as_ref().filter(|(at, _)| *at >= called) {
            return Err(failure.clone());
        }
        let done = self.read_changes(broker, &mut read).await;
        read.failed = done.as_ref().err().map(|failure| (Instant::now(), failure.clone()));
        done
    }

    async fn read_changes(&self, broker: &dyn Broker, read: &mut Read) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let changes = soon(broker.changes(read.upto)).await;
            self.is_away.store(changes.as_ref().is_err_and(is_away), Ordering::Relaxed);
            let changes = changes?;
            if changes.extent.is_another(read.born, read.upto) {
                tracing::warn!(
                    "the bucket of states was created anew or restored; it is read from its start"
                );
                self.change(|view| *view = View::default());
                self.is_loaded.store(false, Ordering::Relaxed);
                *read = Read::default();
                continue;
            }
            read.born = changes.extent.born;
            self.enter(changes.changed);
            read.upto = changes.read;
            if !changes.more {
                read.began = Some(began);
                self.is_loaded.store(true, Ordering::Relaxed);
                return Ok(());
            }
        }
    }

    /// Videos for a list that are older than `after`, newest first, and whether more follow.
    pub(super) fn page(&self, after: Option<&VideoId>, limit: usize) -> (Vec<VideoId>, bool) {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let end = after.map_or(Bound::Unbounded, Bound::Excluded);
        let older = view.entries.range::<VideoId, _>((Bound::Unbounded, end)).rev();
        let mut listed = older.filter(|(_, entry)| entry.listed).map(|(id, _)| id.clone());
        let page = listed.by_ref().take(limit).collect();
        (page, listed.next().is_some())
    }

    /// What playback of a video needs; `None` if there is no such video.
    pub(super) async fn playing(
        &self,
        broker: &dyn Broker,
        id: &VideoId,
    ) -> Result<Option<Playing>, Failure> {
        let kept = self.kept(id);
        let fresh = |asked: Instant| asked.elapsed() < ANSWER_AGE_MAX;
        if let Some(Kept { finished, asked }) = &kept
            && (self.is_away.load(Ordering::Relaxed) || asked.is_some_and(fresh))
        {
            return Ok(Some(Playing::Finished(finished.clone())));
        }
        let asked = broker.video(id);
        let answer = if kept.is_some() { at_once(asked).await } else { soon(asked).await };
        match (answer, kept) {
            (Ok(Some(Versioned { value, .. })), _) if value.is_deleted() => {
                self.forget(id);
                Ok(None)
            }
            (Ok(Some(Versioned { value, revision })), _) => {
                self.change(|view| view.learn(&value, revision, Some(Instant::now())));
                let finished = finished(&value).map(Arc::new);
                let open = || Playing::Open(Box::new(value));
                Ok(Some(finished.map_or_else(open, Playing::Finished)))
            }
            (Ok(None), _) => {
                self.forget(id);
                Ok(None)
            }
            (Err(failure), Some(kept)) if is_away(&failure) => {
                self.is_away.store(true, Ordering::Relaxed);
                Ok(Some(Playing::Finished(kept.finished)))
            }
            (Err(failure), _) => Err(failure),
        }
    }

    /// Removes a video that is gone.
    pub(super) fn forget(&self, id: &VideoId) {
        self.change(|view| view.forget(id));
    }

    fn kept(&self, id: &VideoId) -> Option<Kept> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        view.finished.get(id).cloned()
    }

    fn enter(&self, changed: Vec<Changed>) {
        self.change(|view| {
            for Changed { id, revision, state } in changed {
                match state {
                    Ok(Some(video)) if !video.is_deleted() => view.learn(&video, revision, None),
                    Ok(_) => view.forget(&id),
                    // The state exists but cannot be decoded. A list shows the reason.
                    Err(_) => view.enter(id, revision, true, None),
                }
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut View)) {
        change(&mut self.view.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl View {
    fn learn(&mut self, video: &Video, revision: u64, asked: Option<Instant>) {
        let known = self.entries.get(&video.id).is_some_and(|entry| entry.revision >= revision);
        if !known {
            let kept = finished(video).map(|finished| Kept { finished: Arc::new(finished), asked });
            return self.enter(video.id.clone(), revision, !video.is_abandoned(), kept);
        }
        if let Some(kept) = self.finished.get_mut(&video.id) {
            kept.asked = asked.or(kept.asked);
        }
    }

    fn enter(&mut self, id: VideoId, revision: u64, listed: bool, kept: Option<Kept>) {
        match kept {
            Some(kept) => _ = self.finished.insert(id.clone(), kept),
            None => _ = self.finished.remove(&id),
        }
        self.entries.insert(id, Entry { revision, listed });
        if self.finished.len() > FINISHED_MAX {
            self.finished.pop_first();
        }
    }

    fn forget(&mut self, id: &VideoId) {
        self.entries.remove(id);
        self.finished.remove(id);
    }
}

fn finished(video: &Video) -> Option<Finished> {
    let order = video.playback_order()?;
    let published = order.published.clone()?;
    Some(Finished { order: video.order_id(order.number), published })
}

fn is_away(failure: &Failure) -> bool {
    failure.severity == Severity::DependencyFault
}

#[cfg(test)]
mod tests {
    use jetreel_domain::order::lane::Lane;
    use jetreel_domain::order::ledger::Object;
    use jetreel_domain::order::state::Status;

    use super::*;

    fn video(bits: u128) -> Video {
        Video::receiving(VideoId::from_bits(bits), String::new(), Lane::Normal, 0)
    }

    fn finished_as(bits: u128, key: &str) -> Video {
        let mut video = video(bits);
        let object = Object { key: key.into(), bytes: 1, sha256: String::new() };
        let published = Published { prefix: "out".into(), manifest: object };
        video.orders[0].status = Status::Completed;
        video.orders[0].published = Some(published);
        video
    }

    fn key(view: &View, bits: u128) -> Option<&str> {
        let kept = view.finished.get(&VideoId::from_bits(bits))?;
        Some(kept.finished.published.manifest.key.as_str())
    }

    #[test]
    fn a_page_is_newest_first_and_leaves_out_what_was_given_up() {
        let catalog = Catalog::default();
        for bits in 1..=5 {
            let mut video = video(bits);
            if bits == 4 {
                video.advance(1, Status::Cancelled, 0).unwrap();
            }
            catalog.change(|view| view.learn(&video, bits as u64, None));
        }
        let id = VideoId::from_bits;
        assert_eq!(catalog.page(None, 2), (vec![id(5), id(3)], true));
        assert_eq!(catalog.page(Some(&id(3)), 2), (vec![id(2), id(1)], false));
        // A cursor stays valid when its video is gone.
        catalog.forget(&id(3));
        assert_eq!(catalog.page(Some(&id(3)), 9), (vec![id(2), id(1)], false));
    }

    #[test]
    fn the_newest_state_counts_whoever_brings_it_first() {
        let mut view = View::default();
        view.learn(&finished_as(1, "second"), 8, None);
        view.learn(&finished_as(1, "first"), 7, Some(Instant::now()));
        assert_eq!(key(&view, 1), Some("second"));
        view.learn(&finished_as(1, "third"), 9, None);
        assert_eq!(key(&view, 1), Some("third"));
        view.forget(&VideoId::from_bits(1));
        assert_eq!(key(&view, 1), None);
    }

    #[test]
    fn of_very_many_finished_videos_the_newest_are_kept() {
        let mut view = View::default();
        for bits in 0..=FINISHED_MAX as u128 {
            view.learn(&finished_as(bits, "x"), 1, None);
        }
        assert_eq!((view.finished.len(), view.entries.len()), (FINISHED_MAX, FINISHED_MAX + 1));
        assert_eq!((key(&view, 0), key(&view, 1)), (None, Some("x")));
    }
}
