//! Movie boxes (`moov`), shared by initialisation segments and progressive files.
//!
//! Boxes are in the order that ISO/IEC 14496-12 recommends (headers first). The sample entries are the same bytes in a fragmented and in a
//! progressive file.

use std::fmt::Display;

use jetreel_domain::codec::wire::{CodecFailure, FailureCode};
use mp4_atom::{
    Codec, Dinf, Dref, Edts, Elst, ElstEntry, Encode, FixedPoint, FourCC, Hdlr, Mdhd, Mvex, Mvhd,
    Smhd, Stbl, Stsd, Tkhd, Trex, Url, Vmhd,
};

/// One track of a movie.
pub(crate) struct Track {
    /// Track id; not 0.
    pub id: u32,
    /// Media ticks per second.
    pub timescale: u32,
    /// Media ticks from the first sample to the end of the last; 0 if the samples are in fragments.
    pub duration: u64,
    /// The duration with all edits, in ticks of the movie.
    pub movie_duration: u64,
    /// Sample tables with exactly one sample entry.
    pub stbl: Stbl,
    /// Edit list; empty if there is none.
    pub edits: Vec<ElstEntry>,
    /// ISO 639-2 code of its language.
    pub language: String,
}

/// Language of a track without one.
pub(crate) const UNDETERMINED: &str = "und";

/// A `moov` of `tracks` whose movie header has `timescale`. With `fragmented` the samples are in fragments.
pub(crate) fn moov(
    timescale: u32,
    tracks: &[Track],
    fragmented: bool,
) -> Result<Vec<u8>, CodecFailure> {
    let mvhd = Mvhd {
        timescale,
        duration: tracks.iter().map(|track| track.movie_duration).max().unwrap_or(0),
        rate: FixedPoint::from(1),
        volume: FixedPoint::from(1),
        next_track_id: tracks.iter().map(|track| track.id).max().unwrap_or(0) + 1,
        ..Mvhd::default()
    };
    let mut children = vec![bytes(&mvhd)?];
    for track in tracks {
        children.push(trak(track)?);
    }
    if fragmented {
        let trex = |track: &Track| Trex {
            track_id: track.id,
            default_sample_description_index: 1,
            ..Trex::default()
        };
        children.push(bytes(&Mvex { mehd: None, trex: tracks.iter().map(trex).collect() })?);
    }
    container(b"moov", &children)
}

/// The boxes of `atom`.
pub(crate) fn bytes(atom: &impl Encode) -> Result<Vec<u8>, CodecFailure> {
    let mut out = Vec::new();
    atom.encode(&mut out).map_err(refused)?;
    Ok(out)
}

/// A failure of writing or reading Jetreel's own boxes.
pub(crate) fn refused(detail: impl Display) -> CodecFailure {
    CodecFailure {
        code: FailureCode::Internal,
        message: "The output could not be put into an MP4 file.".to_owned(),
        detail: detail.to_string(),
    }
}

fn trak(track: &Track) -> Result<Vec<u8>, CodecFailure> {
    let [entry] = track.stbl.stsd.codecs.as_slice() else {
        return Err(refused("a track needs exactly one sample entry"));
    };
    let picture = entry.visual().map(|visual| (visual.width, visual.height));
    let (width, height) = picture.unwrap_or((0, 0));
    let tkhd = Tkhd {
        track_id: track.id,
        duration: track.movie_duration,
        enabled: true,
        in_movie: true,
        volume: FixedPoint::from(u8::from(picture.is_none())),
        width: FixedPoint::from(width),
        height: FixedPoint::from(height),
        ..Tkhd::default()
    };
    let mut children = vec![bytes(&tkhd)?];
    if !track.edits.is_empty() {
        children.push(bytes(&Edts { elst: Some(Elst { entries: track.edits.clone() }) })?);
    }
    children.push(mdia(track, picture.is_some())?);
    container(b"trak", &children)
}

fn mdia(track: &Track, picture: bool) -> Result<Vec<u8>, CodecFailure> {
    let mdhd = Mdhd {
        timescale: track.timescale,
        duration: track.duration,
        language: track.language.clone(),
        ..Mdhd::default()
    };
    let (handler, name) = if picture { (b"vide", "video") } else { (b"soun", "audio") };
    let hdlr = Hdlr { handler: FourCC::new(handler), name: name.to_owned() };
    let header = if picture { bytes(&Vmhd::default())? } else { bytes(&Smhd::default())? };
    let dinf = Dinf { dref: Dref { entries: vec![Url { location: String::new() }.into()] } };
    let minf = container(b"minf", &[header, bytes(&dinf)?, bytes(&track.stbl)?])?;
    container(b"mdia", &[bytes(&mdhd)?, bytes(&hdlr)?, minf])
}

fn container(kind: &[u8; 4], children: &[Vec<u8>]) -> Result<Vec<u8>, CodecFailure> {
    let size = 8 + children.iter().map(Vec::len).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(&u32::try_from(size).map_err(refused)?.to_be_bytes());
    out.extend_from_slice(kind);
    for child in children {
        out.extend_from_slice(child);
    }
    Ok(out)
}

/// Sample tables with only the sample entry.
pub(crate) fn empty_tables(entry: Codec) -> Stbl {
    Stbl {
        stsd: Stsd { codecs: vec![entry] },
        stco: Some(mp4_atom::Stco::default()),
        ..Stbl::default()
    }
}
