//! A table of all texts about a video: every reason, every end of a codec process, every warning.

use std::collections::BTreeSet;

use super::*;
use crate::codec::death::CodecDeath;
use crate::plan::media::{AudioTrack, ProbeFacts, UnusedAudio, UnusedReason};
use crate::plan::soundtrack;
use crate::sample;
use crate::words::advice;
use crate::words::sentence::check_plain;
use crate::words::warning::{PictureTrack, Warning};

/// A code and its sentence, as a failure carries them.
fn told(reason: impl Into<Reason>) -> (String, String) {
    let failure = Failure::from(reason.into());
    (failure.code, failure.message)
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// An example of each variant. A new variant fails to compile here first.
fn file_faults() -> Vec<FileFault> {
    use FileFault as F;
    let (accepted, recognised) = (text("MP4, MOV or MKV"), text("ASF (Windows Media)"));
    let all = vec![
        F::Empty,
        F::PointsElsewhere,
        F::NotRecognised { accepted: accepted.clone() },
        F::FormatNotAccepted { recognised, accepted },
        F::Damaged,
        F::IndexMissing,
        F::Encrypted,
        F::AsksForMemory,
        F::TimesMakeNoSense,
        F::TrackGone,
    ];
    let number = |fault: &F| match fault {
        F::Empty => 0,
        F::PointsElsewhere => 1,
        F::NotRecognised { .. } => 2,
        F::FormatNotAccepted { .. } => 3,
        F::Damaged => 4,
        F::IndexMissing => 5,
        F::Encrypted => 6,
        F::AsksForMemory => 7,
        F::TimesMakeNoSense => 8,
        F::TrackGone => 9,
    };
    in_order(&all, number);
    all
}

fn content_faults() -> Vec<ContentFault> {
    use ContentFault as F;
    let codec = text("VVC (Versatile Video Coding)");
    let all = vec![
        F::NoVideo { sounds: 2, cover: true },
        F::CodecNotSupported { codec: codec.clone() },
        F::CodecUnknown,
        F::FeatureNotSupported,
        F::SoundNotSupported { codec },
        F::SoundFormNotSupported,
        F::NoPictures,
        F::NothingDecoded,
        F::NoKeyPicture,
        F::TooDamaged,
    ];
    let number = |fault: &F| match fault {
        F::NoVideo { .. } => 0,
        F::CodecNotSupported { .. } => 1,
        F::CodecUnknown => 2,
        F::FeatureNotSupported => 3,
        F::SoundNotSupported { .. } => 4,
        F::SoundFormNotSupported => 5,
        F::NoPictures => 6,
        F::NothingDecoded => 7,
        F::NoKeyPicture => 8,
        F::TooDamaged => 9,
    };
    in_order(&all, number);
    all
}

fn over_limits() -> Vec<OverLimit> {
    use OverLimit as L;
    let all = vec![
        L::Bytes { found: 2_000_000, limit: 1_000_000 },
        L::Tracks { limit: 64 },
        L::Pixels { width: 12_288, height: 8192, limit: 67_108_864 },
        L::Frames { limit: 2_600_000 },
        L::ClockSteps { limit: 512 },
        L::Length { seconds: 50_000.0, limit: 43_200.0 },
        L::FrameRate { rate: 999.7, limit: 300.0 },
        L::Pause { seconds: 700.0, limit: 60.0 },
        L::Fineness,
        L::NoTier { width: 640, height: 360 },
        L::NoLevel { width: 16_384, height: 4320, rate: 60.0 },
    ];
    let number = |over: &L| match over {
        L::Bytes { .. } => 0,
        L::Tracks { .. } => 1,
        L::Pixels { .. } => 2,
        L::Frames { .. } => 3,
        L::ClockSteps { .. } => 4,
        L::Length { .. } => 5,
        L::FrameRate { .. } => 6,
        L::Pause { .. } => 7,
        L::Fineness => 8,
        L::NoTier { .. } => 9,
        L::NoLevel { .. } => 10,
    };
    in_order(&all, number);
    all
}

fn work_faults() -> Vec<WorkFault> {
    use WorkFault as F;
    let all = vec![F::OutOfMemory, F::SourceUnavailable, F::PieceShort, F::Abandoned, F::Internal];
    let number = |fault: &F| match fault {
        F::OutOfMemory => 0,
        F::SourceUnavailable => 1,
        F::PieceShort => 2,
        F::Abandoned => 3,
        F::Internal => 4,
    };
    in_order(&all, number);
    all
}

fn deaths() -> Vec<CodecDeath> {
    use CodecDeath as D;
    let all = vec![
        D::Signal(11),
        D::Exit(3),
        D::WallClock,
        D::Cpu,
        D::NoProgress,
        D::Output,
        D::Reads,
        D::Protocol,
    ];
    let number = |death: &D| match death {
        D::Signal(_) => 0,
        D::Exit(_) => 1,
        D::WallClock => 2,
        D::Cpu => 3,
        D::NoProgress => 4,
        D::Output => 5,
        D::Reads => 6,
        D::Protocol => 7,
    };
    in_order(&all, number);
    all
}

/// Video tracks 2, 3 and so on. The size of the last one is unknown.
fn picture_tracks(tracks: u32) -> Vec<PictureTrack> {
    let track = |number| {
        let (width, height) = if number > tracks { (0, 0) } else { (480, 270) };
        PictureTrack { number, width, height, codec: text("h264") }
    };
    (2..tracks + 2).map(track).collect()
}

fn warnings() -> Vec<Warning> {
    use Warning as W;
    let languages = ["eng", "ger", "und", "deu"].map(text).to_vec();
    let all = vec![
        W::Damaged,
        W::CutShort,
        W::TimesMended { steps: 1 },
        W::Latecomers { tracks: 3 },
        W::SoundCut { sound: 50_000.0, picture: 10.0, kept: 43_200.0 },
        W::HeadMissing { seconds: 0.8 },
        W::PicturesMisplaced { pictures: 1 },
        W::SoundBehindPause { pause: 39_600.0, limit: 600.0 },
        W::EncoderUnknown,
        W::HdrAssumed,
        W::ToneMapped,
        W::TierMissing { tier: text("4320p") },
        W::SubtitlesLeftOut { languages },
        W::AnotherRecording { bytes: 28_514_000 },
        W::PicturesLeftOut { tracks: picture_tracks(7) },
        W::SoundBeforePicture { lead: 700.0, picture: 20.0, limit: 600.0 },
        W::SoundAfterPicture { pause: 700.0, limit: 600.0 },
        W::PicturesLost { pictures: 150 },
        W::SoundLost { track: text("2 (de, aac)"), seconds: 12.0 },
        W::SoundAllLost { track: text("2 (de, aac)") },
        W::HeadIncomplete { seconds: None },
        W::HeadIncomplete { seconds: Some(5.2) },
    ];
    let number = |warning: &W| match warning {
        W::Damaged => 0,
        W::CutShort => 1,
        W::TimesMended { .. } => 2,
        W::Latecomers { .. } => 3,
        W::SoundCut { .. } => 4,
        W::HeadMissing { .. } => 5,
        W::PicturesMisplaced { .. } => 6,
        W::SoundBehindPause { .. } => 7,
        W::EncoderUnknown => 8,
        W::HdrAssumed => 9,
        W::ToneMapped => 10,
        W::TierMissing { .. } => 11,
        W::SubtitlesLeftOut { .. } => 12,
        W::AnotherRecording { .. } => 13,
        W::PicturesLeftOut { .. } => 14,
        W::SoundBeforePicture { .. } => 15,
        W::SoundAfterPicture { .. } => 16,
        W::PicturesLost { .. } => 17,
        W::SoundLost { .. } => 18,
        W::SoundAllLost { .. } => 19,
        W::HeadIncomplete { seconds: None } => 20,
        W::HeadIncomplete { seconds: Some(_) } => 21,
    };
    in_order(&all, number);
    all
}

/// All warnings about audio: each reason to leave a track out, too many tracks, none, and a mixdown.
fn sound_warnings() -> Vec<String> {
    use UnusedReason as R;
    let (own, chosen) = (text("1"), text("2"));
    let all = vec![
        R::UnsupportedCodec,
        R::Undecodable,
        R::Channels(12),
        R::Empty,
        R::Encrypted,
        R::OtherProgramme { own, chosen },
        R::Times,
    ];
    let number = |reason: &R| match reason {
        R::UnsupportedCodec => 0,
        R::Undecodable => 1,
        R::Channels(_) => 2,
        R::Empty => 3,
        R::Encrypted => 4,
        R::OtherProgramme { .. } => 5,
        R::Times => 6,
    };
    in_order(&all, number);
    let unused = (1..).zip(all).map(|(number, reason)| UnusedAudio {
        stream: number,
        number,
        codec: text("wavpack"),
        language: text("ger"),
        default: number == 1,
        secondary: false,
        reason,
    });
    let main =
        AudioTrack { channels: 12, mixed: true, default: false, number: 8, ..sample::sound() };
    let facts = ProbeFacts {
        audio: vec![main, AudioTrack { stream: 9, ..sample::sound() }],
        unused_audio: unused.collect(),
        ..sample::facts()
    };
    let mut said = soundtrack::warnings(&facts, &[&facts.audio[0]]);
    said.extend(soundtrack::warnings(&facts, &[]).pop());
    let silent = ProbeFacts { audio: Vec::new(), ..sample::facts() };
    said.extend(soundtrack::warnings(&silent, &[]));
    said
}

/// Fails unless every variant has its example, in the order of the numbers.
fn in_order<T>(all: &[T], number: impl Fn(&T) -> usize) {
    assert!(all.iter().map(number).eq(0..all.len()), "a variant lacks its example");
}

/// Codes and sentences of all failures.
fn failures() -> Vec<(String, String)> {
    let death = |death: CodecDeath| {
        let failure = Failure::from(death);
        (failure.code, failure.message)
    };
    let mut all: Vec<(String, String)> = file_faults().into_iter().map(told).collect();
    all.extend(content_faults().into_iter().map(told));
    all.extend(over_limits().into_iter().map(told));
    all.extend(work_faults().into_iter().map(told));
    all.extend(deaths().into_iter().map(death));
    all.push(death(CodecDeath::Signal(9)));
    all
}

#[test]
fn everything_said_about_a_video_is_plain_and_whole() {
    let failures = failures();
    let mut warnings: Vec<String> = warnings().iter().map(Warning::sentence).collect();
    warnings.extend(sound_warnings());
    // Seven reasons, too many tracks, another main track, a mixdown, no usable track, no track at all.
    assert_eq!(warnings.len(), 22 + 12);
    let sentences = failures.iter().map(|(_, sentence)| sentence).chain(&warnings);
    let wrong: Vec<String> = sentences.clone().filter_map(|text| check_plain(text).err()).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    let different: BTreeSet<&String> = sentences.clone().collect();
    assert_eq!(different.len(), sentences.count(), "two reasons are told in the same words");
}

#[test]
fn every_failure_says_what_to_do_next_and_has_advice_for_operators() {
    const DEEDS: [&str; 5] = ["Upload ", "Export ", "Try again", "Ask for ", "report it"];
    for (code, sentence) in failures() {
        let last = sentence.split(". ").last().unwrap_or_default();
        let named = DEEDS.iter().any(|deed| last.contains(deed));
        assert!(named && sentence.contains(". "), "{code}: {sentence}");
        assert!(advice::of_code(&code).is_some(), "{code} has no advice");
    }
}

#[test]
fn a_process_that_was_killed_is_not_blamed_on_the_video() {
    let killed = Failure::from(CodecDeath::Signal(9)).message;
    assert!(killed.contains("memory") && !killed.contains("Export"), "{killed}");
    assert!(Failure::from(CodecDeath::Signal(11)).message.contains("crashes on this video"));
}

#[test]
fn what_was_recognised_and_what_is_accepted_is_named() {
    let (_, format) = told(FileFault::FormatNotAccepted {
        recognised: text("ASF (Windows Media)"),
        accepted: text("MP4 or MKV"),
    });
    assert!(format.contains("ASF (Windows Media)") && format.contains("MP4 or MKV"), "{format}");
    let (_, codec) = told(ContentFault::CodecNotSupported { codec: text("Cinepak") });
    assert!(codec.contains("Cinepak") && codec.contains(CODECS), "{codec}");
    let (_, silent) = told(ContentFault::NoVideo { sounds: 1, cover: true });
    assert!(silent.contains("it holds a cover picture and 1 sound track."), "{silent}");
    let (_, pixels) = told(OverLimit::Pixels { width: 9000, height: 9000, limit: 67_108_864 });
    assert!(pixels.contains("9000×9000") && pixels.contains("67,108,864"), "{pixels}");
    let (_, long) = told(OverLimit::Length { seconds: 50_000.0, limit: 43_200.0 });
    assert!(long.contains("13.9 hours") && long.contains("12.0 hours"), "{long}");
}

#[test]
fn subtitles_are_named_by_language() {
    let of = |languages: &[&str]| {
        let languages = languages.iter().copied().map(text).collect();
        Warning::SubtitlesLeftOut { languages }.sentence()
    };
    assert_eq!(
        of(&["eng", "ger", "und", "deu"]),
        "The file has 4 subtitle tracks (de and en); subtitles are not carried over yet."
    );
    assert_eq!(of(&["und"]), "The file has 1 subtitle track; subtitles are not carried over yet.");
}

#[test]
fn video_tracks_that_are_left_out_are_named_and_many_are_counted() {
    let of = |tracks| Warning::PicturesLeftOut { tracks: picture_tracks(tracks) }.sentence();
    assert_eq!(
        of(1),
        "Video track 2 (h264) is left out: only one video track is used. To keep it, upload it as a file of its own."
    );
    assert!(of(2).starts_with("Video tracks 2 (480×270, h264) and 3 (h264) are left out: "));
    assert!(of(9).contains("5 (480×270, h264) and 5 more are left out"), "{}", of(9));
}
