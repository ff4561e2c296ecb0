//! Input of a job: a few objects of concatenated parts, fetched in blocks ahead of a sequential reader.
//!
//! Invariants: at most [`BLOCKS_MAX`] blocks are held, which bounds memory. A block that failed is dropped, so that the next read tries
//! again.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use jetreel_actors::ports::{Readable, Store};
use jetreel_domain::order::parts::PartList;
use jetreel_domain::words::failure::Failure;
use tokio_util::task::AbortOnDropHandle;

use super::intact::Intact;

/// Size and alignment of the fetched blocks, in bytes.
const BLOCK_BYTES: u64 = 1 << 20;
/// Most blocks per session.
const BLOCKS_MAX: usize = 16;
/// Blocks that are fetched ahead of a sequential reader.
const AHEAD: u64 = 4;

const _: () = assert!(AHEAD < BLOCKS_MAX as u64, "a block would be evicted before it is read");

/// Object and block number.
type Place = (u32, u64);

/// Sources of one job.
pub(super) struct Sources {
    store: Arc<dyn Store>,
    objects: Vec<Arc<PartList>>,
    /// Sequential hashing of each object.
    intact: Vec<Intact>,
    blocks: BTreeMap<Place, Block>,
    /// Counts reads, to find the block that was unused for longest.
    clock: u64,
    /// Bytes requested from the store so far.
    fetched: u64,
}

struct Block {
    state: State,
    used: u64,
}

enum State {
    Fetching(AbortOnDropHandle<Result<Bytes, Failure>>),
    Here(Bytes),
}

impl Sources {
    pub(super) fn new(store: Arc<dyn Store>, objects: Vec<Readable>) -> Self {
        let objects: Vec<_> = objects.into_iter().map(|readable| readable.parts).collect();
        let intact = objects.iter().map(|_| Intact::default()).collect();
        Self { store, objects, intact, blocks: BTreeMap::new(), clock: 0, fetched: 0 }
    }

    /// Size of an object in bytes; `None` if there is no such object.
    pub(super) fn size(&self, object: u32) -> Option<u64> {
        self.objects.get(object as usize).map(|list| list.bytes())
    }

    /// Bytes requested from the store so far. They may exceed the object: a reader that jumps back and forth requests the same bytes again.
    pub(super) fn fetched(&self) -> u64 {
        self.fetched
    }

    /// Bytes of an object, fewer at its end. Cancel safe.
    pub(super) async fn read(
        &mut self,
        object: u32,
        offset: u64,
        length: u32,
    ) -> Result<Bytes, Failure> {
        let size = self.size(object).unwrap_or_default();
        let end = offset.saturating_add(u64::from(length)).min(size);
        let (mut pieces, mut position) = (Vec::new(), offset);
        while position < end {
            let index = position / BLOCK_BYTES;
            let block = self.block((object, index), size).await?;
            let from = (position - index * BLOCK_BYTES) as usize;
            let upto = block.len().min((end - index * BLOCK_BYTES) as usize);
            pieces.push(block.slice(from..upto));
            position = index * BLOCK_BYTES + upto as u64;
        }
        Ok(joined(pieces))
    }

    async fn block(&mut self, place: Place, size: u64) -> Result<Bytes, Failure> {
        self.clock += 1;
        let (object, index) = place;
        let sequential = index > 0 && self.blocks.contains_key(&(object, index - 1));
        self.fetch(place, size);
        if sequential {
            for next in index + 1..=index + AHEAD {
                self.fetch((object, next), size);
            }
        }
        let Some(block) = self.blocks.get_mut(&place) else { return Err(lost("evicted")) };
        let fetched = match &mut block.state {
            State::Here(bytes) => return Ok(bytes.clone()),
            State::Fetching(task) => task.await.unwrap_or_else(|error| Err(lost(error))),
        };
        match fetched {
            Ok(bytes) => {
                block.state = State::Here(bytes.clone());
                self.check(place, &bytes).await?;
                Ok(bytes)
            }
            Err(failure) => {
                self.blocks.remove(&place);
                Err(failure)
            }
        }
    }

    /// Compares a part that ends in this block with its hash, if all of it was read.
    async fn check(&mut self, (object, index): Place, bytes: &Bytes) -> Result<(), Failure> {
        let place = object as usize;
        let (Some(list), Some(intact)) = (self.objects.get(place), self.intact.get_mut(place))
        else {
            return Ok(());
        };
        intact.take(list, index.saturating_mul(BLOCK_BYTES), bytes).await
    }

    /// Starts to fetch a block unless it is held or being fetched.
    fn fetch(&mut self, place: Place, size: u64) {
        let (object, index) = place;
        let start = index.saturating_mul(BLOCK_BYTES);
        let Some(list) = self.objects.get(object as usize).cloned() else { return };
        if start >= size {
            return;
        }
        if let Some(block) = self.blocks.get_mut(&place) {
            block.used = self.clock;
            return;
        }
        if self.blocks.len() >= BLOCKS_MAX {
            self.evict();
        }
        let store = self.store.clone();
        let end = (start + BLOCK_BYTES).min(size);
        self.fetched += end - start;
        let task = tokio::spawn(async move { interval(&*store, &list, start, end).await });
        let state = State::Fetching(AbortOnDropHandle::new(task));
        self.blocks.insert(place, Block { state, used: self.clock });
    }

    fn evict(&mut self) {
        let oldest = self.blocks.iter().min_by_key(|(_, block)| block.used);
        if let Some(place) = oldest.map(|(place, _)| *place) {
            self.blocks.remove(&place);
        }
    }
}

/// Reads a range of the concatenated parts.
async fn interval(
    store: &dyn Store,
    list: &PartList,
    start: u64,
    end: u64,
) -> Result<Bytes, Failure> {
    let mut parts = Vec::new();
    for (_, part) in list.from_offset(start).take_while(|(_, part)| part.start < end) {
        let (from, upto) = (start.max(part.start) - part.start, end.min(part.end()) - part.start);
        let key = part.key();
        let read = store.read(&key, from..upto).await?;
        if read.len() as u64 != upto - from {
            let detail = format!("{key}: {} bytes from {from}", read.len());
            let message = "An object is shorter than was recorded.";
            return Err(Failure::task("object-short", message).with_detail(detail));
        }
        parts.push(read);
    }
    Ok(joined(parts))
}

/// Joins the pieces. A single piece is not copied.
fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    if let [piece] = pieces.as_mut_slice() {
        return mem::take(piece);
    }
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
    joined.freeze()
}

fn lost(detail: impl std::fmt::Display) -> Failure {
    Failure::dependency("storage-failed", "The storage failed.").with_detail(detail)
}
