//! Originals that lie outside the folder of the video that is made from them.

use std::collections::{BTreeMap, BTreeSet};

use jetreel_domain::id::VideoId;
use jetreel_domain::order::state::Video;
use jetreel_domain::upkeep::sweep;

/// Keys of originals that videos name outside their own folder.
#[derive(Default)]
pub(super) struct Foreign(BTreeMap<VideoId, BTreeSet<String>>);

impl Foreign {
    /// Notes what the newest state of a video names.
    pub(super) fn note(&mut self, video: &Video) {
        let keys: BTreeSet<String> = sweep::foreign_keys(video).map(ToOwned::to_owned).collect();
        if keys.is_empty() {
            self.0.remove(&video.id);
        } else {
            self.0.insert(video.id.clone(), keys);
        }
    }

    /// Whether some video is made from the object at `key`, which is not in its own folder.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.values().any(|keys| keys.contains(key))
    }
}
