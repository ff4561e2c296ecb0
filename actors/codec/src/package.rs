//! Makes a progressive MP4 from the fragments of a picture track and an audio track. Samples are copied; nothing is encoded.
//!
//! Invariants: the index precedes the samples. Presentation times are those of the fragments, tick for tick (edit lists carry what the
//! tables cannot). Equal tracks give equal files. Memory depends on the number of samples, not on their bytes.

use jetreel_domain::codec::wire::{Job, PackageJob, Report};
use jetreel_domain::words::reason::WorkFault;
use mp4_atom::{Co64, ElstEntry, FixedPoint, FourCC, Ftyp, Stco};

use crate::failure::{Outcome, failure_with, internal};
use crate::link::Link;
use crate::movie::{self, Track};
use crate::outlet::Outlet;
use crate::table::{Payload, Table};
use crate::verify;

/// Largest range read in bytes.
const READ_BYTES: u64 = 1 << 20;
/// Track ids of a file.
const VIDEO: u32 = 1;
const AUDIO: u32 = 2;

/// Runs a package job.
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

/// The chunks of all tracks in order of time, each with its track's id.
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
    // The width of the offsets depends on the size of the header that contains them.
    for wide in [false, true] {
        place(&mut traks, chunks, 0, wide);
        let Some(mdat) = mdat_header(payload, wide) else { continue };
        let length = ftyp.len() + movie::moov(timescale, &traks, false)?.len() + mdat.len();
        let total = length as u64 + payload;
        if !wide && total > u64::from(u32::MAX) {
            continue;
        }
        place(&mut traks, chunks, length as u64, wide);
        return Ok([ftyp, movie::moov(timescale, &traks, false)?, mdat].concat());
    }
    Err(internal("no header fits the file"))
}

/// The header of the `mdat`; `None` if it needs the wide form.
fn mdat_header(payload: u64, wide: bool) -> Option<Vec<u8>> {
    if wide {
        let size = payload + 16;
        return Some([&1_u32.to_be_bytes()[..], b"mdat", &size.to_be_bytes()].concat());
    }
    u32::try_from(payload + 8).ok().map(|size| [&size.to_be_bytes()[..], b"mdat"].concat())
}

/// Writes the positions of their chunks into the tracks, the first one at `offset`.
fn place(tracks: &mut [Track], chunks: &[(u32, Payload)], offset: u64, wide: bool) {
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
        language: table.language.clone(),
    }
}

/// Ticks per second of the movie in which every track's start is a whole number of ticks. The picture's if none fits.
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
                WorkFault::PieceShort,
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
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
    use std::os::unix::net::UnixStream;

    use jetreel_domain::codec::wire::{FromCodec, PackageTrack, Segment, ToCodec};
    use mp4_atom::{Decode as _, Moov};

    use super::*;
    use crate::mux::{self, Sample};

    /// Answers reads of `objects` until the codec closes the socket, and returns the outputs' bytes.
    fn parent(mut socket: UnixStream, objects: &[Vec<u8>]) -> Vec<u8> {
        let mut written = Vec::new();
        let mut length = [0; 4];
        while socket.read_exact(&mut length).is_ok() {
            let mut body = vec![0; u32::from_be_bytes(length) as usize];
            socket.read_exact(&mut body).unwrap();
            let message: FromCodec = rmp_serde::from_slice(&body).unwrap();
            if let FromCodec::Read { object, offset, length } = message {
                let bytes = &objects[object as usize][offset as usize..][..length as usize];
                let answer = ToCodec::Bytes(bytes.to_vec().into());
                let body = rmp_serde::to_vec_named(&answer).unwrap();
                socket.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
                socket.write_all(&body).unwrap();
            } else if let FromCodec::Output { bytes, .. } = message {
                written.extend(bytes.into_vec());
            }
        }
        written
    }

    /// A track of fragments in one object.
    fn stored(
        init: Vec<u8>,
        object: u32,
        shift: u32,
        fragments: &[Vec<Sample>],
    ) -> (PackageTrack, Vec<u8>) {
        let (mut segments, mut bytes) = (Vec::new(), Vec::new());
        for samples in fragments {
            let (fragment, header_bytes) = mux::fragment(1, mux::TRACK, shift, samples).unwrap();
            let offset = bytes.len() as u64;
            let (start, frames) = (samples[0].pts, samples.len() as u32);
            let length = fragment.len() as u64;
            let segment =
                Segment { offset, bytes: length, header_bytes, start, duration: 0, frames };
            segments.push((object, segment));
            bytes.extend(fragment);
        }
        let language = String::new();
        (PackageTrack { init: init.into(), language, segments }, bytes)
    }

    fn sample(pts: i64, duration: u32, sync: bool) -> Sample {
        Sample { pts, duration, sync, data: pts.to_be_bytes().to_vec() }
    }

    fn packaged() -> (Vec<u8>, Vec<u8>, Moov) {
        // Pictures begin at tick 50 in the order I P B; the second fragment starts 5 ticks late.
        let group =
            |at| vec![sample(at, 10, true), sample(at + 20, 10, false), sample(at + 10, 10, false)];
        let avcc = [1, 0x42, 0, 0x1f, 0xff, 0xe1, 0, 1, 0x67, 1, 0, 1, 0x68];
        let clock = mux::Clock { timescale: 100, shift: 10 };
        let init = mux::video_init(16, 16, clock, &avcc).unwrap();
        let (video, pictures) = stored(init, 0, 10, &[group(50), group(85)]);
        let units = |at: i64| (0..2).map(|n| sample(at + n * 1024, 1024, true)).collect();
        let init = mux::audio_init(8000, 1, 64_000, &[0x15, 0x88]).unwrap();
        let (audio, sound) = stored(init, 1, 0, &[units(0), units(2048), units(4096)]);
        let audio = PackageTrack { language: "deu".to_owned(), ..audio };
        let package =
            PackageJob { name: "x.mp4".to_owned(), video, audio: Some(audio), verify: false };
        let (codec, socket) = UnixStream::pair().unwrap();
        let objects = vec![pictures, sound];
        let thread = std::thread::spawn(move || parent(socket, &objects));
        let link = Link::new(codec);
        let tracks = [
            (VIDEO, Table::read(&link, &package.video).unwrap()),
            (AUDIO, Table::read(&link, package.audio.as_ref().unwrap()).unwrap()),
        ];
        let chunks = interleave(&tracks);
        let header = header(&tracks, &chunks).unwrap();
        let mut outlet = Outlet::new(&link, "x.mp4");
        outlet.write(&header).unwrap();
        for (_, payload) in &chunks {
            copy(&link, payload, &mut outlet).unwrap();
        }
        outlet.finish().unwrap();
        let payloads = chunks.iter().map(|(_, payload)| *payload);
        let mut file = verify::File::new(link.clone(), header.clone(), payloads);
        let mut view = Vec::new();
        file.read_to_end(&mut view).unwrap();
        file.seek(SeekFrom::End(-8)).unwrap();
        let mut tail = [0; 8];
        file.read_exact(&mut tail).unwrap();
        assert!(view.ends_with(&tail));
        drop((link, file));
        let mut rest = header.as_slice();
        Ftyp::decode(&mut rest).unwrap();
        (thread.join().unwrap(), view, Moov::decode(&mut rest).unwrap())
    }

    #[test]
    fn every_chunk_lies_where_the_index_says_and_in_order_of_time() {
        let (written, view, moov) = packaged();
        assert_eq!(written, view);
        let places = |track: usize| {
            let stbl = &moov.trak[track].mdia.minf.stbl;
            stbl.stco.as_ref().unwrap().entries.clone()
        };
        let first = |place: u32| {
            let place = place as usize;
            i64::from_be_bytes(written[place..place + 8].try_into().unwrap())
        };
        let (video, audio) = (places(0), places(1));
        assert_eq!(video.iter().map(|place| first(*place)).collect::<Vec<_>>(), [50, 85]);
        assert_eq!(audio.iter().map(|place| first(*place)).collect::<Vec<_>>(), [0, 2048, 4096]);
        // 0 s, 0.256 s, 0.5 s, 0.512 s, 0.85 s.
        assert!(audio[0] < audio[1] && audio[1] < video[0]);
        assert!(video[0] < audio[2] && audio[2] < video[1]);
    }

    #[test]
    fn presentation_times_survive_in_tables_and_edits() {
        let moov = packaged().2;
        assert_eq!(moov.mvhd.timescale, 8000);
        let stbl = &moov.trak[0].mdia.minf.stbl;
        let deltas: Vec<_> =
            stbl.stts.entries.iter().map(|run| (run.sample_count, run.sample_delta)).collect();
        assert_eq!(deltas, [(2, 10), (1, 15), (3, 10)]);
        let offsets: Vec<_> = stbl.ctts.as_ref().unwrap().entries.iter().collect();
        let offsets: Vec<_> = offsets.iter().map(|run| run.sample_offset).collect();
        assert_eq!(offsets, [10, 20, 0, 10, 20, 0]);
        assert_eq!(stbl.stss.as_ref().unwrap().entries, [1, 4]);
        let edits = &moov.trak[0].edts.as_ref().unwrap().elst.as_ref().unwrap().entries;
        let edits: Vec<_> =
            edits.iter().map(|edit| (edit.segment_duration, edit.media_time)).collect();
        assert_eq!(edits, [(50 * 80, None), (65 * 80, Some(10))]);
        assert!(moov.trak[1].edts.is_none());
        assert!(moov.trak[1].mdia.minf.stbl.stss.is_none());
    }

    #[test]
    fn the_sound_has_its_language() {
        let moov = packaged().2;
        let languages = moov.trak.iter().map(|trak| trak.mdia.mdhd.language.as_str());
        assert_eq!(languages.collect::<Vec<_>>(), ["und", "deu"]);
    }

    #[test]
    fn the_narrow_header_ends_where_32_bits_end() {
        let narrow = mdat_header(u64::from(u32::MAX) - 8, false).unwrap();
        assert_eq!(narrow, [0xff, 0xff, 0xff, 0xff, b'm', b'd', b'a', b't']);
        assert_eq!(mdat_header(u64::from(u32::MAX) - 7, false), None);
        assert_eq!(mdat_header(1 << 33, true).unwrap().len(), 16);
    }

    #[test]
    fn a_common_timescale_is_found_where_there_is_one() {
        assert_eq!(divisor(15_360, 48_000), 1920);
        assert_eq!(divisor(7, 0), 7);
    }
}
