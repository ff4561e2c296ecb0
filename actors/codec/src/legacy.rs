//! 4:4:4 H.264 without the name of its encoder in the stream.
//!
//! x264 up to build 150 deviated from the standard in 4:4:4 pictures. libav follows the deviation only if it knows the build, which x264
//! writes into the first packet. If that text was removed, the beginning of the track is decoded in both ways, and the way without errors
//! is right. Decoders that start in the middle of the track get the build as an option.

use ffmpeg_next::frame::Video;
use ffmpeg_next::{Packet, Stream};
use jetreel_domain::codec::wire::Budget;
use jetreel_domain::plan::rational::Rational;

use crate::decode::{Decoder, Pull, check_pixels, picture_hash};
use crate::failure::Outcome;

/// Most packets that are decoded.
const PACKETS_MAX: usize = 64;
/// Most bytes of these packets.
const BYTES_MAX: usize = 32 << 20;

/// The beginning of a track.
#[derive(Default)]
pub(crate) struct Beginning {
    packets: Vec<Packet>,
    bytes: usize,
}

/// The last build of x264 that deviates, and the first that does not.
const BUILDS: [&str; 2] = ["150", "151"];

/// Way of decoding a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// Whether to decode as old builds of x264 wrote, not as the standard requires.
    pub old: bool,
    /// Whether one way has no errors and the other has, or both give the same pictures.
    pub certain: bool,
}

impl Way {
    /// The option for the decoder; `None` if the standard way is a guess.
    pub(crate) fn option(self) -> Option<(String, String)> {
        let [old, standard] = BUILDS;
        let build = if self.old { Some(old) } else { self.certain.then_some(standard) };
        build.map(|build| ("x264_build".to_owned(), build.to_owned()))
    }
}

/// Result of decoding one way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tried {
    errors: u64,
    pictures: Vec<String>,
}

impl Beginning {
    /// Keeps a packet, up to [`PACKETS_MAX`] and [`BYTES_MAX`].
    pub(crate) fn keep(&mut self, packet: &Packet) {
        self.bytes = self.bytes.saturating_add(packet.size());
        if self.packets.len() < PACKETS_MAX && self.bytes <= BYTES_MAX {
            self.packets.push(packet.clone());
        }
    }

    /// Decodes the kept packets in both ways.
    pub(crate) fn way(
        &self,
        stream: &Stream<'_>,
        time_base: Rational,
        budget: &Budget,
    ) -> Outcome<Way> {
        let decode = |old: bool| {
            // Without it the decoder conceals errors instead of reporting them.
            let strict = ("err_detect".to_owned(), "explode".to_owned());
            let options = Way { old, certain: true }.option().into_iter().chain([strict]);
            let decoder = Decoder::open(stream, time_base, &options.collect::<Vec<_>>(), budget)?;
            self.decode(decoder, budget)
        };
        Ok(choose(&decode(false)?, &decode(true)?))
    }

    fn decode(&self, mut decoder: Decoder, budget: &Budget) -> Outcome<Tried> {
        let mut frame = Video::empty();
        let mut pictures = Vec::new();
        let mut packets = self.packets.iter();
        loop {
            match decoder.pull(&mut frame)? {
                Pull::Frame => {
                    check_pixels(frame.width(), frame.height(), budget)?;
                    pictures.push(picture_hash(&frame)?);
                }
                Pull::Hungry => decoder.push(packets.next())?,
                Pull::End => return Ok(Tried { errors: decoder.damage(), pictures }),
            }
        }
    }
}

fn choose(standard: &Tried, old: &Tried) -> Way {
    let sure = |tried: &Tried| tried.errors == 0 && !tried.pictures.is_empty();
    let same = standard.pictures == old.pictures;
    let old_is_better =
        (old.errors, old.pictures.is_empty()) < (standard.errors, standard.pictures.is_empty());
    Way { old: old_is_better, certain: sure(standard) != sure(old) || same }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(errors: u64, picture: &str) -> Tried {
        Tried { errors, pictures: vec![picture.to_owned()] }
    }

    #[test]
    fn the_way_without_errors_is_right() {
        let (good, bad) = (result(0, "a"), result(7, "b"));
        assert_eq!(choose(&good, &bad), Way { old: false, certain: true });
        assert_eq!(choose(&bad, &good), Way { old: true, certain: true });
        assert_eq!(Way { old: true, certain: true }.option().unwrap().1, "150");
        assert_eq!(Way { old: false, certain: true }.option().unwrap().1, "151");
        assert_eq!(Way { old: false, certain: false }.option(), None);
    }

    #[test]
    fn two_good_ways_are_certain_only_where_they_agree() {
        let way = |old, certain| Way { old, certain };
        assert_eq!(choose(&result(0, "a"), &result(0, "a")), way(false, true));
        assert_eq!(choose(&result(0, "a"), &result(0, "b")), way(false, false));
        assert_eq!(choose(&result(9, "a"), &result(3, "b")), way(true, false));
        let nothing = Tried { errors: 0, pictures: Vec::new() };
        assert_eq!(choose(&nothing, &result(0, "b")), way(true, true));
    }
}
