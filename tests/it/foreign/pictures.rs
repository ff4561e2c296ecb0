//! Picture codecs and containers of cameras, editors and screen recorders: every frame, in the right colours.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{accepted, frames, largest, make, studio};

/// Bars of known colours, with a tone.
const BARS: &str = "-f lavfi -i smptebars=size=320x240:rate=25:duration=1 -f lavfi -i sine=sample_rate=48000:duration=1";

/// Files with the options that make them, and by how much a colour may be off: codecs of few colours choose near ones.
type Clip = (&'static str, &'static str, u8);

const RECORDERS: [Clip; 16] = [
    ("cinepak.avi", "-c:v cinepak", 6),
    ("cinepak.mov", "-c:v cinepak", 6),
    ("msvideo1.avi", "-c:v msvideo1 -pix_fmt rgb555le", 6),
    ("qtrle.mov", "-c:v qtrle", 4),
    ("qtrle-alpha.mov", "-c:v qtrle -pix_fmt argb", 4),
    ("qtrle-grey.mov", "-c:v qtrle -pix_fmt gray", 4),
    ("qtrle-16.mov", "-c:v qtrle -pix_fmt rgb555be", 4),
    ("rpza.mov", "-c:v rpza -pix_fmt rgb555", 6),
    ("smc.mov", "-c:v smc -pix_fmt pal8", 12),
    ("svq1.mov", "-c:v svq1", 6),
    ("cljr.avi", "-c:v cljr -pix_fmt yuv411p", 6),
    ("zlib.avi", "-c:v zlib", 4),
    ("zmbv.avi", "-c:v zmbv", 4),
    ("zmbv-palette.avi", "-c:v zmbv -pix_fmt pal8", 12),
    ("flashsv.flv", "-c:v flashsv -ar 44100", 8),
    ("flashsv2.flv", "-c:v flashsv2 -ar 44100", 8),
];

const CAMERAS: [Clip; 21] = [
    ("png.mov", "-c:v png", 4),
    ("png-palette.mov", "-c:v png -pix_fmt pal8", 12),
    ("png-48.mov", "-c:v png -pix_fmt rgb48be", 4),
    ("png-grey.mov", "-c:v png -pix_fmt gray", 4),
    ("jpeg2000.mov", "-c:v jpeg2000", 4),
    ("utvideo.avi", "-c:v utvideo -pix_fmt yuv422p", 4),
    ("utvideo-rgb.avi", "-c:v utvideo -pix_fmt gbrp", 4),
    ("magicyuv.avi", "-c:v magicyuv -pix_fmt gbrp", 4),
    ("hap.mov", "-c:v hap", 6),
    ("cfhd.mov", "-c:v cfhd", 4),
    ("v210.mov", "-c:v v210", 4),
    ("r210.mov", "-c:v r210", 4),
    ("h261.mov", "-c:v h261 -s 352x288", 8),
    ("vc2.mkv", "-c:v vc2 -pix_fmt yuv422p", 4),
    ("pal.dv", "-target pal-dv", 4),
    ("dv.avi", "-c:v dvvideo -s 720x576 -pix_fmt yuv420p -ac 2", 4),
    ("dv.mov", "-c:v dvvideo -s 720x480 -r 30000/1001 -pix_fmt yuv411p -ac 2", 4),
    ("wmv1.asf", "-c:v wmv1 -c:a wmav2", 6),
    ("wmv2.wmv", "-c:v wmv2 -c:a wmav2", 6),
    ("mpeg2.mxf", "-c:v mpeg2video -bf 2", 4),
    ("jpeg2000.mxf", "-c:v jpeg2000 -pix_fmt rgb24", 4),
];

#[test]
fn every_frame_of_old_programs_and_screen_recorders_is_there_in_the_right_colours() {
    must_be_right(&RECORDERS);
}

#[test]
fn every_frame_of_cameras_and_editors_is_there_in_the_right_colours() {
    must_be_right(&CAMERAS);
}

fn must_be_right(clips: &[Clip]) {
    let Some(studio) = studio() else { return };
    for (name, options, tolerance) in clips {
        let clip = make(studio.path(), name, &format!("{BARS} {options}"));
        let run = accepted(&clip);
        let file = largest(&run);
        assert_eq!(frames(&file), frames(&clip), "{name}");
        let bt709 = "scale=in_color_matrix=bt709:in_range=tv,";
        let (expected, found) = (patches(&clip, ""), patches(&file, bt709));
        let off = expected.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off.is_some_and(|off| off <= *tolerance), "{name}: {expected:?} {found:?}");
        let class = run.json["source"]["class"].as_str();
        assert_eq!((class, &run.json["audio_tracks"]), (Some("B"), &1.into()), "{name}");
    }
}

/// The colours of seven bars and two patches below them, red, green, blue of each, in the middle of the clip. `filter` ends with
/// a comma.
fn patches(file: &Path, filter: &str) -> Vec<u8> {
    let filter = format!("select=gte(n\\,5),{filter}scale=320:240:flags=area,format=rgb24");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(file);
    command.args(["-map", "0:v:0", "-vf", &filter, "-frames:v", "1", "-f", "rawvideo", "-"]);
    let picture = command.stdin(Stdio::null()).output().expect("ffmpeg can be started").stdout;
    assert_eq!(picture.len(), 320 * 240 * 3, "{}", file.display());
    let bars = (0..7).map(|bar| (20 + 46 * bar, 80)).chain([(30, 220), (80, 220)]);
    bars.flat_map(|(x, y)| mean(&picture, x, y)).collect()
}

/// The colour around a place.
fn mean(picture: &[u8], x: usize, y: usize) -> [u8; 3] {
    [0, 1, 2].map(|component| {
        let around = (y - 4..y + 4).flat_map(|y| (x - 4..x + 4).map(move |x| (x, y)));
        let sum: u32 = around.map(|(x, y)| u32::from(picture[(y * 320 + x) * 3 + component])).sum();
        (sum / 64) as u8
    })
}
