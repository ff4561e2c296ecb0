//! Damage in the middle of a track: the rest is kept, and what is lost is told.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{accepted, film, frames, largest, make, samples, studio, warnings};

/// Puts zeroes for the packets of a stream between two instants, seconds.
pub(crate) fn zeroed(file: &Path, stream: &str, from: f64, until: f64) {
    let entries = "packet=pts_time,size,pos";
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", stream, "-show_entries", entries]);
    let said = command.args(["-of", "csv=p=0"]).arg(file).output().expect("ffprobe").stdout;
    let mut bytes = std::fs::read(file).expect("a file");
    for line in String::from_utf8_lossy(&said).lines() {
        // Side data of a packet have their own lines.
        let [at, size, byte] = line.split(',').take(3).collect::<Vec<_>>()[..] else { continue };
        let at: f64 = at.parse().expect("a time");
        let (size, byte): (usize, usize) =
            (size.parse().expect("a size"), byte.parse().expect("a place"));
        if (from..until).contains(&at) {
            bytes[byte..byte + size].fill(0);
        }
    }
    std::fs::write(file, bytes).expect("a file");
}

/// Loudness of a part of a sound between two instants, seconds.
fn loudness(sound: &[f64], from: f64, until: f64) -> f64 {
    let part = &sound[(from * 8000.0) as usize..(until * 8000.0) as usize];
    part.iter().map(|sample| sample.abs()).sum::<f64>() / part.len() as f64
}

/// Twelve seconds with two sound tracks.
fn two_tracks(folder: &Path, name: &str) -> PathBuf {
    let second = "-f lavfi -i sine=frequency=900:sample_rate=48000:duration=12";
    let options = "-map 0 -map 1 -map 2 -c:v libx264 -g 50 -pix_fmt yuv420p -c:a aac";
    make(folder, name, &format!("{} {second} {options}", film(12)))
}

#[test]
fn a_damaged_second_track_leaves_the_rest_of_the_video_whole() {
    let Some(studio) = studio() else { return };
    let clip = two_tracks(studio.path(), "second.mp4");
    zeroed(&clip, "a:1", 1.0, 13.0);
    let run = accepted(&clip);
    assert_eq!(
        (&run.json["audio_tracks"], &run.json["source"]["frames"]),
        (&2.into(), &300.into())
    );
    assert_eq!(
        warnings(&run.json),
        [
            "Sound track 2 (aac) is damaged: about 11 seconds of it cannot be decoded, and silence stands for it."
        ]
    );
    let sound = samples(&largest(&run), &[]);
    assert!(loudness(&sound, 0.5, 11.5) > 1000.0);
}

#[test]
fn damage_in_the_middle_of_the_sound_becomes_silence_wherever_it_lies() {
    let Some(studio) = studio() else { return };
    // The second one is more damaged than whole where the damage ends.
    for (name, from, until) in [("late.mp4", 7.0, 11.0), ("early.mp4", 2.0, 8.0)] {
        let clip = two_tracks(studio.path(), name);
        zeroed(&clip, "a:0", from, until);
        let run = accepted(&clip);
        let told = format!(
            "Sound track 1 (aac) is damaged: about {:.0} seconds of it cannot be decoded, and silence stands for it.",
            until - from
        );
        assert_eq!(warnings(&run.json), [told], "{name}");
        let sound = samples(&largest(&run), &[]);
        assert!(loudness(&sound, from + 0.2, until - 0.2) < 10.0, "{name}");
        assert!(loudness(&sound, until + 0.2, 11.8) > 1000.0, "{name}");
        assert!(loudness(&sound, 0.2, from - 0.2) > 1000.0, "{name}");
    }
}

#[test]
fn pictures_that_are_lost_in_the_middle_are_told_of() {
    let Some(studio) = studio() else { return };
    let clip = two_tracks(studio.path(), "picture.mp4");
    zeroed(&clip, "v:0", 4.0, 6.0);
    let lost = 300 - frames(&clip);
    let run = accepted(&clip);
    let told = format!(
        "The video is damaged: {lost} pictures cannot be decoded, and the picture before stands still instead."
    );
    assert_eq!(warnings(&run.json), [told]);
    let manifest = std::fs::read_to_string(run.out().join("manifest.json")).expect("a manifest");
    assert!(manifest.contains("stands still instead"), "{manifest}");
}

#[test]
fn a_second_track_whose_times_are_wild_is_left_out() {
    let Some(studio) = studio() else { return };
    let second = "-f lavfi -i sine=frequency=900:sample_rate=48000:duration=40";
    let options = "-map 0 -map 1 -map 2 -c:v libx264 -g 50 -pix_fmt yuv420p -c:a aac";
    let good = make(studio.path(), "good.mkv", &format!("{} {second} {options}", film(40)));
    let wild = r"-map 0 -c copy -bsf:a:1 setts=pts=PTS+100000*eq(mod(N\,3)\,2):dts=DTS";
    let clip = make(studio.path(), "wild.mkv", &format!("-i {} {wild}", good.display()));
    let run = accepted(&clip);
    assert_eq!(
        (&run.json["audio_tracks"], &run.json["source"]["frames"]),
        (&1.into(), &1000.into())
    );
    assert_eq!(
        warnings(&run.json),
        [
            "Sound track 2 (aac) is left out: its times start again or jump at more than 512 places. \
             To keep it, export the video again."
        ]
    );
    assert!((run.json["source"]["duration"].as_f64().expect("a length") - 40.0).abs() < 0.1);
}
