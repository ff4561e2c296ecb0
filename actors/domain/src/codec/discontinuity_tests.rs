//! Tests of clock steps: joined recordings, wild timestamps, and no steps.

use super::*;

const PICTURE: usize = 0;
const SOUND: usize = 1;

fn jump(track: usize, byte: u64, before: f64, after: f64, other: Option<f64>) -> Jump {
    let mut clocks = vec![Some(before), Some(before)];
    clocks[1 - track] = other;
    Jump { track, byte, before, after, kind: Kind::Step, since: 0, clocks, goes_on: vec![false; 2] }
}

fn extents() -> [Extent; 2] {
    [Extent { packets: 500, last_byte: 9000 }, Extent { packets: 900, last_byte: 9100 }]
}

fn check(jumps: &[Jump], expected: &[f64]) {
    let found = shifts(jumps, &extents());
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{found:?}");
}

#[test]
fn joined_recordings_get_the_offset_that_overlaps_neither_track() {
    let joined =
        [jump(PICTURE, 100, 11.4, 1.48, Some(11.42)), jump(SOUND, 110, 11.45, 1.4, Some(1.52))];
    check(&joined, &[10.05, 10.05]);
}

#[test]
fn a_third_recording_is_counted_from_the_mended_second() {
    let joined = [
        jump(SOUND, 90, 10.0, 0.0, Some(9.9)),
        jump(PICTURE, 100, 10.0, 0.0, Some(0.02)),
        jump(PICTURE, 200, 5.0, 0.0, Some(4.9)),
        jump(SOUND, 210, 5.0, 0.0, Some(0.04)),
    ];
    check(&joined, &[10.0, 10.0, 15.0, 15.0]);
}

#[test]
fn a_track_that_was_silent_joins_the_clock_that_it_agrees_with() {
    // The second recording has no audio, the third has audio again.
    let joined = [
        jump(PICTURE, 100, 10.0, 0.0, Some(9.9)),
        jump(PICTURE, 200, 30.0, 0.0, None),
        jump(SOUND, 210, 10.0, 0.1, Some(0.2)),
    ];
    check(&joined, &[10.0, 40.0, 40.0]);
}

#[test]
fn a_clock_that_goes_back_a_little_takes_both_tracks_with_it() {
    let back =
        [jump(PICTURE, 100, 20.0, 16.0, Some(19.9)), jump(SOUND, 120, 20.1, 16.02, Some(16.2))];
    check(&back, &[4.08, 4.08]);
}

#[test]
fn an_hour_that_both_tracks_jump_is_left_out() {
    let forward = [
        jump(SOUND, 100, 10.0, 3610.0, Some(9.9)),
        jump(PICTURE, 110, 10.0, 3610.02, Some(3610.2)),
    ];
    check(&forward, &[-3600.0, -3600.0]);
}

#[test]
fn a_slide_show_with_speech_has_distances_and_no_steps() {
    let slides =
        [jump(PICTURE, 100, 1.0, 70.0, Some(69.8)), jump(PICTURE, 200, 71.0, 140.0, Some(139.9))];
    check(&slides, &[0.0, 0.0]);
    // Audio that pauses is no step either.
    check(&[jump(SOUND, 100, 5.0, 100.0, Some(99.9))], &[0.0]);
    // Neither is a distance during which the other track continues on its old clock.
    check(&[jump(PICTURE, 100, 5.0, 3600.0, Some(4.9))], &[0.0]);
}

#[test]
fn a_picture_alone_jumps_once_but_not_with_every_slide() {
    let alone = [Extent { packets: 500, last_byte: 9000 }];
    let once = |packets, after| {
        let (clocks, goes_on) = (vec![Some(9.9)], vec![false]);
        let (before, kind, since) = (10.0, Kind::Step, 0);
        let jump = Jump { track: 0, byte: 100, before, after, kind, since, clocks, goes_on };
        shifts(&[jump], &[Extent { packets, ..alone[0] }])
    };
    assert_eq!(once(500, 3610.0), [-3600.0]);
    assert_eq!(once(5, 3610.0), [0.0]);
    // A pause of a screen recording.
    assert_eq!(once(500, 80.0), [0.0]);
}

#[test]
fn a_jump_back_of_one_track_is_no_step_where_the_other_goes_on() {
    let mut alone = jump(SOUND, 100, 10.0, 5.0, Some(9.9));
    check(std::slice::from_ref(&alone), &[5.0]);
    alone.goes_on[PICTURE] = true;
    check(&[alone], &[0.0]);
    // Until the other track joins, its packets may lag behind.
    let mut first = jump(PICTURE, 100, 20.0, 16.0, Some(19.5));
    first.goes_on[SOUND] = true;
    check(&[first, jump(SOUND, 120, 19.9, 16.0, Some(16.2))], &[4.0, 4.0]);
}

#[test]
fn wild_timestamps_are_a_step_and_a_step_back() {
    let wild = [
        jump(PICTURE, 100, 10.0, 90_000.0, Some(9.9)),
        jump(PICTURE, 110, 90_000.04, 10.04, Some(10.0)),
    ];
    check(&wild, &[10.0 - 90_000.0, 0.0]);
}

/// A packet that is no step by itself.
fn loose(track: usize, before: f64, after: f64, other: Option<f64>) -> Jump {
    Jump { kind: Kind::Loose, ..jump(track, 0, before, after, other) }
}

#[test]
fn a_track_that_goes_back_a_little_follows_one_that_steps() {
    let step = jump(SOUND, 100, 10.02, 9.85, Some(9.96));
    check(&[step.clone(), loose(PICTURE, 10.0, 9.85, Some(9.9))], &[0.17, 0.17]);
    // In either order.
    check(&[loose(PICTURE, 10.0, 9.85, Some(10.0)), step], &[0.17, 0.17]);
    // Without a step it is jitter.
    check(&[loose(PICTURE, 10.0, 9.85, Some(10.0))], &[0.0]);
}

#[test]
fn a_track_that_begins_in_a_later_recording_follows_its_clock() {
    let begins = |other| loose(SOUND, f64::NEG_INFINITY, 0.0, Some(other));
    let step = |sound| jump(PICTURE, 100, 3.0, 0.0, sound);
    check(&[step(None), begins(0.0)], &[3.0, 3.0]);
    check(&[begins(2.96), step(Some(0.1))], &[3.0, 3.0]);
    // The track began in the first recording, which was shorter than the interval within which tracks agree.
    let before = Jump { since: 1, ..step(Some(2.9)) };
    check(&[begins(0.0), before, jump(SOUND, 110, 3.0, 0.0, Some(0.1))], &[0.0, 3.0, 3.0]);
}

#[test]
fn a_track_that_was_away_follows_the_step_that_it_missed() {
    // Its audio ended long before the joint, and the next one begins later than that.
    let back = [jump(PICTURE, 100, 12.0, 4.5, None), loose(SOUND, 4.0, 4.5, Some(4.6))];
    check(&back, &[7.5, 7.5]);
}

#[test]
fn a_track_that_goes_on_follows_a_step_towards_its_clock() {
    // The last packet of audio that ended early lies at the end of the first recording.
    let step = |track, before, sound| Jump {
        goes_on: vec![false, true],
        ..jump(track, 100, before, 5.8, Some(sound))
    };
    let goes_on = |before, after, picture| Jump {
        kind: Kind::GoesOn,
        ..jump(SOUND, 110, before, after, Some(picture))
    };
    check(&[step(PICTURE, 13.4, 5.4), goes_on(5.5, 5.9, 5.9)], &[7.6, 7.6]);
    // Here only the picture is wild.
    check(&[step(PICTURE, 7.0, 7.0), goes_on(7.0, 7.0, 5.9)], &[0.0, 0.0]);
}

#[test]
fn tracks_that_both_go_back_a_little_are_joined_but_jitter_is_not() {
    let back = |track, before: f64, since| Jump {
        since,
        ..loose(track, before, before - 0.08, Some(before))
    };
    check(&[back(PICTURE, 2.0, 0), back(SOUND, 2.02, 0)], &[0.08, 0.08]);
    let joints =
        [back(SOUND, 2.02, 0), back(PICTURE, 2.0, 0), back(PICTURE, 3.92, 1), back(SOUND, 3.94, 2)];
    check(&joints, &[0.08, 0.08, 0.16, 0.16]);
    // One track alone.
    check(&[back(PICTURE, 2.0, 0)], &[0.0]);
    check(&[back(SOUND, 2.0, 0), back(PICTURE, 2.3, 1)], &[0.0, 0.0]);
    // A recorder that stamps packets on arrival.
    let jitter: Vec<Jump> =
        (1..40).map(|n| back(n % 2, 0.04 * n as f64, n.saturating_sub(2))).collect();
    let shifts = shifts(&jitter, &extents());
    assert!(shifts.iter().all(|shift| *shift < 0.09), "{shifts:?}");
}

#[test]
fn tracks_that_lie_far_apart_in_the_file_step_alike() {
    let joined =
        [jump(PICTURE, 100, 12.0, 0.0, Some(4.0)), jump(SOUND, 900, 12.05, 0.0, Some(8.0))];
    check(&joined, &[12.05, 12.05]);
}

#[test]
fn an_hour_before_or_after_everything_else_is_left_out() {
    let last = Jump { goes_on: vec![false, true], ..jump(PICTURE, 100, 12.0, 3612.0, Some(11.9)) };
    check(&[last], &[-3600.0]);
    let first = [
        loose(SOUND, f64::NEG_INFINITY, 3600.0, Some(0.0)),
        jump(PICTURE, 100, 0.04, 3600.04, Some(3600.0)),
    ];
    check(&first, &[-3600.0, -3600.0]);
    // A slide that stands for a minute before somebody speaks.
    let slide = [
        loose(SOUND, f64::NEG_INFINITY, 70.0, Some(0.0)),
        jump(PICTURE, 100, 0.04, 70.0, Some(70.0)),
    ];
    check(&slide, &[0.0, 0.0]);
}

#[test]
fn one_wrong_timestamp_moves_nothing_but_itself() {
    for track in [PICTURE, SOUND] {
        let ahead = Jump { kind: Kind::Leap, ..jump(track, 100, 10.0, 16.0, Some(10.0)) };
        let mut back = jump(track, 110, 16.04, 10.04, Some(10.1));
        back.goes_on[1 - track] = true;
        check(&[ahead.clone(), back.clone()], &[-6.0, 0.0]);
        // A clock that has stepped before.
        let joint =
            |at, before| jump(at, 50, before, 5.0, Some(if at == 1 { 5.0 } else { before }));
        check(&[joint(PICTURE, 9.0), joint(SOUND, 9.0), ahead, back], &[4.0, 4.0, -2.0, 4.0]);
    }
}

#[test]
fn a_break_without_a_way_back_is_none_of_them() {
    let ahead = |track, other| Jump { kind: Kind::Leap, ..jump(track, 100, 10.0, 40.0, other) };
    check(&[ahead(PICTURE, Some(10.0)), ahead(SOUND, Some(40.1))], &[0.0, 0.0]);
    // After it the clock restarts.
    let anew = [
        ahead(PICTURE, Some(10.0)),
        ahead(SOUND, Some(40.1)),
        jump(PICTURE, 300, 50.0, 0.0, Some(49.9)),
        jump(SOUND, 310, 50.0, 0.0, Some(0.1)),
    ];
    check(&anew, &[0.0, 0.0, 50.0, 50.0]);
}
