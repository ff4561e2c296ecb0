//! Cache of part lists. A list never changes, so its SHA-256 identifies it.

use std::sync::Arc;

use bytes::Bytes;
use jetreel_domain::delivery::intake;
use jetreel_domain::id::VideoId;
use jetreel_domain::order::parts::PartList;
use jetreel_domain::order::state::Source;
use jetreel_domain::words::failure::Failure;

use crate::cache::ByHash;
use crate::intact::is_intact;
use crate::ports::Store;

/// Parts of all lists in memory, some 60 bytes each. This holds the lists of many usual originals, or of one that is far larger.
const PARTS_KEPT: usize = 1 << 18;

/// A small cache of part lists by SHA-256, shared by all readers of one original.
#[derive(Debug)]
pub struct Lists(ByHash<PartList>);

impl Default for Lists {
    fn default() -> Self {
        Self(ByHash::new(PARTS_KEPT))
    }
}

impl Lists {
    /// The parts of `source`, an original of `video`.
    ///
    /// # Errors
    /// The store failed, or the list differs from the one that was written.
    pub async fn get(
        &self,
        store: &dyn Store,
        video: &VideoId,
        source: &Source,
    ) -> Result<Arc<PartList>, Failure> {
        let Some(object) = &source.list else {
            return Ok(Arc::new(PartList::from(source.parts.as_slice())));
        };
        // A lookup by hash alone would also find the list of another video.
        let own = |list: &PartList| {
            intake::parts(&object.key, video, source, list)
                .map_err(|contradiction| contradiction.of_document())
        };
        if let Some(list) = self.0.find(&object.sha256) {
            return own(&list).map(|()| list);
        }
        let bytes = store.read_all(&object.key).await?;
        if !is_intact(&bytes, &object.sha256) {
            let message = "The part list of an original differs from the one that was written.";
            return Err(Failure::task("parts-changed", message).with_detail(&object.key));
        }
        let list = decode(&bytes)?;
        own(&list)?;
        let list = Arc::new(list);
        self.0.keep(&object.sha256, &list, list.len());
        Ok(list)
    }
}

/// Writes the part list of an original of `video`. Returns the source that names the list.
///
/// # Errors
/// The store failed.
pub async fn write(
    store: &dyn Store,
    uuid: &str,
    video: &VideoId,
    list: &PartList,
) -> Result<Source, Failure> {
    let encoded = rmp_serde::to_vec_named(list).map_err(|error| {
        let message = "The part list of an original cannot be written.";
        Failure::task("parts-encode", message).with_detail(error)
    })?;
    let key = format!("raw/{video}/list-{uuid}");
    let object = store.write(&key, Bytes::from(encoded)).await?;
    Ok(Source::listed(list.bytes(), object))
}

fn decode(bytes: &[u8]) -> Result<PartList, Failure> {
    rmp_serde::from_slice(bytes).map_err(|error| {
        let message = "The part list of an original cannot be read.";
        Failure::task("parts-unreadable", message).with_detail(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_some_fifty_bytes_a_part_and_read_as_it_was_written() {
        let video = VideoId::from_bits(1);
        let mut list = PartList::of(&video);
        for index in 0..1000 {
            assert!(list.push(&format!("raw/{video}/{index:05}"), 1 << 20, Some([7; 32])));
        }
        let bytes = rmp_serde::to_vec_named(&list).unwrap();
        assert!(bytes.len() < 50_000, "{}", bytes.len());
        assert_eq!(decode(&bytes).unwrap(), list);
        let one = PartList::one("incoming/film.mp4", 7);
        assert_eq!(decode(&rmp_serde::to_vec_named(&one).unwrap()).unwrap(), one);
        for bad in [&bytes[..bytes.len() - 1], b"{}"] {
            assert_eq!(decode(bad).unwrap_err().code, "parts-unreadable");
        }
    }
}
