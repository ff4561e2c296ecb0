//! Changes of the bucket `videos`, read on from the last read.

use jetreel_actors::ports::{Changed, Changes};
use jetreel_domain::id::VideoId;

use super::connection::Bus;
use super::found::Found;
use super::kv::state;
use super::names;
use super::severity::Fault;
use super::write::is_marker;

impl Bus {
    pub(super) async fn changes_after(&self, after: u64) -> Result<Changes, Fault> {
        let stream = names::bucket_stream(names::VIDEOS_BUCKET);
        let prefix = names::bucket_subject(names::VIDEOS_BUCKET, "");
        let filter = format!("{prefix}>");
        let extent = self.extent(&stream).await?;
        let messages = self.messages_from(&stream, &filter, after + 1).await?;
        let read = messages.last().map_or(after, |last| last.sequence);
        let changed = messages.iter().filter_map(|message| changed(&prefix, message)).collect();
        Ok(Changes { changed, read, more: !messages.is_empty(), extent })
    }
}

/// `None` if the key is no video's.
fn changed(prefix: &str, message: &Found) -> Option<Changed> {
    let id: VideoId = message.subject.strip_prefix(prefix)?.parse().ok()?;
    let read = || {
        let state = state(id.as_str(), &message.payload);
        state.map_err(|fault| fault.failure("read a change"))
    };
    let state = if is_marker(message) { Ok(None) } else { read().map(Some) };
    Some(Changed { id, revision: message.sequence, state })
}
