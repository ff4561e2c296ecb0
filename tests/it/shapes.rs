//! Sources of every rate, size and shape through the real binary: which frames are kept, and what a viewer sees, by the pixels
//! of the finished files.
//!
//! The clips show a bright disc in the middle of a grey picture. On a screen with square pixels it is a circle, whatever the
//! pixels of the source; the frame around the grey picture is black.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::clips::{Run, path, transcode};
use crate::harness::tools::there_is;

const LIMIT: Duration = Duration::from_secs(300);

/// Luma (full range) above which a pixel belongs to the disc, and below which it is a bar.
const DISC: u8 = 160;
const BAR: u8 = 50;

/// A disc of a third of the shorter side as radius, in pixels of `aspect`.
fn disc(size: &str, aspect: &str, seconds: u32) -> String {
    format!(
        "color=gray:s={size}:r=25:d={seconds},format=gray,geq=lum='if(lt(hypot((X-W/2+0.5)*{aspect}\\,\
         Y-H/2+0.5)\\,min(W*{aspect}\\,H)/3)\\,235\\,90)',format=yuv420p,setsar={aspect}"
    )
}

/// Runs ffmpeg; `false` where there is none.
fn ffmpeg(arguments: &[&str], to: &Path) -> bool {
    if !there_is("ffmpeg") {
        return false;
    }
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(arguments).arg(to);
    let status = command.stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "ffmpeg made no {}", to.display());
    true
}

/// Pieces made by ffmpeg, one after the other in one file, as recorders and broadcasts put them. `pieces` are a picture and its
/// seconds.
fn joined(
    folder: &Path,
    name: &str,
    pieces: &[(&str, &str, u32)],
    encoder: &[&str],
) -> Option<PathBuf> {
    let (mut bytes, mut start) = (Vec::new(), 0);
    for (number, (size, aspect, seconds)) in pieces.iter().enumerate() {
        let piece = folder.join(format!("{number}-{name}"));
        let (picture, offset) = (disc(size, aspect, *seconds), start.to_string());
        let source = ["-f", "lavfi", "-i", &picture];
        let clock = ["-output_ts_offset", &offset];
        ffmpeg(&[&source[..], encoder, &clock[..]].concat(), &piece).then_some(())?;
        bytes.extend(std::fs::read(&piece).unwrap());
        start += seconds;
    }
    let whole = folder.join(name);
    std::fs::write(&whole, bytes).unwrap();
    Some(whole)
}

const MPEG2: &[&str] = &["-c:v", "mpeg2video", "-q:v", "2", "-g", "12"];
const H264: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-bsf:v", "dump_extra"];

/// A finished video: the tiers as (name, width, height).
struct Made {
    run: Run,
    tiers: Vec<(String, usize, usize)>,
}

impl Made {
    fn of(file: &Path) -> Self {
        let run = transcode(file, LIMIT);
        assert_eq!(run.code, Some(0), "{}: {} {}", file.display(), run.json, run.err);
        let number = |value: &serde_json::Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let tier = |tier: &serde_json::Value| {
            let name = tier["name"].as_str().unwrap().to_owned();
            (name, number(&tier["width"]), number(&tier["height"]))
        };
        let tiers = run.json["tiers"].as_array().unwrap().iter().map(tier).collect();
        Self { run, tiers }
    }

    fn sizes(&self) -> Vec<(usize, usize)> {
        self.tiers.iter().map(|(_, width, height)| (*width, *height)).collect()
    }

    /// All frames of a tier, luma in full range.
    fn frames(&self, tier: usize) -> Vec<Picture> {
        let (name, width, height) = &self.tiers[tier];
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-i"]);
        command.arg(self.run.out().join(format!("{name}.mp4")));
        command.args(["-f", "rawvideo", "-pix_fmt", "gray", "-"]);
        let raw = command.env("PATH", path()).stdin(Stdio::null()).output().unwrap().stdout;
        let frames = raw.chunks_exact(width * height);
        frames.map(|luma| Picture { width: *width, luma: luma.to_vec() }).collect()
    }
}

/// A frame's luma.
struct Picture {
    width: usize,
    luma: Vec<u8>,
}

impl Picture {
    fn at(&self, x: usize, y: usize) -> u8 {
        self.luma[y * self.width + x]
    }

    fn middle_row(&self) -> Vec<u8> {
        let start = self.luma.len() / self.width / 2 * self.width;
        self.luma[start..start + self.width].to_vec()
    }

    fn middle_column(&self) -> Vec<u8> {
        self.luma.iter().skip(self.width / 2).step_by(self.width).copied().collect()
    }

    /// Width and height of the disc.
    fn disc(&self) -> (usize, usize) {
        let long = |line: Vec<u8>| line.iter().filter(|luma| **luma > DISC).count();
        (long(self.middle_row()), long(self.middle_column()))
    }

    /// Black pixels to the left of the picture, to its right, above and below it.
    fn bars(&self) -> [usize; 4] {
        let black = |line: &mut dyn Iterator<Item = &u8>| line.take_while(|l| **l < BAR).count();
        let (row, column) = (self.middle_row(), self.middle_column());
        [
            black(&mut row.iter()),
            black(&mut row.iter().rev()),
            black(&mut column.iter()),
            black(&mut column.iter().rev()),
        ]
    }

    /// Asserts a circle of that diameter between bars of those widths (sides, above and below).
    fn shows(&self, diameter: usize, (beside, above): (usize, usize), what: &str) {
        let near = |have: usize, want: usize| have.abs_diff(want) <= 2;
        let (wide, high) = self.disc();
        assert!(near(wide, diameter) && near(high, diameter), "{what}: {wide}x{high}");
        let bars = self.bars();
        let expected = [beside, beside, above, above];
        let right = bars.iter().zip(expected).all(|(have, want)| near(*have, want));
        assert!(right, "{what}: bars {bars:?} instead of {expected:?}");
        // Black, not dark: nothing of the picture's edge leaks into a bar.
        if beside + above > 8 {
            assert!(self.at(0, 0) <= 3, "{what}: {}", self.at(0, 0));
        }
    }
}

/// Checks the largest tier and the smallest one at the middle of each piece: (diameter, beside, above) at the largest.
fn check(file: &Path, frames_of_pieces: &[usize], expected: &[(usize, usize, usize)]) {
    let made = Made::of(file);
    for tier in [0, made.tiers.len() - 1] {
        let frames = made.frames(tier);
        let part = |pixels: usize| pixels * made.tiers[tier].2 / made.tiers[0].2;
        let mut first = 0;
        for (length, (diameter, beside, above)) in frames_of_pieces.iter().zip(expected) {
            let index = (first + length / 2).min(frames.len() - 1);
            let what = format!("{} {} frame {index}", file.display(), made.tiers[tier].0);
            frames[index].shows(part(*diameter), (part(*beside), part(*above)), &what);
            first += length;
        }
    }
}

#[test]
fn a_recording_a_little_faster_than_a_limit_keeps_every_frame() {
    let folder = TempDir::new().unwrap();
    let clip = folder.path().join("phone.mp4");
    // 30.3 frames per second at irregular distances.
    let times = "settb=1/90000,setpts=(N+0.3*sin(N*1.7))/(30.3*TB)";
    let picture = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30:duration=6", "-vf", times];
    let clock = ["-fps_mode", "passthrough", "-enc_time_base", "1/90000"];
    let scale = ["-pix_fmt", "yuv420p", "-video_track_timescale", "90000"];
    if !ffmpeg(&[&picture[..], &clock[..], H264, &scale[..]].concat(), &clip) {
        return;
    }
    let made = Made::of(&clip);
    assert_eq!(made.sizes(), [(320, 240)]);
    assert_eq!(made.frames(0).len(), 180);
    let master = std::fs::read_to_string(made.run.out().join("master.m3u8")).unwrap();
    assert!(master.contains("FRAME-RATE=30.2"), "{master}");
}

#[test]
fn wide_pixels_keep_all_lines_of_a_picture() {
    let folder = TempDir::new().unwrap();
    let Some(dvd) = joined(folder.path(), "dvd.ts", &[("720x576", "64/45", 2)], MPEG2) else {
        return;
    };
    let made = Made::of(&dvd);
    assert_eq!(made.sizes(), [(854, 480), (640, 360), (426, 240)]);
    let frames = made.frames(0);
    frames[frames.len() / 2].shows(320, (0, 0), "dvd");
}

#[test]
fn a_change_of_shape_is_shown_whole_between_bars() {
    let folder = TempDir::new().unwrap();
    let place = folder.path();
    // The size stays, the pixels change.
    let dvd = [("720x576", "16/15", 2), ("720x576", "64/45", 2), ("720x576", "16/15", 2)];
    let Some(clip) = joined(place, "dvd.ts", &dvd, MPEG2) else { return };
    check(&clip, &[50, 50, 50], &[(320, 0, 0), (240, 0, 60), (320, 0, 0)]);
    // The same in a container that repeats what the first picture says.
    let copied = place.join("dvd.mkv");
    assert!(ffmpeg(&["-i", clip.to_str().unwrap(), "-c", "copy"], &copied));
    check(&copied, &[50, 50, 50], &[(320, 0, 0), (240, 0, 60), (320, 0, 0)]);
    // Fields: frames that the deinterlacer holds back are neither lost nor stretched.
    let fields = [MPEG2, &["-vf", "setfield=tff", "-flags", "+ildct+ilme"]].concat();
    let clip = joined(place, "fields.ts", &dvd[..2], &fields).unwrap();
    check(&clip, &[50, 50], &[(320, 0, 0), (240, 0, 60)]);
    // The size changes, and an upright picture follows.
    let sizes = [("1280x720", "1/1", 2), ("640x480", "1/1", 2), ("360x640", "1/1", 2)];
    let clip = joined(place, "sizes.ts", &sizes, H264).unwrap();
    check(&clip, &[50, 50, 50], &[(480, 0, 0), (480, 160, 0), (270, 438, 0)]);
}

#[test]
fn a_change_of_shape_far_into_a_rotated_video_is_shown_whole_too() {
    let folder = TempDir::new().unwrap();
    let place = folder.path();
    // Long enough for chunks that are decoded from the middle.
    let pieces = [("426x240", "1/1", 14), ("320x240", "1/1", 14)];
    let Some(stream) = joined(place, "a.h264", &pieces, &[H264, &["-g", "50"]].concat()) else {
        return;
    };
    let clip = place.join("rotated.mp4");
    let copy = ["-r", "25", "-i", stream.to_str().unwrap(), "-c", "copy"];
    assert!(ffmpeg(&[&copy[..], &["-metadata:s:v:0", "rotate=90"]].concat(), &clip));
    let made = Made::of(&clip);
    assert_eq!(made.sizes(), [(240, 426)]);
    assert!(made.run.json["chunks"].as_u64().unwrap() > 2, "{}", made.run.json);
    let frames = made.frames(0);
    frames[300].shows(160, (0, 0), "before");
    frames[500].shows(160, (0, 53), "after");
}

#[test]
fn a_container_that_overrules_the_pixels_is_believed_and_small_differences_give_no_bars() {
    let folder = TempDir::new().unwrap();
    let place = folder.path();
    let pieces = [("640x360", "1/1", 2), ("640x364", "1/1", 2)];
    let Some(clip) = joined(place, "crop.ts", &pieces, H264) else { return };
    check(&clip, &[50, 50], &[(240, 0, 0), (240, 0, 0)]);
    let wide = joined(place, "wide.ts", &[("720x576", "64/45", 2)], H264).unwrap();
    // The stream says 4:3, the container says 16:9, and that is right.
    let narrow = place.join("narrow.mp4");
    let says = ["-c", "copy", "-bsf:v", "h264_metadata=sample_aspect_ratio=16/15"];
    assert!(ffmpeg(&[&["-i", wide.to_str().unwrap()], &says[..]].concat(), &narrow));
    let clip = place.join("overruled.mp4");
    let copy = ["-i", narrow.to_str().unwrap(), "-c", "copy", "-aspect", "16:9"];
    assert!(ffmpeg(&copy, &clip));
    check(&clip, &[50], &[(320, 0, 0)]);
}

#[test]
fn a_source_may_change_its_size_with_every_picture() {
    let folder = TempDir::new().unwrap();
    let mut bytes = Vec::new();
    for (name, size) in [("a.jpg", "320x240"), ("b.jpg", "426x240")] {
        let picture = folder.path().join(name);
        if !ffmpeg(&["-f", "lavfi", "-i", &disc(size, "1/1", 1), "-frames:v", "1"], &picture) {
            return;
        }
        bytes.push(std::fs::read(&picture).unwrap());
    }
    let stream = folder.path().join("changes.mjpeg");
    std::fs::write(&stream, bytes.concat().repeat(100)).unwrap();
    let clip = folder.path().join("changes.mkv");
    let source = ["-f", "mjpeg", "-framerate", "25", "-i", stream.to_str().unwrap()];
    assert!(ffmpeg(&[&source[..], &["-c", "copy"]].concat(), &clip));
    let frames = Made::of(&clip).frames(0);
    assert_eq!(frames.len(), 200);
    frames[100].shows(160, (0, 0), "as the first");
    frames[101].shows(120, (0, 30), "wider");
}

/// One frame of a disc with `seconds` of quiet sound.
fn picture_under_sound(
    folder: &Path,
    name: &str,
    encoder: &[&str],
    seconds: u32,
) -> Option<PathBuf> {
    let clip = folder.join(name);
    let picture = format!("{},trim=end_frame=1", disc("320x240", "1/1", 1));
    let quiet = format!("sine=frequency=440:sample_rate=48000:duration={seconds},volume=0.01");
    let sources = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &quiet];
    let sound = ["-c:a", "aac", "-b:a", "24k"];
    ffmpeg(&[&sources[..], encoder, &sound[..]].concat(), &clip).then_some(clip)
}

/// Times of a stream's packets in a file, seconds.
fn times(file: &Path) -> Vec<f64> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time"]);
    let text = command.args(["-of", "csv=p=0"]).arg(file).output().unwrap().stdout;
    let mut times: Vec<f64> = String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok())
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

#[test]
fn sound_goes_on_over_one_picture_for_as_long_as_it_likes_in_several_chunks() {
    let folder = TempDir::new().unwrap();
    // Cut as tasks of their own, and as parts of one task.
    for (name, encoder) in [("a.mp4", H264), ("b.mkv", &["-c:v", "mjpeg"][..])] {
        let Some(clip) = picture_under_sound(folder.path(), name, encoder, 1002) else { return };
        let made = Made::of(&clip);
        assert_eq!(made.run.json["chunks"], 3, "{name}: {}", made.run.json);
        let times = times(&made.run.out().join("240p.mp4"));
        assert_eq!(times.len(), 501, "{name}");
        for (time, due) in times.iter().zip((0..).step_by(2)) {
            assert!((time - f64::from(due)).abs() < 0.05, "{name}: {time} instead of {due}");
        }
        let frames = made.frames(0);
        for index in [0, 2, 3, 4, 452, 453, 500] {
            frames[index].shows(160, (0, 0), &format!("{name} frame {index}"));
        }
        let seconds = made.run.json["tiers"][0]["duration"].as_f64().unwrap();
        assert!((seconds - 1002.0).abs() < 0.05, "{name}: {seconds}");
    }
}

#[test]
fn tiny_pictures_are_enlarged_and_thin_ones_get_bars() {
    let folder = TempDir::new().unwrap();
    // Left half bright, right half grey.
    let halves = |size: &str| {
        format!("color=gray:s={size}:r=25:d=1,format=gray,geq=lum='if(lt(X\\,W/2)\\,235\\,90)'")
    };
    for (size, expected, [left, right, above, below]) in [
        ("1x1", (16, 16), [0, 0, 0, 0]),
        ("2x2", (16, 16), [0, 0, 0, 0]),
        ("8x8", (16, 16), [0, 0, 0, 0]),
        ("15x7", (44, 20), [0, 0, 0, 0]),
        ("2x2000", (16, 2000), [6, 8, 0, 0]),
        ("4096x8", (4096, 16), [0, 0, 4, 4]),
        ("16384x16", (16_384, 16), [0, 0, 0, 0]),
    ] {
        let clip = folder.path().join(format!("{size}.mkv"));
        let encoder = ["-pix_fmt", "yuv444p", "-c:v", "ffv1"];
        if !ffmpeg(&[&["-f", "lavfi", "-i", &halves(size)], &encoder[..]].concat(), &clip) {
            return;
        }
        let made = Made::of(&clip);
        assert_eq!(made.sizes(), [expected], "{size}");
        let frames = made.frames(0);
        assert_eq!(frames.len(), 25, "{size}");
        let (width, height) = expected;
        let (x, y) = (left + (width - left - right) / 4, above + (height - above - below) / 2);
        assert!(frames[12].at(x, y) > DISC, "{size}: {}", frames[12].at(x, y));
        let (column, row) = (frames[12].middle_column(), frames[12].middle_row());
        assert!(
            column[..above].iter().chain(&column[height - below..]).all(|l| *l < BAR),
            "{size}"
        );
        assert!(row[..left].iter().chain(&row[width - right..]).all(|l| *l < BAR), "{size}");
    }
}
