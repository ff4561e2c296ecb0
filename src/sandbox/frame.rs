//! Parses frames without trust. Their length is bounded by their kind before any of the body is parsed.

use bytes::{BufMut, Bytes, BytesMut};
use jetreel_domain::codec::contract::{Contract, FrameKind, GREETING_BYTES_MAX};
use jetreel_domain::codec::wire::FromCodec;
use serde::{Deserialize, Serialize};
use tokio_util::codec::LengthDelimitedCodec;

/// Size of the length field before a frame, in bytes.
const LENGTH_BYTES: usize = 4;

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
    let mut frame = BytesMut::new();
    frame.put_u32(0);
    let mut serializer = rmp_serde::Serializer::new((&mut frame).writer()).with_struct_map();
    message.serialize(&mut serializer).map_err(|error| error.to_string())?;
    let length = frame.len() - LENGTH_BYTES;
    if length > bytes_max {
        return Err(format!("a frame of {length} bytes is too large"));
    }
    frame[..LENGTH_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(frame.freeze())
}

#[cfg(test)]
mod tests {
    use jetreel_domain::codec::wire::{Lent, ToCodec};

    use super::*;

    #[test]
    fn lent_bytes_are_the_frame_of_owned_ones() {
        for length in [0, 1, 255, 256, 70_000] {
            let bytes = vec![7; length];
            let lent = write(&Lent::Bytes(serde_bytes::Bytes::new(&bytes)), 100_000).unwrap();
            let body = rmp_serde::to_vec_named(&ToCodec::Bytes(bytes.into())).unwrap();
            assert_eq!(&lent[..LENGTH_BYTES], (body.len() as u32).to_be_bytes());
            assert_eq!(&lent[LENGTH_BYTES..], body);
        }
        assert!(write(&Lent::Bytes(serde_bytes::Bytes::new(&[7; 100])), 100).is_err());
    }
}
