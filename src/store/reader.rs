//! Range reads that may end at the object's end.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use jetreel_actors::ports::{ObjectReader, PIECE_BYTES, PortFuture};
use jetreel_domain::words::failure::Failure;
use opendal::{Buffer, BufferStream, Error, ErrorKind, Operator};

use super::operators::OpenDalStore;

/// Bytes of an object. Fewer than the range only at the object's end.
pub(super) async fn read(
    operator: &Operator,
    key: &str,
    range: Range<u64>,
) -> Result<Bytes, Error> {
    if range.is_empty() {
        return Ok(Bytes::new());
    }
    match operator.read_with(key).range(range.clone()).await {
        Ok(buffer) => Ok(buffer.to_bytes()),
        Err(error) if may_be_the_end(error.kind()) => read_tail(operator, key, range, error).await,
        Err(error) => Err(error),
    }
}

/// Whether an error may mean that the range exceeds the object. A directory reports an unsatisfied range; a bucket sends the bytes that
/// exist, which OpenDAL reports as an interrupted transfer.
fn may_be_the_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::RangeNotSatisfied | ErrorKind::Unexpected)
}

/// Reads up to the object's end if the range exceeds it. Otherwise returns `error`.
async fn read_tail(
    operator: &Operator,
    key: &str,
    range: Range<u64>,
    error: Error,
) -> Result<Bytes, Error> {
    let end = match operator.stat(key).await {
        Ok(facts) => facts.content_length(),
        Err(_) => return Err(error),
    };
    if range.start >= end {
        return Ok(Bytes::new());
    }
    if range.end <= end {
        return Err(error);
    }
    Ok(operator.read_with(key).range(range.start..end).await?.to_bytes())
}

/// The `ObjectReader` port: one request to a bucket, one open file in a folder.
pub(super) struct PieceReader {
    store: OpenDalStore,
    key: String,
    /// The first byte that is not given yet.
    at: u64,
    stream: BufferStream,
    /// What came with the last piece, beyond it.
    left: Buffer,
}

impl PieceReader {
    /// Opens `range`. `is_folder`: reads have the size that is asked for; else a server decides, and they are gathered.
    pub(super) async fn open(
        store: OpenDalStore,
        key: &str,
        range: Range<u64>,
        is_folder: bool,
    ) -> Result<Self, Failure> {
        let at = range.start;
        let opened = async {
            let reader = store.operator().reader_with(key);
            // A chunk is a request: a bucket is asked for the whole range at once.
            let reader = if is_folder { reader.chunk(PIECE_BYTES) } else { reader };
            reader.await?.into_stream(range).await
        };
        match opened.await {
            Ok(stream) => Ok(Self { store, key: key.to_owned(), at, stream, left: Buffer::new() }),
            Err(error) => Err(store.explain(key, at, error).await),
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        let mut gathered = BytesMut::new();
        loop {
            if self.left.is_empty() {
                match self.stream.try_next().await? {
                    Some(buffer) => self.left = buffer,
                    None => break,
                }
            }
            let room = PIECE_BYTES - gathered.len();
            let piece = self.left.slice(..room.min(self.left.len()));
            self.left = self.left.slice(piece.len()..);
            if gathered.is_empty() && piece.len() == PIECE_BYTES {
                return Ok(Some(piece.to_bytes()));
            }
            piece.for_each(|part| gathered.extend_from_slice(&part));
            if gathered.len() == PIECE_BYTES {
                break;
            }
        }
        Ok(Some(gathered.freeze()).filter(|piece| !piece.is_empty()))
    }
}

impl ObjectReader for PieceReader {
    fn next(&mut self) -> PortFuture<'_, Option<Bytes>> {
        Box::pin(async {
            match self.piece().await {
                Ok(piece) => {
                    self.at += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                    Ok(piece)
                }
                Err(error) => Err(self.store.explain(&self.key, self.at, error).await),
            }
        })
    }
}
