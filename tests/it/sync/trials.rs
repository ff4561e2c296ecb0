//! The clips of users below `trials/` of the folder of test media: each as its row of the list says.

use super::instants::Rate;
use super::recipe::{Expected, Track};
use super::table::Row;
use super::{all, examine, settle};
use crate::clips::{folder, list};
use crate::harness::tools::skipped;

/// Beeps of every recording; a flash is the first picture that is not before its beep.
const INSTANTS: [f64; 20] = [
    0.6, 1.7, 3.3, 4.2, 6.3, 7.6, 9.5, 10.3, 12.7, 13.8, 15.4, 16.3, 18.4, 19.7, 21.6, 22.4, 24.8,
    25.9, 27.5, 28.4,
];

/// Pictures per second of every recording.
const RATE: Rate = Rate(25, 1);

/// Row of the list about a file.
#[derive(Clone, Copy)]
struct Said {
    /// Final words of its name.
    file: &'static str,
    /// Length of a recording, seconds, and how many are joined.
    seconds: f64,
    joined: u32,
    /// Start and end of picture and audio in seconds.
    picture: (f64, f64),
    sound: (f64, f64),
    /// Hertz of the tracks; 0 where they differ within a track.
    frequencies: &'static [f64],
    warning: Option<&'static str>,
    or_warned: Option<&'static str>,
}

/// Picture and sound from start to end.
const fn whole(file: &'static str, seconds: f64) -> Said {
    let always = (0.0, f64::INFINITY);
    Said {
        file,
        seconds,
        joined: 1,
        picture: always,
        sound: always,
        frequencies: &[1000.0],
        warning: None,
        or_warned: None,
    }
}

const SAID: [Said; 10] = [
    Said { sound: (3.0, f64::INFINITY), ..whole("m01_audio_late3.mp4", 12.0) },
    Said { picture: (10.0, f64::INFINITY), ..whole("m02b_video_late10.mp4", 30.0) },
    Said { joined: 2, frequencies: &[0.0], ..whole("m03_ts_restart.ts", 10.0) },
    Said { joined: 2, frequencies: &[0.0], ..whole("m39_restart.flv", 8.0) },
    Said { picture: (0.0, 0.04), ..whole("m06a_oneframe_audio20.mp4", 20.0) },
    Said { picture: (0.0, 5.0), ..whole("m19a_audio_longer.mp4", 14.0) },
    Said { frequencies: &[1600.0], ..whole("m21_mpts.ts", 8.0) },
    Said { or_warned: Some("wavpack"), ..whole("m26c_wavpack.mkv", 4.0) },
    Said {
        or_warned: Some("wavpack"),
        frequencies: &[400.0, 1600.0],
        ..whole("m26e_main_wavpack_commentary_aac.mkv", 4.0)
    },
    Said { warning: Some("track 2"), ..whole("m07f_stereo_and_12ch.mov", 2.0) },
];

/// Seconds: an AAC frame at each end of each recording.
const SLACK: f64 = 0.08;

impl Said {
    fn expected(self) -> Expected {
        let begins = (0..self.joined).map(|index| f64::from(index) * self.seconds);
        let within = |(from, until): (f64, f64), snap: fn(f64) -> f64| -> Vec<f64> {
            let inside = |at: &&f64| **at < self.seconds && (from..until).contains(*at);
            let each = |begin: f64| INSTANTS.iter().filter(inside).map(move |at| begin + snap(*at));
            begins.clone().flat_map(each).collect()
        };
        let mut flashes = within(self.picture, |at| RATE.snap(at));
        // The only picture of this clip is bright.
        if self.picture.1 < INSTANTS[0] {
            flashes.push(0.0);
        }
        let beeps = within(self.sound, |at| at);
        let track = |frequency: &f64| Track {
            beeps: beeps.clone(),
            frequency: Some(*frequency).filter(|frequency| *frequency > 0.0),
        };
        Expected {
            flashes,
            tracks: self.frequencies.iter().map(track).collect(),
            seconds: self.seconds * f64::from(self.joined),
            slack: SLACK * f64::from(self.joined),
            pictures: None,
            warning: self.warning,
            untrue: None,
            or_warned: self.or_warned,
            or_refused: false,
        }
    }
}

#[test]
fn every_trial_is_as_its_row_says() {
    let clips = folder().map_or_else(Vec::new, |folder| list(&folder, "trials/"));
    let clips: Vec<_> = clips.iter().filter(|clip| !clip.short().ends_with(".mjs")).collect();
    if clips.is_empty() {
        skipped("JETREEL_MEDIA names no folder with trials");
        return;
    }
    let rows = all(&clips, |clip| {
        let said = SAID.iter().find(|said| said.file == clip.short());
        let unknown = || Row::of(clip.short()).wrong("this test knows nothing of it".to_owned());
        said.map_or_else(unknown, |said| examine(clip.short(), &clip.path, &said.expected()))
    });
    settle(&rows, "trials.md");
}
