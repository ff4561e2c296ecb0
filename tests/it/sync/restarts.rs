//! Clocks that start anew, jump, run over; identifiers that change in mid-file; packets that are missing.

use super::recipe::Clip;
use super::take::{Sound, Take};

/// Header of an FLV file with the length of the tag before the first.
const FLV_HEADER: usize = 13;

/// A take of a transport stream that starts at `offset` on its own clock.
fn ts(begin: f64, seconds: f64, offset: f64) -> Take {
    let offset = offset.to_string();
    Take::new("ts", seconds).begin(begin).with(&["-output_ts_offset", &offset])
}

/// All clips of the kind.
pub(super) fn clips() -> Vec<Clip> {
    let mut all = transport();
    all.extend(changes());
    all.extend(others());
    all.extend(missing());
    all
}

fn transport() -> Vec<Clip> {
    let pids = ["-mpegts_start_pid", "0x300"];
    let all_pids = ["-mpegts_start_pid", "0x300", "-mpegts_pmt_start_pid", "0x1100"];
    vec![
        Clip::joined("ts joined", vec![ts(0.0, 10.0, 0.0), ts(10.0, 10.0, 0.0)], 0),
        Clip::joined("ts joined, 40 s", vec![ts(0.0, 17.0, 0.0), ts(17.0, 23.0, 0.0)], 0),
        Clip::joined(
            "ts joined from three",
            vec![ts(0.0, 7.0, 500.0), ts(7.0, 8.0, 20.0), ts(15.0, 7.0, 9000.0)],
            0,
        ),
        Clip::joined(
            "ts 720p joined",
            vec![ts(0.0, 8.0, 0.0).size(1280, 720), ts(8.0, 8.0, 0.0).size(1280, 720)],
            0,
        ),
        Clip::joined("ts clock back 4 s", vec![ts(0.0, 10.0, 0.0), ts(10.0, 10.0, 6.0)], 0),
        Clip::joined("ts clock back 0.4 s", vec![ts(0.0, 10.0, 0.0), ts(10.0, 10.0, 9.6)], 0),
        // Less than the picture's own slack: its clock seems to go on.
        Clip::joined("ts clock back 0.15 s", vec![ts(0.0, 10.0, 0.0), ts(10.0, 10.0, 9.85)], 0),
        // Neither track shows a step by itself.
        Clip::joined("ts clock back 0.08 s", vec![ts(0.0, 10.0, 0.0), ts(10.0, 10.0, 9.92)], 0),
        Clip::joined("ts clock an hour on", vec![ts(0.0, 10.0, 0.0), ts(10.0, 10.0, 3610.0)], 0),
        // 2^33 ticks of 90 kHz are 95443.7 s; the muxer starts at 1.4 s.
        Clip::of("ts clock runs over in the middle", ts(0.0, 12.0, 95_436.0)),
        Clip::of("ts clock runs over at once", ts(0.0, 10.0, 95_442.1)),
        Clip::of("ts clock runs over, 40 s", ts(0.0, 40.0, 95_420.0)),
        Clip::joined("ts new PIDs", vec![ts(0.0, 8.0, 0.0), ts(8.0, 8.0, 8.0).with(&pids)], 0),
        Clip::joined(
            "ts new PIDs, also of the table",
            vec![ts(0.0, 8.0, 0.0), ts(8.0, 8.0, 8.0).with(&all_pids)],
            0,
        ),
        Clip::joined(
            "ts new PIDs and a new clock",
            vec![ts(0.0, 8.0, 0.0), ts(8.0, 8.0, 0.0).with(&pids)],
            0,
        ),
        Clip::joined(
            "ts mpeg2video mp2 joined",
            [0.0, 9.0].map(|begin| mpeg2(ts(begin, 9.0, 0.0))).to_vec(),
            0,
        ),
    ]
}

/// More than the clock is another after the joint.
fn changes() -> Vec<Clip> {
    let sound = |rate, layout| vec![Sound::new("aac", rate, layout)];
    let languages = || {
        let tone = |frequency| Sound::new("aac", 48_000, "stereo").frequency(frequency);
        vec![tone(700).language("eng"), tone(1600).language("fra")]
    };
    let ac3 = || vec![Sound::new("ac3", 48_000, "5.1")];
    let broken = [2.6, 3.4, 4.92, 6.0, 6.96, 8.8];
    vec![
        Clip::joined(
            "ts ac3 joined",
            [0.0, 9.0].map(|begin| ts(begin, 9.0, 0.0).sounds(ac3())).to_vec(),
            0,
        ),
        // Pictures before the first key picture of the second recording cannot be shown.
        Clip::joined(
            "ts joined in the middle of a group",
            vec![ts(0.0, 9.0, 0.0), ts(9.0, 10.0, 0.0).at(&broken)],
            188 * 120,
        )
        .expecting(|expected| expected.slack = 0.6),
        // A break of half a minute is part of the recording.
        Clip::joined("ts clock 30 s on", vec![ts(0.0, 8.0, 0.0), ts(38.0, 8.0, 38.0)], 0),
        Clip::joined(
            "ts joined, another sample rate",
            vec![ts(0.0, 8.0, 0.0), ts(8.0, 8.0, 0.0).sounds(sound(44_100, "mono"))],
            0,
        ),
        Clip::joined(
            "ts joined, another size",
            vec![ts(0.0, 8.0, 0.0), ts(8.0, 8.0, 0.0).size(640, 360)],
            0,
        ),
        Clip::joined(
            "ts joined, two languages",
            [0.0, 8.0].map(|begin| ts(begin, 8.0, 0.0).sounds(languages())).to_vec(),
            0,
        ),
        // The longer stream says where the second recording begins.
        Clip::joined(
            "ts joined, sound longer than picture",
            vec![ts(0.0, 9.0, 0.0).picture(0.0, 8.6), ts(9.0, 8.0, 0.0)],
            0,
        ),
        Clip::joined(
            "ts joined, picture longer than sound",
            vec![
                ts(0.0, 9.0, 0.0).sounds(vec![Sound::new("aac", 48_000, "stereo").span(0.0, 8.6)]),
                ts(9.0, 8.0, 0.0),
            ],
            0,
        ),
        // Its second clock begins behind the end of the first sound, which therefore seems to go on.
        Clip::joined(
            "ts joined, sound ended long before",
            vec![
                ts(0.0, 12.0, 0.0).sounds(vec![Sound::new("aac", 48_000, "stereo").span(0.0, 4.0)]),
                ts(12.0, 8.0, 4.5),
            ],
            0,
        ),
        Clip::joined(
            "ts joined, sound begins in the second",
            vec![ts(0.0, 3.0, 0.0).sounds(Vec::new()), ts(3.0, 8.0, 0.0)],
            0,
        ),
    ]
}

fn theirs(take: Take, picture: &'static str, sound: &'static str) -> Take {
    let delay = super::plain::delay(take.container, sound);
    take.codec(picture).sounds(vec![Sound::new(sound, 48_000, "stereo").delay(delay)])
}

fn mpeg2(take: Take) -> Take {
    let sound = Sound::new("mp2", 48_000, "stereo");
    take.codec("mpeg2video").sounds(vec![sound])
}

fn others() -> Vec<Clip> {
    let part = |container, begin, seconds| Take::new(container, seconds).begin(begin);
    let later = ["-output_ts_offset", "3608"];
    let flv = |container| vec![part(container, 0.0, 8.0), part(container, 8.0, 8.0)];
    vec![
        Clip::joined("flv joined", flv("flv"), FLV_HEADER),
        Clip::joined(
            "flv joined, 40 s",
            vec![part("flv", 0.0, 19.0), part("flv", 19.0, 21.0)],
            FLV_HEADER,
        ),
        Clip::joined(
            "flv clock an hour on",
            vec![part("flv", 0.0, 8.0), part("flv", 8.0, 8.0).with(&later)],
            FLV_HEADER,
        ),
        Clip::joined(
            "webm joined",
            [0.0, 9.0].map(|begin| theirs(part("webm", begin, 9.0), "libvpx", "libopus")).to_vec(),
            0,
        ),
        Clip::joined(
            "ogv joined",
            [0.0, 9.0]
                .map(|begin| theirs(part("ogv", begin, 9.0), "libtheora", "libvorbis"))
                .to_vec(),
            0,
        )
        // libav loses the first pictures of a chained stream.
        .expecting(|expected| expected.slack = 0.2),
        Clip::joined("mkv joined", vec![part("mkv", 0.0, 9.0), part("mkv", 9.0, 9.0)], 0),
        Clip::joined("mkv joined, 40 s", vec![part("mkv", 0.0, 17.0), part("mkv", 17.0, 23.0)], 0),
        Clip::joined(
            "mpg joined",
            [0.0, 9.0].map(|begin| mpeg2(part("mpg", begin, 9.0))).to_vec(),
            0,
        ),
    ]
}

/// Lost packets, without a change of the clock.
fn missing() -> Vec<Clip> {
    let lost = |name: &str, stream: &str, take: Take, from: u32, until: u32| {
        let drop = format!("noise=drop=gte(pts*tb\\,{from})*lt(pts*tb\\,{until})");
        Clip::copied(name, take, "mkv", (&[], &[&format!("-bsf:{stream}"), &drop]), 0.0)
    };
    let outside = |from: f64, until: f64| {
        let all = super::instants::instants(13.7).into_iter();
        all.filter(|at| !(from - 0.3..until + 0.3).contains(at)).collect::<Vec<_>>()
    };
    let between = "noise=drop=not(mod(n\\,3))*between(mod(pts*tb\\,1)\\,0.3\\,0.7)";
    let seconds: Vec<f64> = (1..12).map(f64::from).collect();
    let wild = |container, set: &str| {
        let take = Take::new(container, 14.0).at(&outside(3.6, 4.4));
        let name = format!("{container} one picture 2 s ahead");
        let set = format!("setts=pts='if(eq(N\\,100)\\,PTS+2000\\,PTS)':dts={set}");
        Clip::copied(&name, take, container, (&[], &["-bsf:v", &set]), 0.0).warned("1 picture")
    };
    // A recorder that stamps what it had buffered with the time of its arrival.
    let arrival = |container| {
        let name = format!("{container} first sound stamped on arrival");
        let take = Take::new(container, 12.0).at(&seconds);
        let set = (&[][..], &["-bsf:a", "setts=ts=max(TS\\,450)"][..]);
        Clip::copied(&name, take, container, set, 0.0)
    };
    vec![
        arrival("mkv"),
        arrival("flv"),
        wild("mkv", "DTS"),
        Clip::copied(
            "mkv single packets of sound lost",
            Take::new("mkv", 12.0).at(&seconds),
            "mkv",
            (&[], &["-bsf:a", between]),
            0.0,
        ),
        lost("mkv 3 s of sound lost", "a", Take::new("mkv", 14.0).at(&outside(4.0, 7.0)), 4, 7),
        lost("mkv 4 s of picture lost", "v", Take::new("mkv", 14.0).at(&outside(4.0, 8.0)), 4, 8),
    ]
}
