//! CMAF tracks: initialisation segments and fragments (`moof` + `mdat`) of one track.
//!
//! Invariants: equal arguments give equal bytes. Every fragment can be placed without its neighbours: decode times are the sorted
//! presentation times of the fragment itself, so its `tfdt` is its first PTS. Composition times lie behind presentation times by a fixed
//! shift, which the edit list of the initialisation segment reverses (ISO/IEC 23000-19, brand `cmfc`). Composition offsets are never
//! negative, because libav would delay such pictures by the largest of them, after their audio. If pictures are reordered across a pause
//! that is longer than the shift, decode times are earlier. Offsets count from the `moof`.

use jetreel_domain::codec::wire::CodecFailure;
use mp4_atom::esds::{DecoderConfig, DecoderSpecific, EsDescriptor, Esds, SLConfig};
use mp4_atom::{
    Atom, Audio, Avc1, Avcc, Btrt, Codec, Colr, ElstEntry, FixedPoint, FourCC, Ftyp, Mfhd, Moof,
    Mp4a, Pasp, Tfdt, Tfhd, Traf, Trun, TrunEntry, TrunSamples, Visual,
};

use crate::movie::{self, Track, refused};

/// Id of the only track of every CMAF track file.
pub(crate) const TRACK: u32 = 1;

/// Sample flags (ISO/IEC 14496-12, 8.8.3.1): depends on no other sample.
const SYNC: u32 = 0x0200_0000;
/// Sample flags: depends on others, is no sync sample.
const NON_SYNC: u32 = 0x0101_0000;

/// A coded frame or access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Presentation time in output ticks.
    pub pts: i64,
    /// Duration in output ticks.
    pub duration: u32,
    /// Whether decoding can start here.
    pub sync: bool,
    /// H.264: NAL units, each after its length in four bytes. AAC: one raw access unit.
    pub data: Vec<u8>,
}

/// The clock of a track.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// Ticks per second.
    pub timescale: u32,
    /// Ticks by which composition times lie behind presentation times.
    pub shift: u32,
}

/// `ftyp` + `moov` of an H.264 track; `avcc` is the body of the `avcC` box.
pub(crate) fn video_init(
    width: u32,
    height: u32,
    clock: Clock,
    avcc: &[u8],
) -> Result<Vec<u8>, CodecFailure> {
    let visual = Visual {
        data_reference_index: 1,
        width: u16::try_from(width).map_err(refused)?,
        height: u16::try_from(height).map_err(refused)?,
        ..Visual::default()
    };
    let entry = Avc1 {
        visual,
        avcc: Avcc::decode_body(&mut &avcc[..]).map_err(refused)?,
        // BT.709 (ISO/IEC 23091-2: 1, 1, 1), limited range, as every tier is encoded.
        colr: Some(Colr::new(1, 1, 1, false).map_err(refused)?),
        pasp: Some(Pasp { h_spacing: 1, v_spacing: 1 }),
        ..Avc1::default()
    };
    init(clock, entry.into())
}

/// `ftyp` + `moov` of an AAC track; `asc` is its AudioSpecificConfig.
pub(crate) fn audio_init(
    sample_rate: u32,
    channels: u32,
    bit_rate: u32,
    asc: &[u8],
) -> Result<Vec<u8>, CodecFailure> {
    let dec_config = DecoderConfig {
        object_type_indication: 0x40,
        stream_type: 5,
        max_bitrate: bit_rate,
        avg_bitrate: bit_rate,
        dec_specific: Some(DecoderSpecific { raw: asc.to_vec(), ..DecoderSpecific::default() }),
        ..DecoderConfig::default()
    };
    let entry = Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: u16::try_from(channels).map_err(refused)?,
            sample_size: 16,
            sample_rate: FixedPoint::from(u16::try_from(sample_rate).map_err(refused)?),
        },
        esds: Esds {
            es_desc: EsDescriptor { dec_config, sl_config: SLConfig {}, ..EsDescriptor::default() },
        },
        btrt: Some(Btrt { buffer_size_db: 0, max_bitrate: bit_rate, avg_bitrate: bit_rate }),
        taic: None,
    };
    init(Clock { timescale: sample_rate, shift: 0 }, entry.into())
}

/// A fragment of `samples`, which are in decode order and start with a sync sample; `shift` as in the track's [`Clock`]. Returns
/// `moof` + `mdat` and the length of the `moof`.
pub(crate) fn fragment(
    sequence: u32,
    track: u32,
    shift: u32,
    samples: &[Sample],
) -> Result<(Vec<u8>, u32), CodecFailure> {
    if !samples.first().is_some_and(|sample| sample.sync) {
        return Err(refused("a fragment has to start with a sync sample"));
    }
    let (start, entries) = timing(samples, shift)?;
    let mut moof = Moof {
        mfhd: Mfhd { sequence_number: sequence },
        traf: vec![traf(track, start, samples, entries)],
    };
    // The header's length does not depend on the offset's value.
    let header = movie::bytes(&moof)?.len();
    for run in moof.traf.iter_mut().flat_map(|traf| &mut traf.trun) {
        run.data_offset = Some(i32::try_from(header + 8).map_err(refused)?);
    }
    let payload: usize = samples.iter().map(|sample| sample.data.len()).sum();
    let mut out = movie::bytes(&moof)?;
    out.reserve_exact(payload + 8);
    out.extend_from_slice(&u32::try_from(payload + 8).map_err(refused)?.to_be_bytes());
    out.extend_from_slice(b"mdat");
    for sample in samples {
        out.extend_from_slice(&sample.data);
    }
    Ok((out, u32::try_from(header).map_err(refused)?))
}

fn init(clock: Clock, entry: Codec) -> Result<Vec<u8>, CodecFailure> {
    let Clock { timescale, shift } = clock;
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: [b"iso6", b"cmfc"].map(FourCC::new).to_vec(),
    };
    // An edit of duration 0 lasts as long as the fragments (ISO/IEC 14496-12, 8.6.6.1).
    let edits = (shift > 0).then(|| ElstEntry {
        segment_duration: 0,
        media_time: Some(u64::from(shift)),
        media_rate: FixedPoint::from(1),
    });
    let track = Track {
        id: TRACK,
        timescale,
        duration: 0,
        movie_duration: 0,
        stbl: movie::empty_tables(entry),
        edits: edits.into_iter().collect(),
        language: movie::UNDETERMINED.to_owned(),
    };
    let mut out = movie::bytes(&ftyp)?;
    out.extend(movie::moov(timescale, &[track], true)?);
    Ok(out)
}

/// First decode time, and duration, size and composition offset of each sample.
fn timing(samples: &[Sample], shift: u32) -> Result<(u64, Vec<TrunEntry>), CodecFailure> {
    let mut decode = decode_times(samples, i64::from(shift));
    let start = *decode.first().ok_or_else(|| refused("a fragment without samples"))?;
    let ends = samples.iter().map(|sample| sample.pts.saturating_add(i64::from(sample.duration)));
    decode.push(ends.max().unwrap_or(start));
    let entry = |(sample, times): (&Sample, &[i64])| {
        let distance = times[1] - times[0];
        if distance <= 0 {
            return Err(refused(format!("two samples at {}", times[0])));
        }
        Ok(TrunEntry {
            duration: Some(u32::try_from(distance).map_err(refused)?),
            size: Some(u32::try_from(sample.data.len()).map_err(refused)?),
            flags: None,
            cts: Some(sample.pts - times[0] + i64::from(shift)),
        })
    };
    let entries = samples.iter().zip(decode.windows(2)).map(entry).collect::<Result<_, _>>()?;
    Ok((u64::try_from(start).map_err(refused)?, entries))
}

/// The sorted presentation times. Earlier ones where a sample would be decoded later than it is shown, `shift` before its presentation
/// time.
fn decode_times(samples: &[Sample], shift: i64) -> Vec<i64> {
    let mut times: Vec<i64> = samples.iter().map(|sample| sample.pts).collect();
    times.sort_unstable();
    let mut latest = i64::MAX;
    // The first time stays, because the fragment begins there.
    for (time, sample) in times.iter_mut().zip(samples).skip(1).rev() {
        latest = sample.pts.saturating_add(shift).min(latest.saturating_sub(1));
        *time = latest.min(*time);
    }
    times
}

/// Writes values that all samples share once, as defaults.
fn traf(track: u32, start: u64, samples: &[Sample], mut entries: Vec<TrunEntry>) -> Traf {
    let flags = |sample: &Sample| if sample.sync { SYNC } else { NON_SYNC };
    let default_flags = samples.last().map_or(SYNC, flags);
    let same_flags = |sample: &Sample| flags(sample) == default_flags;
    if !samples.iter().skip(1).all(same_flags) {
        for (entry, sample) in entries.iter_mut().zip(samples) {
            entry.flags = Some(flags(sample));
        }
    } else if let (Some(entry), Some(sample)) = (entries.first_mut(), samples.first()) {
        entry.flags = Some(flags(sample)).filter(|flags| *flags != default_flags);
    }
    let first = entries.first().and_then(|entry| entry.duration);
    let default_duration = first.filter(|_| entries.iter().all(|entry| entry.duration == first));
    let in_order = entries.iter().all(|entry| entry.cts == Some(0));
    for entry in &mut entries {
        entry.duration = entry.duration.filter(|_| default_duration.is_none());
        entry.cts = entry.cts.filter(|_| !in_order);
    }
    Traf {
        tfhd: Tfhd {
            track_id: track,
            default_sample_duration: default_duration,
            default_sample_flags: Some(default_flags),
            default_base_is_moof: true,
            ..Tfhd::default()
        },
        tfdt: Some(Tfdt { base_media_decode_time: start }),
        trun: vec![Trun { data_offset: Some(0), samples: TrunSamples::Explicit(entries) }],
        ..Traf::default()
    }
}

#[cfg(test)]
mod tests {
    use mp4_atom::{Decode, Moov};

    use super::*;

    const AVCC: [u8; 48] = [
        1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 25, 0x67, 0x64, 0, 0x1f, 0xac, 0xd9, 0x40, 0x50, 5, 0xbb,
        1, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0xc0, 0xf1, 0x83, 0x19, 1, 0, 5, 0x68, 0xeb, 0xe3,
        0xcb, 0x22, 0xfd, 0xf8, 0xf8, 0, 0, 0, 0,
    ];

    fn sample(pts: i64, duration: u32, sync: bool) -> Sample {
        Sample { pts, duration, sync, data: vec![pts as u8; 5] }
    }

    /// The boxes after an initialisation segment's `ftyp`.
    fn moov_of(init: &[u8]) -> Moov {
        let mut rest = init;
        Ftyp::decode(&mut rest).unwrap();
        Moov::decode(&mut rest).unwrap()
    }

    fn moof_of(bytes: &[u8]) -> Moof {
        Moof::decode(&mut &bytes[..]).unwrap()
    }

    fn entries(moof: &Moof) -> Vec<TrunEntry> {
        moof.traf[0].trun[0].samples.iter().collect()
    }

    #[test]
    fn pictures_that_are_reordered_across_a_pause_are_decoded_in_time() {
        // 40 ms apart except for a pause of 1280 ms before the last three, which are coded as 7, 5, 6.
        let order = [0, 120, 40, 80, 1480, 1400, 1440];
        let sample = |pts: i64| Sample { pts, duration: 40, sync: pts == 0, data: vec![1] };
        let samples: Vec<Sample> = order.into_iter().map(sample).collect();
        let check = |samples: &[Sample], expected: &[i64]| {
            let shift = 80;
            let times = decode_times(samples, shift);
            assert_eq!(times, expected);
            let offsets =
                samples.iter().zip(&times).map(|(sample, time)| sample.pts + shift - time);
            assert!(offsets.into_iter().all(|offset| offset >= 0));
            let (start, entries) = timing(samples, 80).unwrap();
            assert_eq!(start, 0);
            let lasts: u32 = entries.iter().filter_map(|entry| entry.duration).sum();
            let end = samples.iter().map(|sample| sample.pts + 40).max().unwrap();
            assert_eq!(i64::from(lasts), end);
        };
        check(&samples, &[0, 40, 80, 120, 1400, 1440, 1480]);
        // The pause lies within the reordered pictures: 5 and 6 are shown before it.
        let samples: Vec<Sample> = [0, 1400, 40, 80, 1440].into_iter().map(sample).collect();
        check(&samples, &[0, 40, 80, 160, 1440]);
        let samples: Vec<Sample> = [0, 2800, 1400, 40, 2840].into_iter().map(sample).collect();
        check(&samples, &[0, 40, 119, 120, 2840]);
    }

    #[test]
    fn the_parameter_sets_survive_byte_for_byte() {
        let avcc = &AVCC[..AVCC.len() - 3];
        let init = video_init(1280, 720, Clock { timescale: 15360, shift: 1024 }, avcc).unwrap();
        assert!(init.windows(avcc.len()).any(|window| window == avcc));
        let moov = moov_of(&init);
        assert_eq!(moov.trak[0].mdia.mdhd.timescale, 15360);
        assert_eq!(moov.mvex.unwrap().trex[0].track_id, TRACK);
        let edits = &moov.trak[0].edts.as_ref().unwrap().elst.as_ref().unwrap().entries;
        assert_eq!((edits.len(), edits[0].media_time), (1, Some(1024)));
        let Codec::Avc1(entry) = &moov.trak[0].mdia.minf.stbl.stsd.codecs[0] else { panic!() };
        assert_eq!((entry.visual.width, entry.visual.height), (1280, 720));
        assert_eq!(entry.colr, Some(Colr::new(1, 1, 1, false).unwrap()));
    }

    #[test]
    fn an_audio_track_carries_its_config() {
        let init = audio_init(48_000, 2, 128_000, &[0x11, 0x90, 0x56, 0xe5, 0]).unwrap();
        let moov = moov_of(&init);
        let Codec::Mp4a(entry) = &moov.trak[0].mdia.minf.stbl.stsd.codecs[0] else { panic!() };
        let config = entry.esds.es_desc.dec_config.dec_specific.as_ref().unwrap();
        assert_eq!(config.raw, [0x11, 0x90, 0x56, 0xe5, 0]);
        assert_eq!(entry.audio.sample_rate.integer(), 48_000);
    }

    #[test]
    fn decode_times_are_the_sorted_presentation_times() {
        // Decode order I P B B with an irregular clock.
        let samples = [
            sample(100, 10, true),
            sample(145, 20, false),
            sample(110, 15, false),
            sample(125, 20, false),
        ];
        let (bytes, header) = fragment(7, TRACK, 20, &samples).unwrap();
        let moof = moof_of(&bytes);
        assert_eq!(moof.traf[0].tfdt.as_ref().unwrap().base_media_decode_time, 100);
        let entries = entries(&moof);
        let durations: Vec<_> = entries.iter().map(|entry| entry.duration.unwrap()).collect();
        assert_eq!(durations, [10, 15, 20, 20]);
        let offsets: Vec<_> = entries.iter().map(|entry| entry.cts.unwrap()).collect();
        assert_eq!(offsets, [20, 55, 5, 0]);
        assert_eq!(moof.traf[0].trun[0].data_offset, Some(header as i32 + 8));
        assert_eq!(&bytes[header as usize + 4..header as usize + 8], b"mdat");
        assert_eq!(bytes.len(), header as usize + 8 + 4 * 5);
    }

    #[test]
    fn only_what_differs_stands_in_every_entry() {
        let regular: Vec<_> = (0..4).map(|i| sample(i * 1024, 1024, true)).collect();
        let moof = moof_of(&fragment(1, TRACK, 0, &regular).unwrap().0);
        assert_eq!(moof.traf[0].tfhd.default_sample_duration, Some(1024));
        assert_eq!(moof.traf[0].tfhd.default_sample_flags, Some(SYNC));
        let size_only = TrunEntry { size: Some(5), ..TrunEntry::default() };
        assert_eq!(entries(&moof), vec![size_only; 4]);

        let one_idr: Vec<_> = (0..3).map(|i| sample(i, 1, i == 0)).collect();
        let moof = moof_of(&fragment(1, TRACK, 0, &one_idr).unwrap().0);
        assert_eq!(moof.traf[0].tfhd.default_sample_flags, Some(NON_SYNC));
        let flags: Vec<_> = entries(&moof).iter().map(|entry| entry.flags).collect();
        assert_eq!(flags, [Some(SYNC), None, None]);

        let two_idrs: Vec<_> = (0..4).map(|i| sample(i, 1, i % 2 == 0)).collect();
        let moof = moof_of(&fragment(1, TRACK, 0, &two_idrs).unwrap().0);
        let flags: Vec<_> = entries(&moof).iter().map(|entry| entry.flags).collect();
        assert_eq!(flags, [Some(SYNC), Some(NON_SYNC), Some(SYNC), Some(NON_SYNC)]);
    }

    #[test]
    fn what_cannot_be_placed_is_refused() {
        assert!(fragment(1, TRACK, 0, &[]).is_err());
        assert!(fragment(1, TRACK, 0, &[sample(0, 1, false)]).is_err());
        assert!(fragment(1, TRACK, 0, &[sample(-1, 1, true)]).is_err());
        assert!(fragment(1, TRACK, 0, &[sample(3, 1, true), sample(3, 1, false)]).is_err());
    }
}
