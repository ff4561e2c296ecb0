//! Decides which sources a message may name besides the original: objects below the prefixes that an operator allows, or the original's own
//! parts.

use std::str::FromStr;

use super::contradiction::is_segment;
use crate::id::VideoId;
use crate::order::owner::FOLDERS;
use crate::order::owner::Owner;
use crate::order::parts::PartList;

/// Key prefixes below which a message may name a source. Each ends with `/`. Empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourcePrefixes(Vec<String>);

/// A prefix that cannot be allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPrefix {
    /// The prefix is no folder.
    #[error("{0:?} is no folder of the store; write it as in \"incoming/\"")]
    Form(String),
    /// The prefix is a folder that Jetreel writes itself.
    #[error("{0:?} holds what Jetreel itself writes, of all videos; name another folder")]
    Own(String),
}

impl FromStr for SourcePrefixes {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(prefix).collect::<Result<_, _>>().map(Self)
    }
}

fn prefix(word: &str) -> Result<String, BadPrefix> {
    let folder = word.strip_suffix('/').unwrap_or(word);
    if !folder.split('/').all(is_segment) {
        return Err(BadPrefix::Form(word.to_owned()));
    }
    let prefix = format!("{folder}/");
    if is_own(&prefix) { Err(BadPrefix::Own(word.to_owned())) } else { Ok(prefix) }
}

/// Whether a key lies in a folder that Jetreel writes itself.
pub(super) fn is_own(key: &str) -> bool {
    FOLDERS.iter().any(|folder| key.starts_with(folder))
}

/// Whether a key stays inside the store and names no hidden object.
pub(super) fn is_inside(key: &str) -> bool {
    key.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

impl SourcePrefixes {
    /// Whether `video` may be made from the object at `key`.
    #[must_use]
    pub fn allow(&self, video: &VideoId, key: &str) -> bool {
        let original = Owner::Original(video.clone()).prefix();
        let allowed = self.0.iter().any(|prefix| key.starts_with(prefix)) && !is_own(key);
        is_inside(key) && (key.starts_with(&original) || allowed)
    }

    /// The first key of an original of `video` that the settings deny.
    #[must_use]
    pub fn denied(&self, video: &VideoId, list: &PartList) -> Option<String> {
        list.iter().map(|part| part.key()).find(|key| !self.allow(video, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_folder_that_jetreel_does_not_write() {
        for text in ["", "incoming", "incoming/", " a/b/ , c ,"] {
            assert!(text.parse::<SourcePrefixes>().is_ok(), "{text}");
        }
        for text in ["/", "../x", "a//b", ".hidden", "raw", "raw/", "out/x", "probe/", "a,raw/x"] {
            assert!(text.parse::<SourcePrefixes>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_source_lies_below_an_allowed_prefix_or_is_the_videos_own() {
        let (mine, other) = (VideoId::from_bits(1), VideoId::from_bits(2));
        let (none, some) = (SourcePrefixes::default(), "incoming".parse().unwrap());
        let own = format!("raw/{mine}/00000");
        for (key, by_default, where_allowed) in [
            (own.as_str(), true, true),
            ("incoming/film.mp4", false, true),
            ("incoming", false, false),
            ("incoming2/film.mp4", false, false),
            ("incoming/../raw/x", false, false),
            ("incoming/.hidden", false, false),
            (&format!("raw/{other}/00000"), false, false),
            (&format!("raw/{mine}/../{other}/00000"), false, false),
            (&format!("out/{other}/1/main-0000/a/720p-00000.mp4"), false, false),
            ("jetreel-store.json", false, false),
        ] {
            assert_eq!(none.allow(&mine, key), by_default, "{key}");
            assert_eq!(SourcePrefixes::allow(&some, &mine, key), where_allowed, "{key}");
        }
    }
}
