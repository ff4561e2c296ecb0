//! Fits source pictures of any size and pixel shape into frames of one size with square pixels.
//!
//! Rule: a frame has as many lines as the first picture, and the width of its pixels on a screen. If a side is below [`SIDE_MIN`], the
//! picture is enlarged by a whole factor; a longer side above [`SIDE_MAX`] is reduced to that. Black bars fill a frame if a later picture
//! has another shape than the first one, or if enlarging the first one does not suffice.

use serde::{Deserialize, Serialize};

use crate::plan::media::VideoTrack;
use crate::plan::rational::Rational;

/// Shortest side of a frame in pixels: one macroblock of H.264.
pub const SIDE_MIN: u32 = 16;

/// Longest side of a frame in pixels: 1024 macroblocks. Level 6.2 allows 1055 (H.264, A.3.1).
pub const SIDE_MAX: u32 = 16_384;

/// Most pixels of the longer side of an enlarged picture, so that a thin strip does not become huge.
const ENLARGED_MAX: u32 = 1024;

/// Shapes whose aspects differ by a smaller part are the same: 1080 lines and the 1088 coded lines, or a crop of a few lines, cause no
/// bars.
const TOLERANCE: f64 = 0.02;

/// Size of a coded picture and the shape of its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureShape {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Width of a pixel divided by its height.
    pub sample_aspect: Rational,
}

/// The first picture of a source, which determines its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstPicture {
    /// Shape as displayed.
    pub shape: PictureShape,
    /// Sample aspect that the picture itself signals; `None` if it signals none. The container takes precedence.
    pub signalled: Option<Rational>,
}

/// Position of a picture in a frame. All numbers are even, as 4:2:0 requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pixels of the frame to the left of the picture.
    pub left: u32,
    /// Pixels of the frame above the picture.
    pub top: u32,
}

impl From<&VideoTrack> for PictureShape {
    fn from(video: &VideoTrack) -> Self {
        let VideoTrack { width, height, sample_aspect, .. } = *video;
        Self { width, height, sample_aspect }
    }
}

impl From<&VideoTrack> for FirstPicture {
    fn from(video: &VideoTrack) -> Self {
        Self { shape: PictureShape::from(video), signalled: video.signalled_aspect }
    }
}

impl FirstPicture {
    /// The sample aspect of a later picture of `size` that signals `own`. If the container overrules the first picture, it overrules all
    /// pictures like it. A picture of another size that signals nothing has the container's aspect, or square pixels.
    #[must_use]
    pub fn sample_aspect(
        &self,
        size: (u32, u32),
        own: Option<Rational>,
        container: Option<Rational>,
    ) -> Rational {
        if size != (self.shape.width, self.shape.height) {
            return own.or(container).unwrap_or(Rational { num: 1, den: 1 });
        }
        let changed =
            |own: &Rational| self.signalled.is_none_or(|first| !same(own.as_f64(), first.as_f64()));
        own.filter(changed).unwrap_or(self.shape.sample_aspect)
    }
}

impl PictureShape {
    /// Size of the frames that show pictures of this shape, in square pixels, before rotation.
    #[must_use]
    pub fn frame_size(&self) -> (u32, u32) {
        let (width, height) = self.frame();
        (width.round() as u32, height.round() as u32)
    }

    /// Position of a picture of this shape in a frame of `size` that was made for pictures of the shape `first`.
    #[must_use]
    pub fn place(&self, first: &Self, (width, height): (u32, u32)) -> Place {
        let frame = first.frame();
        let own = if same(self.aspect(), first.aspect()) { first } else { self };
        // Ratio of the picture's aspect to the frame's.
        let wider = own.aspect() / (frame.0 / frame.1);
        let (inner_width, inner_height) = if same(wider, 1.0) {
            (width, height)
        } else if wider > 1.0 {
            (width, even(f64::from(height) / wider, height))
        } else {
            (even(f64::from(width) * wider, width), height)
        };
        let before = |outer: u32, inner: u32| (outer.saturating_sub(inner) / 2) & !1;
        Place {
            width: inner_width,
            height: inner_height,
            left: before(width, inner_width),
            top: before(height, inner_height),
        }
    }

    /// [`Self::frame_size`] before it is rounded.
    fn frame(&self) -> (f64, f64) {
        let (width, height) = self.displayed();
        let (short, long) = (width.min(height), width.max(height));
        let reduced = (f64::from(SIDE_MAX) / long).min(1.0);
        let enough = (f64::from(SIDE_MIN) / short).ceil();
        let enlarged = (f64::from(ENLARGED_MAX) / long).floor().min(enough).max(1.0);
        let side = |pixels: f64| (pixels * reduced * enlarged).max(SIDE_MIN.into());
        (side(width), side(height))
    }

    /// Width divided by height on a screen.
    fn aspect(&self) -> f64 {
        let (width, height) = self.displayed();
        width / height
    }

    /// Width and height in square pixels.
    fn displayed(&self) -> (f64, f64) {
        let aspect = self.sample_aspect.as_f64();
        let aspect = if aspect > 0.0 { aspect } else { 1.0 };
        (f64::from(self.width.max(1)) * aspect, f64::from(self.height.max(1)))
    }
}

fn same(one: f64, other: f64) -> bool {
    (one / other).max(other / one) <= 1.0 + TOLERANCE
}

/// The even number nearest to `pixels`, at least 2 and at most `most`.
fn even(pixels: f64, most: u32) -> u32 {
    ((pixels / 2.0).round() as u32).saturating_mul(2).min(most).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(width: u32, height: u32, (num, den): (i64, i64)) -> PictureShape {
        PictureShape { width, height, sample_aspect: Rational::new(num, den) }
    }

    fn square(width: u32, height: u32) -> PictureShape {
        shape(width, height, (1, 1))
    }

    #[test]
    fn lines_are_kept_and_the_width_follows_the_pixels() {
        for (width, height, aspect, expected) in [
            (720, 576, (64, 45), (1024, 576)),
            (720, 576, (16, 15), (768, 576)),
            (720, 480, (8, 9), (640, 480)),
            (720, 480, (32, 27), (853, 480)),
            (1440, 1080, (4, 3), (1920, 1080)),
            (480, 576, (8, 5), (768, 576)),
            (1920, 1080, (0, 1), (1920, 1080)),
        ] {
            assert_eq!(shape(width, height, aspect).frame_size(), expected, "{width} {aspect:?}");
        }
    }

    #[test]
    fn tiny_pictures_grow_by_a_whole_factor_and_strips_get_bars() {
        for (width, height, expected) in [
            (1, 1, (16, 16)),
            (8, 8, (16, 16)),
            (15, 7, (45, 21)),
            (16, 9, (32, 18)),
            (17, 300, (17, 300)),
            (64, 1, (1024, 16)),
            (1, 300, (16, 900)),
            (2, 2000, (16, 2000)),
            (4096, 8, (4096, 16)),
            (16_384, 16, (16_384, 16)),
            (65_536, 1024, (16_384, 256)),
            (65_536, 16, (16_384, 16)),
        ] {
            assert_eq!(square(width, height).frame_size(), expected, "{width}x{height}");
        }
        let absurd = i64::from(i32::MAX);
        assert_eq!(shape(720, 576, (absurd, 1)).frame_size(), (16_384, 16));
        assert_eq!(shape(1, 1, (1, absurd)).frame_size(), (16, 1024));
    }

    #[test]
    fn a_picture_of_another_shape_is_shown_whole_and_in_its_own_aspect() {
        let wide = square(1920, 1080);
        let place = |shape: PictureShape, first: PictureShape, size| {
            let Place { width, height, left, top } = shape.place(&first, size);
            (width, height, left, top)
        };
        assert_eq!(place(square(640, 480), wide, (1280, 720)), (960, 720, 160, 0));
        assert_eq!(place(square(1280, 544), wide, (1280, 720)), (1280, 544, 0, 88));
        assert_eq!(place(square(1080, 1920), wide, (854, 480)), (270, 480, 292, 0));
        // The same size with other pixels.
        let (narrow, dvd) = (shape(720, 576, (16, 15)), shape(720, 576, (64, 45)));
        assert_eq!(place(narrow, dvd, (1024, 576)), (768, 576, 128, 0));
        assert_eq!(place(dvd, narrow, (768, 576)), (768, 432, 0, 72));
    }

    #[test]
    fn a_shape_that_hardly_differs_fills_the_frame() {
        let first = square(1920, 1080);
        let whole = Place { width: 1280, height: 720, left: 0, top: 0 };
        for other in [
            first,
            square(1920, 1088),
            square(1280, 720),
            square(854, 480),
            shape(1440, 1080, (4, 3)),
        ] {
            assert_eq!(other.place(&first, (1280, 720)), whole, "{other:?}");
        }
        let bars = square(1920, 1120).place(&first, (1280, 720));
        assert_eq!((bars.width, bars.left), (1234, 22));
    }

    #[test]
    fn a_strip_lies_in_the_middle_of_its_frame() {
        let strip = square(2, 2000);
        let place = strip.place(&strip, (16, 2000));
        assert_eq!(place, Place { width: 2, height: 2000, left: 6, top: 0 });
        let thin = square(4096, 8);
        assert_eq!(
            thin.place(&thin, (4096, 16)),
            Place { width: 4096, height: 8, left: 0, top: 4 }
        );
    }

    #[test]
    fn a_change_of_the_pixels_is_told_from_a_container_that_overrules_them() {
        let (wide, narrow) = (Rational::new(64, 45), Rational::new(16, 15));
        let first = |signalled| FirstPicture { shape: shape(720, 576, (64, 45)), signalled };
        let (dvd, hd) = ((720, 576), (1920, 1080));
        let container = Some(wide);
        // The pictures signalled it themselves, then something else.
        assert_eq!(first(Some(wide)).sample_aspect(dvd, Some(narrow), container), narrow);
        assert_eq!(first(Some(wide)).sample_aspect(dvd, Some(narrow), None), narrow);
        assert_eq!(first(Some(wide)).sample_aspect(dvd, None, None), wide);
        // They signal the same as before, and the container overrules them.
        assert_eq!(first(Some(narrow)).sample_aspect(dvd, Some(narrow), container), wide);
        assert_eq!(first(Some(narrow)).sample_aspect(hd, Some(narrow), container), narrow);
        assert_eq!(first(None).sample_aspect((360, 288), None, container), wide);
        assert_eq!(first(None).sample_aspect(hd, None, None), Rational::new(1, 1));
    }
}
