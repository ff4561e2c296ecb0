//! Free room in the stream of dead letters.
//!
//! Invariant: a full stream needs an operator and blocks nothing else. A message that cannot be buried waits in its own queue.

use serde::Serialize;

use crate::delivery::deadletter::HEADERS_MAX;

/// Largest usual letter in bytes: a message of Jetreel has some hundred bytes, and the broker adds its own.
const LETTER_BYTES: u64 = HEADERS_MAX as u64 + (2 << 10);

/// Percentage of the limit from which the stream counts as filling up.
const FILLING_PERCENT: u64 = 80;

/// Number and size of the letters in the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Room {
    pub letters: u64,
    /// Bytes in the stream, as the broker counts.
    pub bytes: u64,
    /// Most bytes that the stream may hold; `None` if only the broker's disk bounds it.
    pub limit: Option<u64>,
}

/// Fill level of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// There is enough room.
    Fine,
    /// The letters should be processed soon.
    Filling,
    /// The next letter may not fit.
    Full,
}

impl Room {
    /// Fill level.
    #[must_use]
    pub fn fill(&self) -> Fill {
        let Some(limit) = self.limit else { return Fill::Fine };
        if limit.saturating_sub(self.bytes) < LETTER_BYTES {
            Fill::Full
        } else if self.bytes >= limit / 100 * FILLING_PERCENT {
            Fill::Filling
        } else {
            Fill::Fine
        }
    }

    /// Percentage of the limit in use; `None` without a limit.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        let limit = self.limit.filter(|limit| *limit > 0)?;
        Some(self.bytes.saturating_mul(100) / limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_full_before_a_letter_is_refused() {
        const GIB: u64 = 1 << 30;
        let room = |bytes, limit| Room { letters: 1, bytes, limit };
        for (bytes, limit, fill, percent) in [
            (0, Some(GIB), Fill::Fine, Some(0)),
            (GIB / 100 * 79, Some(GIB), Fill::Fine, Some(78)),
            (GIB / 5 * 4, Some(GIB), Fill::Filling, Some(79)),
            (GIB - LETTER_BYTES, Some(GIB), Fill::Filling, Some(99)),
            (GIB - LETTER_BYTES + 1, Some(GIB), Fill::Full, Some(99)),
            (GIB + 1, Some(GIB), Fill::Full, Some(100)),
            (0, Some(1000), Fill::Full, Some(0)),
            (0, Some(0), Fill::Full, None),
            (u64::MAX, None, Fill::Fine, None),
        ] {
            let room = room(bytes, limit);
            assert_eq!((room.fill(), room.percent()), (fill, percent), "{bytes} of {limit:?}");
        }
    }
}
