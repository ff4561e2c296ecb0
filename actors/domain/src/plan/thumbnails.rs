//! Files of an images task: their names, their sizes, and the index that gives the position of each picture.
//!
//! Invariant: everything except the pixels follows from the job, so the node knows it without asking the codec.

use std::fmt::Write as _;

use crate::codec::wire::ImagesJob;
use crate::plan::ImagePlan;

/// File name of the poster.
pub const POSTER: &str = "poster.jpg";
/// File name of the index (WebVTT).
pub const INDEX: &str = "thumbnails.vtt";

/// A sprite sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// File name.
    pub name: String,
    pub pixels: u64,
}

/// Number of tiles of a full sheet.
#[must_use]
pub fn tiles(plan: &ImagePlan) -> usize {
    plan.columns.max(1) as usize * plan.rows.max(1) as usize
}

/// Columns and rows of a sheet of `tiles` tiles, as small as possible.
#[must_use]
pub fn shape(plan: &ImagePlan, tiles: usize) -> (usize, usize) {
    let columns = (plan.columns.max(1) as usize).min(tiles.max(1));
    (columns, tiles.div_ceil(columns).max(1))
}

/// File name of a sheet.
#[must_use]
pub fn sheet(number: usize) -> String {
    format!("sprite-{number:03}.jpg")
}

/// Whether a file name is a sheet's.
#[must_use]
pub fn is_sheet_name(name: &str) -> bool {
    let number = name.strip_prefix("sprite-").and_then(|rest| rest.strip_suffix(".jpg"));
    number.and_then(|number| number.parse().ok()).is_some_and(|number| sheet(number) == name)
}

/// All sheets, in order.
pub fn sheets(job: &ImagesJob) -> impl Iterator<Item = Sheet> {
    let plan = job.images;
    job.pictures.chunks(tiles(&plan)).enumerate().map(move |(number, pictures)| {
        let (columns, rows) = shape(&plan, pictures.len());
        let width = columns as u64 * u64::from(plan.tile_width);
        let height = rows as u64 * u64::from(plan.tile_height);
        Sheet { name: sheet(number), pixels: width * height }
    })
}

/// The WebVTT file. Its cues cover the video from 0 to its end without gap or overlap.
#[must_use]
pub fn index(job: &ImagesJob) -> String {
    let plan = &job.images;
    let (tiles, columns) = (tiles(plan), plan.columns.max(1) as usize);
    let mut vtt = "WEBVTT\n".to_owned();
    for (number, picture) in job.pictures.iter().enumerate() {
        let next = job.pictures.get(number + 1).map_or(job.end, |picture| picture.pts);
        let start = if number == 0 { 0 } else { picture.pts };
        let (start, end) = (clock(start, job.timescale), clock(next, job.timescale));
        let place = number % tiles;
        let left = place % columns * plan.tile_width as usize;
        let top = place / columns * plan.tile_height as usize;
        let (width, height) = (plan.tile_width, plan.tile_height);
        let file = sheet(number / tiles);
        // Writing to a string cannot fail.
        write!(vtt, "\n{start} --> {end}\n{file}#xywh={left},{top},{width},{height}\n")
            .unwrap_or_default();
    }
    vtt
}

/// `HH:MM:SS.mmm` of `ticks`.
fn clock(ticks: i64, timescale: u32) -> String {
    let milliseconds = i128::from(ticks.max(0)) * 1000 / i128::from(timescale.max(1));
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::wire::PictureRef;

    const PLAN: ImagePlan =
        ImagePlan { tier: 0, interval: 0, tile_width: 5, tile_height: 3, columns: 2, rows: 2 };

    #[test]
    fn cues_cover_the_video_and_point_at_tiles() {
        let picture = |pts| PictureRef { object: 0, offset: 0, bytes: 1, pts };
        let job = ImagesJob {
            images: PLAN,
            timescale: 1000,
            end: 3_725_500,
            pictures: [40, 2000, 4000, 6000, 8000].map(picture).to_vec(),
        };
        let vtt = index(&job);
        assert!(
            vtt.starts_with(
                "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nsprite-000.jpg#xywh=0,0,5,3\n"
            )
        );
        assert!(vtt.contains("00:00:06.000 --> 00:00:08.000\nsprite-000.jpg#xywh=5,3,5,3\n"));
        assert!(vtt.ends_with("00:00:08.000 --> 01:02:05.500\nsprite-001.jpg#xywh=0,0,5,3\n"));
        let sheets: Vec<Sheet> = sheets(&job).collect();
        let sheet = |name: &str, pixels| Sheet { name: name.to_owned(), pixels };
        assert_eq!(sheets, [sheet("sprite-000.jpg", 60), sheet("sprite-001.jpg", 15)]);
    }
}
