//! Tests of the playlists.

use super::*;
use crate::id::{Group, OrderId, TaskId};
use crate::plan::media::AudioTrack;
use crate::plan::planner;
use crate::sample;
use crate::simulate;

/// Ten seconds with audio, smallest tiers only.
fn plan() -> Plan {
    let order = OrderId::new(VideoId::from_bits(1), 1);
    let mut facts = sample::facts();
    let video = facts.video.as_mut().unwrap();
    (video.end, video.packets) = (10 * 90_000, 250);
    (video.width, video.height) = (640, 360);
    facts.audio[0].seconds = 10.0;
    planner::plan(order, facts, &sample::policy(), &sample::limits(), "build", false).unwrap()
}

fn view(plan: &Plan, groups: &[Group]) -> View {
    let frames: Vec<i64> = (0..250).map(|i| i * 3600).collect();
    let mut view = View::default();
    for planned in plan.tasks.iter().filter(|planned| groups.contains(&planned.task.group)) {
        simulate::entries(plan, planned, &frames).into_iter().for_each(|entry| view.insert(entry));
    }
    view
}

#[test]
fn an_open_list_shows_the_first_seconds_and_no_end() {
    let plan = plan();
    let expected = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:9
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-MAP:URI=\"init-360p.mp4\"
#EXTINF:2.000000,
#EXT-X-BYTERANGE:50100@0
o/1/first-0000/0-360p.m4s
";
    assert_eq!(video(&plan, &view(&plan, &[Group::First]), 0, false), expected);
}

#[test]
fn a_list_shows_nothing_behind_a_missing_chunk() {
    let plan = plan();
    let text = video(&plan, &view(&plan, &[Group::Main]), 0, false);
    assert!(!text.contains("#EXTINF"), "{text}");
}

#[test]
fn an_ended_list_has_every_segment_and_an_end() {
    let plan = plan();
    let text = video(&plan, &view(&plan, &Group::ALL), 0, true);
    let expected = "\
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MAP:URI=\"init-360p.mp4\"
#EXTINF:2.000000,
#EXT-X-BYTERANGE:50100@0
o/1/first-0000/0-360p.m4s
#EXTINF:8.000000,
#EXT-X-BYTERANGE:200100@0
o/1/main-0000/1-360p.m4s
#EXT-X-ENDLIST
";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn an_ended_list_covers_a_gap_between_chunks() {
    let plan = plan();
    let mut frames: Vec<i64> = (0..250).map(|i| i * 3600).collect();
    // No frame between 1.8 s and 3 s: the first chunk ends at 2 s, the second begins at 3 s.
    frames.retain(|pts| !(162_000..270_000).contains(pts));
    let mut view = View::default();
    for planned in &plan.tasks {
        simulate::entries(&plan, planned, &frames).into_iter().for_each(|entry| view.insert(entry));
    }
    let open = video(&plan, &view, 0, false);
    let ended = video(&plan, &view, 0, true);
    assert!(open.contains("#EXTINF:2.000000,") && open.contains("#EXTINF:7.000000,"), "{open}");
    assert!(ended.contains("#EXTINF:3.000000,") && ended.contains("#EXTINF:7.000000,"), "{ended}");
}

#[test]
fn sound_is_listed_in_its_own_ticks() {
    let plan = plan();
    let text = audio(&plan, &view(&plan, &Group::ALL), 0, true);
    assert!(text.contains("#EXT-X-MAP:URI=\"init-audio-0.mp4\""), "{text}");
    // 281 access units of 1024 samples are as close to six seconds as possible.
    assert!(
        text.contains("#EXTINF:5.994667,\n#EXT-X-BYTERANGE:84300@0\no/1/audio-0000/0.m4s"),
        "{text}"
    );
}

#[test]
fn the_master_list_declares_the_plan_first_and_what_was_measured_later() {
    let plan = plan();
    let declared = "\
#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio-0.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=1020800,CODECS=\"avc1.64001e,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=25.000,CLOSED-CAPTIONS=NONE,AUDIO=\"audio\"
360p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=525800,CODECS=\"avc1.640015,mp4a.40.2\",RESOLUTION=426x240,FRAME-RATE=25.000,CLOSED-CAPTIONS=NONE,AUDIO=\"audio\"
240p.m3u8
";
    assert_eq!(master(&plan, None), declared);
    assert_eq!(master(&plan, Some(&view(&plan, &[Group::First]))), declared);
    let measured = master(&plan, Some(&view(&plan, &Group::ALL)));
    // Pictures: 250 frames of 1000 bytes and two headers in 10 s. Audio: units of 300 bytes every 1024 samples.
    assert!(
        measured.contains("#EXT-X-STREAM-INF:BANDWIDTH=312660,AVERAGE-BANDWIDTH="),
        "{measured}"
    );
}

#[test]
fn the_first_variant_starts_at_once_on_a_slow_line() {
    let order = OrderId::new(VideoId::from_bits(1), 1);
    let facts = sample::facts();
    let plan =
        planner::plan(order, facts, &sample::policy(), &sample::limits(), "build", false).unwrap();
    let text = master(&plan, None);
    let variants: Vec<&str> = text.lines().filter(|line| line.ends_with("p.m3u8")).collect();
    assert_eq!(variants, ["480p.m3u8", "720p.m3u8", "360p.m3u8", "240p.m3u8"]);
}

#[test]
fn text_from_an_upload_cannot_write_lines() {
    let mut plan = plan();
    plan.audio[0].language = "e\"\n#EXT-X-ENDLIST".to_owned();
    let text = master(&plan, None);
    assert!(text.contains("NAME=\"Track 1\",DEFAULT=YES"), "{text}");
    assert!(!text.contains("ENDLIST"));
}

#[test]
fn sound_tracks_have_the_names_of_the_source_and_no_two_the_same() {
    let mut facts = sample::facts();
    let tracks = [
        (4, "fra", "Français (commentaire)"),
        (5, "fra", ""),
        (6, "fre", ""),
        (7, "und", "   "),
        (8, "und", "a \"quoted\"\r\n#EXT-X-ENDLIST\n"),
        (9, "und", "French, track 5"),
    ];
    let track = |(number, language, title): (u32, &str, &str)| AudioTrack {
        stream: number,
        number,
        language: language.to_owned(),
        title: title.to_owned(),
        default: false,
        ..sample::sound()
    };
    facts.audio = tracks.into_iter().map(track).collect();
    let order = OrderId::new(VideoId::from_bits(1), 1);
    let plan =
        planner::plan(order, facts, &sample::policy(), &sample::limits(), "build", false).unwrap();
    let text = master(&plan, None);
    let lines = text.lines().filter(|line| line.starts_with("#EXT-X-MEDIA:"));
    let names = lines.map(|line| line.split('"').nth(3).unwrap());
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            "Français (commentaire)",
            "French, track 5",
            "French, track 6",
            "Track 7",
            "a 'quoted'#EXT-X-ENDLIST",
            "French, track 5 (2)",
        ]
    );
}

#[test]
fn initialisation_segments_are_found_by_rendition() {
    let plan = plan();
    let all = view(&plan, &Group::ALL);
    assert_eq!(init(&plan, &all, "360p").as_deref(), Some(b"init 360p".as_slice()));
    assert_eq!(init(&plan, &all, "audio-0").as_deref(), Some(b"init audio".as_slice()));
    assert_eq!(init(&plan, &all, "999p"), None);
    assert_eq!(init(&plan, &View::default(), "360p"), None);
    assert!(plan.task(TaskId::new(Group::Main, 0)).is_some());
}

#[test]
fn a_track_without_sound_is_not_offered_once_that_is_known() {
    let plan = plan();
    for groups in [&Group::ALL[..], &[Group::First, Group::Audio]] {
        let mut without = View::default();
        for mut entry in view(&plan, groups).entries().cloned() {
            if entry.task.group == Group::Audio {
                if entry.part.is_some() {
                    continue;
                }
                entry.parts = 0;
            }
            without.insert(entry);
        }
        let text = master(&plan, Some(&without));
        assert!(!text.contains("audio"), "{text}");
        assert!(text.contains("CODECS=\"avc1.64001e\""), "{text}");
    }
    let text = master(&plan, Some(&view(&plan, &[Group::First])));
    assert!(text.contains("URI=\"audio-0.m3u8\""), "not known yet: {text}");
}
