//! Times and rates that mislead: of recordings that rest, and of headers and packets that are wrong.

use super::patch::Patch;
use super::recipe::Clip;
use super::take::{Sound, Take};

/// Untrue where no picture is left out.
const LEFT_OUT: &str = "contradict";

/// All clips of the kind.
pub(super) fn clips() -> Vec<Clip> {
    let mut all = rates();
    all.extend(pauses());
    all.extend(wrong());
    all.extend(long());
    all
}

/// Pictures are reordered across a pause, before Matroska has a decode time.
fn pauses() -> Vec<Clip> {
    [1.0, 6.0]
        .map(|pause| {
            let take = Take::new("mkv", 20.0).still(0.04, 0.04 + pause);
            let clip =
                Clip::of(&format!("mkv pauses for {pause} s behind its first picture"), take);
            clip.never_warned("start again")
        })
        .to_vec()
}

/// The mean distance of pictures, or what the header says, is far above the distance of those that move.
fn rates() -> Vec<Clip> {
    let rests = |container: &'static str| {
        let take = Take::new(container, 61.0).rate(60, 1).at(&[0.4, 20.4, 40.4]);
        let take = take.with(&["-vf", "select='lt(mod(t,20),1)'"]);
        Clip::of(&format!("{container} a second of movement in twenty"), take)
            .never_warned(LEFT_OUT)
    };
    let declared = |name: &str, rate: f64| {
        Clip::patched(name, Take::new("flv", 20.0), Patch::FlvRate(rate))
            .pictures(500)
            .never_warned(LEFT_OUT)
    };
    // A picture in two seconds, and at last a few that move: there is no sound that tells where it ends.
    let silent = Take::new("ts", 20.0).sounds(Vec::new()).at(&[]);
    let silent = silent.with(&["-vf", "select='not(mod(n,50))+gte(n,490)'"]);
    vec![
        Clip::of("ts moves at last", silent),
        rests("mp4"),
        rests("mkv"),
        declared("flv declares 2 pictures per second", 2.0),
        declared("flv declares 1000 pictures per second", 1000.0),
    ]
}

/// Packets whose times are wrong by less than a minute.
fn wrong() -> Vec<Clip> {
    let packet = |name: &str, take: Take, pid, index, seconds| {
        Clip::patched(name, take, Patch::Pes { pid, index, seconds })
    };
    let ts = || Take::new("ts", 12.0);
    let silent = ts().sounds(Vec::new());
    let pair = [700, 1600].map(|tone| Sound::new("aac", 48_000, "stereo").frequency(tone));
    let commentary = "setts=pts='if(eq(mod(N\\,100)\\,50)\\,PTS+31000\\,PTS)':dts=DTS";
    vec![
        packet("ts one picture 6 s ahead", ts(), 0x100, 150, 6.0).pictures(300),
        packet("ts one picture 50 s ahead", ts(), 0x100, 150, 50.0).pictures(300),
        packet("ts one picture 6 s ahead, no sound", silent, 0x100, 150, 6.0).pictures(300),
        packet("ts a packet of sound 20 s ahead", ts(), 0x101, 20, 20.0).pictures(300),
        packet("ts first packet of sound 30 s ahead", ts(), 0x101, 0, 30.0).pictures(300),
        packet("ts first picture 8 s ahead", ts(), 0x100, 0, 8.0).pictures(300),
        Clip::copied(
            "mkv commentary with packets 31 s ahead",
            Take::new("mkv", 20.0).sounds(pair.to_vec()),
            "mkv",
            (&[], &["-bsf:a:1", commentary]),
            0.0,
        )
        .pictures(500),
    ]
}

/// Sound begins longer before or after the picture than is allowed.
fn long() -> Vec<Clip> {
    let before = Take::new("mkv", 712.0).picture(700.0, 712.0).at(&[703.0, 706.2, 709.0]);
    let mut before = Clip::of("mkv 700 s of sound before the picture", before);
    before.shift(-700.0);
    let after = Sound::new("aac", 48_000, "stereo").span(705.0, 712.0);
    let after = Take::new("mkv", 712.0).picture(0.0, 5.0).sounds(vec![after]).at(&[1.0, 2.2]);
    let after = Clip::of("mkv sound 700 s after the picture", after).expecting(|expected| {
        expected.tracks.clear();
        expected.seconds = 5.0;
    });
    vec![
        after.warned("begins 12 minutes after the last picture"),
        before.warned("begins 700 s before the picture, which lasts 12 s"),
    ]
}
