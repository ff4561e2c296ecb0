//! The folder of test media: which clips there are and what is known about each.
//!
//! The folder is no part of the project; `JETREEL_MEDIA` names it. Its `MANIFEST.tsv` has a line per file, the file first and
//! the expectation last.

use std::path::{Path, PathBuf};

/// Expected result of a clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is transcoded; the note may name the class and the frames that can be decoded.
    Accepted { class: Option<char>, frames: Option<usize> },
    /// It is refused.
    Refused,
    /// Either, as long as it ends well.
    Any,
}

/// A file of the folder.
#[derive(Debug, Clone)]
pub(crate) struct Clip {
    /// Relative to the folder.
    pub(crate) name: String,
    /// Path of the file.
    pub(crate) path: PathBuf,
    pub(crate) expected: Expected,
}

impl Clip {
    /// The file name without its folder.
    pub(crate) fn short(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

/// The folder, where it is set and there.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("JETREEL_MEDIA")?);
    folder.join("MANIFEST.tsv").is_file().then_some(folder)
}

/// The clips below `part` (`real/` or `hostile/`), in the order of the list.
pub(crate) fn clips(folder: &Path, part: &str) -> Vec<Clip> {
    let list = std::fs::read_to_string(folder.join("MANIFEST.tsv")).expect("a readable list");
    list.lines().skip(1).filter_map(|line| clip(folder, part, line)).collect()
}

fn clip(folder: &Path, part: &str, line: &str) -> Option<Clip> {
    let (name, rest) = line.split_once('\t')?;
    let note = rest.rsplit('\t').next()?;
    let generated = name.ends_with(".py") || name.ends_with(".json");
    (name.starts_with(part) && !generated).then(|| Clip {
        name: name.to_owned(),
        path: folder.join(name),
        expected: expected(note),
    })
}

fn expected(note: &str) -> Expected {
    // The product decides about formats on its allow-list.
    let milder = ["or accept", "or cap", "or clamp", "on the allow-list"];
    let milder = milder.iter().any(|words| note.contains(words));
    if note.starts_with("reject") && !milder {
        return Expected::Refused;
    }
    if !note.starts_with("accept") || note.contains("or reject") && !note.contains("class") {
        return Expected::Any;
    }
    let either = note.contains("else B");
    let class = note.split("class ").nth(1).and_then(|rest| rest.chars().next());
    let words: Vec<&str> = note.split([' ', ';', '(']).filter(|word| !word.is_empty()).collect();
    let counted = words.windows(2).find(|pair| pair[1].starts_with("frame"));
    Expected::Accepted {
        class: class.filter(|_| !either),
        frames: counted.and_then(|pair| pair[0].parse().ok()),
    }
}

#[test]
fn notes_are_understood() {
    let accepted = |class, frames| Expected::Accepted { class, frames };
    assert_eq!(expected("accept; class A; 120 frames"), accepted(Some('A'), Some(120)));
    assert_eq!(expected("accept; class A; 1 frame"), accepted(Some('A'), Some(1)));
    let note = "accept; class A with the decoder options of the note, else B; 12 frames";
    assert_eq!(expected(note), accepted(None, Some(12)));
    let note = "accept; class A; 33 frames decodable; report the truncation (or reject: truncated)";
    assert_eq!(expected(note), accepted(Some('A'), Some(33)));
    assert_eq!(expected("reject: encrypted / unreadable"), Expected::Refused);
    let note = "reject: no video stream (unless the design takes audio-only assets)";
    assert_eq!(expected(note), Expected::Refused);
    assert_eq!(expected("accept with fps clamped to 60, or reject: max_fps"), Expected::Any);
    assert_eq!(expected("reject: max_pixels (or accept within the limit)"), Expected::Any);
    assert_eq!(expected("reject at upload or DLQ with reason"), Expected::Refused);
    assert_eq!(expected("terminate"), Expected::Any);
}
