//! Random numbers from a seed (splitmix64, public domain).

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The generator.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        // Mixed first: from neighbouring seeds the generator would give one sequence, shifted by one.
        Self(mix(seed.wrapping_add(STEP)))
    }

    /// A number from 0 to below 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(STEP);
        (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number around 1, up to `spread` away.
    pub(super) fn around_one(&mut self, spread: f64) -> f64 {
        1.0 + spread * (2.0 * self.unit() - 1.0)
    }

    /// The gap to the next of events that come every `mean` seconds by chance (exponential).
    pub(super) fn gap(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_mean_and_repeat_with_their_seed() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            (0..10_000).map(|_| chance.gap(3.0)).sum::<f64>() / 10_000.0
        };
        assert!((draw(1) - 3.0).abs() < 0.1, "{}", draw(1));
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut chance = Chance::new(7);
        assert!((0..1000).all(|_| (0.9..=1.1).contains(&chance.around_one(0.1))));
    }
}
