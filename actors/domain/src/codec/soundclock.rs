//! Times of decoded audio frames. Later frames distinguish gaps from jitter.
//!
//! Timestamps of audio are rounded, and some recorders stamp a packet on arrival. Such jitter returns to the sample count within a few
//! frames. A lost packet does not: every later frame stays behind the count. Only then is the count wrong, and the frame's timestamp
//! counts.

/// Later timestamps that are examined before a deviation counts as a gap.
pub const AHEAD: usize = 12;

/// Seconds of later frames that are examined if few of them are stamped. MPEG stamps only the first frame of a PES packet.
const AHEAD_SECONDS_MAX: f64 = 10.0;

/// Deviations of less than this many seconds are no gap, however short a frame is: clocks of milliseconds round twice.
const NOISE_SECONDS: f64 = 0.005;

/// Share of a small deviation by which each frame corrects the count, so that it follows a drift and not the jitter.
const SMOOTHING: f64 = 1.0 / 8.0;

/// A decoded frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stamp {
    /// Time of its first sample on the source's clock in seconds; `None` without a timestamp.
    pub at: Option<f64>,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Time of an audio frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// Time on the source's clock in seconds.
    pub at: f64,
    /// Whether it does not follow its predecessor: there is silence between them, or they overlap.
    pub apart: bool,
}

/// The clock of an audio track.
#[derive(Debug, Clone, Default)]
pub struct SoundClock {
    /// Expected time of the next frame from the samples so far, in seconds.
    due: Option<f64>,
    anew: bool,
}

impl SoundClock {
    /// Resets the clock: only its timestamp places the next frame.
    pub fn restart(&mut self) {
        self.anew = true;
    }

    /// Places `frame`, which is followed by `later` frames: as many as [`suffice`], or fewer at the end. `None` if its time is unknown.
    pub fn place<'a>(
        &mut self,
        frame: Stamp,
        later: impl IntoIterator<Item = &'a Stamp>,
    ) -> Option<Heard> {
        let heard = match (self.due, frame.at) {
            (None, None) => return None,
            (Some(due), Some(at)) if !self.anew => against(due, at, frame, later),
            (_, Some(at)) => Heard { at, apart: true },
            (Some(due), None) => Heard { at: due, apart: false },
        };
        self.anew = false;
        self.due = Some(heard.at + frame.seconds);
        Some(heard)
    }
}

/// Whether `later` frames are enough to place the frame before them.
pub fn suffice<'a>(later: impl IntoIterator<Item = &'a Stamp>) -> bool {
    let (mut frames, mut stamped, mut seconds) = (0, 0, 0.0);
    for next in later {
        frames += 1;
        stamped += usize::from(next.at.is_some());
        seconds += next.seconds;
    }
    stamped >= AHEAD || frames >= AHEAD && seconds >= AHEAD_SECONDS_MAX
}

/// Places a frame that is stamped `at` and expected at `due`.
fn against<'a>(
    due: f64,
    at: f64,
    frame: Stamp,
    later: impl IntoIterator<Item = &'a Stamp>,
) -> Heard {
    let least = (frame.seconds / 2.0).max(NOISE_SECONDS);
    let off = at - due;
    if off.abs() < least {
        return Heard { at: due + off * SMOOTHING, apart: false };
    }
    let mut counted = due + frame.seconds;
    let (mut frames, mut stamped) = (0, 0);
    for next in later {
        if stamped == AHEAD {
            break;
        }
        frames += 1;
        if let Some(next_at) = next.at {
            if (next_at - counted) * off.signum() < least {
                return Heard { at: due, apart: false };
            }
            stamped += 1;
        }
        counted += next.seconds;
    }
    // A frame without a timestamp follows its predecessor.
    let confirmed = stamped > 0 || frames == 0;
    if confirmed { Heard { at, apart: true } } else { Heard { at: due, apart: false } }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An AAC frame at 48 kHz.
    const FRAME: f64 = 1024.0 / 48_000.0;

    fn heard(stamps: &[f64]) -> Vec<Heard> {
        placed(stamps.iter().map(|at| Stamp { at: Some(*at), seconds: FRAME }).collect())
    }

    /// The frames' times if each is placed as soon as the later ones suffice.
    fn placed(frames: Vec<Stamp>) -> Vec<Heard> {
        let mut clock = SoundClock::default();
        let place = |index: usize| {
            let later = &frames[index + 1..];
            let enough = (0..=later.len()).find(|count| suffice(&later[..*count]));
            clock.place(frames[index], &later[..enough.unwrap_or(later.len())]).unwrap()
        };
        (0..frames.len()).map(place).collect()
    }

    /// PES packets of `frames` frames. Only the first one of each is stamped.
    fn packed(stamps: &[f64], frames: usize) -> Vec<Stamp> {
        let stamp = |(index, at): (usize, &f64)| Stamp {
            at: (index % frames == 0).then_some(*at),
            seconds: FRAME,
        };
        stamps.iter().enumerate().map(stamp).collect()
    }

    fn even(count: u32) -> Vec<f64> {
        (0..count).map(|index| f64::from(index) * FRAME).collect()
    }

    #[test]
    fn frames_behind_lost_packets_are_heard_when_they_are_stamped() {
        let stamps: Vec<f64> = even(200)
            .into_iter()
            .enumerate()
            .filter(|(index, _)| index % 9 != 8)
            // A clock of milliseconds.
            .map(|(_, at)| (at * 1000.0).round() / 1000.0)
            .collect();
        let heard = heard(&stamps);
        for (index, (heard, stamped)) in heard.iter().zip(&stamps).enumerate() {
            assert!((heard.at - stamped).abs() < 0.0012, "{index}: {heard:?}, {stamped}");
            assert_eq!(heard.apart, index % 8 == 0, "{index}");
        }
    }

    #[test]
    fn jitter_leaves_the_count_as_it_is() {
        let mut stamps = even(600);
        let mut state = 7_u32;
        for stamp in &mut stamps[1..590] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *stamp += [-0.060, 0.0, 0.060][(state >> 16) as usize % 3];
        }
        let heard = heard(&stamps);
        assert!(heard[1..].iter().all(|heard| !heard.apart));
        for (heard, stamped) in heard.iter().zip(even(600)) {
            assert!((heard.at - stamped).abs() < 1e-9, "{heard:?}, {stamped}");
        }
    }

    #[test]
    fn jitter_of_long_packets_leaves_the_count_as_it_is() {
        for frames in [13, 14, 20, 40] {
            let mut stamps = even(1200);
            let mut state = 7_u32;
            for stamp in &mut stamps[1..] {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *stamp += [-0.060, 0.0, 0.060][(state >> 16) as usize % 3];
            }
            // No stamp follows that of the last packet, which deviates too.
            let last = stamps.len() - 1 - (stamps.len() - 1) % frames;
            stamps[last] = even(1200)[last] + 0.060;
            stamps[last - frames] = even(1200)[last - frames];
            let heard = placed(packed(&stamps, frames));
            let moved = heard[1..].iter().position(|heard| heard.apart);
            assert_eq!(moved, None, "{frames} frames a packet");
        }
    }

    #[test]
    fn a_gap_between_long_packets_is_followed() {
        for frames in [14, 20, 40] {
            let mut stamps = even(800);
            stamps[560..].iter_mut().for_each(|at| *at += 0.85);
            let heard = placed(packed(&stamps, frames));
            assert_eq!(heard[560], Heard { at: stamps[560], apart: true }, "{frames}");
            assert_eq!(heard.iter().filter(|heard| heard.apart).count(), 2, "{frames}");
        }
    }

    #[test]
    fn frames_without_timestamps_are_waited_for_within_bounds() {
        let untimed = |count| vec![Stamp { at: None, seconds: 0.5 }; count];
        assert!(!suffice(&untimed(19)) && suffice(&untimed(20)));
        let second = |count| vec![Stamp { at: None, seconds: 1.0 }; count];
        assert!(!suffice(&second(11)) && suffice(&second(12)));
    }

    #[test]
    fn one_wild_timestamp_moves_nothing() {
        for wild in [2.0, -2.0, 3600.0] {
            let mut stamps = even(100);
            stamps[50] += wild;
            assert!(heard(&stamps)[1..].iter().all(|heard| !heard.apart), "{wild}");
        }
    }

    #[test]
    fn a_clock_that_runs_fast_is_followed_without_a_gap() {
        let stamps: Vec<f64> = even(600).iter().map(|at| at * 1.01).collect();
        let heard = heard(&stamps);
        assert!(heard[1..].iter().all(|heard| !heard.apart));
        assert!((heard[599].at - stamps[599]).abs() < 0.003, "{:?}", heard[599]);
    }

    #[test]
    fn a_jump_is_followed_both_ways() {
        for jump in [3.0, 0.015, -0.5] {
            let mut stamps = even(60);
            stamps[30..].iter_mut().for_each(|at| *at += jump);
            let heard = heard(&stamps);
            assert_eq!(heard[30], Heard { at: stamps[30], apart: true });
            assert_eq!(heard.iter().filter(|heard| heard.apart).count(), 2);
        }
    }

    #[test]
    fn what_begins_anew_is_heard_when_it_is_stamped() {
        let mut clock = SoundClock::default();
        let stamp = |at| Stamp { at: Some(at), seconds: FRAME };
        clock.place(stamp(0.0), []).unwrap();
        clock.restart();
        assert_eq!(clock.place(stamp(0.025), []), Some(Heard { at: 0.025, apart: true }));
        assert!(!clock.place(stamp(0.05), []).unwrap().apart);
    }

    #[test]
    fn a_frame_without_a_timestamp_follows_its_predecessor() {
        let mut clock = SoundClock::default();
        let untimed = Stamp { at: None, seconds: FRAME };
        assert_eq!(clock.place(untimed, []), None);
        clock.place(Stamp { at: Some(1.0), ..untimed }, []).unwrap();
        assert_eq!(clock.place(untimed, []), Some(Heard { at: 1.0 + FRAME, apart: false }));
    }
}
