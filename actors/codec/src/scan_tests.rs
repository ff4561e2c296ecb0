//! Tests of scans with made-up packets.

use ffmpeg_next::ffi;
use ffmpeg_next::packet::Mut as _;

use super::*;

#[test]
fn the_frame_rate_is_measured_from_first_to_last() {
    let instants = (0..31).map(|i| i * 3003).collect();
    let rate =
        Picture { instants, ..Picture::default() }.frame_rate(Rational::new(1, 90_000)).unwrap();
    assert_eq!((rate.num, rate.den), (30_000, 1001));
    assert_eq!(Picture::default().frame_rate(Rational::new(1, 1)), None);
}

fn packet(pts: i64, byte: isize) -> Packet {
    let mut packet = Packet::copy(&[0]);
    packet.set_pts(Some(pts));
    packet.set_dts(Some(pts));
    packet.set_duration(1);
    packet.set_position(byte);
    packet
}

#[test]
fn picture_and_sound_go_on_together_where_the_clock_starts_anew() {
    let time_base = Rational::new(1, 25);
    let tracks = [0, 1].map(|stream| Track { stream, time_base });
    let mut walk = Walk::new(&tracks, 0.04, false);
    for (recording, frames) in [(0, 50), (1, 25)] {
        for frame in 0..frames {
            let byte = recording * 1000 + frame as isize * 10;
            let mut picture = packet(frame, byte);
            // The second recording begins in the middle of a group.
            picture.set_flags(if frame % 10 == 5 { Flags::KEY } else { Flags::empty() });
            walk.add(0, &picture);
            // The audio of the first recording ends five frames early.
            if recording == 1 || frame < 45 {
                walk.add(1, &packet(frame, byte + 5));
            }
        }
    }
    let scan = walk.finish(false);
    assert_eq!(scan.picture.instants, (0..50).chain(55..75).collect::<Vec<_>>());
    assert_eq!((scan.picture.end, scan.picture.monotonic), (75, false));
    assert_eq!(scan.picture.clock, [ClockStep { byte: 1000, shift: 50 }]);
    assert_eq!(scan.sound[0].clock, [ClockStep { byte: 1005, shift: 50 }]);
    assert_eq!((scan.sound[0].start, scan.sound[0].end), (0, 75));
}

#[test]
fn pictures_that_matroska_leaves_without_a_decode_time_are_in_order() {
    let track = Track { stream: 0, time_base: Rational::new(1, 25) };
    let scan = |decode_times: [Option<i64>; 6]| {
        let mut walk = Walk::new(&[track], 0.04, false);
        for (frame, (pts, dts)) in [0, 3, 1, 2, 6, 4].into_iter().zip(decode_times).enumerate() {
            let mut packet = packet(pts, frame as isize * 10);
            packet.set_dts(dts);
            walk.add(0, &packet);
        }
        walk.finish(false).picture.monotonic
    };
    assert!(scan([None, None, Some(0), Some(1), Some(2), Some(3)]));
    assert!(!scan([None, None, Some(0), Some(2), Some(1), Some(3)]));
}

#[test]
fn a_pause_behind_the_first_picture_is_no_step_of_the_clock() {
    let track = Track { stream: 0, time_base: Rational::new(1, 1000) };
    for pause in [0, 1000, 6000, 40_000] {
        // Matroska gives no decode time to the first two of three pictures that a decoder holds back.
        let times = |index: i64| {
            let shown = [0, 3, 1, 2].get(index as usize).copied().unwrap_or(index);
            let at = |place: i64| place * 40 + if place > 0 { pause } else { 0 };
            (at(shown), (index > 1).then(|| at(index - 2)))
        };
        let mut walk = Walk::new(&[track; 2], 0.04, false);
        for index in 0..100 {
            let (pts, dts) = times(index);
            let mut picture = packet(pts, index as isize * 10);
            picture.set_dts(dts);
            picture.set_duration(40);
            walk.add(0, &picture);
        }
        let picture = walk.finish(false).picture;
        assert_eq!((picture.clock.len(), picture.instants.len()), (0, 100), "{pause}");
        assert_eq!((picture.end, picture.monotonic), (4000 + pause, true), "{pause}");
    }
}

#[test]
fn a_late_packet_of_an_old_stream_starts_no_clock_anew() {
    let track = Track { stream: 0, time_base: Rational::new(1, 25) };
    let mut walk = Walk::new(&[track], 0.04, false);
    for frame in (0..49).chain(50..100) {
        walk.add(0, &packet(frame, frame as isize * 10));
    }
    walk.add(0, &packet(49, 490));
    walk.add(0, &packet(100, 1000));
    let picture = walk.finish(false).picture;
    assert_eq!((picture.clock, picture.end, picture.monotonic), (Vec::new(), 101, true));
}

#[test]
fn a_picture_far_ahead_of_its_neighbours_is_left_out() {
    let track = Track { stream: 0, time_base: Rational::new(1, 25) };
    // The decode times of FLV follow, those of Matroska do not.
    for dts in [150, 50] {
        let mut walk = Walk::new(&[track; 2], 0.04, false);
        for frame in 0..100 {
            let byte = frame as isize * 10;
            let mut packet = packet(frame, byte);
            if frame == 50 {
                packet.set_pts(Some(150));
                packet.set_dts(Some(dts));
            }
            packet.set_flags(if frame % 25 == 0 { Flags::KEY } else { Flags::empty() });
            walk.add(0, &packet);
            walk.add(1, &self::packet(frame, byte + 5));
        }
        let picture = walk.finish(false).picture;
        assert_eq!((picture.instants.len(), picture.end, picture.misplaced), (99, 100, 1));
        let points: Vec<i64> = picture.random_access.iter().map(|point| point.pts).collect();
        assert_eq!(points, [0, 25, 75]);
    }
}

#[test]
fn wrong_timestamps_of_one_track_lengthen_none() {
    let track = Track { stream: 0, time_base: Rational::new(1, 25) };
    // Alone, beside another track, and as the first ones.
    for (tracks, wild, wrong) in
        [(1, 0, 100..101), (2, 0, 100..101), (2, 1, 100..108), (2, 1, 0..8)]
    {
        for ahead in [150, 1400] {
            let mut walk = Walk::new(&vec![track; tracks], 0.04, false);
            for frame in 0..400 {
                for index in 0..tracks {
                    let off = index == wild && wrong.contains(&frame);
                    let time = frame + if off { ahead } else { 0 };
                    let mut packet = packet(time, frame as isize * 10 + index as isize);
                    packet.set_flags(if frame % 25 == 0 { Flags::KEY } else { Flags::empty() });
                    walk.add(index, &packet);
                }
            }
            let scan = walk.finish(false);
            let found = (scan.picture.instants.len(), scan.picture.end, scan.picture.misplaced);
            assert_eq!(found, (400, 400, 0), "{tracks} {wrong:?} {ahead}");
            let sound: Vec<_> = scan.sound.iter().map(|sound| (sound.start, sound.end)).collect();
            assert!(sound.iter().all(|sound| *sound == (0, 400)), "{wrong:?} {ahead} {sound:?}");
        }
    }
}

#[test]
fn the_last_picture_lasts_as_the_distances_before_it_say() {
    let track = Track { stream: 0, time_base: Rational::new(1, 1000) };
    // The values in packets, and the declared ones in their absence.
    for (told, declared, indexed, end) in [
        (0, 0.5, false, 24_040),
        (0, 0.001, false, 24_040),
        (500, 0.5, false, 24_040),
        (500, 0.5, true, 24_500),
    ] {
        let mut walk = Walk::new(&[track], declared, indexed);
        let times = (0..20).map(|index| index * 1200).chain((1..6).map(|i| 23_800 + i * 40));
        for (index, time) in times.enumerate() {
            let mut packet = packet(time, index as isize * 10);
            packet.set_duration(told);
            walk.add(0, &packet);
        }
        let picture = walk.finish(false).picture;
        assert_eq!(picture.end, end, "{told} {declared} {indexed}");
    }
}

#[test]
fn pictures_before_a_cut_are_told_of_and_take_no_others_with_them() {
    let track = Track { stream: 0, time_base: Rational::new(1, 1000) };
    for (guessed, left_out) in [(false, 30), (true, 0)] {
        let mut walk = Walk::new(&[track], 0.04, false);
        let first = (0..50).map(|index| index * 40);
        let times = first.chain((0..30).map(|index| 1961 + index));
        for (index, time) in times.chain((50..100).map(|index| index * 40)).enumerate() {
            let mut packet = packet(time, index as isize * 10);
            let is_key = [0, 50].contains(&index);
            packet.set_flags(if is_key { Flags::KEY } else { Flags::empty() });
            walk.add(0, &packet);
        }
        let picture = walk.finish(guessed).picture;
        assert_eq!((picture.instants.len(), picture.misplaced), (130 - left_out, left_out));
        assert_eq!(picture.monotonic, guessed);
        assert_eq!(picture.random_access.len(), if guessed { 2 } else { 1 });
    }
}

#[test]
fn what_an_edit_list_hides_is_decoded_and_lasts_no_time() {
    let track = Track { stream: 0, time_base: Rational::new(1, 25) };
    let mut walk = Walk::new(&[track], 0.04, true);
    for frame in -10..60 {
        let mut packet = packet(frame, frame as isize * 10 + 100);
        packet.set_flags(if frame % 10 == 0 { Flags::KEY } else { Flags::empty() });
        if !(0..50).contains(&frame) {
            #[expect(unsafe_code, reason = "a plain field of a packet that is owned here")]
            unsafe {
                (*packet.as_mut_ptr()).flags |= ffi::AV_PKT_FLAG_DISCARD;
            }
        }
        walk.add(0, &packet);
    }
    let picture = walk.finish(false).picture;
    assert_eq!((picture.start(), picture.end, picture.instants.len()), (0, 50, 50));
    assert_eq!(picture.random_access.first(), Some(&RandomAccess { pts: -10, dts: -10 }));
}

#[test]
fn a_picture_that_stands_while_somebody_speaks_is_not_silent() {
    let time_base = Rational::new(1, 1);
    let tracks = [0, 1].map(|stream| Track { stream, time_base });
    let mut walk = Walk::new(&tracks, 1.0, false);
    for second in 0..300 {
        if [0, 100, 290].contains(&second) {
            walk.add(0, &packet(second, second as isize * 10));
        }
        if second < 200 {
            walk.add(1, &packet(second, second as isize * 10 + 5));
        }
    }
    let picture = walk.finish(false).picture;
    assert_eq!((picture.largest_gap(), picture.silent_gap), (190, 90));
}
