//! Picture and audio in sync: clips with coinciding flashes and beeps, through the real binary, measured in every output.
//!
//! The clips are made by ffmpeg. A selection runs by default, `JETREEL_SYNC=all` runs every clip, `JETREEL_SYNC=<word>,<word>` those whose
//! name holds one of the words. The tables go to standard output and to the folder that `JETREEL_SYNC_REPORT` names.

mod amr;
mod beeps;
mod cuts;
mod ebml;
mod elders;
mod instants;
mod judge;
#[cfg(test)]
mod judge_tests;
mod make;
mod measure;
mod offsets;
mod patch;
mod plain;
mod recipe;
mod restarts;
mod table;
mod take;
mod times;
mod tracks;
mod trials;
mod view;

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use crate::clips::transcode;
use crate::harness::tools::there_is;
use judge::judge;
use recipe::{Clip, Expected};
use table::Row;

/// One of each kind, the quick ones.
const SELECTION: [&str; 74] = [
    "mp4 libx264 aac 48000 stereo",
    "mp4 libx265 aac 44100 mono",
    "mov mpeg4 pcm_s24le 96000 stereo",
    "mkv libx264 flac 96000 5.1",
    "mkv libx264 libvorbis 32000 stereo",
    "webm libvpx-vp9 libopus 48000 mono",
    "ts mpeg2video mp2 48000 stereo",
    "flv flv libmp3lame 22050 mono",
    "avi mpeg4 libmp3lame 44100 stereo",
    "mpg mpeg1video mp2 32000 mono",
    "vob mpeg2video ac3 48000 5.1",
    "ogv libtheora libvorbis 44100 stereo",
    "mp4 29.97 fps",
    "mp4 720p 60 fps",
    "mp4 sound 1 s before the picture",
    "mp4 sound 0.3 s late",
    "mp4 sound 3 s late",
    "ts sound 3 s late",
    "flv sound 1 s before the picture",
    "mp4 sound 20 s late",
    "mp4 picture 10 s late",
    "mkv picture 10 s late, 40 s",
    "mp4 second track 5 s late",
    "mp4 cut at 3.32 s by an edit list",
    "mp4 ticks of 16 MHz",
    "mp4 first picture no key",
    "mp4 9 s of picture, 40 s of sound",
    "ts 5 s of picture, 14 s of sound",
    "mp4 one picture, 20 s of sound",
    "mp4 one picture of 20 s",
    "mp4 sound 5 s shorter",
    "mp4 a slide every 70 s",
    "mkv picture stands still for 15 s",
    "mp4 no sound",
    "mp4 picture pauses for 1.3 s",
    "mp4 picture pauses, one later",
    "ts joined, 40 s",
    "ts joined from three",
    "ts joined in the middle of a group",
    "ts joined, two languages",
    "ts joined, another sample rate",
    "ts clock back 4 s",
    "ts clock an hour on",
    "ts clock runs over in the middle",
    "ts new PIDs",
    "flv joined",
    "mkv joined, 40 s",
    "mkv 3 s of sound lost",
    "mkv one picture 2 s ahead",
    "mkv single packets of sound lost",
    "ts two programmes, the second larger",
    "mkv three languages",
    "mkv tta 44100 stereo",
    "mkv wavpack, commentary aac",
    "ts s302m 48000 stereo",
    "mov 12 channels beside stereo",
    "avi mp3 useless times",
    "3gp amr",
    "wmv wmv2 wmav2 44100 stereo",
    "mxf mpeg2video pcm_s16le 48000 stereo",
    "avi cinepak pcm_u8 22050 mono",
    "dv dvvideo pcm_s16le 48000 stereo",
    "mkv ticks of 1 ns",
    "mkv picture of 8x8",
    "vob several pictures in a packet",
    "mkv before time 0",
    "mkv cut and joined between key pictures",
    "mp4 edits that last no time",
    "mp4 joined",
    "mp4 in fragments, joined",
    "mp4 in fragments, each with its header",
    "mxf joined",
    "mkv first sound stamped on arrival",
    "flv first sound stamped on arrival",
];

const LIMIT: Duration = Duration::from_secs(300);

/// Clips under way at the same time: most of a short clip is the start of processes.
const TOGETHER: usize = 2;

fn clips() -> Vec<Clip> {
    let kinds = [
        plain::clips,
        offsets::clips,
        restarts::clips,
        tracks::clips,
        elders::clips,
        cuts::clips,
        times::clips,
    ];
    kinds.iter().flat_map(|clips| clips()).collect()
}

fn wanted(clip: &Clip) -> bool {
    match std::env::var("JETREEL_SYNC").as_deref() {
        Ok("all") => true,
        Ok(words) if !words.is_empty() => words.split(',').any(|word| clip.name.contains(word)),
        Ok(_) | Err(_) => SELECTION.contains(&clip.name.as_str()),
    }
}

#[test]
fn every_beep_coincides_with_its_flash() {
    if !there_is("ffmpeg") {
        return;
    }
    let clips: Vec<Clip> = clips().into_iter().filter(wanted).collect();
    let rows = all(&clips, |clip| match make::made(clip) {
        Ok(file) => examine(&clip.name, &file, &clip.expected),
        Err(problem) => Row::of(&clip.name).wrong(problem),
    });
    settle(&rows, "sync.md");
}

#[test]
fn the_selection_names_clips() {
    let clips = clips();
    let names: Vec<&str> = clips.iter().map(|clip| clip.name.as_str()).collect();
    let unknown: Vec<_> = SELECTION.iter().filter(|name| !names.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let twice = names.iter().enumerate().filter(|(at, name)| names[..*at].contains(name));
    let twice: Vec<_> = twice.collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// A row for each clip, in the order of the clips.
#[expect(clippy::print_stdout, reason = "a run of minutes shows how far it is")]
fn all<T: Sync>(clips: &[T], row: impl Fn(&T) -> Row + Sync) -> Vec<Row> {
    let next = Mutex::new(clips.iter().enumerate());
    let rows = Mutex::new(Vec::new());
    let work = || {
        loop {
            let taken = next.lock().expect("no test thread panics with it").next();
            let Some((index, clip)) = taken else { return };
            let row = row(clip);
            let problems = row.problems.join("; ");
            println!("{}: {}", row.clip, if problems.is_empty() { "ok" } else { &problems });
            rows.lock().expect("no test thread panics with it").push((index, row));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(work);
        }
    });
    let mut rows = rows.into_inner().expect("all threads are joined");
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Prints the table; fails if a row is wrong.
#[expect(clippy::print_stdout, reason = "the table is what the test is for")]
fn settle(rows: &[Row], report: &str) {
    println!("\n{}", table::publish(rows, report));
    assert!(!rows.is_empty(), "no clip was chosen");
    let wrong: Vec<_> = rows.iter().filter(|row| !row.problems.is_empty()).collect();
    let names: Vec<_> = wrong.iter().map(|row| row.clip.as_str()).collect();
    assert!(wrong.is_empty(), "{} clips are wrong: {}", wrong.len(), names.join(", "));
}

/// Transcodes a file and compares all outputs with what is expected.
fn examine(name: &str, file: &Path, expected: &Expected) -> Row {
    let mut row = Row::of(name);
    let done = transcode(file, LIMIT);
    if done.code != Some(0) {
        row.verdict = "not accepted".to_owned();
        if expected.or_refused && done.refusal().is_ok() {
            return row;
        }
        row.problems
            .push(done.refusal().map_or_else(|problem| problem, |told| format!("refused, {told}")));
        return row;
    }
    let class = done.json["source"]["class"].as_str().unwrap_or("?");
    row.verdict = format!("{class}, {} chunks", done.json["chunks"]);
    let told = done.json["warnings"].to_string().to_lowercase();
    let mut expected = expected.clone();
    if expected.or_warned.is_some_and(|words| told.contains(&words.to_lowercase())) {
        expected.tracks.remove(0);
    }
    match view::views(&done, expected.tracks.len()) {
        Ok(views) => judge(&expected, &views, &mut row),
        Err(problem) => row.problems.push(problem),
    }
    row.counted(&expected);
    warnings(&told, &expected, &mut row);
    row
}

/// Checks the warnings: one where expected, and none that denies existing audio.
fn warnings(told: &str, expected: &Expected, row: &mut Row) {
    if let Some(words) = expected.warning.filter(|words| !told.contains(words)) {
        row.problems.push(format!("no warning holds {words:?}: {told}"));
    }
    if expected.untrue.is_some_and(|words| told.contains(words)) {
        row.problems.push(format!("an untrue warning: {told}"));
    }
    let sound = !expected.tracks.is_empty() || expected.or_warned.is_some();
    if sound && told.contains("no sound") {
        row.problems.push(format!("an untrue warning: {told}"));
    }
}
