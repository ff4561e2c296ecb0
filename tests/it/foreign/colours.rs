//! High dynamic range without colour tags, and 4:4:4 H.264 whose encoder is not named in the stream.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{accepted, frames, largest, make, planned, studio, warnings};
use crate::clips::{folder, list};
use crate::harness::tools::skipped;

const TEN_BITS: &str = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=1 -pix_fmt yuv420p10le -c:v libx265 -tag:v hvc1";
const MASTERING: &str = "log-level=none:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
const TAGS: &str = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc";
const ASSUMED: &str = "The video has HDR10 metadata and no colour tags; it is taken for high dynamic range (PQ, BT.2020). \
                       If its colours look wrong, export it with colour tags.";
const CONVERTED: &str = "High dynamic range is converted to standard dynamic range.";
const SILENT: &str = "The video has no sound.";

#[test]
fn metadata_of_high_dynamic_range_stand_for_missing_tags() {
    let Some(studio) = studio() else { return };
    let clip = |name: &str, parameters: &str| {
        make(studio.path(), name, &format!("{TEN_BITS} -x265-params {parameters}"))
    };
    let tagged = accepted(&clip("tagged.mp4", &format!("{MASTERING}:{TAGS}")));
    let untagged = accepted(&clip("untagged.mp4", MASTERING));
    assert_eq!(warnings(&tagged.json), [SILENT, CONVERTED]);
    assert_eq!(warnings(&untagged.json), [ASSUMED, SILENT, CONVERTED]);
    assert_eq!(pixels(&largest(&tagged)), pixels(&largest(&untagged)));
    let plain = planned(&clip("plain.mp4", "log-level=none"));
    assert_eq!(warnings(&plain), [SILENT]);
}

#[test]
fn dynamic_metadata_stand_for_missing_tags() {
    let Some(studio) = studio() else { return };
    let raw = make(studio.path(), "plain.hevc", &format!("{TEN_BITS} -x265-params log-level=none"));
    let bytes = std::fs::read(&raw).expect("a file");
    let annotated = studio.path().join("dynamic.hevc");
    std::fs::write(&annotated, with_dynamic_metadata(&bytes)).expect("a file");
    let clip = make(
        studio.path(),
        "dynamic.mp4",
        &format!("-i {} -c copy -tag:v hvc1", annotated.display()),
    );
    let plan = planned(&clip);
    assert_eq!(
        plan["facts"]["video"]["colour"]["transfer"], "smpte2084",
        "{}",
        plan["facts"]["video"]
    );
    assert_eq!(warnings(&plan), [ASSUMED, SILENT, CONVERTED]);
}

/// The hash of all pictures.
fn pixels(file: &Path) -> String {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-f", "md5", "-"]);
    let said = command.stdin(Stdio::null()).output().expect("ffmpeg can be started").stdout;
    String::from_utf8_lossy(&said).into_owned()
}

/// Bits, the first one first.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: u32, bits: u32) -> &mut Self {
        self.0.extend((0..bits).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            (0..8).fold(0, |byte, bit| byte << 1 | u8::from(bits.get(bit) == Some(&true)))
        };
        self.0.chunks(8).map(byte).collect()
    }
}

/// SMPTE ST 2094-40 with one window and nothing in it, as user data of ITU-T T.35.
fn dynamic_metadata() -> Vec<u8> {
    let mut bits = Bits::default();
    // Country, provider, application and its version.
    bits.put(0xb5, 8).put(0x003c, 16).put(0x0001, 16).put(4, 8).put(1, 8);
    // One window, peak luminance of the target, no table of it.
    bits.put(1, 2).put(400, 27).put(0, 1);
    // Largest of each component, average, no percentiles, no bright pixels.
    bits.put(1000, 17).put(1000, 17).put(1000, 17).put(100, 17).put(0, 4).put(0, 10);
    // No table of the mastering display, no tone mapping, no saturation.
    bits.put(0, 1).put(0, 1).put(0, 1);
    bits.bytes()
}

/// Puts the metadata before every slice of an H.265 byte stream.
fn with_dynamic_metadata(stream: &[u8]) -> Vec<u8> {
    let payload = dynamic_metadata();
    // Prefix SEI (type 39), user data registered by ITU-T T.35 (4).
    let mut message = vec![0, 0, 1, 39 << 1, 1, 4, payload.len() as u8];
    for byte in payload {
        // Emulation prevention.
        if byte <= 3 && message.len() > 9 && message.ends_with(&[0, 0]) {
            message.push(3);
        }
        message.push(byte);
    }
    message.push(0x80);
    let mut annotated = Vec::new();
    for (at, byte) in stream.iter().enumerate() {
        let starts = stream[at..].starts_with(&[0, 0, 1]);
        if starts && stream.get(at + 3).is_some_and(|head| head >> 1 < 32) {
            annotated.extend(&message);
        }
        annotated.push(*byte);
    }
    annotated
}

#[test]
fn old_444_of_an_encoder_that_was_forgotten_is_decoded_as_it_was_written() {
    let Some(studio) = studio() else { return };
    let clips = folder().map(|folder| list(&folder, "real/")).unwrap_or_default();
    let Some(known) = clips.into_iter().find(|clip| clip.name.contains("imageio_cockatoo")) else {
        skipped("JETREEL_MEDIA names no folder with the clip of an old encoder");
        return;
    };
    let options =
        format!("-i {} -an -c copy -bsf:v filter_units=remove_types=6", known.path.display());
    let forgotten = make(studio.path(), "forgotten.mp4", &options);
    let plan = planned(&forgotten);
    assert_eq!(
        plan["facts"]["video"]["decoder_options"],
        serde_json::json!([["x264_build", "150"]])
    );
    let (expected, found) = (accepted(&known.path), accepted(&forgotten));
    assert_eq!(frames(&largest(&found)), 280);
    assert_eq!(pixels(&largest(&expected)), pixels(&largest(&found)));
}

#[test]
fn new_444_without_its_mark_is_decoded_by_the_standard() {
    let Some(studio) = studio() else { return };
    let options = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 -c:v libx264 -pix_fmt yuv444p \
                   -bsf:v filter_units=remove_types=6";
    let plan = planned(&make(studio.path(), "new.mp4", options));
    assert_eq!(
        plan["facts"]["video"]["decoder_options"],
        serde_json::json!([["x264_build", "151"]])
    );
    assert_eq!(plan["class"], "A", "{}", plan["class_reason"]);
    assert_eq!(warnings(&plan), [SILENT]);
}

#[test]
fn every_profile_of_444_is_tried_both_ways() {
    let Some(studio) = studio() else { return };
    let options = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 -c:v libx264 -pix_fmt yuv444p \
                   -x264-params cabac=0:keyint=1 -bsf:v filter_units=remove_types=6";
    let stream = std::fs::read(make(studio.path(), "intra.h264", options)).unwrap();
    // The profile stands behind the header of a sequence parameter set: CAVLC 4:4:4 Intra, and the withdrawn High 4:4:4.
    for profile in [44, 144] {
        let mut patched = stream.clone();
        for at in 0..stream.len() - 5 {
            if stream[at..at + 5] == [0, 0, 1, 0x67, 244] {
                patched[at + 4] = profile;
            }
        }
        assert_ne!(patched, stream);
        let raw = studio.path().join(format!("{profile}.h264"));
        std::fs::write(&raw, patched).unwrap();
        let copy = format!("-r 25 -i {} -c copy", raw.display());
        let plan = planned(&make(studio.path(), &format!("{profile}.mp4"), &copy));
        let video = &plan["facts"]["video"];
        assert_eq!(video["profile"].as_i64().map(|found| found & 0xff), Some(i64::from(profile)));
        assert_eq!(video["decoder_options"], serde_json::json!([["x264_build", "151"]]));
        assert_eq!(plan["class"], "A", "{}", plan["class_reason"]);
    }
}
