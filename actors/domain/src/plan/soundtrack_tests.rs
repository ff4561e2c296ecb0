//! Tests of the choice of audio tracks, and of the warnings about those that are left out.

use super::*;
use crate::sample;

fn track(number: u32, default: bool, secondary: bool) -> AudioTrack {
    AudioTrack { stream: number, number, default, secondary, ..sample::sound() }
}

fn lost(number: u32, reason: UnusedReason) -> UnusedAudio {
    UnusedAudio {
        stream: number,
        number,
        codec: "wavpack".to_owned(),
        language: "ger".to_owned(),
        default: false,
        secondary: false,
        reason,
    }
}

fn facts(audio: Vec<AudioTrack>, unused_audio: Vec<UnusedAudio>) -> ProbeFacts {
    ProbeFacts { audio, unused_audio, ..sample::facts() }
}

fn told(facts: &ProbeFacts) -> Vec<String> {
    warnings(facts, &chosen(facts, 8))
}

#[test]
fn the_main_track_is_the_default_one_and_never_a_commentary_if_there_is_another() {
    let streams = |audio: Vec<AudioTrack>| {
        let facts = facts(audio, Vec::new());
        chosen(&facts, 8).iter().map(|track| track.stream).collect::<Vec<_>>()
    };
    let (plain, marked) =
        (|number| track(number, false, false), |number| track(number, true, false));
    let comment = |number| track(number, false, true);
    assert_eq!(streams(vec![plain(1), plain(2)]), [1, 2]);
    assert_eq!(streams(vec![plain(1), plain(2), marked(3)]), [3, 1, 2]);
    assert_eq!(streams(vec![comment(1), plain(2), plain(3)]), [2, 1, 3]);
    assert_eq!(streams(vec![comment(1), comment(2)]), [1, 2]);
    assert_eq!(streams(vec![plain(1), track(2, true, true)]), [2, 1]);
}

#[test]
fn a_video_without_sound_tracks_has_no_sound_and_one_with_lost_tracks_says_so() {
    assert_eq!(told(&facts(Vec::new(), Vec::new())), ["The video has no sound."]);
    assert_eq!(
        told(&facts(Vec::new(), vec![lost(1, UnusedReason::UnsupportedCodec)])),
        [
            "Sound track 1 (de, wavpack) is left out: the codec is not supported. \
             To keep it, export the video with AAC sound.",
            "The result has no sound: no sound track of the video can be used.",
        ]
    );
}

#[test]
fn a_track_without_a_number_is_told_without_one() {
    let older = AudioTrack { mixed: true, channels: 12, ..track(0, true, false) };
    let warnings = told(&facts(vec![older], Vec::new()));
    assert!(warnings[0].starts_with("Sound track (en, aac) has 12 channels"), "{warnings:?}");
    let older = (0..10).map(|stream| AudioTrack { stream, ..track(0, false, false) });
    let warnings = told(&facts(older.collect(), Vec::new()));
    assert!(warnings[0].contains("sound tracks (en, aac) and (en, aac) are left out"));
}

#[test]
fn tracks_with_one_reason_share_a_sentence() {
    let unused = vec![
        lost(2, UnusedReason::Empty),
        lost(3, UnusedReason::UnsupportedCodec),
        lost(4, UnusedReason::Empty),
        UnusedAudio { language: "<b>".to_owned(), ..lost(5, UnusedReason::Empty) },
    ];
    assert_eq!(
        told(&facts(vec![track(1, true, false)], unused)),
        [
            "Sound track 3 (de, wavpack) is left out: the codec is not supported. \
             To keep it, export the video with AAC sound.",
            "Sound tracks 2 (de, wavpack), 4 (de, wavpack) and 5 (wavpack) are left out: \
             no sound is in them.",
        ]
    );
}

#[test]
fn a_track_that_takes_the_place_of_the_main_one_is_named() {
    let default = UnusedAudio { default: true, ..lost(2, UnusedReason::Undecodable) };
    let place = "Sound track 2 would be the main one; sound track 1 (en, aac) takes its place.";
    let cases = [
        (vec![track(1, false, false)], default.clone(), Some(place)),
        // The track that is marked as the default one is there.
        (vec![track(1, true, false)], lost(2, UnusedReason::Undecodable), None),
        // A later track without a mark would not have been the main one anyway.
        (vec![track(1, false, false)], lost(2, UnusedReason::Undecodable), None),
        // A commentary would have been.
        (vec![track(1, false, true)], lost(2, UnusedReason::Undecodable), Some(place)),
    ];
    for (audio, unused, expected) in cases {
        let told = told(&facts(audio, vec![unused]));
        assert_eq!(told.get(1).map(String::as_str), expected, "{told:?}");
    }
}

#[test]
fn the_sound_of_another_programme_is_named_with_both_programmes() {
    let reason = UnusedReason::OtherProgramme {
        own: "1 “News”".to_owned(),
        chosen: "2 “Film”".to_owned(),
    };
    let unused = UnusedAudio { default: true, ..lost(1, reason) };
    assert_eq!(
        told(&facts(vec![track(2, false, false)], vec![unused])),
        [
            "Sound track 1 (de, wavpack) is left out: the file holds several programmes, and the picture of \
          programme 2 “Film” is used, not that of programme 1 “News”. \
          Upload programme 1 “News” as a file of its own to use it."
        ]
    );
}

#[test]
fn every_reason_is_told_in_whole_sentences() {
    let reasons = [
        UnusedReason::UnsupportedCodec,
        UnusedReason::Undecodable,
        UnusedReason::Channels(12),
        UnusedReason::Empty,
        UnusedReason::Encrypted,
        UnusedReason::OtherProgramme { own: "1".to_owned(), chosen: "2".to_owned() },
    ];
    for reason in reasons {
        let sentence = left_out(&[named(1, "und", "aac")], &reason);
        assert!(sentence.starts_with("Sound track 1 (aac) is left out: "), "{sentence}");
        assert!(sentence.ends_with('.') && !sentence.contains("  "), "{sentence}");
    }
}

fn steps(stamped: &[f64], sounded: f64) -> Vec<Step> {
    stamped.iter().map(|stamped| Step { stamped: *stamped, sounded }).collect()
}

#[test]
fn timestamps_that_let_sound_overlap_itself_contradict_it() {
    let frame = 1152.0 / 44_100.0;
    assert!(contradicts(&steps(&[frame / 5.0; 40], frame), false));
    assert!(contradicts(&steps(&[0.0; 40], frame), false));
    assert!(!contradicts(&steps(&[frame; 40], frame), true));
    // Milliseconds and jitter are no contradiction.
    assert!(!contradicts(&steps(&[0.026, 0.027, 0.026, 0.0, 0.052].repeat(8), frame), false));
    // One frame is not enough for a conclusion.
    assert!(!contradicts(&steps(&[0.0], frame), false));
}

#[test]
fn gaps_are_gaps_except_in_a_container_that_has_none() {
    let opus_that_skips_silence = steps(&[0.4; 40], 0.02);
    assert!(!contradicts(&opus_that_skips_silence, false));
    assert!(contradicts(&opus_that_skips_silence, true));
    assert!(contradicts(&steps(&[5.024; 40], 0.010_667), true));
}

#[test]
fn a_clock_that_jumps_is_no_contradiction() {
    let mut joined = steps(&[0.02; 40], 0.02);
    joined[20].stamped = -10.0;
    assert!(!contradicts(&joined, false));
    joined[20].stamped = 3600.0;
    assert!(!contradicts(&joined, false));
}

#[test]
fn a_mixdown_by_numbers_is_told() {
    let many = AudioTrack { channels: 12, mixed: true, ..track(1, true, false) };
    assert_eq!(
        told(&facts(vec![many], Vec::new())),
        [
            "Sound track 1 (en, aac) has 12 channels without a known layout: the 1st, 3rd, 5th and so on are \
          mixed to the left, the others to the right. If that is wrong, export the video with stereo sound."
        ]
    );
}

#[test]
fn a_decoder_that_is_late_makes_no_packet_shorter() {
    // Twenty packets of 20 ms, of which the last is still in the decoder.
    assert!((packet_seconds(0.38, 20, 1) - 0.02).abs() < 1e-9);
    assert!((packet_seconds(0.4, 20, 0) - 0.02).abs() < 1e-9);
    assert!(packet_seconds(0.0, 5, 5).abs() < 1e-9);
}
