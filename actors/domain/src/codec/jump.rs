//! Jumps: packets that do not follow their predecessor. Also decides when two clocks are the same.

/// Shortest jump forward in seconds that counts as a step. Shorter ones are pauses of the recording, during which the last picture stands.
/// Jumps back always count.
pub const FORWARD_SECONDS_MIN: f64 = 60.0;

/// Shortest jump forward in seconds that is recorded in case the track returns.
pub const LEAP_SECONDS_MIN: f64 = 0.5;

/// Most steps of one track that are corrected.
pub const STEPS_MAX: usize = 512;

/// Two tracks have the same clock if they differ by less than this many seconds at the same place of a file. Muxers interleave within a
/// second or two.
pub const AGREE_SECONDS: f64 = 5.0;

/// Shortest jump forward in seconds that counts as a step without another track. A silent recording may stand still for minutes.
const ALONE_SECONDS_MIN: f64 = 600.0;

/// Kind of a jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On the track's own clock. It follows a step of another track with whose old clock its own did not agree.
    GoesOn,
    /// A little early, as the first packet of its track, or after a while. It follows a step of another track.
    Loose,
    /// Ahead of the clock by less than a step: a pause, unless the track returns.
    Leap,
    /// The clock steps, unless other tracks show otherwise.
    Step,
}

/// A packet whose decode time does not follow its predecessor's, or the first one after a step of another track.
#[derive(Debug, Clone, PartialEq)]
pub struct Jump {
    /// Index of its track.
    pub track: usize,
    /// Position in the file, in bytes.
    pub byte: u64,
    /// Expected time on the track's clock in seconds; [`f64::NEG_INFINITY`] for the first packet of a track.
    pub before: f64,
    /// Its time on the track's clock in seconds.
    pub after: f64,
    pub kind: Kind,
    /// Number of jumps of any track before the predecessor.
    pub since: usize,
    /// The last decode time of every track in seconds. `None` if a track has not begun, or had no packet for [`AGREE_SECONDS`].
    pub clocks: Vec<Option<f64>>,
    /// For every track, whether its next packet continues on its clock.
    pub goes_on: Vec<bool>,
}

impl Jump {
    /// Whether the clock steps.
    #[must_use]
    pub fn is_step(&self) -> bool {
        self.kind == Kind::Step
    }

    /// Whether the clock leaps.
    #[must_use]
    pub fn is_leap(&self) -> bool {
        self.kind == Kind::Leap
    }

    /// Whether it continues on the track's clock, as far as is known without later packets.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        matches!(self.kind, Kind::GoesOn | Kind::Leap)
    }

    pub(super) fn is_forward(&self) -> bool {
        self.after > self.before
    }

    /// Whether the jump forward is longer than any pause of a recording without audio and pictures.
    pub(super) fn is_long(&self) -> bool {
        self.after - self.before > ALONE_SECONDS_MIN
    }
}

/// Whether two clocks are the same.
pub(crate) fn agree(one: f64, other: f64) -> bool {
    (one - other).abs() < AGREE_SECONDS
}
