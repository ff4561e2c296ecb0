//! The rules of the ladder, written down a second time from their description: which frames a tier keeps, its rate settings.

/// Settings of a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rung {
    /// Pixels of the shorter side.
    pub(crate) side: u32,
    /// Kilobits per second, up to 30 frames per second.
    rate: u32,
    /// Kilobits per second above.
    fast_rate: u32,
    /// x264's constant rate factor.
    pub(crate) crf: u32,
    /// H.264 level times ten, up to 30 frames per second.
    level: u32,
    /// The same above.
    fast_level: u32,
    /// Frames per second at most.
    limit: u32,
}

const LADDER: [Rung; 7] = [
    rung(240, (350, 350), 22, (21, 21), 30),
    rung(360, (800, 800), 22, (30, 30), 30),
    rung(480, (1400, 1400), 23, (31, 31), 30),
    rung(720, (3000, 4500), 23, (31, 32), 60),
    rung(1080, (6000, 7800), 23, (40, 42), 60),
    rung(1440, (9000, 14_000), 23, (50, 51), 60),
    rung(2160, (17_000, 17_000), 23, (51, 52), 60),
];

const fn rung(side: u32, rates: (u32, u32), crf: u32, levels: (u32, u32), limit: u32) -> Rung {
    let ((rate, fast_rate), (level, fast_level)) = (rates, levels);
    Rung { side, rate, fast_rate, crf, level, fast_level, limit }
}

impl Rung {
    /// The rung of a tier's settings: the smallest that is not below the tier's shorter side.
    pub(crate) fn of(side: u32) -> Self {
        LADDER.into_iter().find(|rung| rung.side >= side).unwrap_or(LADDER[6])
    }

    /// Cap in kilobits per second for a tier of `fps`.
    pub(crate) fn rate(self, fps: f64) -> u32 {
        if fps > 31.5 { self.fast_rate } else { self.rate }
    }

    /// H.264 level times ten for a tier of `fps`.
    pub(crate) fn level(self, fps: f64) -> u32 {
        if fps > 31.5 { self.fast_level } else { self.level }
    }

    /// Frames per second of the tier for a source of `fps`: an even division of it.
    pub(crate) fn target(self, fps: f64) -> f64 {
        // One frame in two, in three …: the first division that is not more than a twentieth above the limit.
        let most = f64::from(self.limit) + f64::from(self.limit) / 20.0;
        (1..).map(|times| fps / f64::from(times)).find(|rate| *rate <= most).unwrap_or(fps)
    }

    /// Which of the source's frames the tier keeps: indices into `pts` (seconds). `joints` are the starts of chunks.
    pub(crate) fn kept(self, pts: &[f64], joints: &[f64], fps: f64) -> Vec<usize> {
        let target = self.target(fps);
        if target >= fps {
            return (0..pts.len()).collect();
        }
        let distance = 1.0 / target - 0.5 / fps;
        let (mut kept, mut last, mut chunk) = (Vec::new(), f64::NEG_INFINITY, 0);
        for (index, time) in pts.iter().enumerate() {
            let here = joints.iter().filter(|joint| **joint <= time + 1e-4).count();
            if here != chunk || *time >= last + distance - 1e-6 {
                kept.push(index);
                last = *time;
            }
            chunk = here;
        }
        kept
    }
}

/// Indices as runs of equal steps, `(first, step, count)`: short enough for an expression.
pub(crate) fn runs(indices: &[usize]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for &index in indices {
        match runs.last_mut() {
            Some((first, step, count)) if *count == 1 => (*step, *count) = (index - *first, 2),
            Some((first, step, count)) if *first + *step * *count == index => *count += 1,
            Some(_) | None => runs.push((index, 1, 1)),
        }
    }
    runs
}

#[test]
fn the_rule_restarts_at_every_chunk() {
    let pts: Vec<f64> = (0..10).map(|n| f64::from(n) / 60.0).collect();
    let rung = Rung::of(240);
    assert_eq!(rung.kept(&pts, &[0.0], 60.0), [0, 2, 4, 6, 8]);
    assert_eq!(rung.kept(&pts, &[0.0, 5.0 / 60.0], 60.0), [0, 2, 4, 5, 7, 9]);
    assert_eq!(rung.kept(&pts, &[0.0], 31.2).len(), 10);
    assert_eq!((rung.target(62.0), Rung::of(720).target(62.0)), (31.0, 62.0));
    assert_eq!(Rung::of(1080).kept(&pts, &[0.0], 60.0).len(), 10);
    assert_eq!((Rung::of(160).side, Rung::of(481).side), (240, 720));
}

#[test]
fn runs_are_short() {
    assert_eq!(runs(&[0, 2, 4, 5, 7, 9]), [(0, 2, 3), (5, 2, 3)]);
    assert_eq!(runs(&[3]), [(3, 1, 1)]);
}
