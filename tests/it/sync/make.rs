//! Making clips with ffmpeg, once: they are kept beside the other files of the build.
//!
//! Every take is measured when it is made. A clip whose own flashes and beeps do not coincide proves nothing.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::amr;
use super::measure::{Source, measure};
use super::recipe::{Clip, Make};
use super::take::Take;
use crate::clips::ffmpeg;

/// Seconds that a beep of a take may be off its flash.
const EXACT: f64 = 0.006;

/// The file of a clip.
pub(super) fn made(clip: &Clip) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sync");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let place = folder.join(file_name(clip));
    if place.is_file() {
        return Ok(place);
    }
    // Another process may do the same. The last one writes the same content.
    let workshop = tempfile::tempdir_in(&folder).map_err(|error| error.to_string())?;
    let whole = workshop.path().join(format!("whole.{}", clip.container));
    produce(clip, workshop.path(), &whole)?;
    std::fs::rename(&whole, &place).map_err(|error| error.to_string())?;
    Ok(place)
}

/// Another content has another name.
fn file_name(clip: &Clip) -> String {
    let digest = Sha256::digest(format!("{:?}", clip.make));
    let key = hex::encode(&digest[..6]);
    format!("{}-{key}.{}", clip.name.replace(' ', "-"), clip.container)
}

fn produce(clip: &Clip, folder: &Path, whole: &Path) -> Result<(), String> {
    match &clip.make {
        Make::Take(one) => take(one, whole),
        Make::Joined { takes, skip } => {
            let mut all = Vec::new();
            for (index, one) in takes.iter().enumerate() {
                let bytes = bytes(one, folder, index)?;
                all.extend_from_slice(&bytes[if index == 0 { 0 } else { *skip }..]);
            }
            std::fs::write(whole, all).map_err(|error| error.to_string())
        }
        Make::Copied { take: one, before, after } => {
            let source = folder.join(format!("source.{}", one.container));
            take(one, &source)?;
            let mut words = before.clone();
            words.extend(["-i".to_owned(), text(&source)]);
            words.extend(["-map", "0", "-c", "copy"].map(str::to_owned));
            words.extend(after.iter().cloned().chain([text(whole)]));
            ffmpeg(&words).map(drop)
        }
        Make::Cut { takes } => cut(takes, folder, whole),
        Make::Amr { take: one, packed } => amr::produce(one, *packed, folder, whole),
        Make::Programmes(takes) => programmes(takes, folder, whole),
        Make::Patched(one, patch) => {
            let mut bytes = bytes(one, folder, 0)?;
            patch.apply(&mut bytes)?;
            std::fs::write(whole, bytes).map_err(|error| error.to_string())
        }
    }
}

/// The bytes of a take.
fn bytes(one: &Take, folder: &Path, index: usize) -> Result<Vec<u8>, String> {
    let place = folder.join(format!("{index}.{}", one.container));
    take(one, &place)?;
    std::fs::read(&place).map_err(|error| error.to_string())
}

/// Parts of takes, copied one after the other.
fn cut(takes: &[(Take, f64, f64)], folder: &Path, whole: &Path) -> Result<(), String> {
    let mut list = String::new();
    for (index, (one, from, until)) in takes.iter().enumerate() {
        let name = format!("{index}.{}", one.container);
        take(one, &folder.join(&name))?;
        list += &format!("file {name}\ninpoint {from}\noutpoint {until}\n");
    }
    let place = folder.join("list.txt");
    std::fs::write(&place, list).map_err(|error| error.to_string())?;
    let words = ["-f", "concat", "-i", &text(&place), "-c", "copy", &text(whole)];
    ffmpeg(&words.map(str::to_owned)).map(drop)
}

/// Takes as programmes 1, 2, …, each with its first picture and its first sound.
fn programmes(takes: &[Take], folder: &Path, whole: &Path) -> Result<(), String> {
    let mut words = Vec::new();
    for (index, one) in takes.iter().enumerate() {
        let place = folder.join(format!("{index}.{}", one.container));
        take(one, &place)?;
        words.extend(["-i".to_owned(), text(&place)]);
    }
    for index in 0..takes.len() {
        let stream = 2 * index;
        words.extend(["-map".to_owned(), index.to_string()]);
        words.push("-program".to_owned());
        words.push(format!("program_num={}:st={stream}:st={}", index + 1, stream + 1));
    }
    words.extend(["-c", "copy"].map(str::to_owned));
    words.push(text(whole));
    ffmpeg(&words).map(drop)
}

/// Runs ffmpeg for a take.
pub(super) fn record(one: &Take, place: &Path) -> Result<(), String> {
    let mut words = one.arguments();
    words.extend(["-fflags", "+bitexact", "-flags", "+bitexact"].map(str::to_owned));
    words.push(text(place));
    ffmpeg(&words).map(drop)
}

/// Runs ffmpeg for a take and measures what came of it.
fn take(one: &Take, place: &Path) -> Result<(), String> {
    record(one, place)?;
    check(one, place).map_err(|problem| format!("the clip itself is wrong: {problem}"))
}

fn check(one: &Take, place: &Path) -> Result<(), String> {
    let (flashes, beeps) = (one.flashes(), one.beeps(0));
    let source = Source { file: place, stream: 0 };
    let sound = (!one.frequencies().is_empty()).then_some(source);
    let (picture, sound) = measure(Some(source), sound)?;
    if picture.flashes.len() != flashes.len() || sound.beeps.len() != beeps.len() {
        let found = (picture.flashes.len(), sound.beeps.len());
        return Err(format!("{found:?} flashes and beeps of {:?}", (flashes.len(), beeps.len())));
    }
    for (at, beep) in beeps.iter().zip(&sound.beeps) {
        let flash = flashes.iter().position(|flash| flash == at);
        let off = flash.map_or(0.0, |index| beep.at - picture.flashes[index]);
        if off.abs() > EXACT {
            return Err(format!("the beep at {at:.2} s is {:.1} ms off", off * 1000.0));
        }
    }
    Ok(())
}

pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
