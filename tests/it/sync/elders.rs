//! Containers and codecs of cameras, editors and computers of former times; ticks and sizes that few files have.
//!
//! Indeo is missing: ffmpeg has decoders for it, and no encoder.

use super::patch::Patch;
use super::plain::UNMOVED;
use super::recipe::Clip;
use super::take::{Sound, Take};

/// Container, picture codec, sound codec, sample rate, layout. Their decoders are not late.
const KINDS: [(&str, &str, &str, u32, &str); 12] = [
    ("wmv", "wmv2", "wmav2", 44_100, "stereo"),
    ("wmv", "wmv1", "wmav1", 22_050, "mono"),
    ("asf", "msmpeg4", "wmav2", 48_000, "stereo"),
    ("asf", "mpeg4", "libmp3lame", 44_100, "stereo"),
    ("mkv", "wmv2", "wmav2", 44_100, "stereo"),
    ("mxf", "mpeg2video", "pcm_s16le", 48_000, "stereo"),
    ("mxf", "mpeg2video", "pcm_s24le", 48_000, "mono"),
    ("avi", "cinepak", "pcm_u8", 22_050, "mono"),
    ("mov", "cinepak", "pcm_s16be", 44_100, "stereo"),
    ("dv", "dvvideo", "pcm_s16le", 48_000, "stereo"),
    ("avi", "dvvideo", "pcm_s16le", 48_000, "stereo"),
    ("mov", "dvvideo", "pcm_s16le", 48_000, "stereo"),
];

/// The only size of DV at 25 pictures per second, and at 29.97.
const DV: [(u32, u32); 2] = [(720, 576), (720, 480)];

/// Below the 16 pixels that an encoder of the output takes.
const TINY: [(u32, u32); 3] = [(2, 2), (8, 8), (14, 10)];

/// All clips of the kind.
pub(super) fn clips() -> Vec<Clip> {
    let mut all: Vec<Clip> = KINDS
        .iter()
        .map(|&(container, picture, sound, rate, layout)| {
            let name = format!("{container} {picture} {sound} {rate} {layout}");
            let sound = Sound::new(sound, rate, layout);
            Clip::of(&name, take(container, 6.0, picture, sound))
        })
        .collect();
    all.extend(windows_media());
    let pcm = || Sound::new("pcm_s16le", 48_000, "stereo");
    let [_, (width, height)] = DV;
    let ntsc = take("dv", 6.0, "dvvideo", pcm()).size(width, height).rate(30_000, 1001);
    all.push(Clip::of("dv 29.97 fps", ntsc.with(&["-pix_fmt", "yuv411p"])));
    all.push(Clip::of("mxf 40 s", take("mxf", 40.0, "mpeg2video", pcm())));
    for (name, seconds) in [("mkv ticks of 1 ns", 8.0), ("mkv ticks of 1 ns, 40 s", 40.0)] {
        all.push(Clip::patched(name, Take::new("mkv", seconds), Patch::Nanoseconds));
    }
    all.extend(TINY.map(|(width, height)| {
        let take = Take::new("mkv", 6.0).codec("ffv1").size(width, height);
        Clip::of(&format!("mkv picture of {width}x{height}"), take)
    }));
    all
}

/// Audio and pictures that do not start together, and a clip that is long enough for several chunks.
fn windows_media() -> Vec<Clip> {
    let sound = || Sound::new("wmav2", 44_100, "stereo");
    let wmv = |seconds, sound| take("wmv", seconds, "wmv2", sound);
    vec![
        Clip::of("wmv sound 3 s late", wmv(12.0, sound().span(3.0, f64::INFINITY))),
        Clip::of("wmv sound 1 s before the picture", wmv(9.0, sound()).picture(1.0, 9.0)),
        Clip::of("wmv picture 10 s late", wmv(20.0, sound()).picture(10.0, 20.0)),
        Clip::of("wmv 40 s", wmv(40.0, sound())),
    ]
}

fn take(container: &'static str, seconds: f64, picture: &'static str, sound: Sound) -> Take {
    let take = Take::new(container, seconds).codec(picture).sounds(vec![sound]);
    let [(width, height), _] = DV;
    let take = if picture == "dvvideo" { take.size(width, height) } else { take };
    if container == "avi" { take.with(&UNMOVED) } else { take }
}
