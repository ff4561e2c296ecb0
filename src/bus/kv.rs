//! Documents: states of videos, and claims. JSON, so that `nats kv get` shows them.
//!
//! Invariant: reads go to the leader. A decision on a follower's stale answer could be wrong.

use async_nats::HeaderMap;
use bytes::Bytes;
use jetreel_actors::ports::{Swap, Versioned, WriteOnce};
use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::intake;
use jetreel_domain::delivery::stage::Unit;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::{OrderId, VideoId};
use jetreel_domain::order::document::{self, Document, DocumentFault};
use jetreel_domain::order::state::Video;
use serde::Serialize;

use super::connection::Bus;
use super::names;
use super::request::{Outgoing, READ_BUDGET, persist};
use super::severity::{Fault, WRONG_LAST_SEQUENCE};
use super::write::{is_marker, is_of};

/// Tries of a creation that fails with a conflict although nothing is there.
const CREATE_TRIES_MAX: u32 = 8;

impl Bus {
    pub(super) async fn read_video(&self, id: &VideoId) -> Result<Option<Versioned<Video>>, Fault> {
        let (bucket, key) = (names::VIDEOS_BUCKET, id.as_str());
        let Some(found) = self.raw_document(bucket, key).await? else { return Ok(None) };
        let Versioned { value, revision } = found;
        Ok(Some(Versioned { value: state(key, &value)?, revision }))
    }

    pub(super) async fn new_video(&self, video: &Video) -> Result<WriteOnce, Fault> {
        let message = changed(names::VIDEOS_BUCKET, video.id.as_str(), video)?;
        let stream = names::bucket_stream(names::VIDEOS_BUCKET);
        for _ in 0..CREATE_TRIES_MAX {
            if let Swap::Done(_) = self.swap(&stream, &message, 0).await? {
                return Ok(WriteOnce::Mine);
            }
            let there =
                persist(READ_BUDGET, || self.last_message(&stream, &message.subject)).await?;
            match there {
                Some(there) if is_marker(&there) => {}
                Some(there) if is_of(&there, &message) => return Ok(WriteOnce::Mine),
                Some(_) => return Ok(WriteOnce::Taken),
                None => {}
            }
        }
        let description = "created nowhere, conflicting everywhere".to_owned();
        Err(Fault::Refused { status: 400, code: WRONG_LAST_SEQUENCE, description })
    }

    pub(super) async fn replace_video(&self, video: &Video, revision: u64) -> Result<Swap, Fault> {
        let message = changed(names::VIDEOS_BUCKET, video.id.as_str(), video)?;
        self.swap(&names::bucket_stream(names::VIDEOS_BUCKET), &message, revision).await
    }

    /// The state is removed last, at the revision that was read. Until then the whole operation can be repeated.
    pub(super) async fn discard_unreadable(&self, id: &VideoId) -> Result<bool, Fault> {
        let (bucket, key) = (names::VIDEOS_BUCKET, id.as_str());
        let Some(found) = self.raw_document(bucket, key).await? else { return Ok(false) };
        let is_newer = match document::read::<Video>(&found.value) {
            Ok(video) => video.is_newer(),
            Err(DocumentFault::Newer(_)) => true,
            Err(DocumentFault::Form(_)) => false,
        };
        if is_newer || state(key, &found.value).is_ok() {
            return Ok(false);
        }
        let on_record = self.on_record().await?;
        for order in on_record.iter().filter(|order| order.video == *id) {
            self.purge_order(order).await?;
        }
        self.purge_video_upto(id, found.revision).await?;
        Ok(true)
    }

    pub(super) async fn video_ids(&self) -> Result<Vec<VideoId>, Fault> {
        let prefix = names::bucket_subject(names::VIDEOS_BUCKET, "");
        let stream = names::bucket_stream(names::VIDEOS_BUCKET);
        let subjects = self.subjects(&stream, &format!("{prefix}>"), Some).await?;
        let keys = subjects.iter().filter_map(|subject| subject.strip_prefix(&prefix));
        Ok(keys.filter_map(|key| key.parse().ok()).collect())
    }

    pub(super) async fn read_claim(
        &self,
        order: &OrderId,
        unit: &Unit,
    ) -> Result<Option<Versioned<Claim>>, Fault> {
        let (bucket, key) = (names::CLAIMS_BUCKET, subject::claim_key(order, unit));
        let Some(found) = self.raw_document(bucket, &key).await? else { return Ok(None) };
        let Versioned { value, revision } = found;
        let read = match document::read(&value) {
            Err(fault @ DocumentFault::Newer(_)) => {
                return Err(Fault::of_document(&names::bucket_subject(bucket, &key), &fault));
            }
            Err(DocumentFault::Form(why)) => Err(why),
            Ok(claim) => intake::claim(&key, &claim).map(|()| claim).map_err(|e| e.to_string()),
        };
        let value = read.unwrap_or_else(|why| {
            // The claim was written by hand. It still fences; its attempt count is lost.
            tracing::warn!(key, why, "a claim of an unknown form counts as free");
            Claim::nobodys()
        });
        Ok(Some(Versioned { value, revision }))
    }

    pub(super) async fn replace_claim(
        &self,
        order: &OrderId,
        unit: &Unit,
        claim: &Claim,
        revision: u64,
    ) -> Result<Swap, Fault> {
        let key = subject::claim_key(order, unit);
        let message = changed(names::CLAIMS_BUCKET, &key, claim)?;
        self.swap(&names::bucket_stream(names::CLAIMS_BUCKET), &message, revision).await
    }

    pub(super) async fn raw_document(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<Versioned<Bytes>>, Fault> {
        let stream = names::bucket_stream(bucket);
        let subject = names::bucket_subject(bucket, key);
        let read = persist(READ_BUDGET, || self.last_message(&stream, &subject)).await?;
        let message = read.filter(|message| !is_marker(message));
        Ok(message.map(|found| Versioned { value: found.payload, revision: found.sequence }))
    }
}

/// Decodes and checks the state found under the key of a video.
pub(super) fn state(key: &str, bytes: &[u8]) -> Result<Video, Fault> {
    let place = names::bucket_subject(names::VIDEOS_BUCKET, key);
    let video: Video = document::read(bytes).map_err(|fault| Fault::of_document(&place, &fault))?;
    intake::video(key, &video)
        .map_err(|contradiction| Fault::Contradicting(contradiction.of_document()))?;
    Ok(video)
}

pub(super) fn outgoing(
    bucket: &str,
    key: &str,
    document: &impl Serialize,
) -> Result<Outgoing, Fault> {
    let body = serde_json::to_vec(document).map_err(|e| Fault::Unreadable(e.to_string()))?;
    Ok(written(bucket, key, body))
}

/// The document to write, with its unknown fields. Refused if a newer version wrote it.
fn changed(bucket: &str, key: &str, document: &impl Document) -> Result<Outgoing, Fault> {
    let place = names::bucket_subject(bucket, key);
    let body = document::write(document).map_err(|fault| Fault::of_document(&place, &fault))?;
    Ok(written(bucket, key, body))
}

fn written(bucket: &str, key: &str, body: Vec<u8>) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert(names::WRITER_HEADER, uuid::Uuid::new_v4().to_string());
    Outgoing { subject: names::bucket_subject(bucket, key), headers, body: body.into() }
}
