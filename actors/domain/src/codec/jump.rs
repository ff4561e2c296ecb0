//! A packet that does not follow its predecessor, and when two clocks are the same.

/// Shortest jump forward, seconds, that counts as a step: shorter ones are breaks in the recording, during which the last picture
/// stands. Jumps back always count.
pub const FORWARD_SECONDS_MIN: f64 = 60.0;

/// Shortest jump forward, seconds, that is noted in case that the track comes back.
pub const LEAP_SECONDS_MIN: f64 = 0.5;

/// Steps of one track that are mended.
pub const STEPS_MAX: usize = 512;

/// Two tracks have the same clock where they differ by less than this many seconds at the same place of a file: muxers interleave
/// within a second or two.
pub const AGREE_SECONDS: f64 = 5.0;

/// Shortest jump forward, seconds, that counts as a step though no other track confirms it: a silent recording may stand still for
/// minutes.
const ALONE_SECONDS_MIN: f64 = 600.0;

/// How a packet follows its predecessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// By the clock that its track had. It follows a step of another track with whose old clock its own did not agree.
    GoesOn,
    /// A little early, as the first of its track, or after a while. It follows a step of another track.
    Loose,
    /// Ahead of that clock by less than a step: a break, unless the track comes back.
    Leap,
    /// The clock steps, unless other tracks show otherwise.
    Step,
}

/// A packet whose decode time does not follow its predecessor's, or the first one after another track stepped.
#[derive(Debug, Clone, PartialEq)]
pub struct Jump {
    /// Index of its track.
    pub track: usize,
    /// Where it lies in the file.
    pub byte: u64,
    /// Seconds of the track's clock at which it was due; [`f64::NEG_INFINITY`] for the first packet of a track.
    pub before: f64,
    /// Seconds of the track's clock that it has.
    pub after: f64,
    /// What it looks like.
    pub kind: Kind,
    /// How many jumps, of whatever track, there were before the predecessor.
    pub since: usize,
    /// The last decode time of every track up to here, seconds; `None` where a track has not begun, or has had no packet for
    /// [`AGREE_SECONDS`].
    pub clocks: Vec<Option<f64>>,
    /// Of every track: its next packet goes on by the clock that it had.
    pub goes_on: Vec<bool>,
}

impl Jump {
    /// Whether its clock steps.
    #[must_use]
    pub fn is_step(&self) -> bool {
        self.kind == Kind::Step
    }

    /// Whether its clock leaps.
    #[must_use]
    pub fn is_leap(&self) -> bool {
        self.kind == Kind::Leap
    }

    /// Whether it goes on by the clock that its track had, as far as it can be told without what follows.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        matches!(self.kind, Kind::GoesOn | Kind::Leap)
    }

    pub(super) fn is_forward(&self) -> bool {
        self.after > self.before
    }

    /// A jump forward that no recording has without sound or picture in between.
    pub(super) fn is_long(&self) -> bool {
        self.after - self.before > ALONE_SECONDS_MIN
    }
}

/// Whether two clocks are the same.
pub(crate) fn agree(one: f64, other: f64) -> bool {
    (one - other).abs() < AGREE_SECONDS
}
