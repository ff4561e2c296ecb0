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
        Err(error) if error.kind() == ErrorKind::RangeNotSatisfied => {
            read_tail(operator, key, range, error).await
        }
        Err(error) => Err(error),
    }
}

/// The range reaches beyond the end: find the end and read up to it.
async fn read_tail(
    operator: &Operator,
    key: &str,
    range: Range<u64>,
    error: Error,
) -> Result<Bytes, Error> {
    let end = operator.stat(key).await?.content_length();
    if range.start >= end {
        return Ok(Bytes::new());
    }
    if range.end <= end {
        return Err(error);
    }
    Ok(operator.read_with(key).range(range.start..end).await?.to_bytes())
}
