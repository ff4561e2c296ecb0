//! Parts of an original. An open upload logs its parts; a complete original has a list of them, which the state names by its hash.
//!
//! The list is compact in memory and in the store: some 50 bytes a part, whatever the length of the common folder.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::Bytes;

use crate::id::VideoId;
use crate::order::ledger::Object;
use crate::order::owner::Owner;
use crate::order::state::{Part, Source};

/// Schema version written into every entry of the log and every list.
pub const VERSION: u32 = 1;
/// Most parts of one original: 1 TiB in parts of 1 MiB, with a list of some 50 MB.
pub const PARTS_MAX: u64 = 1 << 20;
/// Largest list as an object: at most 64 bytes a part, and the longest allowed key of a foreign folder.
pub const LIST_BYTES_MAX: u64 = 64 * PARTS_MAX;

/// A SHA-256.
pub type Hash = [u8; 32];

/// Log entry of an open upload at `video.parts.<video>.<index>`. It is written once, so one writer owns an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedPart {
    /// Schema version.
    pub v: u32,
    pub video: VideoId,
    /// Index of the part, from 0.
    pub index: u32,
    /// The stored part.
    pub object: Object,
}

/// The parts of an original in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartList {
    /// Common prefix of all keys.
    folder: String,
    /// The rest of each key, concatenated.
    names: String,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    /// Offset in the original where the part ends.
    end: u64,
    /// Offset in `names` where the part's name ends.
    name_end: usize,
    sha256: Option<Hash>,
}

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedPart<'a> {
    folder: &'a str,
    name: &'a str,
    /// Offset in the original where the part starts.
    pub start: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// `None` for objects that Jetreel did not write, and for parts that the state itself lists.
    pub sha256: Option<Hash>,
}

impl ListedPart<'_> {
    /// Key in the store.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}{}", self.folder, self.name)
    }

    /// Offset in the original where the part ends.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.bytes
    }
}

impl PartList {
    /// An empty list of the parts of an upload.
    #[must_use]
    pub fn of(video: &VideoId) -> Self {
        Self::below(Owner::Original(video.clone()).prefix())
    }

    /// An empty list of objects whose keys all begin with `folder`.
    #[must_use]
    pub fn below(folder: String) -> Self {
        Self { folder, ..Self::default() }
    }

    /// The list of an original that is one object of known size and unknown hash.
    #[must_use]
    pub fn one(key: &str, bytes: u64) -> Self {
        let mut list = Self::default();
        list.push(key, bytes, None);
        list
    }

    /// Appends a part and returns whether it was accepted. `key` is the whole key. A key outside of the list's folder is rejected.
    pub fn push(&mut self, key: &str, bytes: u64, sha256: Option<Hash>) -> bool {
        let Some(name) = key.strip_prefix(self.folder.as_str()) else { return false };
        self.names.push_str(name);
        let end = self.bytes().saturating_add(bytes);
        self.slots.push(Slot { end, name_end: self.names.len(), sha256 });
        true
    }

    /// Size of the original in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.slots.last().map_or(0, |slot| slot.end)
    }

    /// Number of parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the list has no parts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The part with that index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<ListedPart<'_>> {
        let slot = self.slots.get(index)?;
        let before = index.checked_sub(1).and_then(|before| self.slots.get(before));
        let (start, name_start) = before.map_or((0, 0), |before| (before.end, before.name_end));
        Some(ListedPart {
            folder: &self.folder,
            name: &self.names[name_start..slot.name_end],
            start,
            bytes: slot.end - start,
            sha256: slot.sha256,
        })
    }

    /// All parts.
    pub fn iter(&self) -> impl Iterator<Item = ListedPart<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The parts with their indices, beginning with the part that holds the byte at `offset`.
    pub fn from_offset(&self, offset: u64) -> impl Iterator<Item = (usize, ListedPart<'_>)> {
        let first = self.slots.partition_point(|slot| slot.end <= offset);
        (first..self.len()).filter_map(|index| Some((index, self.get(index)?)))
    }

    /// Whether the list names the object at `key`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        let Some(name) = key.strip_prefix(self.folder.as_str()) else { return false };
        let is_it = |part: ListedPart<'_>| part.name == name;
        // The name of an uploaded part is its index.
        let guess = name.parse().ok().and_then(|index| self.get(index));
        guess.is_some_and(is_it) || self.iter().any(is_it)
    }
}

impl Source {
    /// An original whose parts are listed in an object.
    #[must_use]
    pub fn listed(bytes: u64, list: Object) -> Self {
        Self { bytes, parts: Vec::new(), list: Some(list) }
    }

    /// Whether the source names any object.
    #[must_use]
    pub fn names_objects(&self) -> bool {
        self.list.is_some() || !self.parts.is_empty()
    }
}

impl From<&[Part]> for PartList {
    /// The parts as older states list them.
    fn from(parts: &[Part]) -> Self {
        let mut list = Self::default();
        for part in parts {
            list.push(&part.key, part.bytes, None);
        }
        list
    }
}

/// The hash that the lower-case hexadecimal digits stand for.
#[must_use]
pub fn hash(hex: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    hex::decode_to_slice(hex, &mut hash).ok()?;
    Some(hash)
}

/// The list as written: the common prefix once, then name, size and hash of each part.
#[derive(Serialize, Deserialize)]
#[serde(rename = "PartList")]
struct Document<R> {
    v: u32,
    folder: String,
    parts: R,
}

struct Rows<'a>(&'a PartList);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.len()))?;
        for part in self.0.iter() {
            let sha256 = part.sha256.as_ref().map_or(&[][..], |hash| &hash[..]);
            rows.serialize_element(&(part.name, part.bytes, Bytes::new(sha256)))?;
        }
        rows.end()
    }
}

impl Serialize for PartList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Document { v: VERSION, folder: self.folder.clone(), parts: Rows(self) }
            .serialize(serializer)
    }
}

/// The parts of a document without their common folder.
struct Read(PartList);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ReadVisitor)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the parts of an original")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Read, A::Error> {
        let mut list = PartList::default();
        while let Some((name, bytes, sha256)) = rows.next_element::<(&str, u64, &Bytes)>()? {
            if list.len() as u64 >= PARTS_MAX {
                return Err(A::Error::custom(format_args!("more than {PARTS_MAX} parts")));
            }
            let known = (!sha256.is_empty()).then_some(sha256.as_ref());
            let hash = known.map(Hash::try_from).transpose();
            list.push(name, bytes, hash.map_err(|_| A::Error::custom("a hash is no SHA-256"))?);
        }
        Ok(Read(list))
    }
}

impl<'de> Deserialize<'de> for PartList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Document { v, folder, parts: Read(list) } = Document::deserialize(deserializer)?;
        if v > VERSION {
            return Err(D::Error::custom(format_args!("the list has the version {v}")));
        }
        Ok(Self { folder, ..list })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> PartList {
        let video = VideoId::from_bits(1);
        let mut list = PartList::of(&video);
        for (index, bytes) in [10, 10, 3].into_iter().enumerate() {
            let key = format!("raw/{video}/{index:05}");
            assert!(list.push(&key, bytes, Some([index as u8; 32])));
        }
        list
    }

    #[test]
    fn a_byte_is_found_in_its_part() {
        let list = listed();
        assert_eq!((list.bytes(), list.len()), (23, 3));
        let first =
            |offset| list.from_offset(offset).next().map(|(index, part)| (index, part.start));
        let found = [0, 9, 10, 19, 20, 22].map(first);
        let wanted = [(0, 0), (0, 0), (1, 10), (1, 10), (2, 20), (2, 20)];
        assert_eq!(found, wanted.map(Some));
        assert_eq!(first(23), None);
        let last = list.get(2).unwrap();
        assert_eq!((last.key(), last.end()), (format!("{}00002", list.folder), 23));
    }

    #[test]
    fn a_list_names_its_parts_and_nothing_else() {
        let list = listed();
        let key = |name: &str| format!("{}{name}", list.folder);
        assert!(list.has(&key("00000")) && list.has(&key("00002")));
        for name in ["00003", "2", "list-x", ""] {
            assert!(!list.has(&key(name)), "{name}");
        }
        assert!(!list.has("00002"));
        let other = PartList::one("incoming/film.mp4", 7);
        assert!(other.has("incoming/film.mp4") && !other.has("incoming/film"));
        let mut own = listed();
        assert!(!own.push("raw/elsewhere/00003", 1, None));
        assert_eq!(own, list);
    }

    #[test]
    fn a_hash_is_read_from_its_digits() {
        let digits = "0f".repeat(32);
        assert_eq!(hash(&digits), Some([15; 32]));
        for bad in ["", "0f", &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }
}
