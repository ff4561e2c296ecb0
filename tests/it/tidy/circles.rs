//! Which files of a crate need each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::code::{Source, positions};

/// Files that need each other in a circle, a complaint for each circle; `folder` is the source folder of a crate.
pub(super) fn circles(sources: &[Source], folder: &str) -> Vec<String> {
    let files: BTreeMap<Vec<String>, &Source> = sources
        .iter()
        .filter_map(|source| Some((module(source.path.strip_prefix(folder)?), source)))
        .collect();
    let needs: BTreeMap<&str, BTreeSet<&str>> = files
        .iter()
        .map(|(module, source)| (source.path.as_str(), needed(module, source, &files)))
        .collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        needs.keys().map(|file| (*file, reachable(file, &needs))).collect();
    let mut found = BTreeSet::new();
    for (file, there) in &reached {
        let circle: Vec<&str> =
            there.iter().filter(|other| reached[*other].contains(file)).copied().collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().map(|circle| format!("need each other: {}", circle.join(", "))).collect()
}

/// The module that a file is: `plan::media` for `plan/media.rs`, `plan` for `plan/mod.rs`, nothing for the root.
fn module(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs");
    let words = path.split('/').filter(|word| !["mod", "lib", "main"].contains(word));
    words.map(ToOwned::to_owned).collect()
}

/// The files that a file needs. A module needs what it re-exports from its files.
fn needed<'a>(
    module: &[String],
    source: &Source,
    files: &BTreeMap<Vec<String>, &'a Source>,
) -> BTreeSet<&'a str> {
    let code = source.product_code();
    let mut paths = Vec::new();
    // Without what says who may see an item: `pub(super)`.
    let begun = |at: &usize, word: &str| code[at + word.len()..].starts_with("::");
    for at in positions(&code, "crate").filter(|at| begun(at, "crate")) {
        paths.extend(spread(&[], &code[at + "crate".len()..]));
    }
    let whole = |at: &usize| begun(at, "super") && !code[..*at].ends_with("::");
    for at in positions(&code, "super").filter(whole) {
        let parent = &module[..module.len().saturating_sub(1)];
        paths.extend(spread(parent, &code[at + "super".len()..]));
    }
    for at in positions(&code, "use") {
        let rest = code[at + "use".len()..].trim_start();
        let child: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let child = [module, &[child]].concat();
        if files.contains_key(&child) {
            paths.push(child);
        }
    }
    let file = |path: &Vec<String>| {
        (1..=path.len())
            .rev()
            .find_map(|length| files.get(&path[..length]))
            .map(|f| f.path.as_str())
    };
    paths.iter().filter_map(file).filter(|path| *path != source.path).collect()
}

/// The paths that begin with `from` and go on as `rest` says: `::a::{b, c::D}` gives `a::b` and `a::c::D`.
fn spread(from: &[String], rest: &str) -> Vec<Vec<String>> {
    let Some(rest) = rest.strip_prefix("::") else { return vec![from.to_vec()] };
    let rest = rest.trim_start();
    let Some(group) = rest.strip_prefix('{') else {
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let path = match word.as_str() {
            "super" => from[..from.len().saturating_sub(1)].to_vec(),
            _ => [from, std::slice::from_ref(&word)].concat(),
        };
        return spread(&path, &rest[word.len()..]);
    };
    let (mut depth, mut start, mut paths) = (0_usize, 0, Vec::new());
    for (at, character) in group.char_indices() {
        let ends = depth == 0 && (character == ',' || character == '}');
        if ends {
            let item = group[start..at].trim();
            paths.extend(spread(from, &format!("::{item}")));
            start = at + 1;
        }
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    paths
}

fn reachable<'a>(file: &'a str, needs: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![file];
    while let Some(next) = open.pop() {
        for other in &needs[next] {
            if found.insert(*other) {
                open.push(other);
            }
        }
    }
    found
}

#[test]
fn groups_are_spread() {
    let paths = spread(&[], "::{a::{b, c::D}, e};\nlet x = 1;");
    let paths: Vec<String> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["a::b", "a::c::D", "e"]);
}
