//! The packets of a picture track in decoding order, on one continuous clock.

use ffmpeg_next::Packet;
use jetreel_domain::codec::preroll::Distances;

use crate::failure::Outcome;
use crate::input::Input;
use crate::offsets::Offsets;
use crate::preroll::Preroll;

/// The packets of a track and of the streams that continue it.
pub(crate) struct Packets {
    own: Own,
    /// `None` if times are guessed, because they do not show how recordings overlap.
    preroll: Option<Preroll>,
}

/// The packets on the container's clock.
struct Own {
    input: Input,
    stream: u32,
    continued: Vec<u32>,
    offsets: Offsets,
}

impl Packets {
    /// The packets of `stream`. `distances` are those of its pictures; `None` if its times are partly guessed.
    pub(crate) fn new(
        input: Input,
        stream: u32,
        continued: &[u32],
        offsets: Offsets,
        distances: Option<Distances>,
    ) -> Self {
        let own = Own { input, stream, continued: continued.to_vec(), offsets };
        Self { own, preroll: distances.map(Preroll::new) }
    }

    /// The first packet after a seek, and its DTS by the container's own clock.
    pub(crate) fn first(&mut self) -> Outcome<(Option<Packet>, Option<i64>)> {
        let Some(mut packet) = self.own.unmoved()? else { return Ok((None, None)) };
        let dts = packet.dts();
        self.own.offsets.apply(&mut packet);
        Ok((Some(packet), dts))
    }

    /// The next packet.
    pub(crate) fn next(&mut self) -> Outcome<Option<Packet>> {
        let Self { own, preroll } = self;
        match preroll {
            Some(preroll) => preroll.next(|| own.moved()),
            None => own.moved(),
        }
    }

    /// Whether recordings overlap in the packets so far.
    pub(crate) fn overlap(&self) -> bool {
        self.preroll.as_ref().is_some_and(Preroll::overlaps)
    }

    /// Number of failed reads.
    pub(crate) fn failed_reads(&self) -> u64 {
        self.own.input.failed_reads()
    }
}

impl Own {
    fn unmoved(&mut self) -> Outcome<Option<Packet>> {
        while let Some(packet) = self.input.read()? {
            let stream = packet.stream() as u32;
            if stream == self.stream || self.continued.contains(&stream) {
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }

    fn moved(&mut self) -> Outcome<Option<Packet>> {
        let Some(mut packet) = self.unmoved()? else { return Ok(None) };
        self.offsets.apply(&mut packet);
        Ok(Some(packet))
    }
}
