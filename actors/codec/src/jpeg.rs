//! Encodes a picture as JPEG.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Packet, Rational, codec, color};

use crate::correct;
use crate::failure::{Outcome, internal, own_failure};
use crate::filter::{Graph, Shape};

/// libav's quantiser for JPEG, 2 (best) to 31.
const QUANTISER: &str = "4";

/// Encodes a BT.709 frame in TV range.
pub(crate) fn encode(frame: &Video) -> Outcome<Vec<u8>> {
    let mut graph = Graph::new(Shape::of(frame), &correct::for_jpeg())?;
    graph.push(Some(frame))?;
    let mut full = Video::empty();
    if !graph.pull(&mut full)? {
        return Err(internal("a filter kept a picture"));
    }
    full.set_pts(Some(0));
    full.set_color_range(color::Range::JPEG);
    let found = codec::encoder::find_by_name("mjpeg")
        .ok_or_else(|| internal("there is no JPEG encoder"))?;
    let mut video = codec::Context::new_with_codec(found)
        .encoder()
        .video()
        .map_err(|error| own_failure(error, "make a JPEG encoder"))?;
    video.set_width(full.width());
    video.set_height(full.height());
    video.set_format(Pixel::YUVJ420P);
    video.set_time_base(Rational(1, 25));
    let mut options = Dictionary::new();
    options.set("threads", "1");
    options.set("flags", "+qscale+bitexact");
    options.set("qmin", QUANTISER);
    options.set("qmax", QUANTISER);
    let mut encoder = video
        .open_as_with(found, options)
        .map_err(|error| own_failure(error, "open a JPEG encoder"))?;
    let mut packet = Packet::empty();
    encoder
        .send_frame(&full)
        .and_then(|()| encoder.receive_packet(&mut packet))
        .map_err(|error| own_failure(error, "encode a JPEG"))?;
    Ok(packet.data().unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_becomes_a_jpeg() {
        let mut frame = Video::new(Pixel::YUV420P, 64, 48);
        for plane in 0..3 {
            frame.data_mut(plane).fill(128);
        }
        let jpeg = encode(&frame).unwrap();
        assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]));
    }
}
