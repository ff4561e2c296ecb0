//! Reads sample tables of a track from its fragments.
//!
//! Invariants: decode times ascend strictly and payloads are exactly as long as their samples, or the track is refused. A table takes 16
//! bytes per sample, whatever the size of the samples.

use jetreel_domain::codec::wire::{PackageTrack, Segment};
use jetreel_domain::words::reason::WorkFault;
use mp4_atom::{
    Atom, Codec, Ctts, CttsEntry, Decode, Ftyp, Header, Moof, Moov, Stbl, Stsc, StscEntry, Stsd,
    Stss, Stsz, StszSamples, Stts, SttsEntry, Tfhd,
};

use crate::failure::{Outcome, failure_with};
use crate::link::Link;
use crate::movie::{UNDETERMINED, refused};

/// `sample_is_non_sync_sample` of the sample flags (ISO/IEC 14496-12, 8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;
/// Bytes before the payload of an `mdat` that Jetreel writes.
const MDAT_HEADER: u32 = 8;

/// One sample.
#[derive(Debug, Clone, Copy)]
struct Entry {
    size: u32,
    /// Ticks to the next sample.
    delta: u32,
    /// Presentation time minus decode time.
    offset: i32,
    sync: bool,
}

/// The payload of a fragment: the contiguous samples of a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    /// Index into the job's objects.
    pub object: u32,
    /// Offset of the first byte.
    pub offset: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Decode time of its first sample.
    pub start: i64,
    samples: u32,
}

/// A track, read from its fragments.
pub(crate) struct Table {
    /// Its only sample entry.
    entry: Codec,
    /// Ticks per second.
    pub timescale: u32,
    /// ISO 639-2 code of its language.
    pub language: String,
    /// Its chunks in order.
    pub payloads: Vec<Payload>,
    /// Decode time of the first sample, which is also the track's first presentation time.
    pub start: i64,
    /// Ticks by which composition times lie behind presentation times.
    shift: i64,
    entries: Vec<Entry>,
}

/// A code that a media header can hold: three letters with five bits each.
fn language(code: &str) -> String {
    let holds = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_lowercase());
    if holds { code } else { UNDETERMINED }.to_owned()
}

impl Table {
    /// Reads the headers of all fragments.
    pub(crate) fn read(link: &Link, track: &PackageTrack) -> Outcome<Self> {
        let mut rest = track.init.as_slice();
        Ftyp::decode(&mut rest).map_err(refused)?;
        let mut moov = Moov::decode(&mut rest).map_err(refused)?;
        let trak = moov.trak.pop().ok_or_else(|| refused("an initialisation without a track"))?;
        let mut codecs = trak.mdia.minf.stbl.stsd.codecs;
        let entry = codecs.pop().ok_or_else(|| refused("a track without a sample entry"))?;
        let edits = trak.edts.and_then(|edts| edts.elst).map(|elst| elst.entries);
        let shift = edits.and_then(|edits| edits.first()?.media_time).unwrap_or(0);
        let mut table = Self {
            entry,
            timescale: trak.mdia.mdhd.timescale,
            language: language(&track.language),
            payloads: Vec::with_capacity(track.segments.len()),
            start: 0,
            shift: i64::try_from(shift).map_err(refused)?,
            entries: Vec::new(),
        };
        let mut end = 0;
        for (object, segment) in &track.segments {
            let moof = header(link, *object, segment)?;
            table.append(*object, segment, &moof, &mut end)?;
        }
        if table.entries.is_empty() {
            return Err(refused("a track without samples"));
        }
        Ok(table)
    }

    /// Ticks from the first sample to the end of the last.
    pub(crate) fn duration(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.delta)).sum()
    }

    /// Ticks by which composition times lie behind presentation times in a file without negative offsets.
    pub(crate) fn shift(&self) -> i64 {
        self.shift + self.lift()
    }

    /// Ticks to add to all offsets so that none is negative.
    fn lift(&self) -> i64 {
        let earliest = self.entries.iter().map(|entry| entry.offset).min().unwrap_or(0);
        i64::from(earliest.min(0)).abs()
    }

    /// The tables of a progressive file without the positions of the chunks.
    pub(crate) fn boxes(&self) -> Stbl {
        let lift = self.lift();
        let count = self.entries.len() as u32;
        let deltas = runs(self.entries.iter().map(|entry| entry.delta));
        let offsets = runs(self.entries.iter().map(|entry| i64::from(entry.offset) + lift));
        let syncs = (1..).zip(&self.entries).filter(|(_, entry)| entry.sync);
        let syncs: Vec<u32> = syncs.map(|(number, _)| number).collect();
        let in_order = offsets.iter().all(|(_, offset)| *offset == 0);
        let offsets = offsets
            .into_iter()
            .map(|(sample_count, sample_offset)| CttsEntry { sample_count, sample_offset });
        let deltas = deltas
            .into_iter()
            .map(|(sample_count, sample_delta)| SttsEntry { sample_count, sample_delta });
        Stbl {
            stsd: Stsd { codecs: vec![self.entry.clone()] },
            stts: Stts { entries: deltas.collect() },
            ctts: (!in_order).then(|| Ctts { entries: offsets.collect() }),
            stss: (syncs.len() as u32 != count).then_some(Stss { entries: syncs }),
            stsc: Stsc { entries: chunks(&self.payloads) },
            stsz: Stsz {
                samples: StszSamples::Different {
                    sizes: self.entries.iter().map(|entry| entry.size).collect(),
                },
            },
            ..Stbl::default()
        }
    }

    fn append(
        &mut self,
        object: u32,
        segment: &Segment,
        moof: &Moof,
        end: &mut i64,
    ) -> Outcome<()> {
        let [traf] = moof.traf.as_slice() else {
            return Err(refused("a fragment of more than one track"));
        };
        let start = traf.tfdt.as_ref().map_or(0, |tfdt| tfdt.base_media_decode_time);
        let start = i64::try_from(start).map_err(refused)?;
        match self.entries.last_mut() {
            None => self.start = start,
            // The last sample lasts until this one: segments need not be contiguous.
            Some(last) => {
                let delta = start - (*end - i64::from(last.delta));
                last.delta =
                    u32::try_from(delta).ok().filter(|delta| *delta > 0).ok_or_else(|| {
                        refused(format!("a fragment at {start} after one that ends at {end}"))
                    })?;
            }
        }
        let first = self.entries.len();
        for run in &traf.trun {
            for sample in &run.samples {
                self.entries.push(resolve(&traf.tfhd, sample)?);
            }
        }
        let added = &self.entries[first..];
        let bytes: u64 = added.iter().map(|entry| u64::from(entry.size)).sum();
        let head = u64::from(segment.header_bytes + MDAT_HEADER);
        if added.is_empty() || head + bytes != segment.bytes {
            return Err(refused(format!("{bytes} bytes of samples in {segment:?}")));
        }
        *end = start + added.iter().map(|entry| i64::from(entry.delta)).sum::<i64>();
        let samples = added.len() as u32;
        let offset = segment.offset + head;
        self.payloads.push(Payload { object, offset, bytes, start, samples });
        Ok(())
    }
}

/// The `moof` of a segment. Also checks the following `mdat`.
fn header(link: &Link, object: u32, segment: &Segment) -> Outcome<Moof> {
    let length = segment.header_bytes.saturating_add(MDAT_HEADER);
    let bytes = link.read(object, segment.offset, length)?;
    if bytes.len() != length as usize {
        return Err(failure_with(
            WorkFault::PieceShort,
            format!("object {object} ends at {}", segment.offset + bytes.len() as u64),
        ));
    }
    let mut rest = bytes.as_slice();
    let moof = Moof::decode(&mut rest).map_err(refused)?;
    let mdat = Header::decode(&mut rest).map_err(refused)?;
    if mdat.kind == mp4_atom::Mdat::KIND && rest.is_empty() {
        return Ok(moof);
    }
    Err(refused(format!("no samples behind the header of {segment:?}")))
}

/// A sample with the defaults of its fragment.
fn resolve(defaults: &Tfhd, sample: mp4_atom::TrunEntry) -> Outcome<Entry> {
    let missing = || refused("a sample without size, duration or flags");
    let flags = sample.flags.or(defaults.default_sample_flags).ok_or_else(missing)?;
    Ok(Entry {
        size: sample.size.or(defaults.default_sample_size).ok_or_else(missing)?,
        delta: sample.duration.or(defaults.default_sample_duration).ok_or_else(missing)?,
        offset: i32::try_from(sample.cts.unwrap_or(0)).map_err(refused)?,
        sync: flags & NON_SYNC == 0,
    })
}

/// Runs of equal values as (count, value).
fn runs<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<(u32, T)> {
    let mut runs: Vec<(u32, T)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((count, last)) if *last == value => *count += 1,
            Some(_) | None => runs.push((1, value)),
        }
    }
    runs
}

fn chunks(payloads: &[Payload]) -> Vec<StscEntry> {
    let mut first_chunk = 1;
    let mut entries = Vec::new();
    for (count, samples_per_chunk) in runs(payloads.iter().map(|payload| payload.samples)) {
        entries.push(StscEntry { first_chunk, samples_per_chunk, sample_description_index: 1 });
        first_chunk += count;
    }
    entries
}
