//! Assigns streams to tracks, including streams that begin in the middle of a file.
//!
//! Joined recordings may number their streams anew. A new stream continues the track of its codec that the fewest other streams continue,
//! because every recording of a series has the same tracks in the same order. If the track has packets after the stream's first one, the
//! stream is a track of its own and is left out.

use ffmpeg_next::{Packet, codec, media};

use crate::failure::Outcome;
use crate::input::Input;
use crate::scan::Track;

/// The streams of a file.
pub(crate) struct Roster {
    streams: Vec<Member>,
    codecs: Vec<codec::Id>,
    /// By track: the streams that continue it.
    pub continued: Vec<Vec<u32>>,
    /// Number of picture and audio streams that begin in the middle of the file and continue no track.
    pub left_out: u32,
    /// Streams that continue no track.
    apart: Vec<u32>,
}

/// A stream.
#[derive(Debug, Clone, Copy, Default)]
struct Member {
    track: Option<usize>,
    /// Position of its first packet in the file, in bytes.
    first: Option<u64>,
    /// Position of its last packet in the file, in bytes.
    last: u64,
}

impl Roster {
    /// The streams known before the first packet. Those of `apart` continue no track.
    pub(crate) fn new(input: &Input, tracks: &[Track], apart: &[u32]) -> Outcome<Self> {
        let track = |stream| tracks.iter().position(|track| track.stream == stream);
        let member = |stream| Member { track: track(stream), ..Member::default() };
        let codec = |track: &Track| Ok(input.stream(track.stream)?.parameters().id());
        Ok(Self {
            streams: (0..input.streams()).map(member).collect(),
            codecs: tracks.iter().map(codec).collect::<Outcome<_>>()?,
            continued: vec![Vec::new(); tracks.len()],
            left_out: 0,
            apart: apart.to_vec(),
        })
    }

    /// The track of a packet.
    pub(crate) fn track(&mut self, input: &Input, packet: &Packet) -> Outcome<Option<usize>> {
        let stream = packet.stream();
        while self.streams.len() <= stream {
            let latecomer = self.streams.len() as u32;
            let track = self.welcome(input, latecomer)?;
            self.streams.push(Member { track, ..Member::default() });
        }
        let member = &mut self.streams[stream];
        if let Ok(byte) = u64::try_from(packet.position()) {
            member.first.get_or_insert(byte);
            member.last = member.last.max(byte);
        }
        Ok(member.track)
    }

    /// The track that a new stream continues.
    fn welcome(&mut self, input: &Input, latecomer: u32) -> Outcome<Option<usize>> {
        let parameters = input.stream(latecomer)?.parameters();
        let same = (0..self.codecs.len()).filter(|track| self.codecs[*track] == parameters.id());
        let track = same.min_by_key(|track| self.continued[*track].len());
        match track.filter(|_| !self.apart.contains(&latecomer)) {
            Some(track) => {
                self.continued[track].push(latecomer);
                Ok(Some(track))
            }
            None => {
                let counts = matches!(parameters.medium(), media::Type::Video | media::Type::Audio);
                self.left_out += u32::from(counts);
                Ok(None)
            }
        }
    }

    /// Streams that were assigned to a track which had not ended.
    pub(crate) fn clashes(&self) -> Vec<u32> {
        let clashes = |(index, member): &(usize, &Member)| {
            let (Some(track), Some(first)) = (member.track, member.first) else { return false };
            let earlier = self.streams[..*index].iter();
            self.continued[track].contains(&(*index as u32))
                && earlier
                    .filter(|other| other.track == Some(track))
                    .any(|other| other.last > first)
        };
        let found = self.streams.iter().enumerate().filter(clashes);
        found.map(|(index, _)| index as u32).collect()
    }
}
