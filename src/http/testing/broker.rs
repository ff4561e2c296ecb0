//! A broker for tests that only keeps states of videos.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use jetreel_actors::ports::{
    self, Changed, Changes, Claims, DeadLetters, Delivered, Extent, Facts, Forged, Ledger,
    LostSight, Overheard, PartLogs, PortFuture, Queues, Remains, Stored, Swap, Versioned,
    WriteOnce,
};
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::deadletter::{Buried, DeadLetter};
use jetreel_domain::delivery::dispatch::{Heard, TaskQueue};
use jetreel_domain::delivery::message::{EncodeTask, Uploaded};
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::id::{OrderId, TaskId, VideoId};
use jetreel_domain::order::ledger::Entry;
use jetreel_domain::order::parts::LoggedPart;
use jetreel_domain::order::state::{Known, Video};
use jetreel_domain::words::failure::Failure;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

/// A broker with videos in memory. Everything else fails.
#[derive(Default)]
pub(in crate::http) struct Videos {
    pub(in crate::http) kept: Mutex<BTreeMap<VideoId, (u64, Video)>>,
    pub(in crate::http) announced: Mutex<Vec<VideoId>>,
    /// Logged parts of open uploads.
    pub(in crate::http) logged: Mutex<BTreeSet<(VideoId, u32)>>,
    pub(in crate::http) is_away: AtomicBool,
    /// How often a task was replayed.
    pub(in crate::http) replayed: AtomicUsize,
    pub(in crate::http) outage: Outage,
}

/// An outage that begins at some call. That call and all later ones are answered when the outage is over.
pub(in crate::http) struct Outage {
    calls: AtomicUsize,
    first: AtomicUsize,
    /// The first call is carried out before the outage, and its answer comes only after it.
    pub(in crate::http) loses_answer: AtomicBool,
    over: watch::Sender<bool>,
}

impl Default for Outage {
    fn default() -> Self {
        let (calls, first) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        Self { calls, first, loses_answer: AtomicBool::new(false), over: watch::Sender::new(false) }
    }
}

impl Outage {
    /// The outage begins after this many calls from now on.
    pub(in crate::http) fn begin_after(&self, calls: usize) {
        self.first.store(self.calls.load(Ordering::SeqCst) + calls, Ordering::SeqCst);
    }

    /// Whether the outage has begun.
    pub(in crate::http) fn has_begun(&self) -> bool {
        self.calls.load(Ordering::SeqCst) > self.first.load(Ordering::SeqCst)
    }

    /// Ends the outage.
    pub(in crate::http) fn end(&self) {
        self.over.send_replace(true);
    }
}

pub(in crate::http) fn away<'a, T: Send + 'a>() -> PortFuture<'a, T> {
    Box::pin(async { Err(Failure::dependency("broker-unreachable", "No broker answers.")) })
}

impl Videos {
    fn answer<'a, T: Send + 'a>(
        &'a self,
        value: impl FnOnce() -> T + Send + 'a,
    ) -> PortFuture<'a, T> {
        if self.is_away.load(Ordering::Relaxed) {
            return away();
        }
        let outage = &self.outage;
        let call = outage.calls.fetch_add(1, Ordering::SeqCst);
        let first = outage.first.load(Ordering::SeqCst);
        if call < first {
            let value = value();
            return Box::pin(async { Ok(value) });
        }
        let mut over = outage.over.subscribe();
        let loses_answer = call == first && outage.loses_answer.load(Ordering::SeqCst);
        Box::pin(async move {
            let (lost, value) =
                if loses_answer { (Some(value()), None) } else { (None, Some(value)) };
            over.wait_for(|over| *over).await.unwrap();
            Ok(lost.unwrap_or_else(|| value.unwrap()()))
        })
    }
}

impl Queues for Videos {
    fn announce_upload<'a>(&'a self, upload: &'a Uploaded) -> PortFuture<'a, ()> {
        self.answer(move || self.announced.lock().unwrap().push(upload.video.clone()))
    }

    fn next_task(&self, _: TaskQueue, _: Duration) -> PortFuture<'_, Option<Delivered>> {
        away()
    }

    fn waiting_tasks(&self) -> PortFuture<'_, BTreeMap<TaskQueue, u64>> {
        away()
    }

    fn heard(&self) -> Heard {
        Heard::default()
    }

    fn task_hint<'a>(&'a self, _: &'a Heard) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::pending())
    }

    fn cancel_hint<'a>(&'a self, _: &'a OrderId) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::pending())
    }

    fn receive_entries<'a>(
        &'a self,
        _: usize,
        _: Duration,
        _: &'a UnboundedSender<Delivered>,
    ) -> PortFuture<'a, ()> {
        away()
    }

    fn hear_releases<'a>(
        &'a self,
        _: &'a UnboundedSender<(OrderId, TaskId)>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::pending())
    }

    fn release<'a>(&'a self, _: &'a EncodeTask) -> PortFuture<'a, WriteOnce> {
        away()
    }

    fn is_queued(&self, _: u64) -> PortFuture<'_, bool> {
        away()
    }

    fn check(&self) -> PortFuture<'_, ()> {
        self.answer(move || ())
    }

    fn next(&self, _: Stage, _: Duration) -> PortFuture<'_, Option<Delivered>> {
        away()
    }

    fn ask<'a>(&'a self, _: Stage, _: &'a OrderId) -> PortFuture<'a, WriteOnce> {
        away()
    }
}

impl Remains for Videos {
    fn next_advisory(&self, _: Duration) -> PortFuture<'_, Option<Delivered>> {
        away()
    }

    fn lost_sight(&self) -> PortFuture<'_, Vec<LostSight>> {
        away()
    }

    fn stored<'a>(&'a self, _: &'a str, _: u64) -> PortFuture<'a, Option<Stored>> {
        away()
    }

    fn queued_messages<'a>(
        &'a self,
        _: &'a OrderId,
        _: Option<TaskId>,
    ) -> PortFuture<'a, Vec<Stored>> {
        self.answer(Vec::new)
    }

    fn remove<'a>(&'a self, _: &'a str, _: u64) -> PortFuture<'a, ()> {
        away()
    }

    fn renew<'a>(&'a self, _: &'a Stored) -> PortFuture<'a, ()> {
        away()
    }
}

impl PartLogs for Videos {
    fn log_part<'a>(&'a self, part: &'a LoggedPart) -> PortFuture<'a, WriteOnce> {
        self.answer(move || {
            let mut logged = self.logged.lock().unwrap();
            let mine = logged.insert((part.video.clone(), part.index));
            if mine { WriteOnce::Mine } else { WriteOnce::Taken }
        })
    }

    fn forget_parts<'a>(&'a self, video: &'a VideoId) -> PortFuture<'a, ()> {
        self.answer(move || self.logged.lock().unwrap().retain(|(of, _)| of != video))
    }
}

impl Ledger for Videos {
    fn forged<'a>(&'a self, _: &'a OrderId) -> PortFuture<'a, Vec<Forged>> {
        away()
    }

    fn entry<'a>(&'a self, _: &'a OrderId, _: TaskId) -> PortFuture<'a, Option<Entry>> {
        away()
    }

    fn entries<'a>(&'a self, _: &'a OrderId, _: u64) -> PortFuture<'a, (Vec<Entry>, u64)> {
        self.answer(move || (Vec::new(), 0))
    }

    fn entry_count<'a>(&'a self, _: &'a OrderId) -> PortFuture<'a, u64> {
        away()
    }

    fn forget_entry<'a>(&'a self, _: &'a OrderId, _: TaskId) -> PortFuture<'a, ()> {
        away()
    }

    fn write_entry<'a>(&'a self, _: &'a Entry) -> PortFuture<'a, WriteOnce> {
        away()
    }

    fn forget<'a>(&'a self, _: &'a OrderId) -> PortFuture<'a, ()> {
        self.answer(move || ())
    }
}

impl ports::Videos for Videos {
    fn video<'a>(&'a self, id: &'a VideoId) -> PortFuture<'a, Option<Versioned<Video>>> {
        self.answer(move || {
            let (revision, value) = self.kept.lock().unwrap().get(id)?.clone();
            Some(Versioned { value, revision })
        })
    }

    fn create_video<'a>(&'a self, video: &'a Video) -> PortFuture<'a, WriteOnce> {
        self.answer(move || {
            self.kept.lock().unwrap().insert(video.id.clone(), (1, video.clone()));
            WriteOnce::Mine
        })
    }

    fn swap_video<'a>(&'a self, video: &'a Video, revision: u64) -> PortFuture<'a, Swap> {
        self.answer(move || {
            let mut kept = self.kept.lock().unwrap();
            let (found, value) = kept.get_mut(&video.id).unwrap();
            if *found != revision {
                return Swap::Conflict;
            }
            (*found, *value) = (revision + 1, video.clone());
            Swap::Done(*found)
        })
    }

    fn videos(&self) -> PortFuture<'_, Vec<VideoId>> {
        self.answer(move || self.kept.lock().unwrap().keys().cloned().collect())
    }

    fn remove_video<'a>(&'a self, _: &'a VideoId) -> PortFuture<'a, ()> {
        away()
    }

    fn discard_video<'a>(&'a self, _: &'a VideoId) -> PortFuture<'a, bool> {
        away()
    }

    fn overhear(&self) -> PortFuture<'_, Box<dyn Overheard>> {
        away()
    }

    fn changes(&self, after: u64) -> PortFuture<'_, Changes> {
        // Returns all of them each time, because revisions here count per video.
        self.answer(move || {
            let kept = self.kept.lock().unwrap();
            let changed = kept.values().map(|(revision, video)| Changed {
                id: video.id.clone(),
                revision: *revision,
                state: Ok(Some(video.clone())),
            });
            let extent = Extent::default();
            Changes { changed: changed.collect(), read: after, more: false, extent }
        })
    }
}

impl Claims for Videos {
    fn claim<'a>(
        &'a self,
        _: &'a OrderId,
        _: &'a Unit,
    ) -> PortFuture<'a, Option<Versioned<Claim>>> {
        away()
    }

    fn swap_claim<'a>(
        &'a self,
        _: &'a OrderId,
        _: &'a Unit,
        _: &'a Claim,
        _: u64,
    ) -> PortFuture<'a, Swap> {
        away()
    }
}

impl Facts for Videos {
    fn announce<'a>(
        &'a self,
        _: &'a OrderId,
        _: &'a Known,
        _: &'a Video,
    ) -> PortFuture<'a, WriteOnce> {
        self.answer(move || WriteOnce::Mine)
    }
}

impl DeadLetters for Videos {
    fn bury<'a>(&'a self, _: &'a DeadLetter) -> PortFuture<'a, u64> {
        away()
    }
    fn letters(&self, _: u64, _: usize) -> PortFuture<'_, Vec<Buried>> {
        away()
    }
    fn letter(&self, _: u64) -> PortFuture<'_, Option<Buried>> {
        away()
    }
    fn next_letter(&self, _: Duration) -> PortFuture<'_, Option<Delivered>> {
        away()
    }
    fn replay<'a>(&'a self, _: &'a Buried) -> PortFuture<'a, WriteOnce> {
        self.answer(move || {
            self.replayed.fetch_add(1, Ordering::SeqCst);
            WriteOnce::Mine
        })
    }
    fn discard(&self, _: u64) -> PortFuture<'_, bool> {
        away()
    }
}
