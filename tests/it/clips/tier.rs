//! One tier of a finished video against the source: frames, times, key frames, lengths, a second opinion.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::boxes::{Sample, samples};
use super::playlist::{Media, Variant, assemble, media};
use super::rule::Rung;
use super::tools::{bounded, compact, ffprobe, field, path, run};
use super::truth::{Frames, Truth, fraction, frames};

/// A tier as a player sees it.
pub(crate) struct Tier {
    /// Such as `720p`.
    pub(crate) name: String,
    /// Pixels.
    pub(crate) size: (u32, u32),
    /// Its playlist.
    pub(crate) list: Media,
    /// Its segments put together.
    pub(crate) file: PathBuf,
    /// All that can be decoded, on libav's clock.
    pub(crate) frames: Frames,
    /// Samples from the boxes, on the rendition's own clock.
    pub(crate) samples: Vec<Sample>,
    /// How many samples there are, those included that repeat a picture which stands.
    pub(crate) coded: usize,
    /// Seconds per tick, as a fraction.
    pub(crate) tick: (i64, i64),
    /// Which frames of the source it must hold.
    pub(crate) kept: Vec<usize>,
}

impl Tier {
    /// Reads a tier and works out what it must hold; `joints` are the starts of chunks, seconds from the first frame.
    pub(crate) fn read(
        out: &Path,
        scratch: &Path,
        variant: &Variant,
        truth: &Truth,
        joints: &[f64],
    ) -> Result<Self, String> {
        let list = media(&out.join(&variant.uri))?;
        let name = variant.tier().to_owned();
        let file = scratch.join(format!("{name}.fmp4.mp4"));
        assemble(out, &list, &file)?;
        let text = ffprobe(&["-show_entries", "stream=time_base", "-of", "compact=p=0"], &file)?;
        let tick = compact(&text).find_map(|fields| field(&fields, "time_base").map(fraction));
        let tick = tick.ok_or("no time base")?;
        let mut frames = frames(&file, 0)?;
        let bytes = std::fs::read(&file).map_err(|error| error.to_string())?;
        let mut samples = samples(&bytes)?;
        let coded = samples.len();
        if truth.lead() > 0.1 && samples.first().is_none_or(|sample| sample.pts != 0) {
            return Err(format!("{name}: the first picture does not stand from the beginning"));
        }
        let still = |ticks: i64| truth.stands(ticks as f64 * tick.0 as f64 / tick.1 as f64);
        frames.pts.retain(|pts| !still(*pts));
        samples.retain(|sample| !still(sample.pts));
        let times: Vec<f64> =
            truth.pts.iter().map(|pts| truth.seconds(pts - truth.pts[0])).collect();
        let rung = Rung::of(variant.size.0.min(variant.size.1));
        let kept = rung.kept(&times, joints, truth.fps);
        Ok(Self { name, size: variant.size, list, file, frames, samples, coded, tick, kept })
    }

    /// Seconds of output ticks.
    pub(crate) fn seconds(&self, ticks: i64) -> f64 {
        ticks as f64 * self.tick.0 as f64 / self.tick.1 as f64
    }

    /// Times of the IDR pictures, seconds.
    pub(crate) fn keys(&self) -> Vec<f64> {
        let keys = self.samples.iter().filter(|sample| sample.key);
        keys.map(|sample| self.seconds(sample.pts)).collect()
    }

    /// Time of the first picture, seconds.
    pub(crate) fn first(&self) -> f64 {
        self.seconds(self.samples.first().map_or(0, |sample| sample.pts))
    }

    /// How many frames at the head come from a task that had only some of the tiers.
    pub(crate) fn head_frames(&self) -> usize {
        let until = self.first() + self.list.head_seconds() - 0.0001;
        self.samples.iter().filter(|sample| self.seconds(sample.pts) < until).count()
    }

    /// Decoded frames are the kept source frames, at the same times: the largest difference in output ticks.
    pub(crate) fn times(&self, truth: &Truth) -> Result<f64, String> {
        let (have, want) = (self.frames.pts.len(), self.kept.len());
        if have != want {
            return Err(format!("{}: {have} frames instead of {want}", self.name));
        }
        if self.frames.pts.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(format!("{}: times do not ascend", self.name));
        }
        let moved = self.frames.pts[0] - self.samples.first().map_or(0, |sample| sample.pts);
        let boxed = self.samples.iter().map(|sample| sample.pts + moved);
        if !boxed.eq(self.frames.pts.iter().copied()) {
            return Err(format!("{}: boxes and decoder tell different times", self.name));
        }
        let origin = truth.pts[self.kept[0]];
        let ticks = self.tick.1 as f64 / self.tick.0 as f64;
        let far = self.frames.pts.iter().zip(&self.kept).map(|(pts, kept)| {
            let want = truth.seconds(truth.pts[*kept] - origin) * ticks;
            ((pts - self.frames.pts[0]) as f64 - want).abs()
        });
        let far = far.fold(0.0, f64::max);
        if far > 1.0 {
            Err(format!("{}: a frame is {far:.1} ticks off", self.name))
        } else {
            Ok(far)
        }
    }

    /// The first frame of the source is at its distance from the earlier of picture and sound.
    pub(crate) fn start(&self, truth: &Truth) -> Result<(), String> {
        let want = truth.lead();
        let have = self.first();
        // The packet before the first audible sample (AAC and MP3 priming) may count as sound.
        if (have - want).abs() < 0.07 {
            Ok(())
        } else {
            Err(format!("{}: starts at {have:.3} s instead of {want:.3} s", self.name))
        }
    }

    /// Names, sizes and settings that the ladder promises.
    pub(crate) fn shape(&self, source: (f64, f64)) -> Result<(), String> {
        let (width, height) = self.size;
        let named = self.name.strip_suffix('p').and_then(|side| side.parse::<u32>().ok());
        let (long, short) = (f64::from(width.max(height)), f64::from(width.min(height)));
        let (most, least) = (source.0.max(source.1), source.0.min(source.1));
        let skew = long / short * least / most;
        if width % 2 + height % 2 != 0 || named != Some(width.min(height)) {
            return Err(format!("{}: {width}x{height}", self.name));
        }
        if long > most + 1.0 || short > least + 1.0 {
            return Err(format!("{}: larger than the source", self.name));
        }
        if (skew - 1.0).abs() > 2.0 / short {
            Err(format!("{}: skewed", self.name))
        } else {
            Ok(())
        }
    }

    /// The progressive file and the HLS demuxer hold as many frames.
    pub(crate) fn second_demuxer(&self, out: &Path, scratch: &Path) -> Result<String, String> {
        let want = self.coded;
        let progressive = out.join(format!("{}.mp4", self.name));
        let mut said = Vec::new();
        let list = out.join(format!("{}.m3u8", self.name));
        let mut witnesses = vec![("mov", progressive.clone()), ("hls", list)];
        if let Some(repacked) = repacked(&progressive, scratch, &self.name)? {
            witnesses.push(("shaka", repacked));
        }
        for (name, file) in witnesses {
            let have = packets(&file)?;
            if have != want {
                return Err(format!("{}: {name} sees {have} frames instead of {want}", self.name));
            }
            said.push(name);
        }
        let first = frames(&progressive, 0)?;
        if first.pts.len() != want || first.keys.len() != self.frames.keys.len() {
            return Err(format!("{}: the progressive file decodes differently", self.name));
        }
        Ok(said.join(" "))
    }
}

fn packets(file: &Path) -> Result<usize, String> {
    let show = ["-count_packets", "-select_streams", "v:0", "-show_entries"];
    let text =
        ffprobe(&[&show[..], &["stream=nb_read_packets", "-of", "compact=p=0"]].concat(), file)?;
    let count = compact(&text).find_map(|fields| field(&fields, "nb_read_packets")?.parse().ok());
    count.ok_or_else(|| format!("{}: no packets", file.display()))
}

/// The picture track of a file taken apart and put together by Shaka Packager; `None` where that is not installed.
fn repacked(file: &Path, scratch: &Path, name: &str) -> Result<Option<PathBuf>, String> {
    let installed = std::env::split_paths(&path()).any(|folder| folder.join("packager").is_file());
    if !installed {
        return Ok(None);
    }
    let to = scratch.join(format!("{name}.shaka.mp4"));
    let what = format!("in={},stream=video,output={}", file.display(), to.display());
    let mut command = bounded(Path::new("packager"), Duration::from_secs(120));
    run(command.arg(what).arg("--quiet")).good("packager").map(|_| Some(to))
}

/// IDR pictures of all tiers are at the same instants.
pub(crate) fn aligned(tiers: &[Tier]) -> Result<usize, String> {
    let keys = tiers[0].keys();
    for tier in &tiers[1..] {
        let other = tier.keys();
        let same = keys.len() == other.len()
            && keys.iter().zip(&other).all(|(a, b)| (a - b).abs() < 0.001);
        if !same {
            let (name, top) = (&tier.name, &tiers[0].name);
            return Err(format!(
                "{name} has {} IDRs, {top} {}, not at one time",
                other.len(),
                keys.len()
            ));
        }
    }
    Ok(keys.len())
}

/// Playlists of all tiers are equally long, and as long as the source.
pub(crate) fn equally_long(tiers: &[Tier], truth: &Truth) -> Result<f64, String> {
    let seconds = tiers[0].list.seconds();
    for tier in tiers {
        if (tier.list.seconds() - seconds).abs() > 0.002 {
            return Err(format!("{}: {:.3} s, not {seconds:.3}", tier.name, tier.list.seconds()));
        }
        if let Some(complaint) = tier.list.complaint() {
            return Err(format!("{}: {complaint}", tier.name));
        }
    }
    // The last frame has a length too: at most as long as the longest gap before it, or two usual ones; or it stands until the sound
    // ends.
    let gaps = truth.pts.windows(2).map(|pair| truth.seconds(pair[1] - pair[0]));
    let last = gaps.fold(2.0 / truth.fps, f64::max) + 0.002;
    let sound = truth.sound_end.map_or(0.0, |end| end - truth.seconds(truth.pts[0]) - truth.span());
    let lead = if truth.lead() > 0.1 { truth.lead() } else { 0.0 };
    let over = seconds - truth.span() - lead;
    if (-0.002..=last.max(sound + 0.07)).contains(&over) {
        Ok(seconds)
    } else {
        Err(format!("{seconds:.3} s, but the source's frames span {:.3} s", truth.span()))
    }
}
