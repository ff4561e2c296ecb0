//! Checks the form of texts and numbers that a codec reports.

use super::breach::{Checked, ensure};
use crate::plan::rational::Rational;
use crate::words::printable::printable;

/// Most bytes of a name of libav, such as `mov,mp4,m4a,3gp,3g2,mj2`.
const NAME_BYTES_MAX: usize = 64;
/// Hexadecimal digits of a hash: the first 16 bytes of SHA-256.
const HASH_DIGITS: usize = 32;
/// Largest tick, so that no difference of two, and no multiple by a clock's ticks per second, overflows.
pub(super) const TICK_MAX: u64 = 1 << 62;

/// Checks a name of libav.
pub(super) fn name(text: &str) -> Checked {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_,.-+".contains(&byte);
    let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
    ensure(fits, "a name that is none of libav's")
}

/// Checks a displayed text of at most `bytes_max` bytes.
pub(super) fn words(text: &str, bytes_max: usize) -> Checked {
    ensure(text.len() <= bytes_max, "a text that is too long")?;
    let line: String = text.chars().filter(|c| !matches!(c, '\n' | '\t')).collect();
    ensure(printable(&line) == line, "a text that holds control characters")
}

/// Checks a hash in the form of [`crate::codec::wire`].
pub(super) fn hash(text: &str) -> Checked {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    ensure(text.len() == HASH_DIGITS && text.bytes().all(digit), "a hash of another form")
}

/// Checks an instant in ticks.
pub(super) fn tick(tick: i64) -> Checked {
    ensure(tick.unsigned_abs() <= TICK_MAX, "an instant beyond all clocks")
}

/// Checks a fraction that is neither zero nor negative.
pub(super) fn ratio(ratio: Rational) -> Checked {
    ensure(ratio.num > 0 && ratio.den > 0, "a ratio that is none")
}

/// Checks seconds up to `seconds_max`.
pub(super) fn seconds(seconds: f64, seconds_max: f64) -> Checked {
    ensure(seconds.is_finite() && (0.0..=seconds_max).contains(&seconds), "seconds that cannot be")
}
