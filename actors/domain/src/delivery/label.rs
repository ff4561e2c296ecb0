//! Labels of nodes: what a node has that not every node has, such as a GPU or much memory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most characters of a label.
const LENGTH_MAX: usize = 32;

/// A word such as `gpu` or `big-memory`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_word = (1..=LENGTH_MAX).contains(&text.len()) && text.bytes().all(plain);
        if is_word && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(64).collect();
        Err(format!("{shown:?} is no label; use up to {LENGTH_MAX} of a-z, 0-9 and '-'"))
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Labels for people: `gpu`, `big-memory and gpu`.
#[must_use]
pub fn listed<'a>(labels: impl IntoIterator<Item = &'a Label>) -> String {
    let words: Vec<&str> = labels.into_iter().map(|label| label.0.as_str()).collect();
    words.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_short_word() {
        for text in ["gpu", "big-memory", "avx512", "8-cores"] {
            assert_eq!(text.parse::<Label>().unwrap().to_string(), text);
        }
        for text in ["", "-gpu", "Big", "a b", "a.b", "a,b", &"x".repeat(LENGTH_MAX + 1)] {
            let error = text.parse::<Label>().unwrap_err();
            assert!(error.contains("use up to 32"), "{error}");
        }
        assert!(serde_json::from_str::<Label>("\"a b\"").is_err());
    }
}
