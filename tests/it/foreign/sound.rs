//! Sound: codecs of all kinds, several frames in a packet, wrong timestamps, tracks that cannot be used.

use std::path::Path;

use super::{accepted, film, largest, likeness, make, planned, samples, studio, warnings};

/// Codecs that libav decodes, in the containers that they come in, with options for ffmpeg.
const CODECS: [(&str, &str); 15] = [
    ("wavpack.mkv", "-c:v libx264 -c:a wavpack"),
    ("tta.mkv", "-c:v libx264 -c:a tta"),
    ("truehd.mkv", "-c:v libx264 -c:a truehd -ac 2"),
    ("s302m.ts", "-c:v libx264 -c:a s302m -ac 2"),
    ("nellymoser.flv", "-c:v flv -c:a nellymoser -ar 22050"),
    ("adpcm_swf.flv", "-c:v flv -c:a adpcm_swf -ar 44100"),
    ("adpcm_ms.avi", "-c:v mpeg4 -c:a adpcm_ms"),
    ("adpcm_yamaha.avi", "-c:v mpeg4 -c:a adpcm_yamaha"),
    ("gsm_ms.avi", "-c:v mpeg4 -c:a libgsm_ms -ar 8000"),
    ("gsm.mov", "-c:v mpeg4 -c:a libgsm -ar 8000"),
    ("g722.mkv", "-c:v libx264 -c:a g722 -ar 16000"),
    ("g726.mkv", "-c:v libx264 -c:a g726 -ar 8000 -b:a 32k"),
    ("g723_1.mkv", "-c:v libx264 -c:a g723_1 -ar 8000 -b:a 6300"),
    ("adpcm_ima_qt.mov", "-c:v mpeg4 -c:a adpcm_ima_qt"),
    ("wmav2.asf", "-c:v wmv2 -c:a wmav2"),
];

#[test]
fn sound_of_every_codec_that_libav_decodes_is_heard() {
    let Some(studio) = studio() else { return };
    for (name, options) in CODECS {
        let clip = make(studio.path(), name, &format!("{} {options}", film(2)));
        let run = accepted(&clip);
        assert_eq!(
            (run.json["audio_tracks"].as_u64(), warnings(&run.json)),
            (Some(1), vec![]),
            "{name}"
        );
        must_sound_like(&samples(&clip, &[]), &samples(&largest(&run), &[]), name);
    }
}

/// Within 20 ms, and as long.
fn must_sound_like(expected: &[f64], found: &[f64], name: &str) {
    let (long, short) = (expected.len() as f64 / 8000.0, found.len() as f64 / 8000.0);
    assert!((long - short).abs() < 0.15, "{name}: {short:.2} of {long:.2} s");
    // A tone of 440 Hz is alike again after a period; 160 samples are 20 ms.
    let shifted =
        |shift: usize| likeness(&expected[1000..expected.len() - 1000], &found[1000 + shift..]);
    let back =
        |shift: usize| likeness(&expected[1000..expected.len() - 1000], &found[1000 - shift..]);
    let best = (0..160).flat_map(|shift| [shifted(shift), back(shift)]).fold(0.0, f64::max);
    assert!(best > 0.9, "{name}: {best:.3} alike");
}

/// A sweep is like itself only in step.
const SWEEP: &str = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=3 \
                     -f lavfi -i aevalsrc=0.4*sin(2*PI*(300+150*t)*t):s=16000:d=3";

#[test]
fn every_frame_of_a_packet_of_speex_is_heard() {
    let Some(studio) = studio() else { return };
    let options = "-c:v flv -c:a libspeex -frames_per_packet 2";
    let clip = make(studio.path(), "speex.flv", &format!("{SWEEP} {options}"));
    let run = accepted(&clip);
    let (whole, found) = (samples(&clip, &["-c:a", "libspeex"]), samples(&largest(&run), &[]));
    assert!(likeness(&whole, &found) > 0.9, "{:.3}", likeness(&whole, &found));
}

/// 12.2 kb/s of noise.
fn amr(frames: u32) -> Vec<u8> {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let mut bytes = b"#!AMR\n".to_vec();
    for _ in 0..frames {
        bytes.push(0x3c);
        bytes.extend((1..32).map(|_| noise()));
    }
    bytes
}

#[test]
fn every_frame_of_a_packet_of_amr_is_heard() {
    let Some(studio) = studio() else { return };
    let voice = studio.path().join("voice.amr");
    std::fs::write(&voice, amr(150)).expect("a file");
    // Unparsed, 1024 bytes make a packet: 32 frames, 640 ms.
    let picture = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=3 -fflags +noparse";
    let options = "-c:v libx264 -c:a copy -bsf:a setts=pts=N*640:dts=N*640:duration=640";
    let clip = format!("{picture} -i {} {options}", voice.display());
    let clip = make(studio.path(), "amr.mkv", &clip);
    let run = accepted(&clip);
    let (whole, found) = (samples(&voice, &[]), samples(&largest(&run), &[]));
    assert!(likeness(&whole, &found) > 0.8, "{:.3}", likeness(&whole, &found));
}

/// `dwRate` of the sound's stream header, times `factor`.
fn hasten(bytes: &mut [u8], factor: u32, slow: bool) {
    let kind = bytes.windows(4).position(|four| four == b"auds").expect("sound");
    let field = if slow { kind + 20 } else { kind + 24 };
    let field = &mut bytes[field..field + 4];
    let value = u32::from_le_bytes(field.try_into().expect("four bytes"));
    field.copy_from_slice(&(value * factor).to_le_bytes());
}

#[test]
fn samples_are_counted_where_timestamps_contradict_them() {
    let Some(studio) = studio() else { return };
    let good = make(studio.path(), "good.avi", &format!("{SWEEP} -c:v mpeg4 -c:a libmp3lame"));
    let whole = samples(&good, &[]);
    let own = samples(&largest(&accepted(&good)), &[]);
    for slow in [false, true] {
        let mut bytes = std::fs::read(&good).expect("a file");
        hasten(&mut bytes, 5, slow);
        let wrong = studio.path().join(format!("wrong-{slow}.avi"));
        std::fs::write(&wrong, bytes).expect("a file");
        let found = samples(&largest(&accepted(&wrong)), &[]);
        assert!(likeness(&own, &found) > 0.98, "slow {slow}: {:.3}", likeness(&own, &found));
        assert!(found.len() + 400 > whole.len(), "slow {slow}: {} of {}", found.len(), whole.len());
    }
}

#[test]
fn dts_in_avi_is_as_long_as_it_is() {
    let Some(studio) = studio() else { return };
    let clip = make(studio.path(), "dts.avi", &format!("{} -c:v mpeg4 -c:a dca -ac 2", film(2)));
    let found = samples(&largest(&accepted(&clip)), &[]).len();
    assert!((15_500..16_800).contains(&found), "{found} samples of 16000");
}

/// Twelve equal channels without a layout.
fn twelve() -> String {
    format!("-f lavfi -i aevalsrc=exprs={}:d=2:s=16000", ["0.3*sin(2764*t)"; 12].join("|"))
}

const PICTURE: &str = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=2";

#[test]
fn a_track_that_cannot_be_mixed_down_is_left_out_beside_a_good_one() {
    let Some(studio) = studio() else { return };
    let stereo = "-f lavfi -i sine=frequency=700:duration=2";
    let options = "-map 0 -map 1 -map 2 -c:v libx264 -c:a pcm_s16le";
    let clip = format!("{PICTURE} {stereo} {} {options}", twelve());
    let run = accepted(&make(studio.path(), "beside.mkv", &clip));
    assert_eq!(run.json["audio_tracks"], 1);
    assert_eq!(
        warnings(&run.json),
        [
            "Sound track 2 (pcm_s16le) is left out: 12 channels without a known layout cannot be mixed down. \
          To keep it, export the video with stereo sound."
        ]
    );
}

#[test]
fn the_only_track_is_mixed_down_by_the_numbers_of_its_channels() {
    let Some(studio) = studio() else { return };
    let clip = format!("{PICTURE} {} -c:v libx264 -c:a pcm_s16le", twelve());
    let clip = make(studio.path(), "alone.mkv", &clip);
    let run = accepted(&clip);
    let told = warnings(&run.json);
    assert!(
        told.len() == 1 && told[0].starts_with("Sound track 1 (pcm_s16le) has 12 channels"),
        "{told:?}"
    );
    // As loud as one channel.
    let loudness = |samples: Vec<f64>| samples.into_iter().map(f64::abs).fold(0.0, f64::max);
    let found = loudness(samples(&largest(&run), &[]));
    assert!((8000.0..11_500.0).contains(&found), "{found}");
}

#[test]
fn a_lost_main_track_is_named_with_the_one_that_takes_its_place() {
    let Some(studio) = studio() else { return };
    let sounds =
        "-f lavfi -i sine=frequency=400:duration=2 -f lavfi -i sine=frequency=1600:duration=2";
    let options = "-map 0 -map 1 -map 2 -c:v libx264 -c:a:0 sonic -c:a:1 aac \
                   -metadata:s:a:0 language=eng -metadata:s:a:1 language=fra \
                   -disposition:a:0 default -disposition:a:1 comment";
    let clip = make(studio.path(), "lost.mkv", &format!("{PICTURE} {sounds} {options}"));
    let run = accepted(&clip);
    assert_eq!(
        warnings(&run.json),
        [
            "Sound track 1 (en, sonic) is left out: the codec is not supported. \
             To keep it, export the video with AAC sound.",
            "Sound track 1 would be the main one; sound track 2 (fr, aac) takes its place.",
        ]
    );
    let manifest = std::fs::read_to_string(run.out().join("manifest.json")).expect("a manifest");
    assert!(manifest.contains("takes its place"), "{manifest}");
}

#[test]
fn the_sound_of_a_programme_is_that_of_its_picture() {
    let Some(studio) = studio() else { return };
    let inputs = "-f lavfi -i testsrc2=size=320x180:rate=25:duration=3 -f lavfi -i sine=frequency=400:duration=3 \
                  -f lavfi -i testsrc2=size=640x360:rate=25:duration=3 -f lavfi -i sine=frequency=1600:duration=3";
    let options = "-map 0 -map 1 -map 2 -map 3 -c:v libx264 -c:a aac \
                   -program title=News:st=0:st=1 -program title=Film:st=2:st=3";
    let clip = make(studio.path(), "programmes.ts", &format!("{inputs} {options}"));
    let plan = planned(&clip);
    assert_eq!(plan["facts"]["video"]["width"], 640);
    let sound = plan["audio"].as_array().expect("sound");
    assert_eq!(sound.len(), 1, "{sound:?}");
    assert_eq!(sound[0]["stream"], 3);
    let told = warnings(&plan);
    assert!(
        told.len() == 1
            && told[0].contains("programme 2 “Film”")
            && told[0].contains("programme 1 “News”"),
        "{told:?}"
    );
}

#[test]
fn a_track_without_packets_is_named() {
    let Some(studio) = studio() else { return };
    let clip = empty_track(studio.path());
    let told = warnings(&planned(&clip));
    assert_eq!(told, ["Sound track 2 (aac) is left out: no sound is in it."]);
}

/// The second track ends before the part that is cut out.
fn empty_track(folder: &Path) -> std::path::PathBuf {
    let sounds =
        "-f lavfi -i sine=frequency=400:duration=2 -f lavfi -i sine=frequency=900:duration=2";
    let options = "-map 0 -map 1 -map 2 -c:v libx264 -c:a aac -bsf:a:1 noise=drop=1";
    make(folder, "empty.mkv", &format!("{PICTURE} {sounds} {options}"))
}

#[test]
fn an_encrypted_track_is_named() {
    let Some(studio) = studio() else { return };
    let clip = make(studio.path(), "plain.mp4", &format!("{} -c:v libx264 -c:a aac", film(1)));
    let mut bytes = std::fs::read(clip).expect("a file");
    let entry = bytes.windows(4).rposition(|four| four == b"mp4a").expect("a sample entry");
    bytes[entry..entry + 4].copy_from_slice(b"enca");
    let locked = studio.path().join("locked.mp4");
    std::fs::write(&locked, bytes).expect("a file");
    let told = warnings(&planned(&locked));
    assert!(
        told[0].contains("Sound track 1 (aac) is left out: the sound is encrypted"),
        "{told:?}"
    );
}
