//! x264's presets: their cost and memory.

/// A preset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// Name in x264.
    pub name: &'static str,
    /// CPU time relative to veryfast: superfast to medium as measured, the others by x264's own steps.
    pub cpu: f64,
    /// Pictures of lookahead, including B-pictures and the current one.
    pub pictures_ahead: u64,
    /// Number of reference pictures (`x264 --fullhelp`).
    pub references: u32,
}

const fn preset(name: &'static str, cpu: f64, pictures_ahead: u64, references: u32) -> Preset {
    Preset { name, cpu, pictures_ahead, references }
}

const SLOWEST: Preset = preset("placebo", 30.0, 66, 16);

/// All presets, fastest first.
pub const PRESETS: [Preset; 10] = [
    preset("ultrafast", 0.5, 6, 1),
    preset("superfast", 0.8, 6, 1),
    preset("veryfast", 1.0, 16, 1),
    preset("faster", 1.7, 26, 2),
    preset("fast", 2.2, 36, 2),
    preset("medium", 2.8, 46, 3),
    preset("slow", 4.5, 56, 5),
    preset("slower", 9.0, 66, 8),
    preset("veryslow", 16.0, 66, 16),
    SLOWEST,
];

/// The preset with this name. An unknown one counts as the slowest, so that budgets are too large rather than too small.
#[must_use]
pub fn named(name: &str) -> Preset {
    PRESETS.into_iter().find(|preset| preset.name == name).unwrap_or(SLOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slower_preset_costs_more_and_holds_no_less() {
        for pair in PRESETS.windows(2) {
            let [quick, slow] = pair else { unreachable!() };
            assert!(quick.cpu < slow.cpu && quick.references <= slow.references, "{slow:?}");
            assert!(quick.pictures_ahead <= slow.pictures_ahead, "{slow:?}");
            assert_eq!(named(slow.name), *slow);
        }
        assert_eq!(named("of tomorrow"), SLOWEST);
    }
}
