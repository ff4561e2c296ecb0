//! Selects the audio tracks of a source that are encoded and their form, with warnings about the others.
//!
//! Invariants: the first chosen track is the main one. A warning names each track that is left out with its reason, and the track that
//! became the main one instead.

use crate::codec::jump::STEPS_MAX;
use crate::output::language;
use crate::plan::AudioPlan;
use crate::plan::media::{AudioTrack, ProbeFacts, UnusedAudio, UnusedReason};
use crate::plan::policy::PlanPolicy;

/// Tracks to encode, the main one first, at most `limit`.
#[must_use]
pub fn chosen(facts: &ProbeFacts, limit: usize) -> Vec<&AudioTrack> {
    let mut tracks = usable(facts);
    let rank = |track: &&&AudioTrack| rank(track.default, track.secondary);
    if let Some(main) = tracks.iter().min_by_key(rank).map(|track| track.stream) {
        // A stable sort keeps the file order after the main track.
        tracks.sort_by_key(|track| track.stream != main);
    }
    tracks.truncate(limit);
    tracks
}

fn usable(facts: &ProbeFacts) -> Vec<&AudioTrack> {
    let sane = |track: &&AudioTrack| {
        track.sample_rate > 0
            && track.channels > 0
            && track.time_base.num > 0
            && track.time_base.den > 0
    };
    facts.audio.iter().filter(sane).collect()
}

/// Rank of a candidate for the main track: marked as default, then programme audio, then commentaries and similar tracks.
fn rank(default: bool, secondary: bool) -> u8 {
    if default { 0 } else { 1 + u8::from(secondary) }
}

/// Output sample rate and channels of a track.
#[must_use]
pub fn output_form(sample_rate: u32, channels: u32) -> (u32, u32) {
    // The two rates that every player supports. Whole multiples stay in their family.
    let rate = if sample_rate.is_multiple_of(44_100) { 44_100 } else { 48_000 };
    (rate, channels.clamp(1, 2))
}

/// Time between two timestamps, and the audio between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Seconds from one timestamp to the next.
    pub stamped: f64,
    /// Seconds of decoded audio between them.
    pub sounded: f64,
}

/// Timestamps that differ from the audio by more than this factor contradict it.
const CONTRADICTION: f64 = 1.2;
/// Least audio for a conclusion in seconds.
const HEARD_MIN: f64 = 0.1;
/// Longer steps, and steps back, are jumps of the clock, see [`crate::codec::discontinuity`]. A container without gaps has none.
const STEP_SECONDS_MAX: f64 = 1.0;

/// Whether the timestamps of a track contradict its samples, so that time has to be counted in samples.
///
/// Audio cannot overlap itself, so timestamps that advance by less than the audio are wrong. Timestamps that advance by more are a gap,
/// except in a container without gaps (`gapless`): AVI timestamps are computed from header fields.
#[must_use]
pub fn contradicts(steps: &[Step], gapless: bool) -> bool {
    let clean: Vec<&Step> = steps
        .iter()
        .filter(|step| gapless || (0.0..=STEP_SECONDS_MAX).contains(&step.stamped))
        .collect();
    let sounded: f64 = clean.iter().map(|step| step.sounded).sum();
    let stamped: f64 = clean.iter().map(|step| step.stamped).sum();
    let most = |wrong: fn(&Step) -> bool| {
        clean.iter().filter(|step| wrong(step)).count() * 2 > clean.len()
    };
    let overlaps = sounded > CONTRADICTION * stamped
        && most(|step| step.sounded > CONTRADICTION * step.stamped);
    let parts = stamped > CONTRADICTION * sounded
        && most(|step| step.stamped > CONTRADICTION * step.sounded);
    sounded >= HEARD_MIN && (overlaps || (gapless && parts))
}

/// Whether the timestamps of a whole track contradict its samples: `sounded` seconds of audio lie between timestamps `stamped` seconds
/// apart. A recorder may stamp only the beginning with arrival times.
#[must_use]
pub fn contradicts_throughout(sounded: f64, stamped: f64, gapless: bool) -> bool {
    sounded > CONTRADICTION * stamped || (gapless && stamped > CONTRADICTION * sounded)
}

/// Seconds of audio in a packet. The first `barren` of `packets` gave no audio: some decoders are a packet late, and what they still hold
/// at the end compensates for it.
#[must_use]
pub fn packet_seconds(sounded: f64, packets: u32, barren: u32) -> f64 {
    sounded / f64::from(packets.saturating_sub(barren).max(1))
}

/// The renditions of the tracks.
#[must_use]
pub fn plans(tracks: &[&AudioTrack], policy: &PlanPolicy) -> Vec<AudioPlan> {
    let plan = |(index, track): (usize, &&AudioTrack)| {
        let (sample_rate, channels) = output_form(track.sample_rate, track.channels);
        AudioPlan {
            name: format!("audio-{index}"),
            stream: track.stream,
            language: track.language.clone(),
            sample_rate,
            channels,
            bit_rate: policy.audio_bit_rate / (3 - channels),
            default: index == 0,
            part_seconds: policy.audio_part_seconds.max(1),
        }
    };
    tracks.iter().enumerate().map(plan).collect()
}

/// Warnings about the audio, each a sentence or two. `chosen` are the tracks that are encoded.
#[must_use]
pub fn warnings(facts: &ProbeFacts, chosen: &[&AudioTrack]) -> Vec<String> {
    let mut warnings = unused(&facts.unused_audio);
    warnings.extend(over_limit(facts, chosen));
    let Some(main) = chosen.first() else {
        warnings.push(if facts.unused_audio.is_empty() {
            "The video has no sound.".to_owned()
        } else {
            "The result has no sound: no sound track of the video can be used.".to_owned()
        });
        return warnings;
    };
    warnings.extend(chosen.iter().filter(|track| track.mixed).map(|track| mixed(track)));
    let rank = |track: &&UnusedAudio| (rank(track.default, track.secondary), track.number);
    let candidates = facts.unused_audio.iter().filter(|track| !track.reason.is_elsewhere());
    let lost = candidates.min_by_key(rank);
    if let Some(lost) = lost.filter(|lost| rank(lost) < self::main_rank(main)) {
        warnings.push(format!(
            "Sound track {} would be the main one; sound track {} takes its place.",
            lost.number,
            named(main.number, &main.language, &main.codec),
        ));
    }
    warnings
}

fn main_rank(main: &AudioTrack) -> (u8, u32) {
    (rank(main.default, main.secondary), main.number)
}

/// One sentence per reason.
fn unused(tracks: &[UnusedAudio]) -> Vec<String> {
    let mut reasons: Vec<&UnusedReason> = tracks.iter().map(|track| &track.reason).collect();
    reasons.sort();
    reasons.dedup();
    let sentence = |reason: &UnusedReason| {
        let same = tracks.iter().filter(|track| track.reason == *reason);
        let names = same
            .map(|track| named(track.number, &track.language, &track.codec))
            .collect::<Vec<_>>();
        left_out(&names, reason)
    };
    reasons.into_iter().map(sentence).collect()
}

fn left_out(names: &[String], reason: &UnusedReason) -> String {
    let one = names.len() == 1;
    let (subject, is) = if one { ("Sound track", "is") } else { ("Sound tracks", "are") };
    let (it, list) = (if one { "it" } else { "them" }, listed(names));
    let (why, remedy) = match reason {
        UnusedReason::UnsupportedCodec => (
            "the codec is not supported".to_owned(),
            format!("To keep {it}, export the video with AAC sound."),
        ),
        UnusedReason::Undecodable => (
            "nothing at the beginning can be decoded".to_owned(),
            format!("To keep {it}, export the video again with AAC sound."),
        ),
        UnusedReason::Channels(count) => (
            format!("{count} channels without a known layout cannot be mixed down"),
            format!("To keep {it}, export the video with stereo sound."),
        ),
        UnusedReason::Empty => (format!("no sound is in {it}"), String::new()),
        UnusedReason::Encrypted => (
            "the sound is encrypted (DRM)".to_owned(),
            format!("To keep {it}, upload a file without encryption."),
        ),
        UnusedReason::Times => (
            format!("its times start again or jump at more than {STEPS_MAX} places"),
            format!("To keep {it}, export the video again."),
        ),
        UnusedReason::OtherProgramme { own, chosen } => (
            format!(
                "the file holds several programmes, and the picture of programme {chosen} is used, not that of programme {own}"
            ),
            format!("Upload programme {own} as a file of its own to use it."),
        ),
    };
    format!("{subject} {list} {is} left out: {why}. {remedy}").trim_end().to_owned()
}

fn mixed(track: &AudioTrack) -> String {
    format!(
        "Sound track {} has {} channels without a known layout: the 1st, 3rd, 5th and so on are mixed to the left, the others to \
         the right. If that is wrong, export the video with stereo sound.",
        named(track.number, &track.language, &track.codec),
        track.channels,
    )
}

fn over_limit(facts: &ProbeFacts, chosen: &[&AudioTrack]) -> Option<String> {
    let usable = usable(facts);
    let surplus: Vec<String> = usable
        .iter()
        .filter(|track| !chosen.iter().any(|chosen| chosen.stream == track.stream))
        .map(|track| named(track.number, &track.language, &track.codec))
        .collect();
    (!surplus.is_empty()).then(|| {
        let (subject, is) =
            if surplus.len() == 1 { ("sound track", "is") } else { ("sound tracks", "are") };
        format!(
            "Only {} of {} sound tracks are encoded, which is the limit: {subject} {} {is} left out.",
            chosen.len(),
            usable.len(),
            listed(&surplus),
        )
    })
}

/// `2 (de, aac)`. Without the number if it is 0, in facts of older probes.
pub(crate) fn named(number: u32, language: &str, codec: &str) -> String {
    let about = match language::tag(language) {
        Some(tag) => format!("({tag}, {codec})"),
        None => format!("({codec})"),
    };
    if number == 0 { about } else { format!("{number} {about}") }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

impl UnusedReason {
    /// Whether the track belongs to another picture than the one that is used.
    fn is_elsewhere(&self) -> bool {
        match self {
            Self::OtherProgramme { .. } => true,
            Self::UnsupportedCodec
            | Self::Undecodable
            | Self::Channels(_)
            | Self::Empty
            | Self::Encrypted
            | Self::Times => false,
        }
    }
}

#[cfg(test)]
#[path = "soundtrack_tests.rs"]
mod tests;
