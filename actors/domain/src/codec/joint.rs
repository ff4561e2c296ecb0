//! Joints: positions in a file where one recording ends and another one begins.

use crate::codec::discontinuity::ClockStep;

/// Byte positions at which another recording begins, from the steps of a track's clock. Wild timestamps are a step to a clock that is left
/// again; there the recording continues.
#[must_use]
pub fn joints(steps: &[ClockStep]) -> Vec<u64> {
    let before = |index: usize| index.checked_sub(1).map_or(0, |before| steps[before].shift);
    let is_joint = |index: &usize| {
        let goes_back = (0..=*index).any(|earlier| before(earlier) == steps[*index].shift);
        let is_left = steps[*index..].iter().any(|later| later.shift == before(*index));
        !goes_back && !is_left
    };
    (0..steps.len()).filter(is_joint).map(|index| steps[index].byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_comes_back_joins_no_recordings() {
        let steps = |shifts: &[i64]| -> Vec<ClockStep> {
            (1..).zip(shifts).map(|(byte, shift)| ClockStep { byte, shift: *shift }).collect()
        };
        assert_eq!(joints(&steps(&[900, 1700])), [1, 2]);
        assert_eq!(joints(&steps(&[-3600, 0])), [0_u64; 0]);
        assert_eq!(joints(&steps(&[900, -2700, 900, 1700])), [1, 4]);
    }
}
