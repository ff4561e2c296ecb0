//! Finds public types, traits and functions without a docstring.

use super::code::{Source, item_end, positions};
use super::is_test;

/// Source folders that the rule covers.
const FOLDERS: [&str; 4] = ["actors/domain/src/", "actors/src/", "actors/codec/src/", "src/"];

/// Visibilities that need a docstring. An item that only its parent module sees (`pub(super)`) needs none.
const PUBLIC: [&str; 2] = ["pub ", "pub(crate) "];

/// Keywords that may stand between the visibility and the keyword of the item.
const QUALIFIERS: [&str; 4] = ["async ", "const ", "unsafe ", "extern \"C\" "];

/// Keywords of the items that need a docstring. Fields, variants, constants and modules need none.
const ITEMS: [&str; 6] = ["fn ", "struct ", "enum ", "trait ", "type ", "union "];

/// One complaint for each public item without a docstring in the product sources of [`FOLDERS`].
pub(super) fn missing(sources: &[Source]) -> Vec<String> {
    let covered = |source: &&Source| {
        FOLDERS.iter().any(|folder| source.path.starts_with(folder)) && !is_test(source)
    };
    let mut found = Vec::new();
    for source in sources.iter().filter(covered) {
        for (number, item) in undocumented(source) {
            found.push(format!("{}:{number}: `{item}` has no docstring", source.path));
        }
    }
    found
}

/// Line number and text of each public item that no `///` precedes. Attributes may stand between the two.
fn undocumented(source: &Source) -> Vec<(usize, String)> {
    let code = source.product_code();
    let methods = trait_methods(&code);
    let mut found = Vec::new();
    let (mut documented, mut open_brackets) = (false, 0_usize);
    for (at, (line, text)) in code.lines().zip(source.text.lines()).enumerate() {
        let line = line.trim_start();
        if open_brackets > 0 || line.starts_with("#[") {
            open_brackets += line.matches('[').count();
            open_brackets = open_brackets.saturating_sub(line.matches(']').count());
            continue;
        }
        let needs_one = is_public_item(line) || methods.contains(&at);
        if needs_one && !documented {
            found.push((at + 1, text.trim().to_owned()));
        }
        documented = text.trim_start().starts_with("///");
    }
    found
}

/// Whether a line of code begins a public type, trait or function.
fn is_public_item(line: &str) -> bool {
    let Some(mut rest) = PUBLIC.iter().find_map(|public| line.strip_prefix(public)) else {
        return false;
    };
    while let Some(next) = QUALIFIERS.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = next;
    }
    ITEMS.iter().any(|item| rest.starts_with(item))
}

/// Indices of the lines on which the methods of public traits begin.
fn trait_methods(code: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for start in positions(code, "pub trait").chain(positions(code, "pub(crate) trait")) {
        let end = item_end(code, start);
        let methods = positions(&code[start..end], "fn").map(|at| start + at);
        found.extend(methods.map(|at| code[..at].matches('\n').count()));
    }
    found
}
