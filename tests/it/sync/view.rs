//! The outputs of a finished order as a viewer meets them: progressive files, the master playlist, media playlists.

use std::path::Path;

use super::measure::{Picture, Sound, Source, measure};
use crate::clips::playlist;
use crate::clips::{Run, ffprobe, fraction, samples};

/// An output, measured.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// Such as `MP4 240p`.
    pub(super) name: String,
    /// The tier that is seen in it.
    pub(super) tier: String,
    /// The sound track that is heard in it.
    pub(super) track: usize,
    pub(super) picture: Picture,
    pub(super) sound: Sound,
    /// Seconds by which libav shows the pictures later than their boxes say; `picture` has the times of the boxes.
    ///
    /// It adds the largest negative composition offset to all times of a fragmented track; browsers do not.
    pub(super) late: f64,
    /// End of the picture as the container or the playlist declares it, in seconds.
    pub(super) picture_end: f64,
    /// Length of the sound as the container or the playlist says, seconds.
    pub(super) sound_length: f64,
}

impl View {
    /// Takes the times of the boxes.
    fn libav_is_late(mut self, seconds: f64) -> Self {
        self.late = seconds;
        let picture = &mut self.picture;
        picture.flashes.iter_mut().for_each(|at| *at -= seconds);
        picture.first -= seconds;
        picture.last -= seconds;
        self
    }
}

/// All outputs of an order with `tracks` sound tracks: of the tier that a player starts with, of the largest and of the smallest.
pub(super) fn views(done: &Run, tracks: usize) -> Result<Vec<View>, String> {
    let out = done.out();
    let variants = playlist::master(&out.join("master.m3u8"))?;
    let names: Vec<&str> = variants.iter().map(playlist::Variant::tier).collect();
    let (large, small) = (names[0], names[names.len() - 1]);
    let heard = tracks > 0 && out.join("audio-0.m3u8").is_file();
    let mut found = vec![progressive(&out, large, heard)?];
    let first = first_variant(&out)?;
    found.push(streamed(done, &first, "master.m3u8", heard.then_some(0))?);
    if small != large {
        found.push(progressive(&out, small, heard)?);
        found.push(streamed(done, small, &format!("{small}.m3u8"), heard.then_some(0))?);
    }
    for track in 1..tracks {
        if !out.join(format!("audio-{track}.m3u8")).is_file() {
            return Err(format!("sound track {} is missing", track + 1));
        }
        found.push(streamed(done, small, &format!("{small}.m3u8"), Some(track))?);
    }
    Ok(found)
}

/// The variant that a player starts with.
fn first_variant(out: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(out.join("master.m3u8")).map_err(|e| e.to_string())?;
    let first = text.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
    let tier = first.and_then(|line| line.strip_suffix(".m3u8"));
    tier.map(str::to_owned).ok_or_else(|| "the master playlist lists nothing".to_owned())
}

fn progressive(out: &Path, tier: &str, heard: bool) -> Result<View, String> {
    let name = format!("MP4 {tier}");
    let told = |error: String| format!("{name}: {error}");
    let file = out.join(format!("{tier}.mp4"));
    let source = Source { file: &file, stream: 0 };
    let (picture, sound) = measure(Some(source), heard.then_some(source)).map_err(told)?;
    let (start, length) = extent(&file, "v:0").map_err(told)?;
    let sound_length = if heard { extent(&file, "a:0").map_err(told)?.1 } else { f64::NAN };
    let (tier, picture_end) = (tier.to_owned(), start + length);
    Ok(View { name, tier, picture, sound, picture_end, sound_length, ..View::default() })
}

/// Start and length of a stream as its container says.
fn extent(file: &Path, stream: &str) -> Result<(f64, f64), String> {
    let show = ["-select_streams", stream, "-show_entries", "stream=start_time,duration"];
    let text = ffprobe(&[&show[..], &["-of", "csv=p=0"]].concat(), file)?;
    let numbers = text.trim().split_once(',').map(|(one, two)| (one.parse(), two.parse()));
    match numbers {
        Some((Ok(start), Ok(length))) => Ok((start, length)),
        Some(_) | None => Err(format!("no length of {stream}: {text}")),
    }
}

/// Reads playlists as ffmpeg plays them: `list` for the picture of `tier` (and for track 0, where it is the master playlist).
fn streamed(done: &Run, tier: &str, list: &str, track: Option<usize>) -> Result<View, String> {
    let out = done.out();
    let master = list == "master.m3u8";
    let rendition = track.map(|track| format!("audio-{track}.m3u8"));
    let name = match (master, track) {
        (true, _) => "HLS master".to_owned(),
        (false, Some(track)) if track > 0 => format!("HLS audio-{track}"),
        (false, _) => format!("HLS {tier}"),
    };
    let told = |error: String| format!("{name}: {error}");
    let files = out.join(list);
    let heard = rendition.as_ref().map(|own| out.join(if master { list } else { own }));
    let heard = heard.as_deref().map(|file| Source { file, stream: 0 });
    let source = Source { file: &files, stream: 0 };
    let (picture, sound) = measure(Some(source), heard).map_err(told)?;
    let picture_end = listed(&out, &format!("{tier}.m3u8")).map_err(told)?;
    let sound_length = rendition.map_or(Ok(f64::NAN), |own| listed(&out, &own)).map_err(told)?;
    let boxed = first_in_boxes(&out, &done.scratch(), tier).map_err(told)?;
    let late = (picture.first - boxed).max(0.0);
    let (tier, track) = (tier.to_owned(), track.unwrap_or(0));
    let view = View { name, tier, track, picture, sound, picture_end, sound_length, late: 0.0 };
    Ok(view.libav_is_late(late))
}

/// Time of a tier's first picture as its boxes say, seconds.
fn first_in_boxes(out: &Path, scratch: &Path, tier: &str) -> Result<f64, String> {
    let file = scratch.join(format!("{tier}.whole.mp4"));
    playlist::assemble(out, &playlist::media(&out.join(format!("{tier}.m3u8")))?, &file)?;
    let bytes = std::fs::read(&file).map_err(|error| error.to_string())?;
    let first = samples(&bytes)?.iter().map(|sample| sample.pts).min().unwrap_or(0);
    let show = ["-select_streams", "v:0", "-show_entries", "stream=time_base", "-of", "csv=p=0"];
    let (num, den) = fraction(ffprobe(&show, &file)?.trim());
    Ok(first as f64 * num as f64 / den as f64)
}

/// Length of a media playlist.
fn listed(out: &Path, list: &str) -> Result<f64, String> {
    Ok(playlist::media(&out.join(list))?.seconds())
}
