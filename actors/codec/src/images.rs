//! Composes poster, sprite sheets and their WebVTT index from the pictures kept while encoding.
//!
//! Invariants: equal pictures give equal files. The cues cover the video from 0 to its end without gap or overlap. Memory is bounded by one
//! sheet.

use ffmpeg_next::codec::{self, decoder};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{Dictionary, Packet};
use jetreel_domain::codec::wire::{Budget, ImagesJob, Job, PictureRef, Report};
use jetreel_domain::plan::ImagePlan;
use jetreel_domain::plan::thumbnails;
use jetreel_domain::words::reason::{ContentFault, WorkFault};

use crate::correct::SCALER;
use crate::failure::{Outcome, failure, failure_with, internal, own_failure};
use crate::filter::{Graph, Shape};
use crate::jpeg;
use crate::link::Link;
use crate::outlet::Outlet;

/// Percentage of the pictures, from the beginning on, from which the poster is chosen. The rest may show credits.
const POSTER_SHARE: usize = 60;

/// Runs an images job.
pub(crate) fn run(link: &Link, job: &Job, images: &ImagesJob) -> Outcome<Report> {
    if images.pictures.is_empty() {
        return Err(failure(ContentFault::NoPictures));
    }
    let plan = &images.images;
    let per_sheet = thumbnails::tiles(plan);
    let candidates = (images.pictures.len() * POSTER_SHARE).div_ceil(100);
    let mut best: Option<(u64, usize)> = None;
    let mut sprites = Vec::new();
    for (sheet, pictures) in images.pictures.chunks(per_sheet).enumerate() {
        let mut canvas = Canvas::new(plan, pictures.len());
        for (index, picture) in pictures.iter().enumerate() {
            let tile = tile(&fetch(link, picture)?, plan, &job.budget)?;
            canvas.paste(index, &tile)?;
            let number = sheet * per_sheet + index;
            let contrast = contrast(&tile);
            if number < candidates && best.is_none_or(|(most, _)| contrast > most) {
                best = Some((contrast, number));
            }
        }
        let name = thumbnails::sheet(sheet);
        Outlet::whole(link, &name, &jpeg::encode(&canvas.frame)?)?;
        sprites.push(name);
    }
    let poster = best.map_or(0, |(_, number)| number);
    Outlet::whole(link, thumbnails::POSTER, &fetch(link, &images.pictures[poster])?)?;
    Outlet::whole(link, thumbnails::INDEX, thumbnails::index(images).as_bytes())?;
    let (poster, vtt) = (thumbnails::POSTER.to_owned(), thumbnails::INDEX.to_owned());
    Ok(Report::Images { poster, vtt, sprites })
}

fn fetch(link: &Link, picture: &PictureRef) -> Outcome<Vec<u8>> {
    let bytes = link.read(picture.object, picture.offset, picture.bytes)?;
    if bytes.len() == picture.bytes as usize {
        return Ok(bytes);
    }
    Err(failure_with(
        WorkFault::PieceShort,
        format!("{} of {} bytes at {}", bytes.len(), picture.bytes, picture.offset),
    ))
}

/// A picture as a tile of a sheet: 4:4:4, so that it can start at any pixel.
fn tile(jpeg: &[u8], plan: &ImagePlan, budget: &Budget) -> Outcome<Video> {
    let mut picture = decode(jpeg, budget)?;
    // The same planes under the name that scalers prefer. The range is set below.
    if picture.format() != Pixel::YUVJ420P {
        return Err(internal(format!("a stored picture is {:?}", picture.format())));
    }
    picture.set_format(Pixel::YUV420P);
    // The inverse of making the JPEG: full range and BT.601 back to TV range and BT.709.
    let chain = format!(
        "scale={}:{}:flags={SCALER}:in_range=pc:out_range=tv:in_color_matrix=bt601:\
         out_color_matrix=bt709,format=yuv444p",
        plan.tile_width, plan.tile_height,
    );
    let mut graph = Graph::new(Shape::of(&picture), &chain)?;
    graph.push(Some(&picture))?;
    let mut tile = Video::empty();
    if graph.pull(&mut tile)? { Ok(tile) } else { Err(internal("a filter kept a picture")) }
}

fn decode(jpeg: &[u8], budget: &Budget) -> Outcome<Video> {
    let found =
        decoder::find(codec::Id::MJPEG).ok_or_else(|| internal("there is no JPEG decoder"))?;
    let mut options = Dictionary::new();
    options.set("threads", "1");
    options.set("max_pixels", &budget.pixels_max.to_string());
    let mut decoder = codec::Context::new_with_codec(found)
        .decoder()
        .open_as_with(found, options)
        .and_then(decoder::Opened::video)
        .map_err(|error| own_failure(error, "open a JPEG decoder"))?;
    let mut picture = Video::empty();
    decoder
        .send_packet(&Packet::copy(jpeg))
        .and_then(|()| decoder.send_eof())
        .and_then(|()| decoder.receive_frame(&mut picture))
        .map_err(|error| own_failure(error, "decode a stored picture"))?;
    Ok(picture)
}

/// Variance of the luma, times the square of the number of pixels: 0 for a black or flat picture.
fn contrast(tile: &Video) -> u64 {
    let width = tile.width() as usize;
    let (mut sum, mut squares, mut count) = (0_u64, 0_u64, 0_u64);
    let rows = tile.data(0).chunks(tile.stride(0)).take(tile.height() as usize);
    for luma in rows.flat_map(|row| row.iter().take(width)) {
        let luma = u64::from(*luma);
        sum += luma;
        squares += luma * luma;
        count += 1;
    }
    (count * squares).saturating_sub(sum * sum)
}

/// A sheet of tiles.
struct Canvas {
    frame: Video,
    columns: usize,
    tile: (usize, usize),
}

impl Canvas {
    /// A black sheet for `tiles` tiles, as small as possible.
    fn new(plan: &ImagePlan, tiles: usize) -> Self {
        let (columns, rows) = thumbnails::shape(plan, tiles);
        let tile = (plan.tile_width as usize, plan.tile_height as usize);
        let size = ((tile.0 * columns) as u32, (tile.1 * rows) as u32);
        let mut frame = Video::new(Pixel::YUV444P, size.0, size.1);
        for (plane, black) in [16, 128, 128].into_iter().enumerate() {
            frame.data_mut(plane).fill(black);
        }
        Self { frame, columns, tile }
    }

    fn paste(&mut self, index: usize, tile: &Video) -> Outcome<()> {
        let (width, height) = self.tile;
        if (tile.width() as usize, tile.height() as usize) != (width, height) {
            return Err(internal("a tile has another size than planned"));
        }
        let (left, top) = (index % self.columns * width, index / self.columns * height);
        for plane in 0..3 {
            let (from, to) = (tile.stride(plane), self.frame.stride(plane));
            let sheet = self.frame.data_mut(plane);
            let rows = tile.data(plane).chunks(from).zip(sheet.chunks_mut(to).skip(top));
            for (source, target) in rows.take(height) {
                target[left..left + width].copy_from_slice(&source[..width]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: ImagePlan =
        ImagePlan { tier: 0, interval: 0, tile_width: 5, tile_height: 3, columns: 2, rows: 2 };

    fn flat(luma: u8) -> Video {
        let mut tile = Video::new(Pixel::YUV444P, PLAN.tile_width, PLAN.tile_height);
        for plane in 0..3 {
            tile.data_mut(plane).fill(luma);
        }
        tile
    }

    #[test]
    fn tiles_land_where_the_index_says_also_at_odd_sizes() {
        let mut canvas = Canvas::new(&PLAN, 3);
        for (index, luma) in [50, 100, 150].into_iter().enumerate() {
            canvas.paste(index, &flat(luma)).unwrap();
        }
        assert_eq!((canvas.frame.width(), canvas.frame.height()), (10, 6));
        let stride = canvas.frame.stride(0);
        let at = |x: usize, y: usize| canvas.frame.data(0)[y * stride + x];
        assert_eq!([at(4, 2), at(5, 2), at(4, 3), at(5, 3)], [50, 100, 150, 16]);
    }

    #[test]
    fn flat_pictures_have_no_contrast() {
        assert_eq!(contrast(&flat(200)), 0);
        let mut tile = flat(16);
        tile.data_mut(0)[0] = 235;
        assert!(contrast(&tile) > 0);
    }
}
