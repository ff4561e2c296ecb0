//! Times and rates that mislead: of recordings that rest, and of headers and packets that are wrong.

use super::patch::Patch;
use super::recipe::Clip;
use super::take::Take;

/// Untrue where no picture is left out.
const LEFT_OUT: &str = "contradict";

/// All clips of the kind.
pub(super) fn clips() -> Vec<Clip> {
    let mut all = rates();
    all.extend(pauses());
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
    vec![
        rests("mp4"),
        rests("mkv"),
        declared("flv declares 2 pictures per second", 2.0),
        declared("flv declares 1000 pictures per second", 1000.0),
    ]
}
