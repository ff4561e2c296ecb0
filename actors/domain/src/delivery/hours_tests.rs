//! Tests of hours: spelling, nights, changed clocks, and the next opening against a search minute by minute.

use proptest::prelude::*;

use super::*;

fn hours(windows: &[&str], zone: &str) -> Hours {
    let windows: Vec<String> = windows.iter().map(|text| (*text).to_owned()).collect();
    Hours::parse(&windows, zone.parse().unwrap()).unwrap().unwrap()
}

/// A moment by the wall clock, such as `2026-11-30 20:00`; the first one if the time is repeated.
fn at(text: &str, zone: &str) -> i64 {
    let zone: Zone = zone.parse().unwrap();
    let shown = DateTime::strptime("%Y-%m-%d %H:%M", text).unwrap();
    zone.moments(shown).next().unwrap()
}

const BERLIN: &str = "Europe/Berlin";

#[test]
fn a_window_is_spelled_in_one_way_and_an_error_says_how() {
    for text in ["mon-fri 20:00-06:00", "sat-sun 00:00-24:00", "08:00-18:00", "SUN 00:00-00:01"] {
        assert!(text.parse::<Window>().is_ok(), "{text}");
    }
    for text in [
        "",
        "mon",
        "monday 08:00-09:00",
        "mon-fri",
        "08:00",
        "8:00-9:00",
        "08:00-25:00",
        "08:60-09:00",
        "24:00-06:00",
        "08:00-08:00",
        "mon 08:00 - 09:00",
        "mon,tue 08:00-09:00",
        "08:00-24:01",
    ] {
        let error = text.parse::<Window>().unwrap_err();
        assert!(error.contains("mon-fri 20:00-06:00"), "{text}: {error}");
    }
    let zone: Zone = "UTC".parse().unwrap();
    assert_eq!(Hours::parse(&[], zone.clone()).unwrap(), None, "every time is one");
    let many = vec!["08:00-09:00".to_owned(); WINDOWS_MAX + 1];
    assert!(Hours::parse(&many, zone).is_err());
    let error = "Europe/Berln".parse::<Zone>().unwrap_err();
    assert!(error.contains("\"Europe/Berln\"") && error.contains("Europe/Berlin"), "{error}");
}

#[test]
fn a_night_belongs_to_the_day_on_which_it_begins() {
    let nights = hours(&["mon-fri 20:00-06:00", "sat-sun 00:00-24:00"], BERLIN);
    for (text, open) in [
        ("2026-11-30 19:59", false),
        ("2026-11-30 20:00", true),
        ("2026-12-01 05:59", true),
        ("2026-12-01 06:00", false),
        // The night of Friday, and the weekend until midnight.
        ("2026-12-05 03:00", true),
        ("2026-12-05 12:00", true),
        ("2026-12-06 23:59", true),
        ("2026-12-07 00:00", false),
    ] {
        assert_eq!(nights.is_open(at(text, BERLIN)), open, "{text}");
    }
    let monday = at("2026-11-30 12:00", BERLIN);
    assert_eq!(nights.opens(monday), Some(at("2026-11-30 20:00", BERLIN)));
    assert_eq!(nights.spell(nights.opens(monday).unwrap()), "Mon 2026-11-30 20:00 (Europe/Berlin)");
    let friday = at("2026-12-04 21:00", BERLIN);
    assert_eq!(nights.changes(friday), Some(at("2026-12-07 00:00", BERLIN)), "it is one opening");
    let over = hours(&["fri-mon 10:00-11:00"], BERLIN);
    let days: Vec<bool> = (0..7)
        .map(|day| over.is_open(at("2026-11-30 10:30", BERLIN) + day * DAY_SECONDS))
        .collect();
    assert_eq!(days, [true, false, false, false, true, true, true]);
}

#[test]
fn what_is_always_open_never_changes() {
    let always = hours(&["mon-sun 00:00-24:00"], BERLIN);
    assert_eq!((always.changes(0), always.opens(7)), (None, Some(7)));
    let halves = hours(&["00:00-12:00", "12:00-24:00"], "UTC");
    assert_eq!(halves.changes(1_800_000_000), None);
}

#[test]
fn the_wall_clock_decides_where_clocks_are_changed() {
    // On 2026-03-29 it is 03:00 after 01:59, on 2026-10-25 it is 02:00 after 02:59.
    let night = hours(&["22:00-04:00"], BERLIN);
    let length = |text: &str| night.changes(at(text, BERLIN)).unwrap() - at(text, BERLIN);
    assert_eq!(length("2026-03-27 22:00"), 6 * 3600);
    assert_eq!(length("2026-03-28 22:00"), 5 * 3600, "an hour is skipped");
    assert_eq!(length("2026-10-24 22:00"), 7 * 3600, "an hour is repeated");

    let skipped = hours(&["sun 02:15-02:45"], BERLIN);
    let week = skipped.opens(at("2026-03-28 12:00", BERLIN));
    assert_eq!(week, Some(at("2026-04-05 02:15", BERLIN)), "that Sunday has no such time");
    let repeated = at("2026-10-25 02:15", BERLIN);
    assert_eq!(skipped.opens(at("2026-10-24 12:00", BERLIN)), Some(repeated));
    assert_eq!(skipped.changes(repeated), Some(repeated + 1800));
    assert_eq!(skipped.opens(repeated + 1800), Some(repeated + 3600), "that Sunday has it twice");

    // A window that begins in the skipped hour begins when the clocks are changed.
    let begins = hours(&["sun 02:30-05:00"], BERLIN);
    let changed = at("2026-03-29 03:00", BERLIN);
    assert_eq!(begins.opens(at("2026-03-29 01:00", BERLIN)), Some(changed));
}

#[test]
fn a_document_holds_hours_as_they_were_written() {
    let written = hours(&["mon-fri 20:00-06:00"], BERLIN);
    let text = serde_json::to_string(&written).unwrap();
    assert_eq!(text, r#"{"windows":["mon-fri 20:00-06:00"],"zone":"Europe/Berlin"}"#);
    assert_eq!(serde_json::from_str::<Hours>(&text).unwrap(), written);
    assert!(serde_json::from_str::<Hours>(r#"{"windows":[],"zone":"UTC"}"#).is_err());
}

const ZONES: [&str; 6] = [
    "UTC",
    BERLIN,
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/St_Johns",
];

/// Windows that begin and end at whole five minutes.
fn window() -> impl Strategy<Value = String> {
    (0..7usize, 0..7usize, 0..288u16, 1..288u16).prop_map(|(first, last, from, length)| {
        let to = (from + length) % 288;
        let time = |step: u16| format!("{:02}:{:02}", step / 12, step % 12 * 5);
        format!("{}-{} {}-{}", DAY_NAMES[first], DAY_NAMES[last], time(from), time(to))
    })
}

/// Times of two years, half of them near a change of the clocks of Berlin or New York.
fn moment() -> impl Strategy<Value = i64> {
    let changes = prop::sample::select(vec![
        1_774_746_000_i64,
        1_792_890_000,
        1_772_953_200,
        1_793_512_800,
        1_775_314_800,
    ]);
    prop_oneof![
        1_767_225_600_i64..1_830_000_000,
        (changes, -172_800_i64..172_800).prop_map(|(a, b)| a + b)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_next_change_is_the_first(
        windows in prop::collection::vec(window(), 1..4),
        zone in prop::sample::select(ZONES.to_vec()),
        now in moment(),
    ) {
        let hours = Hours::parse(&windows, zone.parse().unwrap()).unwrap().unwrap();
        let open = hours.is_open(now);
        let change = hours.changes(now);
        let end = change.unwrap_or(now + 8 * DAY_SECONDS);
        // Every minute before is as now; all changes are at whole minutes.
        let whole = now - now.rem_euclid(60) + 60;
        for minute in (whole..end).step_by(60) {
            prop_assert_eq!(hours.is_open(minute), open, "{} at {}", hours, minute);
        }
        if let Some(change) = change {
            prop_assert!(change > now && hours.is_open(change) != open);
            prop_assert_eq!(hours.is_open(change - 1), open, "a second before");
        }
    }

    #[test]
    fn the_next_opening_is_open_and_a_moment_before_is_not(
        windows in prop::collection::vec(window(), 1..4),
        zone in prop::sample::select(ZONES.to_vec()),
        now in moment(),
    ) {
        let hours = Hours::parse(&windows, zone.parse().unwrap()).unwrap().unwrap();
        let opens = hours.opens(now).unwrap();
        prop_assert!(opens >= now && hours.is_open(opens));
        prop_assert!(opens == now || !hours.is_open(opens - 1));
        prop_assert!(opens == now || !hours.is_open(now));
    }
}
