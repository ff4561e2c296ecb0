//! Every stable code of a failure that the sources give, so that none is without advice.

use super::code::Source;
use super::is_test;

/// Calls whose first argument is a code.
const CALLS: [&str; 4] = ["permanent(", "task(", "dependency(", "over("];

/// Codes in product sources, each with its file.
pub(super) fn codes(sources: &[Source]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !is_test(source)) {
        let text = source.product_text();
        for call in CALLS {
            let arguments = text.match_indices(call).map(|(at, _)| &text[at + call.len()..]);
            let codes = arguments.filter_map(code);
            found.extend(codes.map(|code| (source.path.clone(), code.to_owned())));
        }
    }
    found
}

/// The text that a call begins with, where it looks like a code.
fn code(arguments: &str) -> Option<&str> {
    let (code, _) = arguments.trim_start().strip_prefix('"')?.split_once('"')?;
    let plain = code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    (plain && !code.is_empty()).then_some(code)
}
