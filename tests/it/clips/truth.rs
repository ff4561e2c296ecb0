//! Facts of a source from the ffprobe command: its frames, their times and their looks.
//!
//! Nothing here knows the product: the stream is chosen by the documented rule (the default one, then the largest, of the
//! picture tracks that are neither covers nor a few stills), frames are what a decode from the first byte to the last gives.

use std::path::Path;

use serde_json::Value;

use super::tools::{compact, ffprobe, field};

/// The packet before the first audible sample (AAC and MP3 priming) may count as sound.
const AUDIBLE_SECONDS: f64 = 0.07;

/// A source as ffprobe sees it.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    /// Stream index.
    pub(crate) stream: usize,
    /// Seconds per tick, as a fraction.
    pub(crate) tick: (i64, i64),
    /// Times of all frames, ticks, ascending.
    pub(crate) pts: Vec<i64>,
    /// Frames per second from first to last.
    pub(crate) fps: f64,
    /// Start of the first sound, seconds of the container's clock.
    pub(crate) sound: Option<f64>,
    /// End of the last sound, seconds of the container's clock.
    pub(crate) sound_end: Option<f64>,
    /// Any frame is interlaced.
    pub(crate) interlaced: bool,
    /// ffprobe's output about the stream.
    pub(crate) facts: Value,
    /// Frames that came without a time.
    pub(crate) untimed: usize,
}

impl Truth {
    /// Seconds of a tick.
    pub(crate) fn seconds(&self, ticks: i64) -> f64 {
        ticks as f64 * self.tick.0 as f64 / self.tick.1 as f64
    }

    /// Seconds from the first sound to the first picture; 0 where the picture is first.
    pub(crate) fn lead(&self) -> f64 {
        self.sound.map_or(0.0, |sound| (self.seconds(self.pts[0]) - sound).max(0.0))
    }

    /// Whether a frame at that time of an output, seconds, repeats a picture that stands: before the first frame, for long between two, or
    /// behind the last.
    pub(crate) fn stands(&self, seconds: f64) -> bool {
        let shown = |pts: &i64| self.lead() + self.seconds(pts - self.pts[0]);
        let next = self.pts.partition_point(|pts| shown(pts) < seconds - AUDIBLE_SECONDS);
        let before = next.checked_sub(1).and_then(|index| self.pts.get(index)).map(shown);
        let after =
            self.pts.get(next).map(shown).filter(|after| *after > seconds + AUDIBLE_SECONDS);
        match (before, after) {
            (None, after) => after.is_some(),
            (Some(before), Some(after)) => after - before > 10.0,
            (Some(before), None) => next == self.pts.len() && seconds - before > 0.3,
        }
    }

    /// A text fact of the stream; empty where unknown.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.facts[key].as_str().unwrap_or_default()
    }

    /// Seconds from the first frame to the start of the last.
    pub(crate) fn span(&self) -> f64 {
        self.seconds(self.pts.last().unwrap_or(&0) - self.pts.first().unwrap_or(&0))
    }
}

/// Looks at a source; an error where it has no picture.
pub(crate) fn look(file: &Path) -> Result<Truth, String> {
    let text = ffprobe(&["-show_streams", "-of", "json"], file)?;
    let all: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let none = Vec::new();
    let streams = all["streams"].as_array().unwrap_or(&none);
    let pictures: Vec<&Value> = streams.iter().filter(|stream| is_picture(stream)).collect();
    let most = pictures.iter().map(|stream| count(stream)).max().unwrap_or(0);
    let picture = pictures.into_iter().max_by_key(|stream| {
        // A track with a tenth of another's frames holds stills beside the video. Some containers do not count.
        let whole = count(stream) == 0 || count(stream) >= most / 10;
        let marked = stream["disposition"]["default"].as_i64();
        (whole, marked, area(stream), -stream["index"].as_i64().unwrap_or(0))
    });
    let facts = picture.ok_or("no picture track")?.clone();
    let tracks = || streams.iter().filter(|stream| stream["codec_type"] == "audio");
    let number = |value: &Value| value.as_str()?.parse::<f64>().ok();
    let starts = tracks().filter_map(|stream| number(&stream["start_time"]));
    let sound = starts.min_by(f64::total_cmp);
    let ends = tracks()
        .filter_map(|stream| Some(number(&stream["start_time"])? + number(&stream["duration"])?));
    let sound_end = match ends.max_by(f64::total_cmp) {
        Some(end) => Some(end),
        None => last_sound(file)?,
    };
    let stream = usize::try_from(facts["index"].as_u64().unwrap_or(0)).unwrap_or(0);
    let tick = fraction(facts["time_base"].as_str().unwrap_or("1/1"));
    let mut frames = frames(file, stream)?;
    frames.pts.sort_unstable();
    let fps = rate(&frames.pts, tick, &facts);
    let (interlaced, untimed) = (frames.interlaced, frames.untimed);
    Ok(Truth { stream, tick, pts: frames.pts, fps, sound, sound_end, interlaced, facts, untimed })
}

/// The end of the last packet of sound, for containers that do not tell how long a track is.
fn last_sound(file: &Path) -> Result<Option<f64>, String> {
    let entries = ["-select_streams", "a", "-show_entries", "packet=pts_time,duration_time"];
    let text = ffprobe(&[&entries[..], &["-of", "csv=p=0"]].concat(), file)?;
    let end = |line: &str| {
        let mut fields = line.split(',').map(|field| field.parse::<f64>().ok());
        let start = fields.next()??;
        Some(start + fields.next().flatten().unwrap_or(0.0))
    };
    Ok(text.lines().filter_map(end).max_by(f64::total_cmp))
}

fn is_picture(stream: &Value) -> bool {
    let cover = stream["disposition"]["attached_pic"].as_i64() == Some(1);
    let decodable = stream["codec_name"].as_str().is_some_and(|name| name != "unknown");
    stream["codec_type"] == "video" && !cover && decodable && area(stream) > 0
}

fn area(stream: &Value) -> i64 {
    stream["width"].as_i64().unwrap_or(0) * stream["height"].as_i64().unwrap_or(0)
}

fn count(stream: &Value) -> i64 {
    stream["nb_frames"].as_str().and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// `a/b` as two whole numbers.
pub(crate) fn fraction(text: &str) -> (i64, i64) {
    let (num, den) = text.split_once(['/', ':']).unwrap_or((text, "1"));
    (num.parse().unwrap_or(0), den.parse().unwrap_or(1))
}

/// The declared average where it is near what the frames show, else that.
fn rate(pts: &[i64], tick: (i64, i64), facts: &Value) -> f64 {
    let (num, den) = fraction(facts["avg_frame_rate"].as_str().unwrap_or("30/1"));
    let declared = if num > 0 && den > 0 { num as f64 / den as f64 } else { 30.0 };
    let ticks = pts.last().unwrap_or(&0) - pts.first().unwrap_or(&0);
    if ticks <= 0 {
        return declared;
    }
    let shown = (pts.len() - 1) as f64 * tick.1 as f64 / (ticks as f64 * tick.0 as f64);
    if (shown / declared - 1.0).abs() < 0.05 { declared } else { shown }
}

/// Decoded frames of one stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    /// Times, ticks, in the order in which they are shown.
    pub(crate) pts: Vec<i64>,
    /// Times of the key frames.
    pub(crate) keys: Vec<i64>,
    /// Any is interlaced.
    pub(crate) interlaced: bool,
    /// Came without a time: taken to follow the frame before at the usual distance.
    pub(crate) untimed: usize,
}

/// Decodes a stream completely.
pub(crate) fn frames(file: &Path, stream: usize) -> Result<Frames, String> {
    let stream = stream.to_string();
    let wanted = "frame=best_effort_timestamp,pkt_duration,interlaced_frame,key_frame";
    let show = ["-select_streams", &stream, "-show_entries", wanted, "-of", "compact=p=0"];
    let text = ffprobe(&show, file)?;
    let mut frames = Frames::default();
    for fields in compact(&text) {
        let Some(time) = field(&fields, "best_effort_timestamp") else { continue };
        let length = field(&fields, "pkt_duration").and_then(|ticks| ticks.parse().ok());
        let pts = time.parse().unwrap_or_else(|_| {
            frames.untimed += 1;
            frames.pts.last().map_or(0, |last| last + length.unwrap_or(1))
        });
        frames.pts.push(pts);
        frames.interlaced |= field(&fields, "interlaced_frame") == Some("1");
        if field(&fields, "key_frame") == Some("1") {
            frames.keys.push(pts);
        }
    }
    Ok(frames)
}
