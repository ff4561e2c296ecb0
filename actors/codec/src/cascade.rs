//! Scales source frames to the frames of every tier. Each picture is scaled once, and only if a tier keeps it.
//!
//! A tier is scaled from the next larger one, even if that one is not encoded here, so a tier's pictures do not depend on which tiers share
//! a task. Filters may hold frames back (deinterlacing looks ahead), so a frame's data wait in a queue. Filters keep count and order.
//!
//! A source may change size, layout and pixel shape at any frame. New filters cost about as much as passing one frame through them (0.7 to
//! 1.3 ms up to 1080p, 16 ms if 2160p is tone-mapped), less than encoding it. The CPU budget of the process bounds them.

use std::collections::VecDeque;

use ffmpeg_next::frame::Video;
use jetreel_domain::codec::wire::{EncoderSpec, PicturePlan, VideoJob};
use jetreel_domain::plan::frame::{PictureShape, Place};
use jetreel_domain::plan::gop::Mark;
use jetreel_domain::plan::rational::Rational;

use crate::correct;
use crate::facts;
use crate::failure::{Outcome, internal};
use crate::filter::{Graph, Shape};

/// Data of a frame besides its picture.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    /// Presentation time in output ticks.
    pub pts: i64,
    /// Marks from the grid.
    pub mark: Mark,
    /// For each tier, whether it keeps the frame.
    pub kept: Vec<bool>,
}

/// Receives the frames of the tiers.
pub(crate) trait Sink {
    /// Receives a frame of tier `tier`. Its time and type may be overwritten.
    fn frame(&mut self, tier: usize, frame: &mut Video, ticket: &Ticket) -> Outcome<()>;
}

/// The filters of a job.
pub(crate) struct Cascade {
    plan: PicturePlan,
    /// Sample aspect that the container declares.
    container: Option<Rational>,
    /// Size of the largest frames before rotation.
    upright: (u32, u32),
    /// For each tier, the index of its size among the sizes that pictures are scaled through, largest first.
    taps: Vec<usize>,
    /// Corrections for pictures of that shape at that place. No graph if none are needed.
    first: Option<(Shape, Place, Option<Graph>)>,
    /// Scales from size `i` to size `i + 1`.
    smaller: Vec<Graph>,
    /// One reusable picture per size.
    pictures: Vec<Video>,
    waiting: VecDeque<Ticket>,
}

impl Cascade {
    /// The filters of a job. `container` is the sample aspect that the container declares.
    pub(crate) fn new(video: &VideoJob, container: Option<Rational>) -> Outcome<Self> {
        let sizes = &video.sizes;
        let mut smaller = Vec::new();
        for pair in sizes.windows(2) {
            let &[(width, height), (next_width, next_height)] = pair else { continue };
            let shape = Shape { width, height, format: ffmpeg_next::format::Pixel::YUV420P };
            smaller.push(Graph::new(shape, &correct::smaller(next_width, next_height))?);
        }
        let Some(&largest) = sizes.first() else { return Err(internal("no tiers")) };
        Ok(Self {
            container,
            upright: correct::upright(&video.picture, largest),
            taps: taps(sizes, &video.tiers)?,
            plan: video.picture.clone(),
            first: None,
            smaller,
            pictures: sizes.iter().map(|_| Video::empty()).collect(),
            waiting: VecDeque::new(),
        })
    }

    /// Pushes a frame. Frames that are ready go to the sink.
    pub(crate) fn push(
        &mut self,
        frame: &mut Video,
        ticket: Ticket,
        sink: &mut dyn Sink,
    ) -> Outcome<()> {
        let (shape, place) = (Shape::of(frame), self.place(frame));
        if self.first.as_ref().is_none_or(|(built, at, _)| (*built, *at) != (shape, place)) {
            self.rebuild(shape, place, sink)?;
        }
        // Deinterlacing needs every frame, scaling only those that are kept.
        if !self.plan.deinterlace && !ticket.kept.contains(&true) {
            return Ok(());
        }
        let Some((_, _, Some(graph))) = &mut self.first else {
            return self.spread(frame, &ticket, sink);
        };
        graph.push(Some(frame))?;
        self.waiting.push_back(ticket);
        self.drain(sink)
    }

    /// Flushes the filters. The next frame starts anew.
    pub(crate) fn flush(&mut self, sink: &mut dyn Sink) -> Outcome<()> {
        if !self.waiting.is_empty()
            && let Some((_, _, Some(graph))) = &mut self.first
        {
            graph.push(None)?;
            self.drain(sink)?;
        }
        if self.plan.deinterlace {
            self.first = None;
        }
        if self.waiting.is_empty() {
            Ok(())
        } else {
            Err(internal(format!("filters kept {} frames", self.waiting.len())))
        }
    }

    /// Place of a picture in the frames of the largest tier, before rotation.
    fn place(&self, picture: &Video) -> Place {
        let Some(first) = &self.plan.first else {
            let (width, height) = self.upright;
            return Place { width, height, left: 0, top: 0 };
        };
        let (width, height) = (picture.width(), picture.height());
        let own = facts::known(picture.aspect_ratio());
        let sample_aspect = first.sample_aspect((width, height), own, self.container);
        PictureShape { width, height, sample_aspect }.place(&first.shape, self.upright)
    }

    fn rebuild(&mut self, shape: Shape, place: Place, sink: &mut dyn Sink) -> Outcome<()> {
        self.flush(sink)?;
        let graph = match correct::filters(shape, &self.plan, place, self.upright) {
            Some(filters) => Some(Graph::new(shape, &filters)?),
            None => None,
        };
        self.first = Some((shape, place, graph));
        Ok(())
    }

    fn drain(&mut self, sink: &mut dyn Sink) -> Outcome<()> {
        let mut corrected = Video::empty();
        while let Some((_, _, Some(graph))) = &mut self.first {
            if !graph.pull(&mut corrected)? {
                return Ok(());
            }
            let Some(ticket) = self.waiting.pop_front() else {
                return Err(internal("filters made a frame up"));
            };
            self.spread(&mut corrected, &ticket, sink)?;
        }
        Ok(())
    }

    /// Passes a frame of the largest size to the tiers that keep it, scaled from each size to the next.
    fn spread(&mut self, largest: &mut Video, ticket: &Ticket, sink: &mut dyn Sink) -> Outcome<()> {
        let kept = |(tier, kept): (&usize, &bool)| kept.then_some(*tier);
        let Some(last) = self.taps.iter().zip(&ticket.kept).filter_map(kept).max() else {
            return Ok(());
        };
        for size in 0..last {
            let (done, next) = self.pictures.split_at_mut(size + 1);
            let from = if size == 0 { &*largest } else { &done[size] };
            let (Some(graph), Some(to)) = (self.smaller.get_mut(size), next.first_mut()) else {
                return Err(internal("a size has no filter"));
            };
            graph.push(Some(from))?;
            if !graph.pull(to)? {
                return Err(internal("a filter kept a frame"));
            }
        }
        for (tier, (tap, kept)) in self.taps.iter().zip(&ticket.kept).enumerate() {
            if *kept {
                let frame = if *tap == 0 { &mut *largest } else { &mut self.pictures[*tap] };
                sink.frame(tier, frame, ticket)?;
            }
        }
        Ok(())
    }
}

/// For each tier, its index into `sizes`. Both are ordered largest first.
fn taps(sizes: &[(u32, u32)], tiers: &[EncoderSpec]) -> Outcome<Vec<usize>> {
    let mut from = 0;
    let mut tap = |tier: &EncoderSpec| {
        let size = (tier.width, tier.height);
        let found = sizes.iter().skip(from).position(|other| *other == size);
        let tap = from + found.ok_or_else(|| internal(format!("no step has the size {size:?}")))?;
        from = tap + 1;
        Ok(tap)
    };
    tiers.iter().map(&mut tap).collect()
}

#[cfg(test)]
mod tests {
    use jetreel_domain::plan::framerate::FrameRule;

    use super::*;

    #[test]
    fn tiers_branch_off_where_their_size_is() {
        let tier = |(width, height)| EncoderSpec {
            name: String::new(),
            width,
            height,
            crf: 23,
            max_rate: 1,
            level: 30,
            rule: FrameRule::ALL,
        };
        let sizes = [(1920, 1080), (1280, 720), (640, 360), (426, 240)];
        let found = |tiers: &[(u32, u32)]| {
            taps(&sizes, &tiers.iter().copied().map(tier).collect::<Vec<_>>())
        };
        assert_eq!(found(&sizes).unwrap(), [0, 1, 2, 3]);
        assert_eq!(found(&[(1280, 720), (426, 240)]).unwrap(), [1, 3]);
        assert!(found(&[(854, 480)]).is_err());
        assert!(found(&[(426, 240), (1280, 720)]).is_err(), "from the largest to the smallest");
    }
}
