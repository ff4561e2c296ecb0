//! Warnings about a video: content that is left out, changed or assumed. Warnings about audio tracks are in [`crate::plan::soundtrack`].
//!
//! A new warning is a new variant. It compiles only with a sentence, and the tests require an example of it.

use crate::output::language;
use crate::words::reason::time;
use crate::words::sentence::{count, list, number};

/// A warning.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning {
    /// Some pictures cannot be decoded.
    Damaged,
    /// The file ends before its tracks do.
    CutShort,
    /// The clock of the recording restarts or jumps.
    TimesMended { steps: usize },
    /// Tracks begin in the middle of the file.
    Latecomers { tracks: usize },
    /// Another recording follows that cannot be read.
    AnotherRecording {
        /// Bytes from its beginning to the end of the file.
        bytes: u64,
    },
    /// Audio continues beyond the longest duration of a video.
    SoundCut {
        /// Duration of the audio in seconds.
        sound: f64,
        /// Duration of the pictures in seconds.
        picture: f64,
        /// Kept duration in seconds.
        kept: f64,
    },
    /// Audio begins too long before the pictures.
    SoundBeforePicture {
        /// Seconds of audio before the first picture.
        lead: f64,
        /// Duration of the pictures in seconds.
        picture: f64,
        /// Limit in seconds.
        limit: f64,
    },
    /// Audio begins too long after the last picture.
    SoundAfterPicture {
        /// Seconds from the last picture to the first audio.
        pause: f64,
        /// Limit in seconds.
        limit: f64,
    },
    /// Audio continues after a pause that is too long.
    SoundBehindPause {
        /// Seconds without pictures and audio.
        pause: f64,
        /// Limit in seconds.
        limit: f64,
    },
    /// Pictures have times that do not fit between those of their neighbours.
    PicturesMisplaced {
        /// Least number of such pictures.
        pictures: usize,
    },
    /// Pictures at the beginning refer to others that are not in the file.
    HeadMissing {
        /// Seconds that cannot be shown.
        seconds: f64,
    },
    /// Pictures at the beginning refer to others that are not in the file, and are shown anyway.
    HeadIncomplete {
        /// Seconds up to the first key picture; `None` if there is none.
        seconds: Option<f64>,
    },
    /// 4:4:4 H.264 from an encoder that does not name itself.
    EncoderUnknown,
    /// HDR10 metadata without colour tags.
    HdrAssumed,
    /// The source is HDR and is tone-mapped.
    ToneMapped,
    /// A requested tier is not made.
    TierMissing { tier: String },
    SubtitlesLeftOut {
        /// Language tags as in the file, one per track.
        languages: Vec<String>,
    },
    /// Unused video tracks.
    PicturesLeftOut {
        /// The tracks in file order.
        tracks: Vec<PictureTrack>,
    },
    /// Pictures could not be decoded.
    PicturesLost { pictures: u64 },
    /// Parts of an audio track could not be decoded.
    SoundLost {
        /// Number, language and codec.
        track: String,
        /// Approximate seconds.
        seconds: f64,
    },
    /// No part of an audio track could be decoded.
    SoundAllLost {
        /// Number, language and codec.
        track: String,
    },
}

/// A video track as a warning names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureTrack {
    /// Number among the video tracks of the file, from 1.
    pub number: u32,
    /// Width in pixels; 0 if the file does not declare it.
    pub width: u32,
    /// Height in pixels; 0 if the file does not declare it.
    pub height: u32,
    /// Codec name of libav.
    pub codec: String,
}

/// Most video tracks that a warning names.
const TRACKS_NAMED_MAX: usize = 4;

impl Warning {
    /// The warning as whole sentences.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Damaged => {
                "Parts of the video are damaged; what can be decoded is used.".to_owned()
            }
            Self::CutShort => "The file is cut short; what is there is used.".to_owned(),
            Self::TimesMended { steps } => format!(
                "The times of the recording start again or jump at {}; picture and sound are joined there without a break.",
                count(*steps, "place")
            ),
            Self::Latecomers { tracks } => format!(
                "Tracks that begin in the middle of the file are left out: {} of them. Upload the recordings one by one to keep them.",
                number(*tracks as u64)
            ),
            Self::AnotherRecording { bytes } => format!(
                "Another recording begins behind the end of the first one: the last {} bytes of the file are left out. Upload the \
                 recordings one by one to keep them.",
                number(*bytes)
            ),
            Self::SoundCut { sound, picture, kept } => format!(
                "The sound lasts {sound:.0} s and the picture {picture:.0} s; the sound is cut after {kept:.0} s, the longest that a \
                 video may last."
            ),
            Self::SoundBeforePicture { lead, picture, limit } => format!(
                "The sound begins {lead:.0} s before the picture, which lasts {picture:.0} s; at most {limit:.0} s are allowed, and the \
                 sound before the picture is left out."
            ),
            Self::SoundAfterPicture { pause, limit } => format!(
                "The sound begins {} after the last picture, and at most {} are allowed; the sound is left out.",
                time(*pause),
                time(*limit)
            ),
            Self::SoundBehindPause { pause, limit } => format!(
                "After the last picture the sound pauses for {}, and at most {} are allowed; the sound behind the pause is left out.",
                time(*pause),
                time(*limit)
            ),
            Self::PicturesMisplaced { pictures } => format!(
                "The times of {} contradict those of the pictures around; such pictures are left out.",
                count(*pictures, "picture")
            ),
            Self::HeadMissing { seconds } => format!(
                "The video does not begin with a key picture: no picture of its first {seconds:.1} s can be decoded."
            ),
            Self::HeadIncomplete { seconds } => incomplete(*seconds),
            Self::EncoderUnknown => ENCODER_UNKNOWN.to_owned(),
            Self::HdrAssumed => HDR_ASSUMED.to_owned(),
            Self::ToneMapped => {
                "High dynamic range is converted to standard dynamic range.".to_owned()
            }
            Self::TierMissing { tier } => format!(
                "The rendition {tier} is not made: it is larger than the video, or not in the ladder."
            ),
            Self::SubtitlesLeftOut { languages } => subtitles(languages),
            Self::PicturesLeftOut { tracks } => pictures(tracks),
            Self::PicturesLost { pictures } => format!(
                "The video is damaged: {} cannot be decoded, and the picture before stands still instead.",
                count(usize::try_from(*pictures).unwrap_or(usize::MAX), "picture")
            ),
            Self::SoundLost { track, seconds } => format!(
                "Sound track {track} is damaged: about {} of it cannot be decoded, and silence stands for it.",
                time(*seconds)
            ),
            Self::SoundAllLost { track } => format!(
                "Sound track {track} is left out: no part of it can be decoded. To keep it, export the video again."
            ),
        }
    }
}

const ENCODER_UNKNOWN: &str = "The 4:4:4 pictures of this H.264 video were written by an unknown encoder and may be decoded wrongly. If \
     they look wrong, export the video again with 4:2:0 pictures.";

const HDR_ASSUMED: &str = "The video has HDR10 metadata and no colour tags; it is taken for high dynamic range (PQ, BT.2020). If its \
     colours look wrong, export it with colour tags.";

fn incomplete(seconds: Option<f64>) -> String {
    match seconds {
        Some(seconds) => format!(
            "The video does not begin with a key picture: the pictures of its first {seconds:.1} s are incomplete."
        ),
        None => "The video has no key picture: its pictures are incomplete. If it was cut out of a longer video, export it from \
                 that one again."
            .to_owned(),
    }
}

fn pictures(tracks: &[PictureTrack]) -> String {
    let name = |PictureTrack { number, width, height, codec }: &PictureTrack| match (width, height)
    {
        (0, _) | (_, 0) => format!("{number} ({codec})"),
        _ => format!("{number} ({width}×{height}, {codec})"),
    };
    let mut names: Vec<String> = tracks.iter().take(TRACKS_NAMED_MAX).map(name).collect();
    if tracks.len() > TRACKS_NAMED_MAX {
        names.push(format!("{} more", tracks.len() - TRACKS_NAMED_MAX));
    }
    let names = list(&names, "and");
    if tracks.len() == 1 {
        return format!(
            "Video track {names} is left out: only one video track is used. To keep it, upload it as a file of its own."
        );
    }
    format!(
        "Video tracks {names} are left out: only one video track is used. To keep them, upload each as a file of its own."
    )
}

fn subtitles(languages: &[String]) -> String {
    let mut known: Vec<String> = languages
        .iter()
        .filter_map(|found| language::tag(found))
        .map(|tag| tag.to_string())
        .collect();
    known.sort();
    known.dedup();
    let tracks = count(languages.len(), "subtitle track");
    let languages = match known.as_slice() {
        [] => String::new(),
        tags => format!(" ({})", list(tags, "and")),
    };
    format!("The file has {tracks}{languages}; subtitles are not carried over yet.")
}
