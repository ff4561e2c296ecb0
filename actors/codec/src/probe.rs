//! The probe: reports the facts of a source, or why it is refused.
//!
//! Invariants: facts come from packets and decoded frames; headers only fill gaps. A source without a decodable frame is refused. An MP4
//! with complete sample tables is read only up to its index and first frames.

use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::{Stream, codec, media};
use jetreel_domain::codec::hdr;
use jetreel_domain::codec::wire::{CodecFailure, FailureCode, Job, Report};
use jetreel_domain::plan::media::{AudioTrack, ProbeFacts, UnusedAudio, UnusedReason, VideoTrack};
use jetreel_domain::plan::rational::Rational;
use jetreel_domain::plan::soundtrack;
use jetreel_domain::words::reason::{ContentFault, FileFault, OverLimit};
use jetreel_domain::words::warning::{PictureTrack, Warning};

use crate::boxes::{self, Movie};
use crate::decode::{check_gap, no_codec};
use crate::facts::Candidate;
use crate::failure::{Outcome, failure, failure_with};
use crate::input::{Input, MOVIE_FORMAT, PROGRAM_STREAM_FORMAT};
use crate::link::Link;
use crate::scan::{self, Picture, Scan, Sound};
use crate::sound_probe::{SoundProbe, Usable};
use crate::trial::{self, Trial};
use crate::{allow, another, facts, names, programme, silence, tail};

/// Fraction by which a container's frame rate may differ from the measured one to be used.
const RATE_TOLERANCE: f64 = 0.15;
/// Fraction that bounds the rounding of coarse clocks (milliseconds).
const RATE_NOISE: f64 = 0.005;
/// Seconds of undecodable pictures at the start of a track that cause a warning. Less is an open group of pictures.
const HEAD_SECONDS: f64 = 0.5;
/// Duration of a picture that declares none, in seconds.
const NOMINAL_FRAME_SECONDS: f64 = 0.04;
/// A track with this many times fewer frames than another one is a preview or a collection of stills.
const SHORT_TRACK: i64 = 2;

/// Runs a probe job.
pub(crate) fn run(link: &Link, job: &Job) -> Outcome<Report> {
    let size = job.objects.first().copied().unwrap_or(0);
    let mut input = match Input::open(link, 0, size, None, &job.budget) {
        Ok(input) => input,
        Err(refusal) => return Err(explain(link, size, refusal)),
    };
    let movie = if input.format() == MOVIE_FORMAT { boxes::movie(link, 0, size)? } else { None };
    let stream = pick(&input, movie.as_ref())?;
    let candidates = candidates(&mut input, stream, movie.as_ref());
    let mut sound = SoundProbe::open(&input, candidates)?;
    let mut trial = Trial::run(&mut input, stream, &mut sound, &job.budget)?;
    let time_base = input.time_base(stream)?;
    let (usable, mut unused_audio) = sound.finish(&mut input)?;
    let subtitles = facts::subtitles(&input);
    let format = input.format();
    let source = Source { link, job, size, format: &format, stream, movie: movie.as_ref() };
    let (found, usable) = scan_orderly(&source, usable, &mut unused_audio)?;
    let Scanned { mut scan, cut_short, another } = found;
    let pause = cut_behind_pause(&mut scan, &usable, time_base, job.budget.gap_seconds_max);
    let mut audio = Vec::new();
    for (usable, sound) in usable.into_iter().zip(&scan.sound) {
        // The header declares the track, but it has no packets.
        if sound.packets == 0 {
            unused_audio.push(usable.reject(UnusedReason::Empty));
            continue;
        }
        let declared_start = facts::start(&input.stream(usable.track.stream)?);
        audio.push(measure(usable, sound, declared_start));
    }
    let mut warnings = trial_warnings(&mut trial, &scan.picture, time_base);
    if cut_short {
        warnings.push(Warning::CutShort);
    }
    let of_sound = scan.sound.iter().map(|sound| sound.clock.len()).max().unwrap_or(0);
    let steps = scan.picture.clock.len().max(of_sound);
    if steps > 0 {
        warnings.push(Warning::TimesMended { steps });
    }
    if scan.picture.misplaced > 0 {
        warnings.push(Warning::PicturesMisplaced { pictures: scan.picture.misplaced });
    }
    warnings.extend(pause);
    if let Some(begins) = another {
        warnings.push(Warning::AnotherRecording { bytes: size - begins });
    }
    if scan.latecomers > 0 {
        warnings.push(Warning::Latecomers { tracks: scan.latecomers as usize });
    }
    warnings.extend(other_pictures(&mut input, stream, &scan.picture.continued));
    let video = describe(&input, stream, trial, &scan.picture, movie.as_ref())?;
    check(&video, job)?;
    Ok(Report::Probe(Box::new(ProbeFacts {
        format,
        bytes: size,
        video: Some(video),
        audio,
        unused_audio,
        subtitles,
        streams: input.streams(),
        truncated: cut_short,
        warnings: warnings.iter().map(Warning::sentence).collect(),
    })))
}

/// Warnings from the picture's trial. Missing colour tags are filled in.
fn trial_warnings(trial: &mut Trial, scan: &Picture, time_base: Rational) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let seconds = time_base.seconds(first_shown(trial, scan).saturating_sub(scan.start()));
    if trial.headless && seconds >= HEAD_SECONDS {
        warnings.push(Warning::HeadMissing { seconds });
    }
    if trial.blind {
        let key = scan.random_access.iter().map(|point| point.pts).find(|at| *at > scan.start());
        let seconds = key.map(|key| time_base.seconds(key.saturating_sub(scan.start())));
        warnings.push(Warning::HeadIncomplete { seconds });
    }
    if trial.damage > 0 {
        warnings.push(Warning::Damaged);
    }
    if trial.unclear {
        warnings.push(Warning::EncoderUnknown);
    }
    if let Some(colour) = hdr::assumed(&trial.colour, trial.signs) {
        trial.colour = colour;
        warnings.push(Warning::HdrAssumed);
    }
    warnings
}

/// Replaces the failure if the file cannot be opened because it is encrypted.
fn explain(link: &Link, size: u64, refusal: CodecFailure) -> CodecFailure {
    if refusal.code != FailureCode::Unreadable {
        return refusal;
    }
    match boxes::movie(link, 0, size) {
        Ok(Some(movie)) if movie.tracks.iter().any(|track| track.encrypted) => {
            encrypted(refusal.detail)
        }
        Ok(Some(_)) => refusal,
        Ok(None) | Err(_) if boxes::begins(link, 0, size) => {
            failure_with(FileFault::IndexMissing, refusal.detail)
        }
        Ok(None) | Err(_) => refusal,
    }
}

fn encrypted(detail: impl Into<String>) -> CodecFailure {
    failure_with(FileFault::Encrypted, detail)
}

/// The stream to encode.
fn pick(input: &Input, movie: Option<&Movie>) -> Outcome<u32> {
    let streams: Vec<Stream<'_>> =
        (0..input.streams()).filter_map(|index| input.stream(index).ok()).collect();
    let pictures: Vec<&Stream<'_>> = streams.iter().filter(|stream| is_picture(stream)).collect();
    let decodable: Vec<&&Stream<'_>> =
        pictures.iter().filter(|stream| is_decodable(stream)).collect();
    let most = decodable.iter().map(|stream| stream.frames()).max().unwrap_or(0);
    let best = decodable.iter().max_by_key(|stream| {
        // Containers that do not count frames declare 0.
        let whole = stream.frames() <= 0 || stream.frames() >= most / SHORT_TRACK;
        let default = stream.disposition().contains(Disposition::DEFAULT);
        (whole, default, pixels(stream), std::cmp::Reverse(stream.index()))
    });
    let Some(best) = best else {
        return Err(match pictures.first() {
            Some(stream) => {
                let (index, name) = (stream.index(), stream.parameters().id().name());
                let detail = format!("Stream {index} is {name}.");
                failure_with(no_codec(names::codec(stream)), detail)
            }
            None => failure(no_video(&streams)),
        });
    };
    if boxes_of(movie, best).is_some_and(|track| track.encrypted) {
        return Err(encrypted(format!("Stream {} is encrypted.", best.index())));
    }
    Ok(best.index() as u32)
}

/// Video tracks besides the stream `picture` and the streams in `continued`. Those of another programme are reported with its audio.
fn other_pictures(input: &mut Input, picture: u32, continued: &[u32]) -> Option<Warning> {
    let programmes = programme::programmes(input);
    let input = &*input;
    let streams = (0..input.streams()).filter_map(|index| input.stream(index).ok());
    let sound = |index: &u32| {
        let stream = input.stream(*index);
        stream.is_ok_and(|stream| stream.parameters().medium() == media::Type::Audio)
    };
    let pictures = (1..).zip(streams.filter(is_picture));
    let others = pictures.filter(|(_, stream)| {
        let index = stream.index() as u32;
        let elsewhere = programme::elsewhere(&programmes, picture, index).is_some()
            && programmes.iter().any(|p| p.streams.contains(&index) && p.streams.iter().any(sound));
        index != picture && !continued.contains(&index) && !elsewhere
    });
    let track = |(number, stream): (u32, Stream<'_>)| {
        let (width, height) = size(&stream);
        PictureTrack { number, width, height, codec: facts::codec_name(&stream) }
    };
    let tracks: Vec<PictureTrack> = others.map(track).collect();
    (!tracks.is_empty()).then_some(Warning::PicturesLeftOut { tracks })
}

fn is_picture(stream: &Stream<'_>) -> bool {
    stream.parameters().medium() == media::Type::Video
        && !stream.disposition().contains(Disposition::ATTACHED_PIC)
}

fn is_decodable(stream: &Stream<'_>) -> bool {
    codec::decoder::find(stream.parameters().id())
        .is_some_and(|decoder| allow::is_picture_decoder(decoder.name()))
}

/// Content of a file without a picture track.
fn no_video(streams: &[Stream<'_>]) -> ContentFault {
    let is_sound = |stream: &&Stream<'_>| stream.parameters().medium() == media::Type::Audio;
    let is_cover = |stream: &Stream<'_>| stream.disposition().contains(Disposition::ATTACHED_PIC);
    ContentFault::NoVideo {
        sounds: streams.iter().filter(is_sound).count(),
        cover: streams.iter().any(is_cover),
    }
}

fn pixels(stream: &Stream<'_>) -> u64 {
    let (width, height) = size(stream);
    u64::from(width) * u64::from(height)
}

/// Width and height from the header; 0 if it has none.
fn size(stream: &Stream<'_>) -> (u32, u32) {
    let parameters = stream.parameters();
    #[expect(unsafe_code, reason = "plain fields of the stream's parameters")]
    let (width, height) = unsafe { ((*parameters.as_ptr()).width, (*parameters.as_ptr()).height) };
    (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0))
}

fn boxes_of<'a>(movie: Option<&'a Movie>, stream: &Stream<'_>) -> Option<&'a boxes::TrackBoxes> {
    movie?.tracks.iter().find(|track| i64::from(track.id) == i64::from(stream.id()))
}

/// The audio tracks, with obstacles that are known without decoding.
fn candidates(input: &mut Input, picture: u32, movie: Option<&Movie>) -> Vec<Candidate> {
    let programmes = programme::programmes(input);
    let mut candidates = facts::audio(input);
    for Candidate { track, obstacle } in &mut candidates {
        let boxes = input.stream(track.stream).ok().and_then(|stream| boxes_of(movie, &stream));
        if boxes.is_some_and(|boxes| boxes.encrypted) {
            *obstacle = Some(UnusedReason::Encrypted);
        }
        if let Some(elsewhere) = programme::elsewhere(&programmes, picture, track.stream) {
            *obstacle = Some(elsewhere);
        }
    }
    candidates
}

/// Parameters of a scan.
struct Source<'a> {
    link: &'a Link,
    job: &'a Job,
    size: u64,
    /// Name of the demuxer.
    format: &'a str,
    /// Stream of the picture.
    stream: u32,
    movie: Option<&'a Movie>,
}

/// All packets of the tracks.
struct Scanned {
    scan: Scan,
    /// Whether the file ends before its picture track does.
    cut_short: bool,
    /// Position of another recording that was not read.
    another: Option<u64>,
}

/// Scans without the tracks whose times step too often. If more such tracks appear then, all audio is left out: a file is not read once for
/// each of its tracks.
fn scan_orderly(
    source: &Source<'_>,
    mut usable: Vec<Usable>,
    unused: &mut Vec<UnusedAudio>,
) -> Outcome<(Scanned, Vec<Usable>)> {
    let mut found = scan(source, &usable)?;
    for again in [false, true] {
        let wild = std::mem::take(&mut found.scan.wild);
        if wild.is_empty() {
            break;
        }
        let is_wild = |usable: &Usable| again || wild.contains(&usable.track.stream);
        let (out, kept): (Vec<_>, Vec<_>) = usable.into_iter().partition(is_wild);
        unused.extend(out.into_iter().map(|usable| usable.reject(UnusedReason::Times)));
        usable = kept;
        found = scan(source, &usable)?;
    }
    Ok((found, usable))
}

fn scan(source: &Source<'_>, audio: &[Usable]) -> Outcome<Scanned> {
    let found = scan_apart(source, audio, &[])?;
    if found.scan.clashes.is_empty() {
        return Ok(found);
    }
    // A track that begins in the middle of another one was mixed into it.
    scan_apart(source, audio, &found.scan.clashes)
}

/// Scans with a fresh demuxer. The streams `apart` continue no track.
fn scan_apart(source: &Source<'_>, audio: &[Usable], apart: &[u32]) -> Outcome<Scanned> {
    let Source { link, job, size, format, stream, movie } = *source;
    let mut input = Input::open(link, 0, size, Some(format), &job.budget)?;
    let sound: Vec<u32> = audio.iter().map(|usable| usable.track.stream).collect();
    let streams: Vec<u32> = std::iter::once(stream).chain(sound.iter().copied()).collect();
    input.only(&streams);
    let mut tracks = Vec::with_capacity(streams.len());
    for stream in &streams {
        tracks.push(scan::Track { stream: *stream, time_base: input.time_base(*stream)? });
    }
    let blank = movie.is_some_and(|movie| !movie.fragmented);
    if blank {
        // Before that, examined packets are dropped with their parsers, which would fail on blank packets.
        input.read_blank();
        input.rewind(&streams)?;
    }
    let declared = declared_rates(&input.stream(stream)?).into_iter().find(is_sane);
    let seconds = declared.map_or(NOMINAL_FRAME_SECONDS, |rate| 1.0 / rate.as_f64());
    let indexed = [MOVIE_FORMAT, "avi"].contains(&format);
    let frame_seconds = seconds.min(1.0);
    let guessed = format == PROGRAM_STREAM_FORMAT;
    let request = scan::Request { tracks: &tracks, frame_seconds, indexed, guessed, apart };
    let mut scan = Scan::read(&mut input, &request, &job.budget)?;
    // The index of an MP4 is exact, and its packets are not read.
    for sound in scan.sound.iter_mut().filter(|_| !blank) {
        tail::trim(&input, sound)?;
    }
    let another = another::recording(link, size, &input, movie, scan.last_byte)?;
    // Only a reader of all earlier headers knows whether another movie follows.
    scan.picture.monotonic &= another.is_none() || !movie.is_some_and(|movie| movie.fragmented);
    let cut_short = input.truncated() || input.index_exceeds(stream, size);
    Ok(Scanned { scan, cut_short, another })
}

/// Leaves out audio more than `limit` seconds after everything else: such a distance is hardly intended, and filling it would take long.
fn cut_behind_pause(
    scan: &mut Scan,
    tracks: &[Usable],
    time_base: Rational,
    limit: f64,
) -> Option<Warning> {
    let shown = time_base.seconds(scan.picture.end);
    let (from, to) = silence::longer(shown, &scan.heard, limit)?;
    for (sound, usable) in scan.sound.iter_mut().zip(tracks) {
        sound.end = sound.end.min(usable.track.time_base.ticks(from));
    }
    let (pause, begins) = (to - from, scan.heard.first().is_some_and(|(first, _)| *first >= to));
    Some(if begins {
        Warning::SoundAfterPicture { pause, limit }
    } else {
        Warning::SoundBehindPause { pause, limit }
    })
}

/// An audio track with the measured start and length.
fn measure(usable: Usable, sound: &Sound, declared_start: Option<i64>) -> AudioTrack {
    let Usable { mut track, packet_seconds, untimed, gapless } = usable;
    let sounded = sound.packets as f64 * packet_seconds;
    let stamped = track.time_base.seconds(sound.end.saturating_sub(sound.start));
    // Only half a second was decoded. A contradiction there may be absent everywhere else.
    track.counted &= untimed || soundtrack::contradicts_throughout(sounded, stamped, gapless);
    track.start = declared_start.map_or(sound.start, |start| start.saturating_add(sound.moved));
    track.seconds = if track.counted {
        sounded
    } else {
        track.time_base.seconds(sound.end.saturating_sub(track.start)).max(0.0)
    };
    track.continued = sound.continued.clone();
    track.clock = sound.clock.clone();
    track
}

fn describe(
    input: &Input,
    index: u32,
    trial: Trial,
    scan: &Picture,
    movie: Option<&Movie>,
) -> Outcome<VideoTrack> {
    let stream = input.stream(index)?;
    let (rotation, mirrored) = facts::orientation(&stream);
    let time_base = facts::time_base(&stream);
    let boxes = boxes_of(movie, &stream);
    let start = first_shown(&trial, scan);
    let mut random_access = scan.random_access.clone();
    // A container without a table of keys marks every packet as a key. Then only the first is certain.
    if scan.keys > 1 && scan.keys == scan.packets && !trial.intra_only {
        random_access.truncate(1);
    }
    Ok(VideoTrack {
        stream: index,
        codec: stream.parameters().id().name().to_owned(),
        profile: trial::profile(input, index)?,
        width: trial.width,
        height: trial.height,
        sample_aspect: trial.sample_aspect,
        signalled_aspect: trial.signalled_aspect,
        rotation,
        mirrored,
        pixel_format: trial.pixel_format,
        colour: trial.colour,
        interlaced: trial.interlaced,
        time_base,
        frame_rate: frame_rate(&stream, scan, time_base),
        start,
        end: scan.end,
        packets: scan.packets,
        random_access,
        monotonic: scan.monotonic,
        media_edits: boxes.map_or(0, |track| track.media_edits),
        descriptions: boxes.map_or(1, |track| track.descriptions.max(1)),
        largest_gap: scan.largest_gap(),
        silent_gap: scan.silent_gap,
        lasting: scan.lasting,
        continued: scan.continued.clone(),
        clock: scan.clock.clone(),
        decoder_options: trial.decoder_options,
    })
}

/// Time of the first shown picture. Packets at the start of a source may never be shown: leading pictures of a group without its start, or
/// pictures that an edit list cuts off.
fn first_shown(trial: &Trial, scan: &Picture) -> i64 {
    let shown = trial.first_shown.filter(|shown| *shown < scan.end);
    scan.start().max(shown.unwrap_or(i64::MIN))
}

/// The container's frame rate if it is near the measured one, else the measured one.
fn frame_rate(stream: &Stream<'_>, scan: &Picture, time_base: Rational) -> Rational {
    let declared = declared_rates(stream);
    let sane = is_sane;
    let Some(measured) = scan.frame_rate(time_base) else {
        return declared.into_iter().find(sane).unwrap_or(Rational { num: 25, den: 1 });
    };
    let off =
        |rate: &Rational, packets: f64| (rate.as_f64() * packets / measured.as_f64() - 1.0).abs();
    // In some containers fields are separate packets: two packets, one frame.
    let near =
        |rate: &Rational| off(rate, 1.0) <= RATE_TOLERANCE || off(rate, 2.0) <= RATE_TOLERANCE;
    let exact = |rate: &&Rational| sane(rate) && off(rate, 1.0) <= RATE_NOISE;
    let [average, base] = &declared;
    [base]
        .into_iter()
        .find(exact)
        .or_else(|| [average, base].into_iter().find(|rate| sane(rate) && near(rate)))
        .copied()
        .unwrap_or(measured)
}

/// Frame rates that the container declares: the average, and the finest regular one.
fn declared_rates(stream: &Stream<'_>) -> [Rational; 2] {
    [stream.avg_frame_rate(), stream.rate()].map(facts::rational)
}

fn is_sane(rate: &Rational) -> bool {
    rate.num > 0 && rate.den > 0 && rate.as_f64() <= 1000.0
}

/// Checks the findings against the budget.
fn check(video: &VideoTrack, job: &Job) -> Outcome<()> {
    let seconds = video.time_base.seconds(video.end.saturating_sub(video.start));
    if seconds > job.budget.seconds_max {
        return Err(failure(OverLimit::Length { seconds, limit: job.budget.seconds_max }));
    }
    check_gap(video.silent_gap, video.time_base.as_f64(), &job.budget)
}
