//! The measuring tool itself: it must see what is wrong, and by how much.

use super::judge::judge;
use super::make::record;
use super::measure::{Source, measure};
use super::recipe::{Clip, Expected};
use super::table::Row;
use super::take::{Sound, Take};
use super::view::View;

fn tone() -> Sound {
    Sound::new("aac", 48_000, "stereo")
}

fn expected() -> Expected {
    Clip::of("right", Take::new("mp4", 6.0)).expected
}

/// The tool's findings about a take that is treated as an output.
fn problems(take: &Take, expected: &Expected) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("take.mp4");
    record(take, &file).expect("ffmpeg records");
    let source = Source { file: &file, stream: 0 };
    let (picture, sound) = measure(Some(source), Some(source)).expect("ffmpeg decodes");
    let (picture_end, sound_length) = (picture.last + 0.04, sound.end - sound.first);
    let view = View { picture, sound, picture_end, sound_length, ..View::default() };
    let mut row = Row::of("take");
    judge(expected, &[view], &mut row);
    row.problems
}

fn has_ffmpeg() -> bool {
    std::process::Command::new("ffmpeg").arg("-version").output().is_ok()
}

#[test]
fn a_take_as_it_must_be_has_no_problem() {
    if has_ffmpeg() {
        assert_eq!(problems(&Take::new("mp4", 6.0), &expected()), Vec::<String>::new());
    }
}

#[test]
fn beeps_that_are_late_are_measured() {
    for late in [40.0, -40.0, 30.0] {
        if has_ffmpeg() {
            let take = Take::new("mp4", 6.0).sounds(vec![tone().delay(-late / 1000.0)]);
            let found = problems(&take, &expected()).join("; ");
            let measured = found.split(' ').find_map(|word| word.parse::<f64>().ok());
            assert!(measured.is_some_and(|it| (it - late).abs() < 5.0), "{late} ms: {found}");
            assert!(found.ends_with("ms off its flash"), "{late} ms: {found}");
        }
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    if !has_ffmpeg() {
        return;
    }
    let late = Take::new("mp4", 6.0).sounds(vec![tone().span(2.0, f64::INFINITY)]);
    let short = Take::new("mp4", 6.0).sounds(vec![tone().span(0.0, 4.0)]);
    let pitch = Take::new("mp4", 6.0).sounds(vec![tone().frequency(1100)]);
    let dark = Take::new("mp4", 6.0).picture(2.0, 6.0);
    let silent = Take::new("mp4", 6.0).sounds(vec![tone().frequency(0)]);
    let cases = [
        // An AAC encoder adds a frame in front.
        (late, "beeps; the sound starts at 1.9"),
        (short, "beeps; the sound ends at 4.0"),
        (pitch, "a beep of 1100 instead of 1000 Hz"),
        (dark, "flashes; the picture starts at 2.0"),
        (silent, "0 of"),
    ];
    for (take, words) in cases {
        let found = problems(&take, &expected()).join("; ").replace(": ", "");
        assert!(found.contains(words), "{words}: {found}");
    }
}
