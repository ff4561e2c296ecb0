//! Parses frames without trust. Their length is bounded by their kind before any of the body is parsed.

use bytes::{BufMut, Bytes, BytesMut};
use jetreel_domain::codec::contract::{Contract, FrameKind, GREETING_BYTES_MAX};
use jetreel_domain::codec::wire::FromCodec;
use serde::{Deserialize, Serialize};
use tokio_util::codec::LengthDelimitedCodec;

/// Most nested levels of a value; a report has eight. Each level takes stack, of which a worker thread has little.
const DEPTH_MAX: usize = 16;

/// Splits the stream of a process that has not greeted yet into frames.
pub(super) fn greetings() -> LengthDelimitedCodec {
    let mut frames = LengthDelimitedCodec::new();
    frames.set_max_frame_length(GREETING_BYTES_MAX);
    frames
}

/// Parses the greeting.
pub(super) fn greeting(body: &[u8]) -> Result<FromCodec, String> {
    match FrameKind::of(body) {
        Some(FrameKind::Hello) => decode(body),
        Some(_) | None => Err("the first frame is no greeting".to_owned()),
    }
}

/// The kind of a frame. Fails if the frame is longer than its kind may be.
pub(super) fn kind(body: &[u8], contract: &Contract) -> Result<FrameKind, &'static str> {
    let kind = FrameKind::of(body).ok_or("a frame of no kind")?;
    contract.admit_length(kind, body.len()).map_err(|breach| breach.rule)?;
    Ok(kind)
}

/// Parses a frame without trust.
///
/// A list with a large claimed length takes no memory before its elements arrive: serde reserves a megabyte at most. Nesting is bounded
/// here.
pub(super) fn decode(body: &[u8]) -> Result<FromCodec, String> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    deserializer.set_max_depth(DEPTH_MAX);
    FromCodec::deserialize(&mut deserializer).map_err(|error| error.to_string())
}

/// A frame for the codec. `Err` if it is larger than `bytes_max`.
pub(super) fn write(message: &impl Serialize, bytes_max: usize) -> Result<Bytes, String> {
    let body = rmp_serde::to_vec_named(message).map_err(|error| error.to_string())?;
    if body.len() > bytes_max {
        return Err(format!("a frame of {} bytes is too large", body.len()));
    }
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_u32(body.len() as u32);
    frame.put_slice(&body);
    Ok(frame.freeze())
}
