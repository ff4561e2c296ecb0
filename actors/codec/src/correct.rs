//! Filters that turn a source frame into a frame of the largest tier, as text for libavfilter.
//!
//! Order: deinterlace, scale, colour, tone-map, bars, rotate, mirror. All frames leave as 8-bit 4:2:0 BT.709 in TV range, so that all tiers
//! and all chunks have the same decoder configuration.

use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use jetreel_domain::codec::wire::PicturePlan;
use jetreel_domain::plan::frame::Place;
use jetreel_domain::plan::media::Colour;

use crate::filter::Shape;

/// The scaler: FFmpeg's default.
pub(crate) const SCALER: &str = "bicubic";

/// The deinterlacer refuses a picture with a shorter side in pixels: it needs three lines of each plane.
const FIELDS_MIN: u32 = 6;

/// Size of the frames before rotation.
pub(crate) fn upright(plan: &PicturePlan, (width, height): (u32, u32)) -> (u32, u32) {
    if plan.rotation % 180 == 90 { (height, width) } else { (width, height) }
}

/// The filters that put pictures of `shape` at `place` into frames of `upright` size; `None` if the picture is the frame already.
pub(crate) fn filters(
    shape: Shape,
    plan: &PicturePlan,
    place: Place,
    upright: (u32, u32),
) -> Option<String> {
    let mut chain = Vec::new();
    if plan.deinterlace && shape.width.min(shape.height) >= FIELDS_MIN {
        chain.push("bwdif=mode=send_frame:deint=interlaced".to_owned());
    }
    let size = (place.width, place.height);
    let colour = Source::new(shape, &plan.colour);
    if plan.tone_map {
        chain.push(format!("scale={}:{}:flags={SCALER},format=yuv420p10", size.0, size.1));
        chain.push(tone_map(&colour));
    } else {
        let same = (shape.width, shape.height) == size && shape.format == Pixel::YUV420P;
        if !same || colour.full {
            chain.push(colour.scale(size));
        }
        if colour.matrix != "bt709" && !colour.rgb {
            chain.push(colour.convert());
        }
    }
    if size != upright {
        let ((width, height), Place { left, top, .. }) = (upright, place);
        chain.push(format!("pad={width}:{height}:{left}:{top}:black"));
    }
    match plan.rotation {
        90 => chain.push("transpose=clock".to_owned()),
        180 => chain.push("hflip,vflip".to_owned()),
        270 => chain.push("transpose=cclock".to_owned()),
        _ => {}
    }
    if plan.mirrored {
        chain.push("hflip".to_owned());
    }
    if chain.is_empty() { None } else { Some(chain.join(",")) }
}

/// The filters from one tier to a smaller one.
pub(crate) fn smaller(width: u32, height: u32) -> String {
    format!("scale={width}:{height}:flags={SCALER}")
}

/// The filters from a tier's frame to a JPEG's: full range, with the matrix that JPEG readers assume.
pub(crate) fn for_jpeg() -> String {
    "scale=in_range=tv:out_range=pc:in_color_matrix=bt709:out_color_matrix=bt601,format=yuvj420p"
        .to_owned()
}

/// The source's colour, with missing values replaced by those that players assume.
struct Source {
    rgb: bool,
    /// Colours by number, with fewer than eight bits, or in the one order for which libav's scaler takes a short cut.
    packed: bool,
    full: bool,
    matrix: &'static str,
    primaries: &'static str,
    hlg: bool,
}

impl Source {
    fn new(shape: Shape, colour: &Colour) -> Self {
        let rgb = is_rgb(shape.format);
        let full_format = is_full(shape.format) || (is_grey(shape.format) && colour.range != "tv");
        let standard = !(shape.width >= 1280 || shape.height > 576);
        let assumed = match (standard, shape.height) {
            (true, 576) => "bt470bg",
            (true, _) => "smpte170m",
            (false, _) => "bt709",
        };
        let matrix = match colour.matrix.as_str() {
            "bt709" => "bt709",
            "fcc" => "fcc",
            "bt470bg" => "bt470bg",
            "smpte170m" => "smpte170m",
            "smpte240m" => "smpte240m",
            "bt2020nc" | "bt2020c" => "bt2020ncl",
            _ => assumed,
        };
        let primaries = match matrix {
            "bt2020ncl" => "bt2020",
            "fcc" => "bt470m",
            other => other,
        };
        let full = !rgb && (full_format || colour.range == "pc");
        let packed = rgb && (depth(shape.format) < 8 || shape.format == Pixel::BGR24);
        let hlg = colour.transfer == "arib-std-b67";
        Self { rgb, packed, full, matrix, primaries, hlg }
    }

    fn scale(&self, (width, height): (u32, u32)) -> String {
        let range = if self.full { "pc" } else { "tv" };
        // From these, libav's scaler makes colours of BT.601, or a grey white.
        let unpack = if self.packed { "format=rgb24," } else { "" };
        let colour = if self.rgb {
            ":out_color_matrix=bt709:out_range=tv".to_owned()
        } else {
            format!(":in_range={range}:out_range=tv")
        };
        format!("{unpack}scale={width}:{height}:flags={SCALER}{colour},format=yuv420p")
    }

    /// A change of matrix. Primaries are only changed if they differ visibly (BT.2020).
    fn convert(&self) -> String {
        let fast = u8::from(self.matrix != "bt2020ncl");
        format!(
            "colorspace=space=bt709:primaries=bt709:trc=bt709:range=tv:format=yuv420p:\
             ispace={}:iprimaries={}:itrc=bt709:irange=tv:fast={fast}",
            self.matrix, self.primaries,
        )
    }
}

/// HDR to SDR: linear light, Hable's curve, BT.709.
fn tone_map(colour: &Source) -> String {
    let transfer = if colour.hlg { "arib-std-b67" } else { "smpte2084" };
    let range = if colour.full { "full" } else { "limited" };
    // If frames lack a tag, zscale finds no way to BT.709.
    format!(
        "setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc,zscale=tin={transfer}:min=2020_ncl:pin=2020:rin={range}:t=linear:npl=100,format=gbrpf32le,\
         zscale=p=709,tonemap=tonemap=hable:desat=0,zscale=t=709:m=709:r=limited,format=yuv420p"
    )
}

/// Also true for palettes, whose colours are RGB.
fn is_rgb(format: Pixel) -> bool {
    has_flag(format, ffi::AV_PIX_FMT_FLAG_RGB) || has_flag(format, ffi::AV_PIX_FMT_FLAG_PAL)
}

fn is_full(format: Pixel) -> bool {
    matches!(
        format,
        Pixel::YUVJ420P | Pixel::YUVJ411P | Pixel::YUVJ422P | Pixel::YUVJ440P | Pixel::YUVJ444P
    )
}

/// Grey without a tag counts as full range, as in libav: it comes from RGB and from black and white.
fn is_grey(format: Pixel) -> bool {
    descriptor(format).is_some_and(|descriptor| descriptor.nb_components <= 2) && !is_rgb(format)
}

/// Bits of a colour; 0 for palettes.
fn depth(format: Pixel) -> i32 {
    if has_flag(format, ffi::AV_PIX_FMT_FLAG_PAL) {
        return 0;
    }
    let components = descriptor(format).map(|descriptor| descriptor.comp);
    components.and_then(|comp| comp.iter().take(3).map(|one| one.depth).min()).unwrap_or(0)
}

fn has_flag(format: Pixel, flag: i32) -> bool {
    descriptor(format).is_some_and(|descriptor| descriptor.flags & u64::from(flag as u32) != 0)
}

fn descriptor(format: Pixel) -> Option<&'static ffi::AVPixFmtDescriptor> {
    #[expect(unsafe_code, reason = "descriptors are static; an unknown format has none")]
    unsafe {
        ffi::av_pix_fmt_desc_get(format.into()).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(matrix: &str, range: &str) -> PicturePlan {
        PicturePlan {
            deinterlace: false,
            rotation: 0,
            mirrored: false,
            tone_map: false,
            colour: Colour {
                primaries: matrix.to_owned(),
                transfer: matrix.to_owned(),
                matrix: matrix.to_owned(),
                range: range.to_owned(),
            },
            first: None,
        }
    }

    fn whole(shape: Shape, plan: &PicturePlan, size: (u32, u32)) -> Option<String> {
        let (width, height) = upright(plan, size);
        filters(shape, plan, Place { width, height, left: 0, top: 0 }, (width, height))
    }

    fn shape(width: u32, height: u32, format: Pixel) -> Shape {
        Shape { width, height, format }
    }

    #[test]
    fn a_frame_that_is_right_already_passes_untouched() {
        let hd = shape(1920, 1080, Pixel::YUV420P);
        assert_eq!(whole(hd, &plan("bt709", "tv"), (1920, 1080)), None);
        assert_eq!(whole(hd, &plan("unknown", "unknown"), (1920, 1080)), None);
    }

    #[test]
    fn standard_definition_without_tags_is_taken_for_bt601() {
        let sd = shape(640, 480, Pixel::YUV420P);
        let chain = whole(sd, &plan("unknown", "tv"), (640, 480)).unwrap();
        assert!(chain.starts_with("colorspace=") && chain.contains("ispace=smpte170m"), "{chain}");
    }

    #[test]
    fn full_range_becomes_tv_range_even_at_the_same_size() {
        let hd = shape(1280, 720, Pixel::YUVJ420P);
        let chain = whole(hd, &plan("bt709", "pc"), (1280, 720)).unwrap();
        assert_eq!(chain, "scale=1280:720:flags=bicubic:in_range=pc:out_range=tv,format=yuv420p");
    }

    #[test]
    fn a_quarter_turn_scales_before_it_turns() {
        let hd = shape(1920, 1080, Pixel::YUV420P);
        let turned = PicturePlan { rotation: 90, mirrored: true, ..plan("bt709", "tv") };
        let chain = whole(hd, &turned, (720, 1280)).unwrap();
        assert!(chain.starts_with("scale=1280:720:"), "{chain}");
        assert!(chain.ends_with("transpose=clock,hflip"), "{chain}");
    }

    #[test]
    fn bars_are_added_after_the_colours_and_before_the_turn() {
        let sd = shape(640, 480, Pixel::YUV420P);
        let turned = PicturePlan { rotation: 90, ..plan("unknown", "tv") };
        let place = Place { width: 960, height: 720, left: 160, top: 0 };
        let chain = filters(sd, &turned, place, (1280, 720)).unwrap();
        assert!(chain.starts_with("scale=960:720:"), "{chain}");
        assert!(chain.contains(":fast=1,pad=1280:720:160:0:black,transpose=clock"), "{chain}");
    }

    #[test]
    fn a_picture_too_small_for_fields_is_not_deinterlaced() {
        let fields = PicturePlan { deinterlace: true, ..plan("bt709", "tv") };
        let chain = |side| whole(shape(side, side, Pixel::YUV420P), &fields, (16, 16)).unwrap();
        assert!(chain(6).starts_with("bwdif") && !chain(5).contains("bwdif"));
    }

    #[test]
    fn colours_by_number_and_of_few_bits_become_rgb_first() {
        for format in [Pixel::PAL8, Pixel::RGB555LE, Pixel::RGB565BE, Pixel::BGR24] {
            let chain = whole(shape(1280, 720, format), &plan("unknown", "unknown"), (1280, 720));
            let chain = chain.unwrap();
            assert!(chain.starts_with("format=rgb24,scale=1280:720:"), "{format:?} {chain}");
            assert!(chain.contains(":out_color_matrix=bt709:out_range=tv"), "{format:?} {chain}");
        }
        let chain = whole(shape(1280, 720, Pixel::BGRA), &plan("gbr", "pc"), (1280, 720)).unwrap();
        assert!(chain.starts_with("scale=1280:720:"), "{chain}");
    }

    #[test]
    fn grey_is_of_full_range_unless_it_says_otherwise() {
        let chain = |range| {
            whole(shape(1280, 720, Pixel::GRAY8), &plan("unknown", range), (1280, 720)).unwrap()
        };
        assert!(chain("unknown").contains(":in_range=pc:"), "{}", chain("unknown"));
        assert!(chain("tv").contains(":in_range=tv:"), "{}", chain("tv"));
    }

    #[test]
    fn tone_mapping_does_not_rely_on_tags_in_the_frames() {
        let hdr = PicturePlan { tone_map: true, ..plan("bt2020nc", "tv") };
        let chain = whole(shape(1280, 720, Pixel::YUV420P10LE), &hdr, (1280, 720)).unwrap();
        assert!(chain.contains("setparams=color_primaries=bt2020:color_trc=smpte2084"), "{chain}");
    }
}
