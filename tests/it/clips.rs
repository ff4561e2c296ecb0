//! Conformance: every real clip through the real binary, checked by an independent witness (the ffmpeg and ffprobe commands).
//!
//! `JETREEL_MEDIA` names the folder of clips; without it there is nothing to check. A fast selection runs by default,
//! `JETREEL_CLIPS=all` runs every clip, `JETREEL_CLIPS=<word>,<word>` those whose name holds one of the words. The table goes to standard
//! output and to the file that `JETREEL_CLIPS_REPORT` names.

mod boxes;
mod media;
pub(crate) mod playlist;
mod product;
mod report;
mod rule;
mod ssim;
mod tier;
mod tools;
mod truth;

use std::path::Path;
use std::time::Duration;

use crate::harness::tools::skipped;
use report::Row;
use tier::{Tier, aligned, equally_long};
use truth::{Truth, look};

pub(crate) use boxes::samples;
pub(crate) use media::{Clip, Expected, clips as list, folder};
pub(crate) use product::{Run, below, transcode};
pub(crate) use tools::{bounded, ffmpeg, ffprobe, jetreel, path, root};
pub(crate) use truth::fraction;

/// One of each kind, the quick ones.
const SELECTION: [&str; 12] = [
    "bbb_small_bunny",
    "fate_h264_displaymatrix",
    "fate_mpeg4_packed_bframes",
    "fate_mpeg2video_mpeg2_field",
    "iibbibb",
    "moz_h264_white_frame",
    "bear-vp9-odd",
    "sample_fragmented.mp4",
    "sk_bigbuckbunny",
    "sample_audio_only",
    "widevine",
    "sample_vvc",
];

const LIMIT: Duration = Duration::from_secs(900);

fn wanted(clip: &Clip) -> bool {
    match std::env::var("JETREEL_CLIPS").as_deref() {
        Ok("all") => true,
        Ok(words) if !words.is_empty() => words.split(',').any(|word| clip.name.contains(word)),
        Ok(_) | Err(_) => SELECTION.iter().any(|name| clip.name.contains(name)),
    }
}

#[test]
fn every_clip_becomes_what_it_must() {
    let Some(folder) = folder() else {
        skipped("JETREEL_MEDIA names no folder with a MANIFEST.tsv");
        return;
    };
    let mut rows = Vec::new();
    for clip in list(&folder, "real/").iter().filter(|clip| wanted(clip)) {
        let row = examine(clip);
        let problems = row.problems.join("; ");
        println!("{}: {}", row.clip, if problems.is_empty() { "ok" } else { &problems });
        rows.push(row);
    }
    println!("\n{}", report::publish(&rows));
    assert!(!rows.is_empty(), "no clip was chosen");
    let wrong: Vec<_> = rows.iter().filter(|row| !row.problems.is_empty()).collect();
    assert!(wrong.is_empty(), "{} clips are wrong, see the table", wrong.len());
}

fn examine(clip: &Clip) -> Row {
    let mut row = Row { clip: clip.short().to_owned(), ..Row::default() };
    let done = transcode(&clip.path, LIMIT);
    if done.code == Some(0) {
        let class = done.json["source"]["class"].as_str().unwrap_or("?").to_owned();
        row.verdict = format!("accepted, class {class}");
        if clip.expected == Expected::Refused {
            row.problems.push("must be refused".to_owned());
        }
        if let Some(truth) = row.check(look(&clip.path)) {
            accepted(clip, &done, &truth, &mut row);
        }
    } else {
        match done.refusal() {
            Ok(reason) => row.verdict = format!("refused: {reason}"),
            Err(problem) => row.problems.push(problem),
        }
        if matches!(clip.expected, Expected::Accepted { .. }) {
            row.problems.push("must be accepted".to_owned());
        }
    }
    row
}

fn accepted(clip: &Clip, done: &Run, truth: &Truth, row: &mut Row) {
    if let Expected::Accepted { class, frames } = clip.expected {
        let said = done.json["source"]["class"].as_str().and_then(|class| class.chars().next());
        if class.is_some() && class != said {
            row.problems.push(format!("class {said:?} instead of {class:?}"));
        }
        // The list counts packets of the long clip; the witness counts frames.
        if frames.is_some_and(|frames| frames != truth.pts.len()) {
            row.problems
                .push(format!("the witness sees {} frames, the list {frames:?}", truth.pts.len()));
        }
    }
    if !done.left.is_empty() {
        row.problems.push(format!("left behind: {:?}", done.left));
    }
    let Some(tiers) = row.check(tiers(done, truth)) else { return };
    let untimed =
        if truth.untimed > 0 { format!(" ({} untimed)", truth.untimed) } else { String::new() };
    row.frames = format!("{}{untimed} → {}", truth.pts.len(), counts(&tiers));
    row.chunks = done.json["chunks"].to_string();
    row.wall = format!("{:.1}", done.json["wall_seconds"].as_f64().unwrap_or(f64::NAN));
    let off = tiers.iter().filter_map(|tier| row.check(tier.times(truth))).fold(0.0, f64::max);
    row.ticks = format!("{off:.2}");
    for tier in &tiers {
        row.check(tier.start(truth));
        row.check(tier.shape(displayed(truth)));
        row.check(reported(done, tier));
    }
    row.idrs = row.check(aligned(&tiers)).map_or_else(String::new, |count| count.to_string());
    let seconds = row.check(equally_long(&tiers, truth));
    row.seconds = seconds.map_or_else(String::new, |seconds| format!("{seconds:.3}"));
    for tier in &tiers {
        let agreed = row.check(tier.second_demuxer(&done.out(), &done.scratch()));
        row.demuxers = agreed.unwrap_or_default();
    }
    row.check(complete(done, truth));
    if tiers.iter().all(|tier| tier.times(truth).is_ok()) {
        quality(&clip.path, done, truth, &tiers, row);
    }
}

fn tiers(done: &Run, truth: &Truth) -> Result<Vec<Tier>, String> {
    let out = done.out();
    let variants = playlist::master(&out.join("master.m3u8"))?;
    // Every tier is cut at the same places; the largest shows where.
    let joints = playlist::media(&out.join(&variants[0].uri))?.joints();
    let read = |variant| Tier::read(&out, &done.scratch(), variant, truth, &joints);
    variants.iter().map(read).collect()
}

fn counts(tiers: &[Tier]) -> String {
    let one = |tier: &Tier| format!("{} {}", tier.name, tier.frames.pts.len());
    tiers.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Size of the picture on a screen with square pixels and as many lines, before it is rotated.
fn displayed(truth: &Truth) -> (f64, f64) {
    let size = |key: &str| truth.facts[key].as_f64().unwrap_or(0.0);
    let (across, down) = fraction(truth.text("sample_aspect_ratio"));
    let stretch = if across > 0 && down > 0 { across as f64 / down as f64 } else { 1.0 };
    (size("width") * stretch, size("height"))
}

/// The product's report about a tier matches the witness.
fn reported(done: &Run, tier: &Tier) -> Result<(), String> {
    let empty = Vec::new();
    let said = done.json["tiers"].as_array().unwrap_or(&empty);
    let said = said.iter().find(|said| said["name"] == tier.name.as_str());
    let said = said.ok_or_else(|| format!("{}: not reported", tier.name))?;
    let frames = said["frames"].as_u64() == Some(tier.coded as u64);
    let size = said["width"].as_u64() == Some(u64::from(tier.size.0))
        && said["height"].as_u64() == Some(u64::from(tier.size.1));
    let seconds = said["duration"].as_f64().unwrap_or(f64::NAN);
    let long = (seconds - tier.list.seconds()).abs() < 0.01;
    if frames && size && long { Ok(()) } else { Err(format!("{}: reported as {said}", tier.name)) }
}

/// All files that a finished order has; sound where the source has some.
fn complete(done: &Run, truth: &Truth) -> Result<(), String> {
    let has = |name: &str| done.files.iter().any(|file| file == name);
    for name in ["master.m3u8", "manifest.json", "poster.jpg", "thumbnails.vtt"] {
        if !has(name) {
            return Err(format!("{name} is missing"));
        }
    }
    if truth.sound.is_some() && !has("audio-0.m3u8") {
        return Err("the source has sound, the result has none".to_owned());
    }
    Ok(())
}

fn quality(source: &Path, done: &Run, truth: &Truth, tiers: &[Tier], row: &mut Row) {
    let allowed = if truth.span() >= 30.0 { 0.05 } else { 0.25 };
    let mut worst = f64::INFINITY;
    for (index, tier) in tiers.iter().enumerate() {
        let Some(db) = row.check(ssim::advantage(source, truth, tiers, index, &done.scratch()))
        else {
            continue;
        };
        if db < -allowed {
            row.problems.push(format!("{}: SSIM {db:.3} dB against a single pass", tier.name));
        }
        worst = worst.min(db);
    }
    row.quality = format!("{worst:+.3}");
}
