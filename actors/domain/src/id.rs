//! Ids of videos, orders and tasks. They are parsed once at the edge and trusted afterwards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is no id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind}")]
pub struct BadId {
    /// Expected kind, such as `video id`.
    pub kind: &'static str,
    /// The text.
    pub text: String,
}

/// Id of a video: 26 characters of `0-9a-z`, made from 128 random bits. It is safe in a subject, a path and a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VideoId(String);

const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const VIDEO_ID_LENGTH: usize = 26;

impl VideoId {
    /// The id for 128 bits chosen by the caller (a UUID v7, so that ids sort by time), as Crockford base 32.
    #[must_use]
    pub fn from_bits(bits: u128) -> Self {
        let digit =
            |i: usize| BASE32[(bits >> (5 * (VIDEO_ID_LENGTH - 1 - i))) as usize & 31] as char;
        Self((0..VIDEO_ID_LENGTH).map(digit).collect())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VideoId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let valid = text.len() == VIDEO_ID_LENGTH
            && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadId { kind: "video id", text: text.chars().take(64).collect() })
        }
    }
}

impl TryFrom<String> for VideoId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<VideoId> for String {
    fn from(id: VideoId) -> Self {
        id.0
    }
}

impl fmt::Display for VideoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Id of an order: one immutable plan for a video, which users call a job. Written `<video>-<number>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderId {
    pub video: VideoId,
    /// Number of the order within the video, from 1.
    pub number: u32,
}

impl OrderId {
    /// The order `number` of `video`.
    #[must_use]
    pub fn new(video: VideoId, number: u32) -> Self {
        Self { video, number }
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.video, self.number)
    }
}

impl FromStr for OrderId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { kind: "job id", text: text.chars().take(64).collect() };
        let (video, number) = text.split_once('-').ok_or_else(bad)?;
        let number: u32 = number.parse().map_err(|_| bad())?;
        if number == 0 {
            return Err(bad());
        }
        Ok(Self { video: video.parse().map_err(|_| bad())?, number })
    }
}

/// A group of tasks with its own pool and consumers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The first seconds, a task per tier, so that playback can start early.
    First,
    /// One task per audio track.
    Audio,
    /// The eager tiers of a chunk.
    Main,
    /// The lazy tiers of a chunk.
    Top,
    /// Poster, sprites and their WebVTT.
    Images,
    /// Progressive MP4, a task per tier.
    Package,
}

impl Group {
    /// All groups, in the order of a job.
    pub const ALL: [Self; 6] =
        [Self::First, Self::Audio, Self::Main, Self::Top, Self::Images, Self::Package];

    /// Whether playback needs its tasks first.
    #[must_use]
    pub fn is_first(self) -> bool {
        matches!(self, Self::First | Self::Audio)
    }

    /// Name in subjects, consumers, settings and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Audio => "audio",
            Self::Main => "main",
            Self::Top => "top",
            Self::Images => "images",
            Self::Package => "package",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Group {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        Self::ALL
            .into_iter()
            .find(|group| group.as_str() == text)
            .ok_or_else(|| BadId { kind: "group", text: text.to_owned() })
    }
}

/// Id of a task of an order: `<group>-<index>`, as in `main-0007`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId {
    pub group: Group,
    /// Number of the task within its group, from 0.
    pub index: u32,
}

impl TaskId {
    /// Task `index` of `group`.
    #[must_use]
    pub fn new(group: Group, index: u32) -> Self {
        Self { group, index }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:04}", self.group, self.index)
    }
}

impl FromStr for TaskId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { kind: "task id", text: text.chars().take(64).collect() };
        let (group, index) = text.split_once('-').ok_or_else(bad)?;
        Ok(Self {
            group: group.parse().map_err(|_| bad())?,
            index: index.parse().map_err(|_| bad())?,
        })
    }
}

impl TryFrom<String> for TaskId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

impl From<TaskId> for String {
    fn from(task: TaskId) -> Self {
        task.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_a_round_trip_and_sort_by_their_bits() {
        let (low, high) = (VideoId::from_bits(7), VideoId::from_bits(u128::MAX));
        assert!(low < high);
        assert_eq!(high.as_str().parse::<VideoId>().unwrap(), high);
        let order = OrderId::new(low, 3);
        assert_eq!(order.to_string().parse::<OrderId>().unwrap(), order);
        assert_eq!("main-0007".parse::<TaskId>().unwrap(), TaskId::new(Group::Main, 7));
    }

    #[test]
    fn text_that_could_escape_a_subject_or_a_path_is_no_id() {
        for text in ["", "../../etc/passwd", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "a.b", "*"] {
            assert!(text.parse::<VideoId>().is_err(), "{text}");
        }
        assert!("main".parse::<TaskId>().is_err());
        assert!("other-1".parse::<TaskId>().is_err());
    }
}
