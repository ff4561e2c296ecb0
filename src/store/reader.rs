//! Range reads that end where the object ends.

use std::ops::Range;

use bytes::Bytes;
use opendal::{Error, ErrorKind, Operator};

/// Bytes of an object; fewer than asked for only at its end.
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

/// A directory says that the range is not satisfied; a bucket sends what there is, which OpenDAL takes for a transfer that
/// broke off.
fn may_be_the_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::RangeNotSatisfied | ErrorKind::Unexpected)
}

/// Where the range reaches beyond the end, reads up to it; otherwise `error` stands.
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
