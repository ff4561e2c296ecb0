//! The ladder of renditions, and the parameters that a plan fixes for each.

use serde::{Deserialize, Serialize};

use crate::plan::frame::PictureShape;
use crate::plan::framerate::FrameRule;
use crate::plan::media::VideoTrack;

/// A rung of the settings. The shorter side names the tier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rung {
    /// Name, such as `720p`.
    pub name: String,
    /// Pixels of the shorter side.
    pub short_side: u32,
    /// x264 constant rate factor.
    pub crf: u32,
    /// Cap in kilobits per second up to 30 frames per second.
    pub max_rate_kbps: u32,
    /// Cap above 30 frames per second.
    pub max_rate_high_kbps: u32,
    /// H.264 level times ten up to 30 frames per second, such as 31.
    pub level: u32,
    /// H.264 level times ten above 30 frames per second.
    pub level_high: u32,
    /// Highest frame rate.
    pub max_frame_rate: u32,
    /// Whether it is encoded only on demand.
    #[serde(default)]
    pub lazy: bool,
}

/// A tier of a plan: all parameters of its encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TierPlan {
    /// Name, such as `720p`.
    pub name: String,
    /// Width in square pixels after rotation; even.
    pub width: u32,
    /// Height in square pixels after rotation; even.
    pub height: u32,
    /// x264 constant rate factor.
    pub crf: u32,
    /// Rate cap in bits per second. The VBV buffer holds one second of it.
    pub max_rate: u32,
    /// H.264 level times ten.
    pub level: u32,
    /// Rule of the source frames that it keeps.
    pub rule: FrameRule,
    /// Declared peak rate with audio in bits per second (HLS BANDWIDTH), fixed by the plan.
    pub bandwidth: u32,
    /// Codecs string (RFC 6381) of the picture track, such as `avc1.64001f`.
    pub codecs: String,
}

/// Size `(width, height)` of the source's frames in square pixels after rotation, before scaling.
#[must_use]
pub fn display_size(video: &VideoTrack) -> (u32, u32) {
    let (width, height) = PictureShape::from(video).frame_size();
    if video.rotation % 180 == 90 { (height, width) } else { (width, height) }
}

/// A rung fitted to a source: its settings and its size there.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Name of the tier: the rung's, or that of the shorter side if the source is smaller than every rung.
    pub name: String,
    /// Width in pixels; even.
    pub width: u32,
    /// Height in pixels; even.
    pub height: u32,
    /// Rung of the settings.
    pub rung: Rung,
}

/// Smallest ratio of a rung to the one below it that deserves its own tier.
const STEP_MIN: f64 = 1.3;

/// The tiers of a source whose frames have `display` size, largest first. No tier is larger than those frames.
///
/// Without `only`, every rung that is not lazy counts, and rungs too close below a kept one are left out. With it, exactly the named ones
/// count, lazy or not. A source smaller than every rung gets one tier of its own size. Empty if no named rung fits.
#[must_use]
pub fn select(ladder: &[Rung], display: (u32, u32), only: Option<&[String]>) -> Vec<Fitted> {
    let short = even(display.0.min(display.1));
    let mut rungs: Vec<&Rung> = ladder.iter().collect();
    rungs.sort_by_key(|rung| std::cmp::Reverse(rung.short_side));
    rungs.dedup_by_key(|rung| rung.short_side);
    let own = rungs.iter().all(|rung| rung.short_side > short).then(|| rungs.last()).flatten();
    if let Some(smallest) = own {
        let name = format!("{short}p");
        let wanted = only.is_none_or(|names| names.contains(&name));
        return wanted.then(|| fit(smallest, display, name)).into_iter().collect();
    }
    rungs.retain(|rung| rung.short_side <= short);
    match only {
        Some(names) => rungs.retain(|rung| names.contains(&rung.name)),
        None => thin(&mut rungs),
    }
    rungs.into_iter().map(|rung| fit(rung, display, rung.name.clone())).collect()
}

/// Keeps the largest eager rung and, below it, each that is far enough from the last kept one.
fn thin(rungs: &mut Vec<&Rung>) {
    // If only lazy rungs fit, the largest of them is used.
    if rungs.iter().any(|rung| !rung.lazy) {
        rungs.retain(|rung| !rung.lazy);
    } else {
        rungs.truncate(1);
    }
    let mut above = f64::INFINITY;
    rungs.retain(|rung| {
        let side = f64::from(rung.short_side);
        let keep = above >= side * STEP_MIN;
        if keep {
            above = side;
        }
        keep
    });
}

/// The rung at the source's aspect, with even sides that do not exceed the source's.
fn fit(rung: &Rung, display: (u32, u32), name: String) -> Fitted {
    let (short, long) = (display.0.min(display.1), display.0.max(display.1));
    let side = even(rung.short_side.min(short));
    let exact = f64::from(long) * f64::from(side) / f64::from(short.max(1));
    let other = if side == even(short) { long } else { (exact / 2.0).round() as u32 * 2 };
    let other = even(other.min(long));
    let (width, height) = if display.0 >= display.1 { (other, side) } else { (side, other) };
    Fitted { name, width, height, rung: rung.clone() }
}

/// The largest even number up to `pixels`, at least 2.
fn even(pixels: u32) -> u32 {
    (pixels & !1).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(short_side: u32) -> Rung {
        Rung {
            name: format!("{short_side}p"),
            short_side,
            crf: 23,
            max_rate_kbps: 1000,
            max_rate_high_kbps: 1500,
            level: 31,
            level_high: 32,
            max_frame_rate: 60,
            lazy: short_side > 1080,
        }
    }

    fn sizes(display: (u32, u32), only: Option<&[String]>) -> Vec<(String, u32, u32)> {
        let ladder = [240, 360, 480, 720, 1080, 2160].map(rung);
        let fitted = select(&ladder, display, only);
        fitted.into_iter().map(|f| (f.name, f.width, f.height)).collect()
    }

    fn row(name: &str, width: u32, height: u32) -> (String, u32, u32) {
        (name.to_owned(), width, height)
    }

    #[test]
    fn the_short_side_names_the_tier_in_both_orientations() {
        let rows = [row("720p", 1280, 720), row("480p", 854, 480), row("360p", 640, 360)];
        assert_eq!(sizes((1280, 720), None)[..3], rows);
        assert_eq!(sizes((720, 1280), None)[0], row("720p", 720, 1280));
    }

    #[test]
    fn a_source_between_rungs_gets_the_rungs_below_it() {
        assert_eq!(sizes((1920, 800), None)[0], row("720p", 1728, 720));
        assert_eq!(sizes((1921, 1081), None)[0], row("1080p", 1920, 1080));
    }

    #[test]
    fn a_source_below_every_rung_gets_one_tier_of_its_own_even_size() {
        assert_eq!(sizes((161, 121), None), [row("120p", 160, 120)]);
    }

    #[test]
    fn lazy_rungs_come_only_when_named() {
        assert_eq!(sizes((3840, 2160), None)[0], row("1080p", 1920, 1080));
        let named = ["2160p".to_owned()];
        assert_eq!(sizes((3840, 2160), Some(&named)), [row("2160p", 3840, 2160)]);
        assert_eq!(sizes((1920, 1080), Some(&named)), []);
    }

    #[test]
    fn a_rung_close_below_a_kept_one_is_left_out() {
        let ladder = [360, 432, 480].map(rung);
        let names: Vec<String> =
            select(&ladder, (1920, 1080), None).into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["480p", "360p"]);
    }

    #[test]
    fn anamorphic_and_rotated_pictures_have_their_displayed_size() {
        let mut video = crate::sample::track();
        (video.width, video.height) = (720, 576);
        video.sample_aspect = crate::plan::rational::Rational::new(16, 11);
        assert_eq!(display_size(&video), (1047, 576));
        video.rotation = 90;
        assert_eq!(display_size(&video), (576, 1047));
    }
}
