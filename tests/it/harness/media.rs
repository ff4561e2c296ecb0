//! Videos for tests, made by ffmpeg and kept beside the other files of the build: the tests need no media of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::tools::there_is;

/// A video that ffmpeg makes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    /// File name; another content needs another name.
    pub(crate) name: &'static str,
    /// Arguments for ffmpeg.
    pub(crate) arguments: &'static [&'static str],
    /// Frames in it.
    pub(crate) frames: u64,
}

const FRAME_RATE: u64 = 25;

/// Is cut into chunks: H.264 with a key picture every two seconds, and sound.
pub(crate) const FILM: Recipe = Recipe {
    name: "film-40s.mp4",
    arguments: &[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=640x360:rate=25:duration=40",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=48000:duration=40",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "50",
        "-sc_threshold",
        "0",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-ac",
        "2",
    ],
    frames: 40 * FRAME_RATE,
};

/// Is decoded in one go: seeking in AVI is not exact.
pub(crate) const SEQUENTIAL: Recipe = Recipe {
    name: "sequential-40s.avi",
    arguments: &[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=640x360:rate=25:duration=40",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=44100:duration=40",
        "-c:v",
        "mpeg4",
        "-q:v",
        "6",
        "-g",
        "50",
        "-c:a",
        "libmp3lame",
    ],
    frames: 40 * FRAME_RATE,
};

/// One short chunk.
pub(crate) const SHORT: Recipe = Recipe {
    name: "short-4s.mp4",
    arguments: &[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=426x240:rate=25:duration=4",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=440:sample_rate=48000:duration=4",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-ac",
        "2",
    ],
    frames: 4 * FRAME_RATE,
};

/// Two chunks that no tier has the size of, so that every tier is scaled.
pub(crate) const ODD_SIZED: Recipe = Recipe {
    name: "odd-sized-9s.mp4",
    arguments: &[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=702x394:rate=25:duration=9",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "50",
        "-pix_fmt",
        "yuv420p",
    ],
    frames: 9 * FRAME_RATE,
};

/// The same in two parts of one task.
pub(crate) const ODD_SIZED_SEQUENTIAL: Recipe = Recipe {
    name: "odd-sized-14s.avi",
    arguments: &[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=702x394:rate=25:duration=14",
        "-c:v",
        "mpeg4",
        "-q:v",
        "6",
        "-g",
        "50",
    ],
    frames: 14 * FRAME_RATE,
};

/// Has no picture.
pub(crate) const SOUND_ALONE: Recipe = Recipe {
    name: "sound-2s.m4a",
    arguments: &["-f", "lavfi", "-i", "sine=frequency=440:duration=2", "-c:a", "aac"],
    frames: 0,
};

/// One at a time, so that no two tests make the same file.
static MAKING: Mutex<()> = Mutex::new(());

/// The file; `None` (and a line that says so) where there is no ffmpeg.
pub(crate) fn made(recipe: Recipe) -> Option<PathBuf> {
    let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("media");
    let place = folder.join(recipe.name);
    if place.is_file() {
        return Some(place);
    }
    if !there_is("ffmpeg") {
        return None;
    }
    std::fs::create_dir_all(&folder).expect("a folder for media");
    // Another process may do the same. The last one writes the same content.
    let unfinished = folder.join(format!("{}-{}", std::process::id(), recipe.name));
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-y"]).args(recipe.arguments);
    command.args(["-fflags", "+bitexact", "-flags", "+bitexact"]).arg(&unfinished);
    let status = command.stdin(Stdio::null()).status().expect("ffmpeg can be started");
    assert!(status.success(), "ffmpeg made no {}", recipe.name);
    std::fs::rename(&unfinished, &place).expect("a finished file");
    Some(place)
}

/// Frames of the picture that can be decoded; `input` may be an address.
pub(crate) async fn frames(input: &str) -> u64 {
    let entries = ["-count_frames", "-show_entries", "stream=nb_read_frames"];
    let said = ffprobe(&[&["-select_streams", "v:0"], &entries[..]].concat(), input).await;
    said.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or_default()
}

/// Seconds of sound that can be decoded, summed over its frames.
pub(crate) async fn sound_seconds(input: &str) -> f64 {
    let entries =
        ["-select_streams", "a:0", "-show_entries", "frame=nb_samples:stream=sample_rate"];
    let said = ffprobe(&entries, input).await;
    let mut numbers: Vec<f64> =
        said.lines().filter_map(|line| line.trim_end_matches(',').trim().parse().ok()).collect();
    let rate = numbers.pop().expect("a sample rate");
    numbers.iter().sum::<f64>() / rate
}

async fn ffprobe(arguments: &[&str], input: &str) -> String {
    let mut command = tokio::process::Command::new("ffprobe");
    command.args(["-v", "error"]).args(arguments).args(["-of", "csv=p=0"]).arg(input);
    let output = command.stdin(Stdio::null()).output().await.expect("ffprobe is beside ffmpeg");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{input}: {complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
