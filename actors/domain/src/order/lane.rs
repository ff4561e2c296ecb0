//! Lanes: priorities without starvation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::BadId;

/// Priority of an order's tasks. There is a consumer per lane and group, and free slots choose among lanes by weighted order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Gets eight turns in twelve. Slots may be reserved for it (`node.reserved-high`).
    High,
    /// The default.
    #[default]
    Normal,
    /// Gets one turn in twelve, and every turn when nothing else waits.
    Low,
}

impl Lane {
    /// All lanes, most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Name in subjects, settings and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Lane {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        Self::ALL
            .into_iter()
            .find(|lane| lane.as_str() == text)
            .ok_or_else(|| BadId { kind: "lane", text: text.to_owned() })
    }
}

/// The order in which a slot tries the lanes in turn `turn`. Each lane is first in proportion to its weight (8:3:1), and the others follow
/// by urgency, so an empty lane wastes no turn.
#[must_use]
pub fn turn(turn: u64) -> [Lane; 3] {
    // Spread over twelve turns: high 8, normal 3, low 1.
    match turn % 12 {
        2 | 5 | 9 => [Lane::Normal, Lane::High, Lane::Low],
        11 => [Lane::Low, Lane::High, Lane::Normal],
        _ => [Lane::High, Lane::Normal, Lane::Low],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_turns_are_eight_three_one() {
        let firsts: Vec<Lane> = (0..12).map(|i| turn(i)[0]).collect();
        for (lane, weight) in [(Lane::High, 8), (Lane::Normal, 3), (Lane::Low, 1)] {
            assert_eq!(firsts.iter().filter(|l| **l == lane).count(), weight);
        }
    }
}
