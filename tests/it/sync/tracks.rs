//! Several tracks and programmes, sound that is not on any list, sound that is packed oddly.

use super::amr;
use super::patch::Patch;
use super::plain::avi;
use super::recipe::{Clip, Make};
use super::take::{Sound, Take};

/// All clips of the kind.
pub(super) fn clips() -> Vec<Clip> {
    let mut all = programmes();
    all.extend(languages());
    all.extend(unusual());
    all.extend(unusable());
    let mute = |seconds| {
        Take::new("3gp", seconds).codec("mpeg4").rate(amr::PICTURES, 1).sounds(Vec::new())
    };
    all.push(Clip::amr("3gp amr", mute(8.0), false));
    all.push(Clip::amr("3gp amr 40 s", mute(40.0), false));
    all.push(Clip::amr("3gp five frames of amr in a packet", mute(8.0), true));
    all.push(Clip::patched("avi mp3 useless times", avi(8.0), Patch::AviSoundRate));
    all
}

fn tone(frequency: u32) -> Sound {
    Sound::new("aac", 48_000, "stereo").frequency(frequency)
}

/// The picture of the larger programme, with its own sound.
fn programmes() -> Vec<Clip> {
    let small = || Take::new("ts", 8.0).sounds(vec![tone(400)]);
    let large = || Take::new("ts", 8.0).size(640, 360).sounds(vec![tone(1600)]);
    let of = |name: &str, takes: Vec<Take>| {
        let mut clip = Clip::of(name, large());
        clip.make = Make::Programmes(takes);
        clip.expecting(|expected| expected.tracks.truncate(1))
    };
    vec![
        of("ts two programmes, the second larger", vec![small(), large()]),
        of("ts two programmes, the first larger", vec![large(), small()]),
        of("ts three programmes", vec![small(), large(), small()]),
    ]
}

fn languages() -> Vec<Clip> {
    let three = || {
        vec![
            tone(400).language("eng"),
            tone(700).language("fra"),
            Sound::new("ac3", 48_000, "5.1").frequency(1600).language("deu"),
        ]
    };
    vec![
        Clip::of("mkv three languages", Take::new("mkv", 8.0).sounds(three())),
        Clip::of("mp4 three languages", Take::new("mp4", 8.0).sounds(three())),
        Clip::of("ts three languages", Take::new("ts", 8.0).sounds(three())),
        Clip::of("mkv three languages, 40 s", Take::new("mkv", 40.0).sounds(three())),
    ]
}

/// Codecs that few encoders write and libav decodes.
fn unusual() -> Vec<Clip> {
    let of = |container: &'static str, codec, rate, layout, delay| {
        let sound = Sound::new(codec, rate, layout).delay(delay);
        let picture = if container == "flv" { "flv" } else { "libx264" };
        let picture = if container == "avi" { "mpeg4" } else { picture };
        let name = format!("{container} {codec} {rate} {layout}");
        let clip = Clip::of(&name, Take::new(container, 6.0).codec(picture).sounds(vec![sound]));
        clip.expecting(|expected| expected.or_warned = Some(codec))
    };
    let commentary = vec![
        Sound::new("wavpack", 48_000, "stereo").frequency(700).language("eng"),
        tone(1600).language("fra"),
    ];
    vec![
        of("mkv", "wavpack", 48_000, "stereo", 0.0),
        of("mkv", "tta", 44_100, "stereo", 0.0),
        of("mkv", "truehd", 48_000, "stereo", 0.0),
        of("mkv", "eac3", 48_000, "5.1", 0.0),
        of("mkv", "dca", 48_000, "stereo", 0.010),
        of("ts", "s302m", 48_000, "stereo", 0.0),
        of("flv", "nellymoser", 22_050, "mono", 0.0),
        of("flv", "adpcm_swf", 44_100, "stereo", 0.0),
        of("flv", "libspeex", 16_000, "mono", 0.006),
        of("avi", "adpcm_ms", 44_100, "stereo", 0.0),
        of("avi", "libgsm_ms", 8000, "mono", 0.0),
        of("mov", "adpcm_ima_qt", 44_100, "stereo", 0.0),
        of("mov", "pcm_f32le", 48_000, "5.1", 0.0),
        Clip::of("mkv wavpack, commentary aac", Take::new("mkv", 8.0).sounds(commentary))
            .expecting(|expected| expected.or_warned = Some("wavpack")),
    ]
}

/// A track that cannot be mixed down, beside one that can, and as the only one.
fn unusable() -> Vec<Clip> {
    let twelve = || Sound::new("pcm_s16le", 16_000, "12");
    let stereo = || Sound::new("pcm_s16le", 16_000, "stereo").frequency(700);
    let beside = || Take::new("mov", 6.0).sounds(vec![stereo(), twelve()]);
    let alone = Take::new("mov", 6.0).sounds(vec![twelve()]);
    vec![
        Clip::of("mov 12 channels with a layout beside stereo", beside()),
        Clip::patched("mov 12 channels beside stereo", beside(), Patch::NoLayout)
            .expecting(|expected| expected.tracks.truncate(1))
            .warned("track 2"),
        Clip::patched("mov 12 channels alone", alone, Patch::NoLayout)
            .expecting(|expected| expected.or_refused = true),
    ]
}
