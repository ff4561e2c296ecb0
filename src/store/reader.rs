//! Range reads that may end at the object's end.

use std::ops::Range;

use bytes::Bytes;
use opendal::{Error, ErrorKind, Operator};

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
