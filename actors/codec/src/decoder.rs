//! Picture decoder, with the errors that it tolerates.

use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Error, Packet, Stream, codec, ffi};
use jetreel_domain::codec::wire::Budget;
use jetreel_domain::plan::rational::Rational;

use crate::decode::{check_pixels, no_codec};
use crate::failure::{Outcome, failure_with, source_failure};
use crate::{allow, facts, names};

/// A picture decoder.
pub(crate) struct Decoder {
    video: codec::decoder::Video,
    damage: u64,
    /// Whether the decoder was told that no packets follow.
    draining: bool,
    /// Whether the last frame is complete.
    intact: bool,
    /// Whether any frame was complete, and whether any was not.
    seen: (bool, bool),
}

impl Decoder {
    /// Opens the allowed decoder for a stream whose packets have ticks of `time_base`.
    pub(crate) fn open(
        stream: &Stream<'_>,
        time_base: Rational,
        options: &[(String, String)],
        budget: &Budget,
    ) -> Outcome<Self> {
        let parameters = stream.parameters();
        let unsupported = || {
            let name = parameters.id().name();
            let detail = format!("No allowed decoder for {name}.");
            failure_with(no_codec(names::codec(stream)), detail)
        };
        let found = codec::decoder::find(parameters.id()).ok_or_else(unsupported)?;
        if !allow::is_picture_decoder(found.name()) {
            return Err(unsupported());
        }
        #[expect(unsafe_code, reason = "plain fields of the stream's parameters")]
        let (width, height) =
            unsafe { ((*parameters.as_ptr()).width, (*parameters.as_ptr()).height) };
        check_pixels(width.unsigned_abs(), height.unsigned_abs(), budget)?;
        let mut context = codec::Context::from_parameters(parameters.clone())
            .map_err(|error| source_failure(error.into(), "prepare the decoder"))?;
        context.set_flags(codec::Flags::OUTPUT_CORRUPT);
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(facts::libav(time_base));
        let mut settings = Dictionary::new();
        settings.set("threads", "1");
        settings.set("max_pixels", &budget.pixels_max.to_string());
        for (name, value) in options {
            settings.set(name, value);
        }
        let video = decoder
            .open_as_with(found, settings)
            .and_then(codec::decoder::Opened::video)
            .map_err(|error| source_failure(error.into(), "open the decoder"))?;
        Ok(Self { video, damage: 0, draining: false, intact: false, seen: (false, false) })
    }

    /// Pushes a packet, or the end.
    pub(crate) fn push(&mut self, packet: Option<&Packet>) -> Outcome<()> {
        self.draining |= packet.is_none();
        let result = match packet {
            Some(packet) => self.video.send_packet(packet),
            None => self.video.send_eof(),
        };
        match result {
            Ok(()) | Err(Error::Eof) => Ok(()),
            Err(error) => self.tolerate(error, "decode a packet"),
        }
    }

    /// Pulls the next frame if one is ready.
    pub(crate) fn pull(&mut self, frame: &mut Video) -> Outcome<Pull> {
        match self.video.receive_frame(frame) {
            Ok(()) => {
                self.judge(frame);
                Ok(Pull::Frame)
            }
            Err(Error::Eof) => Ok(Pull::End),
            Err(Error::Other { errno: ffi::EAGAIN }) => Ok(Pull::Hungry),
            Err(error) => self.tolerate(error, "decode a frame").map(|()| Pull::Hungry),
        }
    }

    /// Whether the last frame is complete. Frames are incomplete if decoding began in the middle of a group of pictures.
    pub(crate) fn is_intact(&self) -> bool {
        self.intact
    }

    fn judge(&mut self, frame: &Video) {
        let (intact, corrupt) = &mut self.seen;
        // At the end of a stream the H.264 decoder outputs its remaining frames without the mark.
        let unmarked = self.draining && *corrupt && !*intact;
        self.intact = !frame.is_corrupt() && !unmarked;
        *intact |= self.intact;
        *corrupt |= !self.intact;
    }

    /// Restarts after the end, as at the start of a source.
    pub(crate) fn restart(&mut self) {
        self.video.flush();
        (self.draining, self.seen) = (false, (false, false));
    }

    /// Number of errors tolerated so far.
    pub(crate) fn damage(&self) -> u64 {
        self.damage
    }

    fn tolerate(&mut self, error: Error, doing: &str) -> Outcome<()> {
        if error == (Error::Other { errno: ffi::ENOMEM }) {
            return Err(source_failure(error.into(), doing));
        }
        self.damage += 1;
        Ok(())
    }
}

/// Result of a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pull {
    Frame,
    /// No frame before the next packet.
    Hungry,
    /// No more frames.
    End,
}
