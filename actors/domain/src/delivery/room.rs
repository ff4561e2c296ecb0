//! How much room there is among the dead letters.
//!
//! Invariant: a lack of room is somebody's to mend and nobody's to wait for: what cannot be buried waits by itself.

use serde::Serialize;

use crate::delivery::deadletter::HEADERS_MAX;

/// Bytes of a letter of Jetreel's own messages, which are some hundred bytes, with what the broker adds.
const LETTER_BYTES: u64 = HEADERS_MAX as u64 + (2 << 10);

/// Share of its limit, in per cent, from which a stream of letters is filling up.
const FILLING_PERCENT: u64 = 80;

/// What the stream of dead letters holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Letters.
    pub letters: u64,
    /// Their bytes, as the broker counts.
    pub bytes: u64,
    /// Bytes that it may hold; `None` where nothing but the broker's disk bounds it.
    pub limit: Option<u64>,
}

/// How full it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// There is room.
    Fine,
    /// Somebody should look at letters soon.
    Filling,
    /// The next letter may not fit.
    Full,
}

impl Room {
    /// See [`Fill`].
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

    /// Per cent of the limit; `None` where there is none.
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
