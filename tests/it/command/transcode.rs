//! `transcode`: which files it replaces, and how it keeps the titles of audio tracks.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::said;
use crate::clips::ffprobe;
use crate::harness::media::{self, SHORT};
use crate::harness::tools::there_is;

#[test]
fn a_strangers_file_is_replaced_only_by_force_and_an_earlier_result_as_it_is() {
    let Some(clip) = media::made(SHORT) else { return };
    let clip = clip.to_str().unwrap();
    let folder = TempDir::new().unwrap();
    let mine = folder.path().join("out/240p.mp4");
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(&mine, "mine").unwrap();
    let words = ["transcode", clip, "--out", "out", "--tiers", " 240p", "--preset", "ultrafast"];
    let refused = said(folder.path(), &words);
    assert_eq!(refused.code, Some(1), "{}{}", refused.out, refused.err);
    for named in ["240p.mp4", "--out", "--force"] {
        assert!(refused.err.contains(named), "{}", refused.err);
    }
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
    let forced = said(folder.path(), &[&words[..], &["--force"]].concat());
    assert_eq!(forced.code, Some(0), "{}", forced.err);
    assert!(fs::metadata(&mine).unwrap().len() > 100);
    // Now the manifest there names the existing files.
    let again = said(folder.path(), &words);
    assert_eq!(again.code, Some(0), "{}", again.err);
}

#[test]
fn sound_tracks_keep_their_names_and_the_mp4_its_language() {
    if !there_is("ffmpeg") || !there_is("ffprobe") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i"]);
    command.args(["testsrc2=size=426x240:rate=5:duration=1", "-f", "lavfi", "-i"]);
    command.args(["sine=duration=1", "-map", "0", "-map", "1", "-map", "1"]);
    command.args(["-c:v", "libx264", "-c:a", "aac", "-metadata:s:a:0", "language=ger"]);
    command.args(["-metadata:s:a:1", "language=fre"]);
    command.args(["-metadata:s:a:1", "title=Français (\"commentaire\")", "clip.mkv"]);
    let made = command.current_dir(folder.path()).stdin(Stdio::null()).status().unwrap();
    assert!(made.success());
    let words = ["transcode", "clip.mkv", "--out", "out", "--preset", "ultrafast"];
    let done = said(folder.path(), &words);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let master = fs::read_to_string(folder.path().join("out/master.m3u8")).unwrap();
    for named in ["NAME=\"German\",LANGUAGE=\"de\"", "NAME=\"Français ('commentaire')\",LANGUAGE"]
    {
        assert!(master.contains(named), "{master}");
    }
    let of_sound =
        ["-select_streams", "a", "-show_entries", "stream_tags=language", "-of", "csv=p=0"];
    let language = ffprobe(&of_sound, &folder.path().join("out/240p.mp4")).unwrap();
    assert_eq!(language.trim(), "deu");
}
