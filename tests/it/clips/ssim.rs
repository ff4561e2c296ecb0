//! Is a chunked encode as good as an encode in one piece? Both against the same scaled frames, by SSIM, frame by frame.
//!
//! The single pass is the ffmpeg command with the same x264 settings and IDRs at the same instants. Rotation is left to
//! ffmpeg itself; the other corrections are written down again here from their description.

use std::fmt::Write as _;
use std::path::Path;

use super::rule::{Rung, runs};
use super::tier::Tier;
use super::tools::ffmpeg;
use super::truth::Truth;

/// From here on both are as good as the source: 1 − SSIM of a ten-thousandth.
const PERFECT_DB: f64 = 40.0;

/// Decibels by which the product's encode of a tier is better (negative: worse) than a single pass.
pub(crate) fn advantage(
    source: &Path,
    truth: &Truth,
    tiers: &[Tier],
    index: usize,
    scratch: &Path,
) -> Result<f64, String> {
    let tier = &tiers[index];
    let chain = chain(truth, &tiers[..=index])?;
    let single = scratch.join(format!("{}.single.mp4", tier.name));
    single_pass(source, truth, tier, &chain, &single)?;
    let scores = compare(source, truth, &chain, &tier.file, &single)?;
    Ok(scores.0.min(PERFECT_DB) - scores.1.min(PERFECT_DB))
}

/// Filters from a source frame to a frame of the last of `tiers`, which are in descending order. A task makes each of its tiers
/// from the one before; the tasks of the head have only some of the tiers.
fn chain(truth: &Truth, tiers: &[Tier]) -> Result<String, String> {
    let last = tiers.last().ok_or("no tier")?;
    let mut chain = select(&last.kept)?;
    if truth.interlaced {
        chain.push_str(",bwdif=mode=send_frame:deint=interlaced");
    }
    let mates = tiers.iter().position(|tier| tier.list.head_task() == last.list.head_task());
    let in_head = cascade(truth, &tiers[mates.unwrap_or_default()..]);
    let after = cascade(truth, tiers);
    let frames = last.head_frames();
    if in_head == after || frames == 0 {
        chain.push_str(&after);
    } else if frames >= last.kept.len() {
        chain.push_str(&in_head);
    } else {
        let _written = write!(
            chain,
            ",split[p][q];[p]trim=end_frame={frames}{in_head}[r];[q]trim=start_frame={frames}{after}[s];\
             [r][s]interleave"
        );
    }
    chain.push_str(",setsar=1");
    Ok(chain)
}

/// Filters that make the first of `tiers` from the source and each further one from the one before.
fn cascade(truth: &Truth, tiers: &[Tier]) -> String {
    let mut chain = corrected(truth, tiers[0].size);
    for tier in &tiers[1..] {
        let (width, height) = tier.size;
        let _written = write!(chain, ",scale={width}:{height}:flags=bicubic");
    }
    chain
}

/// Filters to 8-bit 4:2:0 BT.709 of a size; begins with a comma.
fn corrected(truth: &Truth, (width, height): (u32, u32)) -> String {
    if matches!(truth.text("color_transfer"), "smpte2084" | "arib-std-b67") {
        tone_map(truth, width, height)
    } else {
        to_bt709(truth, width, height)
    }
}

fn select(kept: &[usize]) -> Result<String, String> {
    let runs = runs(kept);
    if runs.len() > 150 {
        return Err(format!("{} runs of kept frames are too many for an expression", runs.len()));
    }
    let terms = runs.iter().map(|(first, step, count)| {
        let last = first + step * (count - 1);
        format!("between(n,{first},{last})*not(mod(n-{first},{step}))")
    });
    Ok(format!("select='{}'", terms.collect::<Vec<_>>().join("+")))
}

fn is_full(truth: &Truth) -> bool {
    truth.text("color_range") == "pc" || truth.text("pix_fmt").starts_with("yuvj")
}

fn to_bt709(truth: &Truth, width: u32, height: u32) -> String {
    let format = truth.text("pix_fmt");
    let rgb = format.contains("rgb") || format.contains("gbr") || format == "pal8";
    let size = |key: &str| truth.facts[key].as_u64().unwrap_or(0);
    let large = size("width") >= 1280 || size("height") > 576;
    let assumed = match (large, size("height")) {
        (true, _) => "bt709",
        (false, 576) => "bt470bg",
        (false, _) => "smpte170m",
    };
    let matrix = match truth.text("color_space") {
        "" | "unknown" | "reserved" | "gbr" => assumed,
        "bt2020nc" | "bt2020c" => "bt2020ncl",
        named => named,
    };
    let scale = format!(",scale={width}:{height}:flags=bicubic");
    if rgb {
        return format!("{scale}:out_color_matrix=bt709:out_range=tv,format=yuv420p");
    }
    let range = if is_full(truth) { "pc" } else { "tv" };
    let mut chain = format!("{scale}:in_range={range}:out_range=tv,format=yuv420p");
    if matrix != "bt709" {
        let primaries = if matrix == "bt2020ncl" { "bt2020" } else { matrix };
        let fast = u8::from(matrix != "bt2020ncl");
        let _written = write!(
            chain,
            ",colorspace=space=bt709:primaries=bt709:trc=bt709:range=tv:format=yuv420p:\
             ispace={matrix}:iprimaries={primaries}:itrc=bt709:irange=tv:fast={fast}"
        );
    }
    chain
}

fn tone_map(truth: &Truth, width: u32, height: u32) -> String {
    let transfer = truth.text("color_transfer");
    let range = if is_full(truth) { "full" } else { "limited" };
    format!(
        ",scale={width}:{height}:flags=bicubic,format=yuv420p10,\
         zscale=tin={transfer}:min=2020_ncl:pin=2020:rin={range}:t=linear:npl=100,format=gbrpf32le,\
         zscale=p=709,tonemap=tonemap=hable:desat=0,zscale=t=709:m=709:r=limited,format=yuv420p"
    )
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_owned)
}

fn single_pass(
    source: &Path,
    truth: &Truth,
    tier: &Tier,
    chain: &str,
    to: &Path,
) -> Result<(), String> {
    let rung = Rung::of(tier.size.0.min(tier.size.1));
    let fps = rung.target(truth.fps);
    let (rate, level) = (rung.rate(fps), rung.level(fps));
    let start = tier.first();
    // A little early: the first frame at or after the instant becomes the IDR.
    let instants =
        tier.keys().into_iter().map(|key| format!("{:.6}", (key - start - 0.0003).max(0.0)));
    let instants = instants.collect::<Vec<_>>().join(",");
    let mut arguments: Vec<String> = words("-v error -i").collect();
    arguments.push(source.to_string_lossy().into_owned());
    arguments.extend(words(&format!("-map 0:{} -vf", truth.stream)));
    arguments.push(format!("{chain},setpts=PTS-STARTPTS"));
    arguments.extend(words(&format!(
        "-fps_mode passthrough -enc_time_base -1 -c:v libx264 -preset veryfast -profile:v high \
         -crf {} -maxrate {rate}k -bufsize {rate}k -level {level} -bf 3 -threads 1 -forced-idr 1 \
         -x264-params stitchable=1:open-gop=0:scenecut=40:keyint=infinite:min-keyint=infinite \
         -force_key_frames {instants} -an -sn -dn",
        rung.crf,
    )));
    arguments.push(to.to_string_lossy().into_owned());
    ffmpeg(&arguments).map(|_| ())
}

/// SSIM in decibels of two files against the source's frames.
fn compare(
    source: &Path,
    truth: &Truth,
    chain: &str,
    one: &Path,
    two: &Path,
) -> Result<(f64, f64), String> {
    let mut arguments: Vec<String> = words("-v info").collect();
    for file in [source, one, two] {
        arguments.push("-i".to_owned());
        arguments.push(file.to_string_lossy().into_owned());
    }
    // Paired by number, in one time base.
    let paired = "settb=1/1000000,setpts=N*40000";
    let graph = format!(
        "[0:{}]{chain},{paired},split[r1][r2];[1:v]{paired}[a];[2:v]{paired}[b];\
         [a][r1]ssim@one[x];[b][r2]ssim@two[y]",
        truth.stream
    );
    arguments.extend(["-filter_complex".to_owned(), graph]);
    arguments.extend(words(
        "-map [x] -fps_mode passthrough -f null - -map [y] -fps_mode passthrough -f null -",
    ));
    let said = ffmpeg(&arguments)?;
    let score = |name: &str| said.lines().find(|line| line.contains(name)).and_then(decibels);
    score("ssim@one").zip(score("ssim@two")).ok_or_else(|| "ffmpeg printed no SSIM".to_owned())
}

/// `… All:0.981234 (17.26)` as decibels, from the ratio, which has more digits.
fn decibels(line: &str) -> Option<f64> {
    let all = line.split("All:").nth(1)?.split_whitespace().next()?;
    let ratio: f64 = all.parse().ok()?;
    Some(-10.0 * (1.0 - ratio).max(1e-12).log10())
}

#[test]
fn a_score_is_read() {
    let line = "[ssim@one @ 0x1] SSIM Y:0.98 (17.0) U:0.99 (20) V:0.99 (20) All:0.990000 (20.0)";
    assert!((decibels(line).expect("a score") - 20.0).abs() < 1e-6);
}
