//! Sound and picture that do not start together, do not end together, or stand still; edit lists.

use super::recipe::Clip;
use super::take::{Sound, Take};

fn sound(from: f64, until: f64) -> Vec<Sound> {
    vec![Sound::new("aac", 48_000, "stereo").span(from, until)]
}

/// All clips of the kind.
pub(super) fn clips() -> Vec<Clip> {
    let mut all = starts();
    all.extend(edits());
    all.extend(ends());
    all
}

fn starts() -> Vec<Clip> {
    let mut all = Vec::new();
    for container in ["mp4", "mkv", "ts", "flv"] {
        let named = |what: &str| format!("{container} {what}");
        let whole = |seconds| Take::new(container, seconds);
        all.push(Clip::of(&named("sound 1 s before the picture"), whole(9.0).picture(1.0, 9.0)));
        all.push(Clip::of(
            &named("sound 0.3 s late"),
            whole(8.0).sounds(sound(0.3, f64::INFINITY)),
        ));
        all.push(Clip::of(&named("sound 3 s late"), whole(12.0).sounds(sound(3.0, f64::INFINITY))));
    }
    let late = f64::INFINITY;
    let others = [
        ("webm", "libvpx", "libvorbis"),
        ("ogv", "libtheora", "libvorbis"),
        ("mpg", "mpeg2video", "mp2"),
    ];
    for (container, picture, codec) in others {
        let take = |from, seconds| {
            let sound = Sound::new(codec, 48_000, "stereo").span(from, late);
            Take::new(container, seconds).codec(picture).sounds(vec![sound])
        };
        let named = |what: &str| format!("{container} {what}");
        all.push(Clip::of(&named("sound 3 s late"), take(3.0, 12.0)));
        all.push(Clip::of(
            &named("sound 1 s before the picture"),
            take(0.0, 9.0).picture(1.0, 9.0),
        ));
    }
    let late = |seconds| Take::new("mp4", seconds).sounds(sound(20.0, f64::INFINITY));
    all.push(Clip::of("mp4 sound 20 s late", late(28.0)));
    all.push(Clip::of("mp4 sound 20 s late, 40 s", late(40.0)));
    all.push(Clip::of("mp4 picture 10 s late", Take::new("mp4", 20.0).picture(10.0, 20.0)));
    all.push(Clip::of("mkv picture 10 s late, 40 s", Take::new("mkv", 40.0).picture(10.0, 40.0)));
    let large = Take::new("mp4", 12.0).size(1280, 720);
    all.push(Clip::of("mp4 720p sound 3 s late", large.sounds(sound(3.0, f64::INFINITY))));
    let pair = vec![
        Sound::new("aac", 48_000, "stereo").frequency(700).language("eng"),
        Sound::new("aac", 48_000, "mono").frequency(1600).language("fra").span(5.0, f64::INFINITY),
    ];
    all.push(Clip::of("mp4 second track 5 s late", Take::new("mp4", 12.0).sounds(pair)));
    all
}

fn edits() -> Vec<Clip> {
    let take = || Take::new("mp4", 12.0);
    let cut = |name: &str, at: f64, words: (&[&str], &[&str])| {
        Clip::copied(name, take(), "mp4", words, -at)
    };
    vec![
        cut("mp4 cut at 3.32 s by an edit list", 3.32, (&["-ss", "3.32"], &[])),
        cut(
            "mp4 cut at 5.64 s by an edit list",
            5.64,
            (&["-ss", "5.64"], &["-movie_timescale", "90000"]),
        ),
        Clip::copied(
            "mp4 ticks of 16 MHz",
            take(),
            "mp4",
            (&[], &["-video_track_timescale", "16000000"]),
            0.0,
        ),
        Clip::copied(
            "mp4 in fragments, sound 3 s late",
            take().sounds(sound(3.0, f64::INFINITY)),
            "mp4",
            (&[], &["-movflags", "frag_keyframe+empty_moov+delay_moov"]),
            0.0,
        ),
        // The picture before the first key picture cannot be shown.
        Clip::copied(
            "mp4 first picture no key",
            take().at(&[2.6, 3.4, 4.92, 6.0, 6.96, 8.8, 9.4, 10.2]),
            "mp4",
            (&[], &["-bsf:v", "noise=drop=lt(n\\,20)"]),
            0.0,
        ),
    ]
}

fn ends() -> Vec<Clip> {
    let slides = Take::new("mp4", 280.0).rate(1, 70).at(&[70.0, 210.0]);
    let one_long = Take::new("mp4", 20.0).rate(1, 20).at(&[]);
    vec![
        Clip::of("mp4 9 s of picture, 40 s of sound", Take::new("mp4", 40.0).picture(0.0, 9.0)),
        Clip::of("mkv 9 s of picture, 40 s of sound", Take::new("mkv", 40.0).picture(0.0, 9.0)),
        Clip::of("ts 5 s of picture, 14 s of sound", Take::new("ts", 14.0).picture(0.0, 5.0)),
        Clip::of(
            "mp4 720p 9 s of picture, 40 s of sound",
            Take::new("mp4", 40.0).picture(0.0, 9.0).size(1280, 720),
        ),
        Clip::of("mp4 one picture, 20 s of sound", Take::new("mp4", 20.0).picture(0.0, 0.04)),
        Clip::of("mp4 one picture of 20 s", one_long.sounds(sound(0.0, 20.0))),
        Clip::of("mp4 sound 5 s shorter", Take::new("mp4", 12.0).sounds(sound(0.0, 7.0))),
        Clip::of("mkv sound 5 s shorter, 40 s", Take::new("mkv", 40.0).sounds(sound(0.0, 35.0))),
        Clip::of("mp4 a slide every 70 s", slides),
        Clip::of("mp4 picture stands still for 15 s", Take::new("mp4", 25.0).still(4.0, 19.0)),
        // Pictures are reordered across a pause that is shorter than a group.
        Clip::of("mp4 picture pauses for 1.3 s", Take::new("mp4", 12.0).still(4.04, 5.32)),
        Clip::of("mp4 picture pauses, one later", Take::new("mp4", 12.0).still(4.08, 5.32)),
        Clip::of("mp4 picture pauses, two later", Take::new("mp4", 12.0).still(4.12, 5.32)),
        Clip::of("mkv picture stands still for 15 s", Take::new("mkv", 40.0).still(14.0, 29.0)),
        Clip::of("mp4 no sound", Take::new("mp4", 6.0).sounds(Vec::new())),
    ]
}
