//! Originals that lie outside the folder of their video.

use std::collections::{BTreeMap, BTreeSet};

use jetreel_domain::id::VideoId;
use jetreel_domain::order::state::Video;
use jetreel_domain::upkeep::sweep;

/// Keys of originals outside the folder of their video, by video.
#[derive(Default)]
pub(super) struct Foreign(BTreeMap<VideoId, BTreeSet<String>>);

impl Foreign {
    /// Records what the newest state of a video names.
    pub(super) fn note(&mut self, video: &Video) {
        let keys: BTreeSet<String> = sweep::foreign_keys(video).map(ToOwned::to_owned).collect();
        if keys.is_empty() {
            self.0.remove(&video.id);
        } else {
            self.0.insert(video.id.clone(), keys);
        }
    }

    /// Whether a video is made from the object at `key`, which lies outside that video's folder.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.values().any(|keys| keys.contains(key))
    }
}
