//! Playback as a player does it: playlists and what they refer to, fetched from a gateway into a folder.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use jetreel_domain::id::VideoId;

use super::node::Node;
use crate::clips::playlist::{self, Media};

/// Files of one video from a gateway.
pub(crate) struct Mirror<'a> {
    node: &'a Node,
    video: VideoId,
    folder: tempfile::TempDir,
}

impl<'a> Mirror<'a> {
    /// An empty one.
    pub(crate) fn new(node: &'a Node, video: &VideoId) -> Self {
        Self { node, video: video.clone(), folder: tempfile::tempdir().unwrap() }
    }

    /// Fetches the master playlist: names of the media playlists, largest tier first.
    pub(crate) async fn master(&self) -> Vec<String> {
        let file = self.fetch("master.m3u8").await;
        playlist::master(&file).unwrap().into_iter().map(|variant| variant.uri).collect()
    }

    /// Fetches a media playlist and everything it refers to, and puts that together into one file.
    pub(crate) async fn media(&self, name: &str) -> (Media, String) {
        let list = playlist::media(&self.fetch(name).await).unwrap();
        let pieces = std::iter::once(&list.init).chain(list.segments.iter().map(|(_, p)| p));
        let uris: BTreeSet<String> = pieces.map(|piece| piece.uri.clone()).collect();
        for uri in &uris {
            self.fetch(uri).await;
        }
        let whole = self.folder.path().join(format!("{name}.mp4"));
        playlist::assemble(self.folder.path(), &list, &whole).unwrap();
        (list, whole.to_str().unwrap().to_owned())
    }

    /// The text of a playlist that was fetched.
    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    async fn fetch(&self, name: &str) -> PathBuf {
        let bytes = self.node.bytes(&format!("/v/{}/{name}", self.video)).await;
        let place = self.folder.path().join(name);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(&place, bytes).unwrap();
        place
    }
}
