//! Rust source as the tidy rules see it: comments and strings blanked out, test code left out, positions kept.

use std::collections::BTreeSet;
use std::path::Path;

/// A file of the project.
pub(super) struct Source {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    /// As it stands on disk.
    pub(super) text: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Only the code: comments and the insides of strings are spaces.
    pub(super) fn code(&self) -> String {
        blank(&self.text, true)
    }

    /// As [`Self::code`], without `#[cfg(test)]` items; nothing of a file that is such an item as a whole.
    pub(super) fn product_code(&self) -> String {
        if self.is_test_module() {
            return String::new();
        }
        without_tests(&self.code(), &self.code())
    }

    /// Test modules that have a file of their own are called `tests.rs`, `<module>_tests.rs` or `testing.rs`, or lie in a
    /// folder `testing`.
    fn is_test_module(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let own = name == "tests.rs" || name == "testing.rs" || name.ends_with("_tests.rs");
        own || self.path.contains("/testing/")
    }

    /// As [`Self::product_code`], with the strings.
    pub(super) fn product_text(&self) -> String {
        if self.is_test_module() {
            return String::new();
        }
        without_tests(&blank(&self.text, false), &self.code())
    }
}

/// Every Rust file below the source folders, sorted.
pub(super) fn all(root: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["src", "actors", "tests"] {
        walk(root, &root.join(folder), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && name != "node_modules" {
            walk(root, &path, found);
        } else if name.ends_with(".rs") {
            let relative = path.strip_prefix(root).expect("below the root");
            let text = std::fs::read_to_string(&path).expect("a text file");
            found.push(Source::new(&relative.to_string_lossy(), &text));
        }
    }
}

/// Comments, and the insides of strings where asked for, become spaces; line ends stay where they are.
fn blank(text: &str, strings: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = token_end(bytes, at);
        let comment = bytes[at..].starts_with(b"//") || bytes[at..].starts_with(b"/*");
        if end > at + 1 && (comment || strings) {
            for byte in &mut out[at + usize::from(!comment)..end - usize::from(!comment)] {
                *byte = if *byte == b'\n' { b'\n' } else { b' ' };
            }
        }
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// End of the comment, string or character literal that starts at `at`; `at + 1` if none starts.
fn token_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let boundary = at == 0 || !is_word(bytes[at - 1]);
    if rest.starts_with(b"//") {
        return at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return at + find(rest, b"*/").map_or(rest.len(), |end| end + 2);
    }
    if boundary && rest[0] == b'r' {
        let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            let close = [b"\"".as_slice(), "#".repeat(hashes).as_bytes()].concat();
            let body = &rest[hashes + 2..];
            return at + hashes + 2 + find(body, &close).map_or(body.len(), |e| e + close.len());
        }
    }
    match rest[0] {
        b'"' => at + quoted(rest, b'"'),
        b'\'' if rest.get(1) == Some(&b'\\') => at + quoted(rest, b'\''),
        b'\'' if rest.get(2) == Some(&b'\'') => at + 3,
        _ => at + 1,
    }
}

fn quoted(rest: &[u8], mark: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == mark => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// `text` with each item under `#[cfg(test)]` blanked; `code` is the same text with strings blanked, for the brace scan.
fn without_tests(text: &str, code: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let mut from = 0;
    while let Some(start) = code[from..].find("#[cfg(test)]").map(|at| at + from) {
        let end = item_end(code, start);
        for byte in &mut out[start..end] {
            *byte = if *byte == b'\n' { b'\n' } else { b' ' };
        }
        from = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// End of the item that starts at `start`: its closing brace, or its semicolon if it has no body.
pub(super) fn item_end(code: &str, start: usize) -> usize {
    let (mut depth, mut inner) = (0_usize, 0_usize);
    for (offset, byte) in code.as_bytes()[start..].iter().enumerate() {
        match byte {
            b'(' | b'[' => inner += 1,
            b')' | b']' => inner = inner.saturating_sub(1),
            b'{' => depth += 1,
            b'}' if depth <= 1 => return start + offset + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 && inner == 0 => return start + offset + 1,
            _ => {}
        }
    }
    code.len()
}

/// Whether `code` names `word` as a whole word (`word` may be a path such as `std::fs`).
pub(super) fn names(code: &str, word: &str) -> bool {
    positions(code, word).next().is_some()
}

/// Positions where `code` names `word` as a whole word.
pub(super) fn positions<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = *at == 0 || !is_word(bytes[at - 1]);
        let after = bytes.get(at + word.len()).is_none_or(|byte| !is_word(*byte));
        before && after
    })
}

/// First path segments after `crate::`, also those of a group such as `crate::{bus, store::Store}`.
pub(super) fn crate_roots(code: &str) -> BTreeSet<String> {
    let mut roots = BTreeSet::new();
    for at in positions(code, "crate") {
        let Some(rest) = code[at + 5..].strip_prefix("::") else { continue };
        if let Some(group) = rest.trim_start().strip_prefix('{') {
            roots.extend(group_roots(group));
        } else {
            roots.insert(word_at(rest));
        }
    }
    roots
}

fn group_roots(group: &str) -> Vec<String> {
    let (mut depth, mut fresh, mut roots) = (0_usize, true, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                roots.push(word_at(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    roots
}

fn word_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Name and length in lines of every function with a body.
pub(super) fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for at in positions(code, "fn") {
        let name = word_at(code[at + 2..].trim_start());
        let end = item_end(code, at);
        if !name.is_empty() && code[at..end].ends_with('}') {
            found.push((name, code[at..end].lines().count()));
        }
    }
    found
}

#[test]
fn comments_strings_and_tests_are_not_code() {
    let source = Source::new(
        "x.rs",
        "// tokio\nlet a = \"ractor \\\" x\"; /* opendal */ let c = '\"'; let r = r#\"nats \"#;\n\
         #[cfg(test)]\nmod tests { use bad; }\nfn after<'a>() {}\n",
    );
    let code = source.product_code();
    for gone in ["tokio", "ractor", "opendal", "nats", "bad"] {
        assert!(!names(&code, gone), "{gone}: {code}");
    }
    for kept in ["let", "after", "fn"] {
        assert!(names(&code, kept), "{kept}: {code}");
    }
    assert!(source.product_text().contains("ractor"));
    assert_eq!(code.lines().count(), source.text.lines().count());
}

#[test]
fn grouped_imports_are_seen() {
    let roots = crate_roots("use crate::bus::Bus; use crate::{store::{A, B}, metrics};");
    assert_eq!(roots.into_iter().collect::<Vec<_>>(), ["bus", "metrics", "store"]);
}

#[test]
fn functions_are_measured_with_their_signature() {
    let code =
        "trait T { fn without(&self) -> [u8; 3]; }\nfn two() {\n}\nfn one() {}\ntype P = fn(u8);";
    assert_eq!(functions(code), [("two".to_owned(), 2), ("one".to_owned(), 1)]);
}
