//! Originals, stored as a gateway stores them.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::convert::Infallible;

use bytes::Bytes;
use jetreel::http::{Place, store_parts};
use jetreel_actors::ports::Store;
use jetreel_domain::id::VideoId;
use jetreel_domain::order::parts::PartList;
use jetreel_domain::order::state::{Part, Source};

/// Stores an original in parts of a size; gives their list, which is stored nowhere.
pub(crate) async fn stored(
    store: &dyn Store,
    video: &VideoId,
    bytes: Vec<u8>,
    part_bytes: u64,
) -> PartList {
    let prefix = format!("raw/{video}");
    let place = Place { store, log: &(), prefix: &prefix, part_bytes, limit: 1 << 40 };
    let body = futures::stream::iter([Ok::<_, Infallible>(Bytes::from(bytes))]);
    store_parts(&place, body).await.unwrap()
}

/// The source as programs named it in state before there were lists.
pub(crate) fn inline(list: &PartList) -> Source {
    let part = |part: jetreel_domain::order::parts::ListedPart<'_>| Part {
        key: part.key(),
        bytes: part.bytes,
    };
    Source { bytes: list.bytes(), parts: list.iter().map(part).collect(), list: None }
}
