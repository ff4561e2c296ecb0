//! Converts decoded audio to the form of the encoder: planar floats with one rate and one channel layout.
//!
//! Invariants: positions are output samples on the source's clock. The resampler stretches away a slow drift of the source's timestamps. A
//! gap restarts it, so that the audio after the gap is exactly at its timestamps.

use std::collections::VecDeque;

use ffmpeg_next::{ChannelLayout, Rational, ffi, filter, format, frame};
use jetreel_domain::codec::soundclock::{SoundClock, Stamp, suffice};
use jetreel_domain::codec::wire::FailureCode;
use jetreel_domain::words::reason::ContentFault;

use crate::failure::{Outcome, failure_with, own_failure};

/// Seconds by which the resampler may lag behind a drift before it is restarted. Viewers do not notice audio that is off by less (ITU-R
/// BT.1359: 45 ms early, 125 ms late).
const LAG_SECONDS: f64 = 0.045;

/// Ticks per second of the resampler's times. A placed frame need not lie on a tick of the source.
const TICKS: f64 = 1_000_000.0;

/// A run of samples, one plane per channel.
pub(crate) struct Run {
    /// Position of the first sample, in output samples on the source's clock.
    pub at: i64,
    pub frame: frame::Audio,
}

/// Form of the graph's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    rate: u32,
    format: format::Sample,
    layout: u64,
    channels: u16,
}

struct Graph {
    graph: filter::Graph,
    shape: Shape,
    /// Time on the source's clock up to which it returned samples, in seconds.
    reached: Option<f64>,
}

/// A frame whose successors are not all known yet.
struct Waiting {
    frame: frame::Audio,
    stamp: Stamp,
}

/// Converts decoded frames to runs.
pub(crate) struct Resampler {
    time_base: Rational,
    rate: u32,
    channels: u32,
    /// Whether channels without a known layout are mixed by their numbers.
    mixed: bool,
    clock: SoundClock,
    waiting: VecDeque<Waiting>,
    graph: Option<Graph>,
    ready: VecDeque<Run>,
    unfit: u64,
}

impl Resampler {
    /// Output has `rate` samples per second in `channels` channels. Frames come in ticks of `time_base`.
    pub(crate) fn new(time_base: Rational, rate: u32, channels: u32) -> Self {
        Self {
            time_base,
            rate,
            channels,
            mixed: false,
            clock: SoundClock::default(),
            waiting: VecDeque::new(),
            graph: None,
            ready: VecDeque::new(),
            unfit: 0,
        }
    }

    /// With `mixed`, channels without a known layout are mixed by their numbers, see [`mixdown`].
    pub(crate) fn mixed(self, mixed: bool) -> Self {
        Self { mixed, ..self }
    }

    /// Whether a frame can be resampled.
    pub(crate) fn suits(&self, frame: &frame::Audio) -> bool {
        self.build(shape(frame)).is_ok()
    }

    /// Adds a decoded frame. A frame without a timestamp follows its predecessor.
    pub(crate) fn push(&mut self, frame: frame::Audio) -> Outcome<()> {
        if frame.rate() == 0 || frame.samples() == 0 {
            return Ok(());
        }
        let at = frame.timestamp().map(|pts| pts as f64 * f64::from(self.time_base));
        let seconds = frame.samples() as f64 / f64::from(frame.rate());
        self.waiting.push_back(Waiting { frame, stamp: Stamp { at, seconds } });
        let later = self.waiting.iter().skip(1).map(|waiting| &waiting.stamp);
        if suffice(later) { self.place() } else { Ok(()) }
    }

    /// Places the first waiting frame.
    fn place(&mut self) -> Outcome<()> {
        let Some(Waiting { mut frame, stamp }) = self.waiting.pop_front() else { return Ok(()) };
        let shape = shape(&frame);
        if self.graph.as_ref().is_some_and(|graph| graph.shape != shape) {
            self.clock.restart();
        }
        let later = self.waiting.iter().map(|waiting| &waiting.stamp);
        let Some(heard) = self.clock.place(stamp, later) else { return Ok(()) };
        let fits = |graph: &Graph| {
            let lag = graph.reached.map_or(0.0, |reached| heard.at - reached);
            graph.shape == shape && !heard.apart && lag.abs() <= LAG_SECONDS
        };
        if !self.graph.as_ref().is_some_and(fits) {
            self.close()?;
            match self.build(shape) {
                Ok(graph) => self.graph = Some(graph),
                // Damage makes decoders report strange forms. One such frame does not end the track.
                Err(refusal) => self.tolerate(Err(refusal))?,
            }
        }
        let Some(graph) = &mut self.graph else { return Ok(()) };
        frame.set_pts(Some((heard.at * TICKS).round() as i64));
        let mut source =
            graph.graph.get("in").ok_or_else(|| own_failure(ffi::AVERROR_BUG, "find"))?;
        let added = source.source().add(&frame);
        let done = added.map_err(|error| own_failure(error, "resample sound"));
        let done = done.and_then(|()| self.drain());
        self.tolerate(done)
    }

    /// A frame that breaks the graph does not end the track.
    fn tolerate(&mut self, outcome: Outcome<()>) -> Outcome<()> {
        let Err(refusal) = outcome else { return Ok(()) };
        if refusal.code == FailureCode::MemoryBudget {
            return Err(refusal);
        }
        self.unfit += 1;
        self.graph = None;
        Ok(())
    }

    /// Ends the source: everything buffered becomes ready.
    pub(crate) fn finish(&mut self) -> Outcome<()> {
        while !self.waiting.is_empty() {
            self.place()?;
        }
        self.close()
    }

    /// Ends a sequence of contiguous frames.
    fn close(&mut self) -> Outcome<()> {
        if let Some(graph) = &mut self.graph
            && let Some(mut source) = graph.graph.get("in")
        {
            let flushed = source.source().flush();
            let done = flushed.map_err(|error| own_failure(error, "end resampling"));
            let done = done.and_then(|()| self.drain());
            self.tolerate(done)?;
        }
        self.graph = None;
        Ok(())
    }

    /// Number of frames whose successors are not all known yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Number of frames whose form could not be resampled.
    pub(crate) fn unfit(&self) -> u64 {
        self.unfit
    }

    /// The next run that is ready.
    pub(crate) fn next(&mut self) -> Option<Run> {
        self.ready.pop_front()
    }

    fn drain(&mut self) -> Outcome<()> {
        let Some(graph) = &mut self.graph else { return Ok(()) };
        let Some(mut sink) = graph.graph.get("out") else { return Ok(()) };
        let mut sink = sink.sink();
        let rate = f64::from(self.rate);
        loop {
            let mut frame = frame::Audio::empty();
            match sink.frame(&mut frame) {
                Ok(()) => {
                    let at = frame.pts().unwrap_or(0);
                    graph.reached = Some((at as f64 + frame.samples() as f64) / rate);
                    self.ready.push_back(Run { at, frame });
                }
                Err(ffmpeg_next::Error::Eof) => return Ok(()),
                Err(ffmpeg_next::Error::Other { errno: ffi::EAGAIN }) => return Ok(()),
                Err(error) => return Err(own_failure(error, "resample sound")),
            }
        }
    }

    fn build(&self, shape: Shape) -> Outcome<Graph> {
        let refuse = |error: ffmpeg_next::Error| {
            let detail = format!("Failed to resample {shape:?}: {error}.");
            failure_with(ContentFault::SoundFormNotSupported, detail)
        };
        let find = |name: &str| {
            filter::find(name).ok_or_else(|| own_failure(ffi::AVERROR_FILTER_NOT_FOUND, name))
        };
        let layout = match shape.layout {
            0 => format!("channels={}", shape.channels),
            mask => format!("channel_layout=0x{mask:x}"),
        };
        let input = format!(
            "time_base=1/{TICKS}:sample_rate={}:sample_fmt={}:{layout}",
            shape.rate,
            shape.format.name(),
        );
        let mut graph = filter::Graph::new();
        graph.add(&find("abuffer")?, "in", &input).map_err(refuse)?;
        graph.add(&find("abuffersink")?, "out", "").map_err(refuse)?;
        // Drift of 4 ms and more is stretched away over a second.
        let chain = format!(
            "{}aresample={}:async=1000:min_comp=0.004:min_hard_comp=0.1,aformat=sample_fmts=fltp:channel_layouts={}",
            if self.mixed && shape.layout == 0 { mixdown(shape.channels) } else { String::new() },
            self.rate,
            if self.channels == 1 { "mono" } else { "stereo" },
        );
        graph
            .output("in", 0)
            .and_then(|parser| parser.input("out", 0))
            .and_then(|parser| parser.parse(&chain))
            .and_then(|()| graph.validate())
            .map_err(refuse)?;
        Ok(Graph { graph, shape, reached: None })
    }
}

/// A filter for channels without a known layout. The 1st, 3rd, 5th and so on are mixed to the left, the others to the right. Each side is
/// the mean of its channels.
fn mixdown(channels: u16) -> String {
    if channels < 3 {
        return String::new();
    }
    let side = |first: u16| {
        let own = (first..channels).step_by(2).map(|channel| format!("c{channel}"));
        own.collect::<Vec<_>>().join("+")
    };
    format!("pan=stereo|c0<{}|c1<{},", side(0), side(1))
}

/// The channel layout of `channels` channels.
pub(crate) fn layout(channels: u32) -> ChannelLayout {
    if channels == 1 { ChannelLayout::MONO } else { ChannelLayout::STEREO }
}

fn shape(frame: &frame::Audio) -> Shape {
    Shape {
        rate: frame.rate(),
        format: frame.format(),
        layout: frame.channel_layout().bits(),
        channels: frame.channels(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_without_a_layout_go_left_and_right_in_turn() {
        assert_eq!(mixdown(5), "pan=stereo|c0<c0+c2+c4|c1<c1+c3,");
        assert_eq!(mixdown(2), "");
    }

    fn twelve() -> frame::Audio {
        let mut frame = frame::Audio::empty();
        frame.set_format(format::Sample::F32(format::sample::Type::Planar));
        frame.set_rate(48_000);
        frame.set_channels(12);
        frame
    }

    #[test]
    fn twelve_channels_without_a_layout_suit_only_where_they_are_mixed_by_number() {
        let resampler = || Resampler::new(Rational(1, 48_000), 48_000, 2);
        assert!(!resampler().suits(&twelve()));
        assert!(resampler().mixed(true).suits(&twelve()));
    }
}
