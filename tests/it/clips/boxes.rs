//! Presentation times straight from the boxes of CMAF fragments (ISO/IEC 14496-12), as a browser's media source takes them:
//! `tfdt` plus composition offset, less the media time of the edit list.

/// A sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sample {
    /// Presentation time, ticks.
    pub(crate) pts: i64,
    /// A player may start with it.
    pub(crate) key: bool,
}

const NOT_SYNC: u32 = 0x1_0000;

#[derive(Debug, Clone, Copy, Default)]
struct Defaults {
    duration: u32,
    flags: u32,
}

/// All samples of the fragments in `bytes`, in the order of presentation.
pub(crate) fn samples(bytes: &[u8]) -> Result<Vec<Sample>, String> {
    let mut found = Vec::new();
    let mut track = Defaults::default();
    let mut shift = 0;
    for (kind, body) in boxes(bytes) {
        if kind == *b"moov" {
            shift = inside(body, *b"trak").map_or(Ok(0), media_time)?;
            let trex = inside(body, *b"mvex").and_then(|body| inside(body, *b"trex"));
            let trex = trex.ok_or("no trex")?;
            track = Defaults { duration: u32_at(trex, 12)?, flags: u32_at(trex, 20)? };
        } else if kind == *b"moof" {
            let traf = inside(body, *b"traf").ok_or("no traf")?;
            fragment(traf, track, &mut found)?;
        }
    }
    found.iter_mut().for_each(|sample| sample.pts -= shift);
    found.sort_unstable();
    Ok(found)
}

/// Start of the media that the only edit of a track shows; 0 without an edit list.
fn media_time(trak: &[u8]) -> Result<i64, String> {
    let list = inside(trak, *b"edts").and_then(|edts| inside(edts, *b"elst"));
    let Some(list) = list else { return Ok(0) };
    if u32_at(list, 4)? != 1 {
        return Err("more than one edit".to_owned());
    }
    if list.first() == Some(&1) {
        return Ok(i64::from(u32_at(list, 16)?) << 32 | i64::from(u32_at(list, 20)?));
    }
    Ok(i64::from(u32_at(list, 12)?))
}

fn fragment(traf: &[u8], track: Defaults, found: &mut Vec<Sample>) -> Result<(), String> {
    let tfhd = inside(traf, *b"tfhd").ok_or("no tfhd")?;
    let defaults = defaults(tfhd, track)?;
    let tfdt = inside(traf, *b"tfdt").ok_or("no tfdt")?;
    let mut dts = if tfdt.first() == Some(&1) {
        i64::from(u32_at(tfdt, 4)?) << 32 | i64::from(u32_at(tfdt, 8)?)
    } else {
        i64::from(u32_at(tfdt, 4)?)
    };
    for (kind, trun) in boxes(traf) {
        if kind == *b"trun" {
            run(trun, defaults, &mut dts, found)?;
        }
    }
    Ok(())
}

fn defaults(tfhd: &[u8], track: Defaults) -> Result<Defaults, String> {
    let present = u32_at(tfhd, 0)?;
    let (mut at, mut own) = (8, track);
    for (bit, bytes) in [(0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4)] {
        if present & bit == 0 {
            continue;
        }
        match bit {
            0x8 => own.duration = u32_at(tfhd, at)?,
            0x20 => own.flags = u32_at(tfhd, at)?,
            _ => {}
        }
        at += bytes;
    }
    Ok(own)
}

fn run(
    trun: &[u8],
    defaults: Defaults,
    dts: &mut i64,
    found: &mut Vec<Sample>,
) -> Result<(), String> {
    let present = u32_at(trun, 0)?;
    let count = u32_at(trun, 4)?;
    let mut at = 8 + if present & 0x1 == 0 { 0 } else { 4 };
    let mut next = |bit: u32, otherwise: u32| -> Result<u32, String> {
        if present & bit == 0 {
            return Ok(otherwise);
        }
        at += 4;
        u32_at(trun, at - 4)
    };
    let first = next(0x4, defaults.flags)?;
    for index in 0..count {
        let duration = next(0x100, defaults.duration)?;
        next(0x200, 0)?;
        let flags = next(0x400, if index == 0 { first } else { defaults.flags })?;
        // Version 0 is unsigned, but no sample is 2^31 ticks late.
        let offset = next(0x800, 0)?.cast_signed();
        found.push(Sample { pts: *dts + i64::from(offset), key: flags & NOT_SYNC == 0 });
        *dts += i64::from(duration);
    }
    Ok(())
}

/// The first box of a kind inside a body.
fn inside(body: &[u8], kind: [u8; 4]) -> Option<&[u8]> {
    boxes(body).find(|(found, _)| *found == kind).map(|(_, body)| body)
}

/// Kind and body of each box in a row of boxes.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = usize::try_from(u32_at(bytes, 0).ok()?).ok()?;
        let (whole, rest) = bytes.split_at_checked(size)?;
        let kind = *whole.get(4..8)?.first_chunk()?;
        bytes = rest;
        Some((kind, &whole[8..]))
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, String> {
    let four = bytes.get(at..at + 4).and_then(|four| four.first_chunk());
    four.map(|four| u32::from_be_bytes(*four)).ok_or_else(|| "a box is too short".to_owned())
}

#[test]
fn signed_offsets_and_defaults_are_read() {
    let boxed = |kind: &[u8; 4], words: &[u32], inner: &[u8]| {
        let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        body.extend(inner);
        let size = u32::try_from(body.len() + 8).expect("small").to_be_bytes();
        [&size[..], kind, &body].concat()
    };
    let trex = boxed(b"trex", &[0, 1, 1, 10, 0, NOT_SYNC], &[]);
    let moov = boxed(b"moov", &[], &boxed(b"mvex", &[], &trex));
    let trun = [0x0100_0000 | 0x805, 3, 99, 0, 0, 10, (-10_i32).cast_unsigned()];
    let inner = [
        boxed(b"tfhd", &[0x2_0000, 1], &[]),
        boxed(b"tfdt", &[0x0100_0000, 0, 500], &[]),
        boxed(b"trun", &trun, &[]),
    ];
    let moof = boxed(b"moof", &[], &boxed(b"traf", &[], &inner.concat()));
    let read = samples(&[moov, moof].concat()).expect("read");
    let told: Vec<_> = read.iter().map(|sample| (sample.pts, sample.key)).collect();
    assert_eq!(told, [(500, true), (510, false), (520, false)]);
}
