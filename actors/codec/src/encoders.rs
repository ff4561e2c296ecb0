//! The encoders of one chunk, one after the other in the caller's thread, or each in its own thread.
//!
//! Invariants: an encoder gets its frames in their order, so both ways give the same bytes. The number of frames that wait for an encoder
//! is bounded. No thread outlives its `Encoders`.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

use ffmpeg_next::frame::Video;
use jetreel_domain::codec::budget::FRAMES_WAITING;
use jetreel_domain::codec::wire::TierReport;
use jetreel_domain::plan::gop::Mark;

use crate::cores::Cores;
use crate::decode::reference;
use crate::failure::{Outcome, internal};
use crate::link::Link;
use crate::tier::Tier;

/// Stack size of an encoder's thread in bytes: twice Rust's default, because x264 keeps its analysis there.
const STACK_BYTES: usize = 4 << 20;

/// Encoders of tiers, largest first.
pub(crate) enum Encoders {
    /// In the caller's thread.
    Here(Vec<Tier>, Link),
    /// In their own threads.
    Apart(Vec<Worker>, Arc<Cores>),
}

impl Encoders {
    /// Encoders that share `cores` cores with the caller, which holds one while it works.
    pub(crate) fn new(tiers: Vec<Tier>, link: &Link, cores: Option<&Arc<Cores>>) -> Outcome<Self> {
        let Some(cores) = cores else { return Ok(Self::Here(tiers, link.clone())) };
        let mut workers = Vec::with_capacity(tiers.len());
        for tier in tiers {
            workers.push(Worker::start(tier, link.clone(), Arc::clone(cores))?);
        }
        Ok(Self::Apart(workers, Arc::clone(cores)))
    }

    /// Encodes a frame of tier `tier` at `pts` (output ticks). Its own time and type may be overwritten.
    pub(crate) fn encode(
        &mut self,
        tier: usize,
        frame: &mut Video,
        pts: i64,
        mark: Mark,
    ) -> Outcome<()> {
        match self {
            Self::Here(tiers, link) => match tiers.get_mut(tier) {
                Some(tier) => tier.encode(frame, pts, mark, link),
                None => Ok(()),
            },
            Self::Apart(workers, cores) => match workers.get_mut(tier) {
                Some(worker) => worker.give(Order::Frame(reference(frame)?, pts, mark), cores),
                None => Ok(()),
            },
        }
    }

    /// Ends the tiers. `end` is where their last frames end, in output ticks.
    pub(crate) fn finish(self, end: i64) -> Outcome<Vec<TierReport>> {
        match self {
            Self::Here(tiers, link) => {
                tiers.into_iter().map(|tier| tier.finish(end, &link)).collect()
            }
            Self::Apart(mut workers, cores) => {
                for worker in &mut workers {
                    worker.give(Order::End(end), &cores)?;
                }
                cores.without(|| workers.iter_mut().map(Worker::outcome).collect())
            }
        }
    }
}

/// Messages to an encoder's thread.
enum Order {
    /// A frame, its time and its marks.
    Frame(Video, i64, Mark),
    /// No more frames. The value is where the last one ends.
    End(i64),
}

/// An encoder in its own thread. Dropping it waits for the thread, which then ends without a result.
pub(crate) struct Worker {
    /// `None` after the last message.
    orders: Option<SyncSender<Order>>,
    /// `None` once its result was taken.
    thread: Option<JoinHandle<Outcome<TierReport>>>,
}

impl Worker {
    fn start(tier: Tier, link: Link, cores: Arc<Cores>) -> Outcome<Self> {
        let (orders, waiting) = sync_channel(FRAMES_WAITING);
        let thread = Builder::new().stack_size(STACK_BYTES);
        let thread = thread
            .spawn(move || work(tier, &waiting, &link, &cores))
            .map_err(|error| internal(format!("no thread for an encoder: {error}")))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    fn give(&mut self, order: Order, cores: &Cores) -> Outcome<()> {
        let Some(orders) = &self.orders else { return Err(internal("an encoder has ended")) };
        let given = match orders.try_send(order) {
            Ok(()) => true,
            Err(TrySendError::Full(order)) => cores.without(|| orders.send(order).is_ok()),
            Err(TrySendError::Disconnected(_)) => false,
        };
        if given {
            return Ok(());
        }
        // The thread ended early. Its result has the reason.
        cores.without(|| self.outcome()).and_then(|_| Err(internal("an encoder ended too soon")))
    }

    fn outcome(&mut self) -> Outcome<TierReport> {
        self.orders = None;
        let thread = self.thread.take().ok_or_else(|| internal("an encoder has ended"))?;
        thread.join().unwrap_or_else(|_| Err(internal("an encoder's thread panicked")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // Dropped before its end, so the result is not needed.
            drop(thread.join());
        }
    }
}

fn work(
    mut tier: Tier,
    orders: &Receiver<Order>,
    link: &Link,
    cores: &Cores,
) -> Outcome<TierReport> {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Frame(mut frame, pts, mark) => {
                cores.with(|| tier.encode(&mut frame, pts, mark, link))?;
            }
            Order::End(end) => return cores.with(|| tier.finish(end, link)),
        }
    }
    Err(internal("an encoder was given up"))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    use ffmpeg_next::format::Pixel;
    use jetreel_domain::codec::wire::{EncoderSpec, FailureCode};
    use jetreel_domain::plan::framerate::FrameRule;
    use jetreel_domain::plan::rational::Rational;

    use super::*;
    use crate::encode::Settings;

    fn tier(index: u32) -> Tier {
        let spec = EncoderSpec {
            name: "x".to_owned(),
            width: 64,
            height: 48,
            crf: 23,
            max_rate: 1_000_000,
            level: 21,
            rule: FrameRule::ALL,
        };
        let settings = Settings {
            timescale: 90_000,
            composition_shift: 0,
            frame_rate: Rational::new(25, 1),
            preset: "veryfast",
        };
        Tier::open(0, index, &spec, &settings).unwrap()
    }

    fn encode(encoders: &mut Encoders, index: i64) -> Outcome<()> {
        let mut frame = Video::new(Pixel::YUV420P, 64, 48);
        for plane in 0..3 {
            frame.data_mut(plane).fill((index * 37 % 251) as u8);
        }
        let segment = index % 10 == 0;
        let mark = Mark { idr: segment, segment };
        (0..2).try_for_each(|tier| encoders.encode(tier, &mut frame, index * 3600, mark))
    }

    /// Output of two tiers of 50 frames: reports, and all bytes that were sent, in any order.
    fn made(cores: Option<u32>) -> (Vec<TierReport>, Vec<u8>) {
        let (codec, mut parent) = UnixStream::pair().unwrap();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            parent.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let link = Link::new(codec);
        let cores = cores.map(|count| Arc::new(Cores::new(count)));
        if let Some(cores) = &cores {
            cores.take();
        }
        let mut encoders = Encoders::new(vec![tier(0), tier(1)], &link, cores.as_ref()).unwrap();
        (0..50).try_for_each(|index| encode(&mut encoders, index)).unwrap();
        let mut reports = encoders.finish(50 * 3600).unwrap();
        reports.iter_mut().for_each(|report| report.cpu_seconds = 0.0);
        drop(link);
        let mut bytes = reader.join().unwrap();
        bytes.sort_unstable();
        (reports, bytes)
    }

    #[test]
    fn threads_change_nothing() {
        let alone = made(None);
        assert!(alone.1.len() > 1000);
        for cores in [1, 2, 5] {
            assert_eq!(made(Some(cores)), alone, "{cores}");
        }
    }

    #[test]
    fn what_stops_an_encoder_is_told_to_whoever_feeds_it() {
        for finishes in [false, true] {
            let (codec, parent) = UnixStream::pair().unwrap();
            drop(parent);
            let cores = Arc::new(Cores::new(2));
            cores.take();
            let link = Link::new(codec);
            let mut encoders = Encoders::new(vec![tier(0), tier(1)], &link, Some(&cores)).unwrap();
            // The first segment ends, and is sent, with frame 10 at the earliest.
            let frames = if finishes { 5 } else { 500 };
            let fed = (0..frames).try_for_each(|index| encode(&mut encoders, index));
            let failed = match fed {
                Ok(()) => encoders.finish(frames * 3600).unwrap_err(),
                Err(failed) => failed,
            };
            assert_eq!(failed.code, FailureCode::Protocol);
        }
    }

    #[test]
    fn encoders_that_are_given_up_end() {
        let (codec, _parent) = UnixStream::pair().unwrap();
        let cores = Arc::new(Cores::new(2));
        cores.take();
        let mut encoders =
            Encoders::new(vec![tier(0), tier(1)], &Link::new(codec), Some(&cores)).unwrap();
        encode(&mut encoders, 0).unwrap();
        drop(encoders);
        assert_eq!(Arc::strong_count(&cores), 1, "no thread holds it any more");
    }
}
