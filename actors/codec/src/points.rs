//! Selects the random-access points for the planner: all of the first seconds, some of the rest.

use jetreel_domain::plan::media::{DENSE_POINTS_MAX, DENSE_SECONDS, RandomAccess, SPARSE_SECONDS};
use jetreel_domain::plan::rational::Rational;

/// All points of the first seconds, then some of the rest.
pub(crate) fn thin(points: &[RandomAccess], time_base: Rational) -> Vec<RandomAccess> {
    let Some(first) = points.first() else { return Vec::new() };
    let dense = first.pts.saturating_add(time_base.ticks(DENSE_SECONDS));
    let sparse = time_base.ticks(SPARSE_SECONDS);
    let mut kept: Vec<RandomAccess> = Vec::new();
    for point in points {
        let room = kept.len() < DENSE_POINTS_MAX;
        let wanted = kept.last().is_none_or(|last| {
            point.pts > last.pts
                && (room && point.pts <= dense || point.pts >= last.pts.saturating_add(sparse))
        });
        if wanted {
            kept.push(*point);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_access_points_are_dense_first_and_sparse_later() {
        let points: Vec<RandomAccess> =
            (0..40).map(|second| RandomAccess { pts: second, dts: second - 1 }).collect();
        let kept: Vec<i64> =
            thin(&points, Rational::new(1, 1)).iter().map(|point| point.pts).collect();
        assert_eq!(kept, [&(0..=12).collect::<Vec<_>>()[..], &[16, 20, 24, 28, 32, 36]].concat());
    }
}
