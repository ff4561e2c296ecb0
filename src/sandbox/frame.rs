//! Frames as bytes: bounded by their kind before anything is read of them, and read without trust.

use bytes::{BufMut, Bytes, BytesMut};
use jetreel_domain::codec::contract::{Contract, FrameKind, GREETING_BYTES_MAX};
use jetreel_domain::codec::wire::FromCodec;
use serde::{Deserialize, Serialize};
use tokio_util::codec::LengthDelimitedCodec;

/// Levels of a value in a value: a report has eight. Each level takes stack, of which a worker thread has little.
const DEPTH_MAX: usize = 16;

/// Cuts the stream of a process that has not greeted yet into frames.
pub(super) fn greetings() -> LengthDelimitedCodec {
    let mut frames = LengthDelimitedCodec::new();
    frames.set_max_frame_length(GREETING_BYTES_MAX);
    frames
}

/// The greeting.
pub(super) fn greeting(body: &[u8]) -> Result<FromCodec, String> {
    match FrameKind::of(body) {
        Some(FrameKind::Hello) => decode(body),
        Some(_) | None => Err("the first frame is no greeting".to_owned()),
    }
}

/// The kind of a frame that is not longer than its kind may be.
pub(super) fn kind(body: &[u8], contract: &Contract) -> Result<FrameKind, &'static str> {
    let kind = FrameKind::of(body).ok_or("a frame of no kind")?;
    contract.admit_length(kind, body.len()).map_err(|breach| breach.rule)?;
    Ok(kind)
}

/// Reads a frame without trust in it.
///
/// Lists that claim to be long take no memory before their elements come: serde reserves a megabyte at most. Nesting is bounded here.
pub(super) fn decode(body: &[u8]) -> Result<FromCodec, String> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    deserializer.set_max_depth(DEPTH_MAX);
    FromCodec::deserialize(&mut deserializer).map_err(|error| error.to_string())
}

/// A frame for the codec; `Err` where it is larger than `bytes_max`.
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
