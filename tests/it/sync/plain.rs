//! Clips without any trouble: containers, codecs, sample rates, channel layouts and picture rates.

use super::recipe::Clip;
use super::take::{Sound, Take};

/// Container, picture codec, sound codec, sample rate, layout. Every value is in some row; not every product is.
const KINDS: [(&str, &str, &str, u32, &str); 34] = [
    ("mp4", "libx264", "aac", 48_000, "stereo"),
    ("mp4", "libx265", "aac", 44_100, "mono"),
    ("mp4", "mpeg4", "aac", 22_050, "mono"),
    ("mp4", "libx264", "aac", 96_000, "5.1"),
    ("mp4", "libx264", "ac3", 48_000, "5.1"),
    ("mp4", "libx264", "libmp3lame", 32_000, "stereo"),
    ("mp4", "libvpx-vp9", "libopus", 48_000, "stereo"),
    ("mp4", "libx264", "flac", 44_100, "stereo"),
    ("mp4", "libx264", "alac", 44_100, "stereo"),
    ("3gp", "libx264", "aac", 8000, "mono"),
    ("mov", "libx264", "pcm_s16le", 48_000, "stereo"),
    ("mov", "mpeg4", "pcm_s24le", 96_000, "stereo"),
    ("mov", "mjpeg", "pcm_mulaw", 8000, "mono"),
    ("mkv", "libx264", "flac", 96_000, "5.1"),
    ("mkv", "libx265", "libopus", 48_000, "5.1"),
    ("mkv", "libx264", "libvorbis", 32_000, "stereo"),
    ("mkv", "mpeg2video", "ac3", 44_100, "stereo"),
    ("mkv", "libx264", "pcm_s16le", 22_050, "mono"),
    ("mkv", "libx264", "libmp3lame", 44_100, "stereo"),
    ("webm", "libvpx-vp9", "libopus", 48_000, "mono"),
    ("webm", "libvpx", "libvorbis", 44_100, "stereo"),
    ("ts", "libx264", "aac", 48_000, "stereo"),
    ("ts", "libx265", "ac3", 48_000, "5.1"),
    ("ts", "mpeg2video", "mp2", 48_000, "stereo"),
    ("ts", "libx264", "libmp3lame", 44_100, "stereo"),
    ("flv", "libx264", "aac", 44_100, "stereo"),
    ("flv", "flv", "libmp3lame", 22_050, "mono"),
    ("avi", "mpeg4", "libmp3lame", 44_100, "stereo"),
    ("avi", "mpeg4", "ac3", 48_000, "5.1"),
    ("avi", "mjpeg", "pcm_s16le", 8000, "mono"),
    ("mpg", "mpeg2video", "mp2", 48_000, "stereo"),
    ("mpg", "mpeg1video", "mp2", 32_000, "mono"),
    ("vob", "mpeg2video", "ac3", 48_000, "5.1"),
    ("ogv", "libtheora", "libvorbis", 44_100, "stereo"),
];

/// Name, pictures per second.
const RATES: [(&str, u32, u32); 5] = [
    ("23.976", 24_000, 1001),
    ("29.97", 30_000, 1001),
    ("15", 15, 1),
    ("50", 50, 1),
    ("60", 60, 1),
];

/// Seconds that decoders of these codecs are late where the container does not say so.
pub(super) fn delay(container: &str, codec: &str) -> f64 {
    match (container, codec) {
        // The muxer moves all by the delay of Opus; the demuxer moves only the audio back.
        ("mkv" | "webm", "libopus") => -0.007,
        // LAME's delay of 1105 samples, of which an AVI says nothing.
        ("avi", "libmp3lame") => 0.025,
        _ => 0.0,
    }
}

/// The AVI muxer has no time for what is moved by part of a picture.
pub(super) const UNMOVED: [&str; 2] = ["-avoid_negative_ts", "disabled"];

/// MPEG-4 and MP3, as most AVI files have.
pub(super) fn avi(seconds: f64) -> Take {
    let sound = Sound::new("libmp3lame", 44_100, "stereo").delay(delay("avi", "libmp3lame"));
    Take::new("avi", seconds).codec("mpeg4").sounds(vec![sound]).with(&UNMOVED)
}

/// All plain clips.
pub(super) fn clips() -> Vec<Clip> {
    let kinds = KINDS.iter().map(|&(container, picture, sound, rate, layout)| {
        let name = format!("{container} {picture} {sound} {rate} {layout}");
        let sound = Sound::new(sound, rate, layout).delay(delay(container, sound));
        let take = Take::new(container, 6.0).codec(picture).sounds(vec![sound]);
        Clip::of(&name, if container == "avi" { take.with(&UNMOVED) } else { take })
    });
    let rates = RATES.iter().map(|&(name, over, under)| {
        Clip::of(&format!("mp4 {name} fps"), Take::new("mp4", 6.0).rate(over, under))
    });
    let long = [
        Clip::of("mp4 30 s", Take::new("mp4", 30.0)),
        Clip::of("avi 30 s", avi(30.0)),
        Clip::of("mp4 720p", Take::new("mp4", 8.0).size(1280, 720)),
        Clip::of("mp4 720p 60 fps", Take::new("mp4", 8.0).size(1280, 720).rate(60, 1)),
        Clip::of(
            "mp4 in fragments",
            Take::new("mp4", 8.0).with(&["-movflags", "frag_keyframe+empty_moov+delay_moov"]),
        ),
    ];
    kinds.chain(rates).chain(long).collect()
}
