//! The measuring tool: flashes and beeps on the file's own time line, from what ffmpeg decodes.
//!
//! `-copyts` keeps ffmpeg from moving or mending times; filters that print them show where every picture and every sample lies.

use std::path::Path;
use std::time::Duration;

use super::beeps::{Beep, Piece, RATE, beeps};
use crate::clips::bounded;

/// Mean luma above which a picture is white. Dark pictures have about 30.
const WHITE: f64 = 120.0;

/// Ticks per second of the times of pictures.
const CLOCK: u32 = 90_000;

/// Seconds that samples may lie off the place after those before them without being a hole: less than a frame of any codec, more than
/// what libav's times of Vorbis jump to and fro.
const JITTER: f64 = 0.012;

const LIMIT: Duration = Duration::from_secs(300);

/// Source of pictures and audio.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// File or playlist.
    pub(super) file: &'a Path,
    /// Which stream of its kind.
    pub(super) stream: usize,
}

/// Pictures of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Picture {
    /// Onsets of white pictures, seconds.
    pub(super) flashes: Vec<f64>,
    /// Time of the first picture, and of the last one.
    pub(super) first: f64,
    pub(super) last: f64,
    /// Number of pictures.
    pub(super) count: usize,
}

/// Audio of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sound {
    /// Bursts of sound.
    pub(super) beeps: Vec<Beep>,
    /// Time of the first sample, and of the end of the last one.
    pub(super) first: f64,
    pub(super) end: f64,
    /// Seconds between samples that are not there, in all.
    pub(super) holes: f64,
}

/// Decodes one picture track and one sound track; a kind that is `None` is not read, and is empty in the answer.
pub(super) fn measure(
    picture: Option<Source<'_>>,
    sound: Option<Source<'_>>,
) -> Result<(Picture, Sound), String> {
    let mut command = bounded(Path::new("ffmpeg"), LIMIT);
    command.args(["-nostdin", "-hide_banner", "-nostats", "-v", "info", "-copyts"]);
    for source in picture.iter().chain(&sound) {
        command.arg("-i").arg(source.file);
    }
    if let Some(source) = picture {
        let clock = format!("settb=1/{CLOCK}");
        let show = "scale=32:18:flags=area,signalstats,metadata=print:key=lavfi.signalstats.YAVG";
        let show = format!("{clock},{show}");
        command.args(["-map", &format!("0:v:{}", source.stream), "-vf", &show]);
        command.args(["-fps_mode", "passthrough", "-f", "null", "-"]);
    }
    if let Some(source) = sound {
        let input = u8::from(picture.is_some());
        let form = format!("aformat=flt:{RATE}:mono,ashowinfo");
        command.args(["-map", &format!("{input}:a:{}", source.stream), "-af", &form]);
        command.args(["-f", "f32le", "-"]);
    }
    let output = command.output().map_err(|error| format!("ffmpeg: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let tail: Vec<&str> = said.lines().rev().take(2).collect();
        return Err(format!("ffmpeg ended with {:?}: {}", output.status.code(), tail.join(" / ")));
    }
    Ok((pictures(&said), sounds(&said, &output.stdout)))
}

/// Parses the output of the filter `metadata`.
fn pictures(said: &str) -> Picture {
    let mut picture = Picture::default();
    let (mut at, mut white) = (f64::NAN, false);
    for line in said.lines().filter(|line| line.contains("Parsed_metadata")) {
        // `pts_time` has six digits, too few an hour after the start.
        if let Some(ticks) = value(line, " pts:") {
            let time = ticks / f64::from(CLOCK);
            at = time;
            picture.first = if picture.count == 0 { time } else { picture.first };
            picture.last = time;
            picture.count += 1;
        } else if let Some(luma) = value(line, "YAVG=") {
            if luma > WHITE && !white {
                picture.flashes.push(at);
            }
            white = luma > WHITE;
        }
    }
    picture
}

/// Puts samples where the filter `ashowinfo` says that they lie, and finds the beeps.
fn sounds(said: &str, bytes: &[u8]) -> Sound {
    let samples: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let (mut sound, mut pieces, mut used) = (Sound::default(), Vec::<Piece>::new(), 0);
    for text in said.lines().filter(|line| line.contains("Parsed_ashowinfo")) {
        let Some(count) = value(text, "nb_samples:").map(|count| count as usize) else { continue };
        let next = pieces.last().map(Piece::end);
        let start = value(text, " pts:").map(|ticks| ticks / f64::from(RATE));
        let start = start.or(next).unwrap_or_default();
        let hole = next.map_or(f64::INFINITY, |next| start - next);
        if hole.abs() > JITTER {
            sound.holes += if hole.is_finite() { hole.abs() } else { 0.0 };
            pieces.push(Piece { start, samples: Vec::new() });
        }
        let end = (used + count).min(samples.len());
        if let Some(piece) = pieces.last_mut() {
            piece.samples.extend_from_slice(&samples[used..end]);
        }
        used = end;
    }
    sound.first = pieces.first().map_or(f64::NAN, |piece| piece.start);
    sound.end = pieces.last().map_or(f64::NAN, Piece::end);
    sound.beeps = beeps(&pieces);
    sound
}

/// The number after `key`.
fn value(line: &str, key: &str) -> Option<f64> {
    let rest = &line[line.find(key)? + key.len()..];
    rest.split_whitespace().next()?.parse().ok()
}
