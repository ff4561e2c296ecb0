//! Checks the first frame of a codec process.

use super::breach::{Checked, ensure};
use super::text;

/// Most bytes of a greeting.
pub const GREETING_BYTES_MAX: usize = 32 << 10;

/// Most bytes of the name of a build: versions of the codec, of four libraries and of x264.
const BUILD_BYTES_MAX: usize = 512;
/// Most weaknesses of a confinement.
const WEAKNESSES_MAX: usize = 32;
const WEAKNESS_BYTES_MAX: usize = 512;

/// Checks the form of a greeting. The node decides whether the confinement is strong enough.
///
/// # Errors
/// The broken rule.
pub fn greeting(build: &str, confinement: &str, weaknesses: &[String]) -> Checked {
    let printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let named = (1..=BUILD_BYTES_MAX).contains(&build.len()) && printable(build);
    ensure(named, "a build without a proper name")?;
    text::name(confinement)?;
    ensure(weaknesses.len() <= WEAKNESSES_MAX, "more weaknesses than there are")?;
    weaknesses.iter().try_for_each(|weakness| text::words(weakness, WEAKNESS_BYTES_MAX))
}
