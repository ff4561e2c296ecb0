//! Checks the form of a probe's report. Later stages compute with it, pass it to libav, and show it.
//!
//! Whether the source is allowed, and whether its clock makes sense, is not checked here; see [`crate::plan::refusal`].

use super::breach::{Checked, ensure};
use super::text;
use crate::codec::discontinuity::ClockStep;
use crate::codec::jump::STEPS_MAX;
use crate::codec::wire::Job;
use crate::plan::media::{
    AudioTrack, Colour, DECODER_OPTIONS_MAX, DENSE_POINTS_MAX, ProbeFacts, SPARSE_SECONDS,
    UnusedAudio, UnusedReason, VideoTrack, is_decoder_option,
};

const WARNINGS_MAX: usize = 64;
const WARNING_BYTES_MAX: usize = 512;
/// Most bytes of a language tag (RFC 5646, 4.4.1).
const LANGUAGE_BYTES_MAX: usize = 35;
/// Most bytes of a track's title.
const TITLE_BYTES_MAX: usize = 400;
/// Most bytes of a programme's number and name.
const PROGRAMME_BYTES_MAX: usize = 256;
/// Bytes of a random-access point in MessagePack.
const POINT_BYTES: usize = 32;
/// Bytes of a track's facts besides its lists.
const TRACK_BYTES: usize = 1 << 10;
/// Bytes of a step of a clock.
const STEP_BYTES: usize = 32;
/// Bytes of a stream's index.
const STREAM_BYTES: usize = 5;
const REST_BYTES: usize = 8 << 10;

/// Most bytes of a report.
pub(super) fn report_bytes_max(job: &Job) -> usize {
    let streams = job.budget.streams_max as usize;
    let track = TRACK_BYTES + STEPS_MAX * STEP_BYTES + streams.saturating_mul(STREAM_BYTES);
    let tracks = streams.saturating_add(1).saturating_mul(track);
    let warnings = WARNINGS_MAX * (WARNING_BYTES_MAX + 8);
    (points_max(job) * POINT_BYTES).saturating_add(tracks).saturating_add(warnings + REST_BYTES)
}

/// Most random-access points of the longest permitted source.
fn points_max(job: &Job) -> usize {
    let sparse = (job.budget.seconds_max / SPARSE_SECONDS).ceil();
    DENSE_POINTS_MAX.saturating_add(sparse as usize).saturating_add(2)
}

/// Checks the form of a report.
pub(super) fn facts(facts: &ProbeFacts, job: &Job) -> Checked {
    let ProbeFacts {
        format,
        bytes,
        video,
        audio,
        unused_audio,
        subtitles,
        streams,
        truncated: _,
        warnings,
    } = facts;
    text::name(format)?;
    ensure(job.objects.first() == Some(bytes), "a source of another size")?;
    ensure(*streams <= job.budget.streams_max, "more streams than are allowed")?;
    ensure(warnings.len() <= WARNINGS_MAX, "too many warnings")?;
    warnings.iter().try_for_each(|warning| text::words(warning, WARNING_BYTES_MAX))?;
    let sound = audio.iter().map(|track| track.stream);
    let sound = sound.chain(unused_audio.iter().map(|track| track.stream));
    let tracks: Vec<u32> = sound.chain(video.iter().map(|video| video.stream)).collect();
    ensure(tracks.len() <= *streams as usize, "more tracks than streams")?;
    ensure(tracks.iter().all(|track| track < streams), "a track without a stream")?;
    let once = |(index, track): (usize, &u32)| !tracks[..index].contains(track);
    ensure(tracks.iter().enumerate().all(once), "a stream that is two tracks")?;
    ensure(subtitles.len() <= *streams as usize, "more subtitles than streams")?;
    subtitles.iter().try_for_each(|tag| language(tag))?;
    video.iter().try_for_each(|video| picture(video, job))?;
    unused_audio.iter().try_for_each(unused)?;
    audio.iter().try_for_each(|track| self::sound(track, job))
}

fn picture(video: &VideoTrack, job: &Job) -> Checked {
    let VideoTrack {
        stream: _,
        codec,
        profile: _,
        width: _,
        height: _,
        sample_aspect,
        signalled_aspect,
        rotation,
        mirrored: _,
        pixel_format,
        colour: Colour { primaries, transfer, matrix, range },
        interlaced: _,
        time_base,
        frame_rate,
        start: _,
        end: _,
        packets,
        random_access,
        monotonic: _,
        media_edits: _,
        descriptions: _,
        largest_gap: _,
        silent_gap: _,
        lasting: _,
        continued,
        clock,
        decoder_options,
    } = video;
    let names = [codec, pixel_format, primaries, transfer, matrix, range];
    names.into_iter().try_for_each(|name| text::name(name))?;
    let ratios = [*sample_aspect, *time_base, *frame_rate].into_iter().chain(*signalled_aspect);
    ratios.into_iter().try_for_each(text::ratio)?;
    ensure(matches!(rotation, 0 | 90 | 180 | 270), "a rotation that is no quarter turn")?;
    // The two fields of a picture may be two packets.
    let packets_max = job.budget.frames_max.saturating_add(1).saturating_mul(2);
    ensure(*packets <= packets_max, "more packets than are allowed")?;
    let points = random_access.len();
    let counted = points as u64 <= *packets && points <= points_max(job);
    ensure(counted, "too many random-access points")?;
    steps(continued, clock, job)?;
    options(decoder_options)
}

/// Checks continuations and clock steps of a track.
fn steps(continued: &[u32], clock: &[ClockStep], job: &Job) -> Checked {
    // The demuxer's limit also bounds the streams that it finds late.
    let streams_max = job.budget.streams_max;
    let known = continued.iter().all(|stream| *stream <= streams_max);
    ensure(continued.len() <= streams_max as usize && known, "a track that goes on elsewhere")?;
    ensure(clock.len() <= STEPS_MAX, "a clock that steps too often")
}

fn options(options: &[(String, String)]) -> Checked {
    let known = options.iter().all(|(name, value)| is_decoder_option(name, value));
    let few = options.len() <= DECODER_OPTIONS_MAX;
    ensure(few && known, "an option that no decoder is given")
}

fn sound(track: &AudioTrack, job: &Job) -> Checked {
    let AudioTrack {
        stream: _,
        codec,
        sample_rate,
        channels,
        time_base,
        start: _,
        seconds,
        continued,
        clock,
        language,
        title,
        default: _,
        number: _,
        secondary: _,
        counted: _,
        mixed: _,
    } = track;
    text::name(codec)?;
    // Tracks without a clock are left out of the plan.
    ensure(time_base.num >= 0 && time_base.den > 0, "a clock that goes back")?;
    ensure(*sample_rate > 0 && *channels > 0, "sound without samples or channels")?;
    text::seconds(*seconds, f64::MAX)?;
    steps(continued, clock, job)?;
    text::words(title, TITLE_BYTES_MAX)?;
    self::language(language)
}

fn unused(track: &UnusedAudio) -> Checked {
    let UnusedAudio { stream: _, number: _, codec, language, default: _, secondary: _, reason } =
        track;
    text::name(codec)?;
    self::language(language)?;
    match reason {
        UnusedReason::UnsupportedCodec
        | UnusedReason::Undecodable
        | UnusedReason::Channels(_)
        | UnusedReason::Empty
        | UnusedReason::Encrypted
        | UnusedReason::Times => Ok(()),
        UnusedReason::OtherProgramme { own, chosen } => {
            [own, chosen].into_iter().try_for_each(|name| text::words(name, PROGRAMME_BYTES_MAX))
        }
    }
}

fn language(tag: &str) -> Checked {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let fits = (1..=LANGUAGE_BYTES_MAX).contains(&tag.len()) && tag.bytes().all(plain);
    ensure(fits, "a language that is no tag")
}
