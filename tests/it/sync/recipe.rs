//! A clip: how it is made, and what must become of it.

use super::patch::Patch;
use super::take::Take;

/// How the file comes about.
#[derive(Debug, Clone)]
pub(super) enum Make {
    /// One run of ffmpeg.
    Take(Take),
    /// Takes one after the other in one file, each without its first `skip` bytes but the first take.
    Joined { takes: Vec<Take>, skip: usize },
    /// A copy by another run of ffmpeg: arguments before the input and after it.
    Copied { take: Take, before: Vec<String>, after: Vec<String> },
    /// Takes side by side as programmes of one transport stream.
    Programmes(Vec<Take>),
    /// A copy of takes one after the other, each from its first instant until its second, by ffmpeg's list of files.
    Cut { takes: Vec<(Take, f64, f64)> },
    /// Bytes of a take are changed.
    Patched(Take, Patch),
    /// A take without sound gets AMR, with five frames in a packet if `packed`.
    Amr { take: Take, packed: bool },
}

/// Expected audio track.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Track {
    /// Onsets of beeps, seconds.
    pub(super) beeps: Vec<f64>,
    /// Hertz; `None` where the codec does not keep a pitch.
    pub(super) frequency: Option<f64>,
}

/// Expected result of a clip.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    /// Onsets of flashes, seconds from the start of the output.
    pub(super) flashes: Vec<f64>,
    /// Sound tracks in their order in the playlist; the first one is in the MP4.
    pub(super) tracks: Vec<Track>,
    /// Length of picture and sound, seconds.
    pub(super) seconds: f64,
    /// Seconds that flashes, beeps and the end may be off where they are expected. Sound and picture are compared more sharply.
    pub(super) slack: f64,
    /// Pictures; `None` where they are not counted.
    pub(super) pictures: Option<usize>,
    /// Words that a warning holds.
    pub(super) warning: Option<&'static str>,
    /// Words that no warning holds.
    pub(super) untrue: Option<&'static str>,
    /// The first track may be left out with a warning that contains these words.
    pub(super) or_warned: Option<&'static str>,
    /// It may be refused.
    pub(super) or_refused: bool,
}

/// A row of the table.
#[derive(Debug, Clone)]
pub(super) struct Clip {
    pub(super) name: String,
    /// Suffix of the file.
    pub(super) container: &'static str,
    pub(super) make: Make,
    pub(super) expected: Expected,
}

/// Tolerance at the starts of two streams: codecs round to their frames.
const SLACK: f64 = 0.06;

impl Clip {
    /// A single take, which becomes what it is.
    pub(super) fn of(name: &str, take: Take) -> Self {
        let tracks = 0..take.frequencies().len();
        let tracks = tracks.map(|index| track(std::slice::from_ref(&take), index)).collect();
        Self {
            name: name.to_owned(),
            container: take.container,
            expected: Expected {
                flashes: take.flashes(),
                tracks,
                seconds: take.end(),
                slack: SLACK,
                pictures: None,
                warning: None,
                untrue: None,
                or_warned: None,
                or_refused: false,
            },
            make: Make::Take(take),
        }
    }

    /// Takes one after the other, which become one video.
    pub(super) fn joined(name: &str, takes: Vec<Take>, skip: usize) -> Self {
        let container = takes[0].container;
        let expected = Expected {
            flashes: takes.iter().flat_map(Take::flashes).collect(),
            tracks: (0..takes[0].frequencies().len()).map(|index| track(&takes, index)).collect(),
            seconds: takes.last().map_or(0.0, Take::end),
            // Each joint may add or lose part of a frame.
            slack: SLACK * takes.len() as f64,
            pictures: None,
            warning: None,
            untrue: None,
            or_warned: None,
            or_refused: false,
        };
        let make = Make::Joined { takes, skip };
        Self { name: name.to_owned(), container, make, expected }
    }

    /// A copy of a take into another container, or of a part of it: `shift` seconds later.
    pub(super) fn copied(
        name: &str,
        take: Take,
        container: &'static str,
        (before, after): (&[&str], &[&str]),
        shift: f64,
    ) -> Self {
        let own = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let mut clip = Self::of(name, take.clone());
        clip.make = Make::Copied { take, before: own(before), after: own(after) };
        clip.container = container;
        clip.shift(shift);
        clip
    }

    /// Takes one after the other, of which only the first becomes a video.
    pub(super) fn first_of(name: &str, takes: Vec<Take>) -> Self {
        let mut clip = Self::of(name, takes[0].clone());
        clip.make = Make::Joined { takes, skip: 0 };
        clip.warned("another recording begins")
    }

    /// A copy of parts of takes, each from its first instant until its second, into another container.
    pub(super) fn cut(name: &str, takes: Vec<(Take, f64, f64)>, container: &'static str) -> Self {
        let mut clip = Self::of(name, takes[0].0.clone());
        clip.container = container;
        let (mut flashes, mut beeps, mut end) = (Vec::new(), Vec::new(), 0.0);
        for (take, from, until) in &takes {
            let moved = |all: Vec<f64>| {
                let inside = all.into_iter().filter(|at| (from..until).contains(&at));
                inside.map(|at| at - from + end).collect::<Vec<_>>()
            };
            flashes.extend(moved(take.flashes()));
            beeps.extend(moved(take.beeps(0)));
            end += until - from;
        }
        clip.expected.flashes = flashes;
        clip.expected.tracks.iter_mut().for_each(|track| track.beeps.clone_from(&beeps));
        clip.expected.seconds = end;
        clip.make = Make::Cut { takes };
        clip
    }

    /// Everything happens later by `seconds`; what would be before the start is gone.
    pub(super) fn shift(&mut self, seconds: f64) {
        let moved = |instants: &mut Vec<f64>| {
            instants.iter_mut().for_each(|at| *at += seconds);
            instants.retain(|at| *at > 0.0);
        };
        moved(&mut self.expected.flashes);
        self.expected.tracks.iter_mut().for_each(|track| moved(&mut track.beeps));
        self.expected.seconds += seconds;
    }

    /// Bytes of the take are changed.
    pub(super) fn patched(name: &str, take: Take, patch: Patch) -> Self {
        let mut clip = Self::of(name, take.clone());
        clip.make = Make::Patched(take, patch);
        clip
    }

    /// A take without sound, ten pictures per second, gets AMR.
    pub(super) fn amr(name: &str, take: Take, packed: bool) -> Self {
        let mut clip = Self::of(name, take.clone());
        let beeps = take.flashes();
        clip.expected.tracks = vec![Track { beeps, frequency: Some(1000.0) }];
        clip.make = Make::Amr { take, packed };
        clip
    }

    /// So many pictures, no more and no fewer.
    pub(super) fn pictures(mut self, count: usize) -> Self {
        self.expected.pictures = Some(count);
        self
    }

    /// A warning must contain these words.
    pub(super) fn warned(mut self, words: &'static str) -> Self {
        self.expected.warning = Some(words);
        self
    }

    /// No warning may contain these words.
    pub(super) fn never_warned(mut self, words: &'static str) -> Self {
        self.expected.untrue = Some(words);
        self
    }

    /// Changes the expected result.
    pub(super) fn expecting(mut self, change: impl FnOnce(&mut Expected)) -> Self {
        change(&mut self.expected);
        self
    }
}

/// A sound track through all takes.
fn track(takes: &[Take], index: usize) -> Track {
    let beeps = takes.iter().flat_map(|take| take.beeps(index)).collect();
    Track { beeps, frequency: takes[0].frequencies().get(index).copied() }
}
