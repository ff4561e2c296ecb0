//! A progressive MP4 from the fragments of a picture track and a sound track: samples are copied, nothing is encoded.
//!
//! Invariants: the index stands before the samples; presentation times are those of the fragments, tick for tick (edit lists
//! carry what the tables cannot); equal tracks give equal files; memory depends on the number of samples, not on their bytes.

use jetreel_domain::wire::{FailureCode, Job, PackageJob, Report};
use mp4_atom::{Co64, ElstEntry, FixedPoint, FourCC, Ftyp, Stco};

use crate::failure::{Outcome, failure_with, internal};
use crate::link::Link;
use crate::movie::{self, Track};
use crate::outlet::Outlet;
use crate::table::{Payload, Table};
use crate::verify;

/// Bytes of one range read at most.
const READ_BYTES: u64 = 1 << 20;
/// Track ids of a file.
const VIDEO: u32 = 1;
const AUDIO: u32 = 2;

/// Does a package job.
pub(crate) fn run(link: &Link, job: &Job, package: &PackageJob) -> Outcome<Report> {
    let mut tracks = vec![(VIDEO, Table::read(link, &package.video)?)];
    if let Some(audio) = &package.audio {
        tracks.push((AUDIO, Table::read(link, audio)?));
    }
    let chunks = interleave(&tracks);
    let header = header(&tracks, &chunks)?;
    let mut outlet = Outlet::new(link, &package.name);
    outlet.write(&header)?;
    for (_, payload) in &chunks {
        copy(link, payload, &mut outlet)?;
    }
    let size = outlet.written();
    outlet.finish()?;
    let verified = if package.verify {
        let payloads = chunks.iter().map(|(_, payload)| *payload);
        let file = verify::File::new(link.clone(), header, payloads);
        if file.size() != size {
            return Err(internal(format!("{size} bytes written instead of {}", file.size())));
        }
        let timescale = tracks[0].1.timescale;
        Some(verify::decode(link, file, timescale, &job.budget)?)
    } else {
        None
    };
    Ok(Report::Package { verified })
}

/// The chunks of all tracks, each with its track's id, in order of time.
fn interleave(tracks: &[(u32, Table)]) -> Vec<(u32, Payload)> {
    let mut chunks: Vec<(u32, Payload, u32)> = Vec::new();
    for (id, table) in tracks {
        chunks.extend(table.payloads.iter().map(|payload| (*id, *payload, table.timescale)));
    }
    let order = |(id, a, a_scale): &(u32, Payload, u32),
                 (other, b, b_scale): &(u32, Payload, u32)| {
        let left = i128::from(a.start) * i128::from(*b_scale);
        left.cmp(&(i128::from(b.start) * i128::from(*a_scale))).then_with(|| id.cmp(other))
    };
    chunks.sort_by(order);
    chunks.into_iter().map(|(id, payload, _)| (id, payload)).collect()
}

/// Everything before the samples.
fn header(tracks: &[(u32, Table)], chunks: &[(u32, Payload)]) -> Outcome<Vec<u8>> {
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"isom"),
        minor_version: 512,
        compatible_brands: [b"isom", b"iso2", b"avc1", b"mp41"].map(FourCC::new).to_vec(),
    };
    let ftyp = movie::bytes(&ftyp)?;
    let payload: u64 = chunks.iter().map(|(_, payload)| payload.bytes).sum();
    let timescale = movie_timescale(tracks);
    let mut traks = Vec::with_capacity(tracks.len());
    for (id, table) in tracks {
        traks.push(track(*id, table, timescale));
    }
    // Offsets of either width are known only when their own size is.
    for wide in [false, true] {
        place(&mut traks, chunks, 0, wide)?;
        let mdat = mdat_header(payload, wide)?;
        let Some(mdat) = mdat else { continue };
        let length = ftyp.len() + movie::moov(timescale, &traks, false)?.len() + mdat.len();
        let total = length as u64 + payload;
        if !wide && total > u64::from(u32::MAX) {
            continue;
        }
        place(&mut traks, chunks, length as u64, wide)?;
        return Ok([ftyp, movie::moov(timescale, &traks, false)?, mdat].concat());
    }
    Err(internal("no header fits the file"))
}

/// The header of the `mdat`; `None` where it needs the wide form.
fn mdat_header(payload: u64, wide: bool) -> Outcome<Option<Vec<u8>>> {
    if wide {
        let size = payload + 16;
        return Ok(Some([&1_u32.to_be_bytes()[..], b"mdat", &size.to_be_bytes()].concat()));
    }
    Ok(u32::try_from(payload + 8).ok().map(|size| [&size.to_be_bytes()[..], b"mdat"].concat()))
}

/// Writes into the tracks where their chunks lie, the first one at `offset`.
fn place(tracks: &mut [Track], chunks: &[(u32, Payload)], offset: u64, wide: bool) -> Outcome<()> {
    for track in tracks {
        let mut places = Vec::new();
        let mut next = offset;
        for (id, payload) in chunks {
            if *id == track.id {
                places.push(next);
            }
            next += payload.bytes;
        }
        let narrow = places.iter().map(|place| u32::try_from(*place).ok()).collect();
        (track.stbl.stco, track.stbl.co64) = match (wide, narrow) {
            (true, _) => (None, Some(Co64 { entries: places })),
            // Replaced by wide offsets before the file is written.
            (false, None) => (Some(Stco { entries: vec![0; places.len()] }), None),
            (false, Some(entries)) => (Some(Stco { entries }), None),
        };
    }
    Ok(())
}

fn track(id: u32, table: &Table, timescale: u32) -> Track {
    let scale = |ticks: u64| {
        let scaled = u128::from(ticks) * u128::from(timescale);
        let own = u128::from(table.timescale.max(1));
        u64::try_from((scaled + own / 2) / own).unwrap_or(u64::MAX)
    };
    let rate = FixedPoint::from(1);
    let start = scale(table.start.unsigned_abs());
    let duration = scale(table.duration());
    let shift = table.shift().unsigned_abs();
    let mut edits = Vec::new();
    if start > 0 {
        edits.push(ElstEntry { segment_duration: start, media_time: None, media_rate: rate });
    }
    if start > 0 || shift > 0 {
        let media_time = Some(shift);
        edits.push(ElstEntry { segment_duration: duration, media_time, media_rate: rate });
    }
    Track {
        id,
        timescale: table.timescale,
        duration: table.duration(),
        movie_duration: start + duration,
        stbl: table.boxes(),
        edits,
    }
}

/// Ticks per second of the movie in which every track's start is a whole number of ticks; the picture's where none fits.
fn movie_timescale(tracks: &[(u32, Table)]) -> u32 {
    let scales = tracks.iter().map(|(_, table)| table.timescale.max(1));
    let common = scales.clone().try_fold(1_u32, |common, scale| {
        let product = u64::from(common / divisor(common, scale)) * u64::from(scale);
        u32::try_from(product).ok()
    });
    common.or_else(|| scales.clone().next()).unwrap_or(1000)
}

fn divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { divisor(b, a % b) }
}

fn copy(link: &Link, payload: &Payload, outlet: &mut Outlet<'_>) -> Outcome<()> {
    let mut done = 0;
    while done < payload.bytes {
        let length = (payload.bytes - done).min(READ_BYTES) as u32;
        let bytes = link.read(payload.object, payload.offset + done, length)?;
        if bytes.len() != length as usize {
            return Err(failure_with(
                FailureCode::SourceUnavailable,
                "A stored segment is incomplete.",
                format!("object {} ends before {}", payload.object, payload.offset + done),
            ));
        }
        outlet.write(&bytes)?;
        done += u64::from(length);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrow_header_ends_where_32_bits_end() {
        let narrow = mdat_header(u64::from(u32::MAX) - 8, false).unwrap().unwrap();
        assert_eq!(narrow, [0xff, 0xff, 0xff, 0xff, b'm', b'd', b'a', b't']);
        assert_eq!(mdat_header(u64::from(u32::MAX) - 7, false).unwrap(), None);
        assert_eq!(mdat_header(1 << 33, true).unwrap().unwrap().len(), 16);
    }

    #[test]
    fn a_common_timescale_is_found_where_there_is_one() {
        assert_eq!(divisor(15_360, 48_000), 960);
        assert_eq!(divisor(7, 0), 7);
    }
}
