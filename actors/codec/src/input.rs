//! Opens a source: libav's demuxers over range reads, with nothing allowed that is not listed here.
//!
//! Invariants: what a file is, its content decides, never its name; no demuxer may open anything else (no protocols, `io_open`
//! denied); streams, probing and errors are bounded; a fault of the link always wins over what libav makes of it. No packet leaves
//! with a time base that is finer than the outputs can carry.

use std::ffi::{CStr, CString};
use std::io::Read as _;
use std::os::raw::{c_char, c_int};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ffmpeg_next::format::context::{self, StreamIo};
use ffmpeg_next::{Dictionary, Error, Packet, Stream, ffi};
use jetreel_domain::clock;
use jetreel_domain::media::Rational;
use jetreel_domain::reason::{FileFault, OverLimit};
use jetreel_domain::wire::{Budget, CodecFailure};

use crate::failure::{
    Outcome, failure, failure_with, internal, libav_text, own_failure, source_failure,
};
use crate::link::Link;
use crate::names;
use crate::source::Source;
use crate::{allow, facts};

/// libav's own buffer; larger reads go straight to the windows of [`Source`].
const AVIO_BYTES: usize = 64 << 10;
/// Bytes the demuxers may look at to find out what is inside.
const PROBE_BYTES: &str = "10000000";
/// Microseconds of media they may look at.
const ANALYZE_MICROSECONDS: &str = "10000000";
/// Failed reads in a row after which the rest of a source is given up.
const FAILED_READS_MAX: u32 = 256;

/// libav's name of the MP4 demuxer, the one whose index can be complete.
pub(crate) const MOVIE_FORMAT: &str = "mov,mp4,m4a,3gp,3g2,mj2";
/// libav's name of the demuxer of MPEG program streams, in which a packet may hold several pictures and one timestamp.
pub(crate) const PROGRAM_STREAM_FORMAT: &str = "mpeg";

/// An open source.
pub(crate) struct Input {
    context: context::Input,
    link: Link,
    past_end: Arc<AtomicBool>,
    blank: Arc<AtomicBool>,
    fetched: Arc<AtomicU64>,
    failed_reads: u64,
    truncated: bool,
}

impl Input {
    /// Opens object `object` of `size` bytes. `format` forces a demuxer that an earlier probe found.
    pub(crate) fn open(
        link: &Link,
        object: u32,
        size: u64,
        format: Option<&str>,
        budget: &Budget,
    ) -> Outcome<Self> {
        Self::open_looking(link, object, size, format, budget, true)
    }

    /// Opens what an earlier probe has looked into, for its pictures. MP4 describes its tracks in the header, so libav need not
    /// decode the first frames once more, which costs a tenth of a second at 1080p.
    pub(crate) fn open_known(
        link: &Link,
        object: u32,
        size: u64,
        format: &str,
        budget: &Budget,
    ) -> Outcome<Self> {
        Self::open_looking(link, object, size, Some(format), budget, format != MOVIE_FORMAT)
    }

    fn open_looking(
        link: &Link,
        object: u32,
        size: u64,
        format: Option<&str>,
        budget: &Budget,
        look: bool,
    ) -> Outcome<Self> {
        if size == 0 {
            return Err(failure(FileFault::Empty));
        }
        let mut source = Source::new(link.clone(), object, size);
        let (past_end, blank, fetched) = (source.past_end(), source.blank(), source.fetched());
        refuse_text(&mut source, link)?;
        let mut io = StreamIo::from_read_seek_with_capacity(source, AVIO_BYTES)
            .map_err(|error| own_failure(error, "make an input"))?;
        let demuxer = recognise(&mut io, format).map_err(|refusal| first(link, refusal))?;
        let mut context = open_with(io, demuxer, budget).map_err(|refusal| first(link, refusal))?;
        if look {
            find_streams(&mut context, budget).map_err(|refusal| first(link, refusal))?;
        }
        link.fault()?;
        if context.nb_streams() > budget.streams_max {
            return Err(failure(OverLimit::Tracks { limit: budget.streams_max }));
        }
        past_end.store(false, Ordering::Relaxed);
        let link = link.clone();
        Ok(Self { context, link, past_end, blank, fetched, failed_reads: 0, truncated: false })
    }

    /// The demuxer's name, as [`Input::open`] takes it.
    pub(crate) fn format(&self) -> String {
        self.context.format().name().to_owned()
    }

    /// How many streams there are.
    pub(crate) fn streams(&self) -> u32 {
        self.context.nb_streams()
    }

    /// A stream by index.
    pub(crate) fn stream(&self, index: u32) -> Outcome<Stream<'_>> {
        self.context.stream(index as usize).ok_or_else(|| {
            failure_with(FileFault::TrackGone, format!("There is no track {index}."))
        })
    }

    /// Seconds per tick of the packets of a stream as [`Input::read`] gives them.
    pub(crate) fn time_base(&self, index: u32) -> Outcome<Rational> {
        Ok(clock::working(self.own_time_base(index)?))
    }

    fn own_time_base(&self, index: u32) -> Outcome<Rational> {
        Ok(facts::rational(self.stream(index)?.time_base()))
    }

    /// The context, for what only libav's C interface offers.
    pub(crate) fn context(&mut self) -> &mut context::Input {
        &mut self.context
    }

    /// Lets the demuxer skip everything but these streams.
    pub(crate) fn only(&mut self, wanted: &[u32]) {
        for mut stream in self.context.streams_mut() {
            let discard = if wanted.contains(&(stream.index() as u32)) {
                ffi::AVDiscard::AVDISCARD_DEFAULT
            } else {
                ffi::AVDiscard::AVDISCARD_ALL
            };
            #[expect(
                unsafe_code,
                reason = "discard is a plain field that the caller of libav sets"
            )]
            unsafe {
                (*stream.as_mut_ptr()).discard = discard;
            }
        }
    }

    /// From now on packets have their times, flags and lengths, but no content, and nothing of the source is read. Only for
    /// containers whose index is complete; there is no way back.
    pub(crate) fn read_blank(&mut self) {
        self.blank.store(true, Ordering::Relaxed);
        #[expect(
            unsafe_code,
            reason = "flags are a plain field; parsers would choke on blank packets"
        )]
        unsafe {
            (*self.context.as_mut_ptr()).flags |= ffi::AVFMT_FLAG_NOPARSE;
        }
    }

    /// Jumps to the last random-access point of `stream` at or before `dts`, in ticks of [`Input::time_base`].
    pub(crate) fn seek(&mut self, stream: u32, dts: i64) -> Outcome<()> {
        let own = self.own_time_base(stream)?;
        let dts = clock::rescale_up(dts, clock::working(own), own);
        self.past_end.store(false, Ordering::Relaxed);
        #[expect(
            unsafe_code,
            reason = "the context is open; the safe seek knows neither a stream nor its time base"
        )]
        let result = unsafe {
            ffi::avformat_seek_file(
                self.context.as_mut_ptr(),
                stream as c_int,
                i64::MIN,
                dts,
                dts,
                0,
            )
        };
        self.link.fault()?;
        if result < 0 { Err(source_failure(result, "seek")) } else { Ok(()) }
    }

    /// Goes back to the first packet that the indexes of `streams` list.
    pub(crate) fn rewind(&mut self, streams: &[u32]) -> Outcome<()> {
        self.past_end.store(false, Ordering::Relaxed);
        // A seek takes the other tracks to the same time: the one that begins first decides.
        let mut first: Option<(f64, u32, i64)> = None;
        for stream in streams {
            let Some(entry) = self.first_indexed(*stream)? else { continue };
            let seconds = self.own_time_base(*stream)?.seconds(entry);
            if first.is_none_or(|(earliest, ..)| seconds < earliest) {
                first = Some((seconds, *stream, entry));
            }
        }
        let Some((_, stream, entry)) = first else { return Ok(()) };
        #[expect(unsafe_code, reason = "the context is open and has that stream")]
        let result = unsafe {
            let context = self.context.as_mut_ptr();
            // ANY: the first packet of a cut recording need not be a key.
            let flags = ffi::AVSEEK_FLAG_BACKWARD | ffi::AVSEEK_FLAG_ANY;
            ffi::av_seek_frame(context, stream as c_int, entry, flags)
        };
        self.link.fault()?;
        if result < 0 { Err(source_failure(result, "seek to the start")) } else { Ok(()) }
    }

    /// The timestamp of the first packet that the index of a stream lists, in the container's ticks.
    fn first_indexed(&mut self, stream: u32) -> Outcome<Option<i64>> {
        #[expect(
            unsafe_code,
            reason = "the context is open and has that stream; the entry is read before anything else happens"
        )]
        unsafe {
            let context = self.context.as_mut_ptr();
            if stream >= (*context).nb_streams {
                return Err(internal("a track is gone"));
            }
            let entry = ffi::avformat_index_get_entry(*(*context).streams.add(stream as usize), 0);
            Ok((!entry.is_null()).then(|| (*entry).timestamp))
        }
    }

    /// Whether the index of `stream` lists packets beyond the end of a source of `size` bytes.
    pub(crate) fn index_exceeds(&mut self, stream: u32, size: u64) -> bool {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        #[expect(
            unsafe_code,
            reason = "the context is open and has that stream; entries are read one by one and not kept"
        )]
        unsafe {
            let context = self.context.as_mut_ptr();
            if stream >= (*context).nb_streams {
                return false;
            }
            let stream = *(*context).streams.add(stream as usize);
            (0..ffi::avformat_index_get_entries_count(stream)).any(|index| {
                let entry = ffi::avformat_index_get_entry(stream, index);
                !entry.is_null() && (*entry).pos.saturating_add(i64::from((*entry).size())) > size
            })
        }
    }

    /// The next packet; `None` at the end, also where the file is cut short.
    ///
    /// A failed read is counted ([`Input::failed_reads`]) and the next packet tried: damage is local in most formats.
    pub(crate) fn read(&mut self) -> Outcome<Option<Packet>> {
        for _ in 0..FAILED_READS_MAX {
            let mut packet = Packet::empty();
            match packet.read(&mut self.context) {
                Ok(()) => {
                    self.coarsen(&mut packet)?;
                    return Ok(Some(packet));
                }
                Err(error) => {
                    self.link.fault()?;
                    if error == Error::Eof {
                        return Ok(None);
                    }
                    if error == (Error::Other { errno: ffi::ENOMEM }) {
                        return Err(source_failure(error.into(), "read a packet"));
                    }
                    if self.past_end.load(Ordering::Relaxed) {
                        self.truncated = true;
                        return Ok(None);
                    }
                    self.failed_reads += 1;
                }
            }
        }
        self.truncated = true;
        Ok(None)
    }

    /// Puts a packet on the time base of [`Input::time_base`].
    fn coarsen(&self, packet: &mut Packet) -> Outcome<()> {
        let own = self.own_time_base(packet.stream() as u32)?;
        let working = clock::working(own);
        if working != own {
            packet.rescale_ts(facts::libav(own), facts::libav(working));
        }
        Ok(())
    }

    /// Bytes of the source that were read so far.
    pub(crate) fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Reads that failed so far.
    pub(crate) fn failed_reads(&self) -> u64 {
        self.failed_reads
    }

    /// Whether reading ended before the container said it would.
    pub(crate) fn truncated(&self) -> bool {
        self.truncated
    }
}

/// A fault of the link explains any failure that followed it.
fn first(link: &Link, refusal: CodecFailure) -> CodecFailure {
    link.fault().err().unwrap_or(refusal)
}

/// Playlists and descriptions are text that makes demuxers open other files: refused before any demuxer sees them.
fn refuse_text(source: &mut Source, link: &Link) -> Outcome<()> {
    let mut head = Vec::new();
    let read = source.take(256).read_to_end(&mut head);
    link.fault()?;
    if read.is_err() || allow::is_reference_text(&head) {
        return Err(failure(FileFault::PointsElsewhere));
    }
    let rewound = std::io::Seek::rewind(source);
    rewound.map_err(|error| internal(error.to_string()))
}

/// The demuxer for the content, if it is on the list.
fn recognise(io: &mut StreamIo, format: Option<&str>) -> Outcome<*const ffi::AVInputFormat> {
    let mut found: *const ffi::AVInputFormat = ptr::null();
    if let Some(name) = format.and_then(|name| CString::new(name).ok()) {
        #[expect(unsafe_code, reason = "looks a name up in a static table")]
        unsafe {
            found = ffi::av_find_input_format(name.as_ptr());
        }
    } else {
        #[expect(unsafe_code, reason = "reads from the open io context and rewinds it")]
        let result = unsafe {
            ffi::av_probe_input_buffer2(
                io.as_mut_ptr(),
                &mut found,
                c"".as_ptr(),
                ptr::null_mut(),
                0,
                0,
            )
        };
        if result < 0 || found.is_null() {
            let accepted = allow::accepted_formats();
            return Err(failure_with(FileFault::NotRecognised { accepted }, libav_text(result)));
        }
    }
    if found.is_null() {
        return Err(source_failure(ffi::AVERROR_DEMUXER_NOT_FOUND, "find the demuxer"));
    }
    #[expect(unsafe_code, reason = "the names of a demuxer are static strings")]
    let (name, long_name) =
        unsafe { (CStr::from_ptr((*found).name).to_string_lossy(), (*found).long_name) };
    if allow::is_format(&name) {
        return Ok(found);
    }
    let (recognised, accepted) = (names::format(&name, long_name), allow::accepted_formats());
    let detail = format!("Recognised as {name}.");
    Err(failure_with(FileFault::FormatNotAccepted { recognised, accepted }, detail))
}

fn open_with(
    mut io: StreamIo,
    demuxer: *const ffi::AVInputFormat,
    budget: &Budget,
) -> Outcome<context::Input> {
    let mut options = Dictionary::new();
    for (name, value) in allow::options() {
        options.set(name, &value);
    }
    options.set("probesize", PROBE_BYTES);
    options.set("analyzeduration", ANALYZE_MICROSECONDS);
    // MPEG-TS: recordings put one after the other may number their tracks anew.
    options.set("merge_pmt_versions", "1");
    // One more than allowed, so that too many can be told apart from a damaged file.
    options.set("max_streams", &(budget.streams_max.saturating_add(1)).to_string());
    #[expect(
        unsafe_code,
        reason = "opening with own io, a forced demuxer and a denied io_open has no safe form; on failure libav frees the context, and `io` is freed here in every case"
    )]
    unsafe {
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(own_failure(ffi::AVERROR(ffi::ENOMEM), "make a context"));
        }
        (*context).pb = io.as_mut_ptr();
        (*context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        if !allow::may_open_others() {
            (*context).io_open = Some(deny);
        }
        let mut options = options.disown();
        let url = allow::url().as_ptr();
        let result = ffi::avformat_open_input(&mut context, url, demuxer, &mut options);
        drop(Dictionary::own(options));
        if result < 0 {
            return Err(source_failure(result, "open the file"));
        }
        Ok(context::Input::wrap_with_custom_io(context, io))
    }
}

/// Looks into the streams. The decoders that libav opens for that get their limits too.
fn find_streams(context: &mut context::Input, budget: &Budget) -> Outcome<()> {
    let limits = || {
        let mut limits = Dictionary::new();
        limits.set("threads", "1");
        limits.set("max_pixels", &budget.pixels_max.to_string());
        limits
    };
    #[expect(
        unsafe_code,
        reason = "one dictionary for each stream there is, taken back and freed afterwards"
    )]
    let result = unsafe {
        let mut options: Vec<*mut ffi::AVDictionary> =
            (0..context.nb_streams()).map(|_| limits().disown()).collect();
        let result = ffi::avformat_find_stream_info(context.as_mut_ptr(), options.as_mut_ptr());
        options.into_iter().for_each(|options| drop(Dictionary::own(options)));
        result
    };
    if result < 0 { Err(source_failure(result, "find out what is inside")) } else { Ok(()) }
}

/// No demuxer may open anything besides the source itself.
extern "C" fn deny(
    _context: *mut ffi::AVFormatContext,
    _io: *mut *mut ffi::AVIOContext,
    _url: *const c_char,
    _flags: c_int,
    _options: *mut *mut ffi::AVDictionary,
) -> c_int {
    ffi::AVERROR(ffi::EACCES)
}
