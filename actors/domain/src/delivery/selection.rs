//! Selects dead letters by their properties.

use serde::{Deserialize, Serialize};

use crate::delivery::deadletter::Buried;
use crate::id::{OrderId, VideoId};

/// A filter for letters. A field that is `None` matches every letter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Letters of this video, whichever job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoId>,
    /// Letters of this job: `<video>-<number>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Letters with this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Letters of this stage: `ingest`, `encode` or `publish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

impl Selection {
    /// Whether the filter matches every letter.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the filter matches a letter.
    #[must_use]
    pub fn admits(&self, buried: &Buried) -> bool {
        let letter = &buried.letter;
        let video = |order: &OrderId| Some(&order.video) == self.video.as_ref();
        let job = |order: &OrderId| Some(order.to_string()) == self.job;
        let same = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        (self.video.is_none() || letter.order.as_ref().is_some_and(video))
            && (self.job.is_none() || letter.order.as_ref().is_some_and(job))
            && same(&self.reason, &letter.failure.code)
            && same(&self.stage, &letter.stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::deadletter::DeadLetter;
    use crate::words::failure::Failure;

    fn buried() -> Buried {
        let order = OrderId::new(VideoId::from_bits(7), 2);
        let letter = DeadLetter {
            stage: "encode".into(),
            order: Some(order),
            failure: Failure::task("codec-signal", "it crashed"),
            ..DeadLetter::from_parts("x".into(), Vec::new(), Vec::new())
        };
        Buried { sequence: 1, at: 0, letter }
    }

    #[test]
    fn everything_that_is_named_must_fit() {
        let all = Selection::default();
        assert!(all.is_all() && all.admits(&buried()));
        let video = Some(VideoId::from_bits(7));
        let fits = Selection { video, stage: Some("encode".into()), ..all.clone() };
        assert!(!fits.is_all() && fits.admits(&buried()));
        assert!(!Selection { reason: Some("no-video".into()), ..fits.clone() }.admits(&buried()));
        assert!(!Selection { job: Some("x-1".into()), ..fits }.admits(&buried()));
    }

    #[test]
    fn a_letter_of_nobody_is_of_no_video() {
        let mut buried = buried();
        buried.letter.order = None;
        let video = Selection { video: Some(VideoId::from_bits(7)), ..Selection::default() };
        assert!(!video.admits(&buried) && Selection::default().admits(&buried));
    }
}
