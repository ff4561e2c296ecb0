//! Texts and numbers that a codec reports: which form they have.

use super::breach::{Checked, ensure};
use crate::plan::rational::Rational;
use crate::words::printable::printable;

/// Bytes of a name of libav, such as `mov,mp4,m4a,3gp,3g2,mj2`.
const NAME_BYTES_MAX: usize = 64;
/// Hexadecimal digits of a hash: the first 16 bytes of SHA-256.
const HASH_DIGITS: usize = 32;
/// Largest tick: no difference of two, and no multiple by a clock's ticks per second, overflows what is computed with it.
pub(super) const TICK_MAX: u64 = 1 << 62;

/// A name of libav.
pub(super) fn name(text: &str) -> Checked {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_,.-+".contains(&byte);
    let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
    ensure(fits, "a name that is none of libav's")
}

/// A text for people, of `bytes_max` bytes at most.
pub(super) fn words(text: &str, bytes_max: usize) -> Checked {
    ensure(text.len() <= bytes_max, "a text that is too long")?;
    let line: String = text.chars().filter(|c| !matches!(c, '\n' | '\t')).collect();
    ensure(printable(&line) == line, "a text that holds control characters")
}

/// A hash as [`crate::codec::wire`] describes it.
pub(super) fn hash(text: &str) -> Checked {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    ensure(text.len() == HASH_DIGITS && text.bytes().all(digit), "a hash of another form")
}

/// An instant, in ticks.
pub(super) fn tick(tick: i64) -> Checked {
    ensure(tick.unsigned_abs() <= TICK_MAX, "an instant beyond all clocks")
}

/// A fraction without a zero or a sign.
pub(super) fn ratio(ratio: Rational) -> Checked {
    ensure(ratio.num > 0 && ratio.den > 0, "a ratio that is none")
}

/// Seconds, up to `seconds_max`.
pub(super) fn seconds(seconds: f64, seconds_max: f64) -> Checked {
    ensure(seconds.is_finite() && (0.0..=seconds_max).contains(&seconds), "seconds that cannot be")
}
