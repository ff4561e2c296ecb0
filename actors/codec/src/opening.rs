//! Opens a demuxer with its options, and corrects what libav would misread.
//!
//! Invariants: those of [`Input`].

use std::ffi::{CStr, CString};
use std::io::Read as _;
use std::os::raw::{c_char, c_int};
use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use ffmpeg_next::format::context::{self, StreamIo};
use ffmpeg_next::{Dictionary, ffi};
use jetreel_domain::codec::wire::{Budget, CodecFailure};
use jetreel_domain::words::reason::{FileFault, OverLimit};

use crate::blocks::{Blocks, MATROSKA_FORMAT};
use crate::failure::{
    Outcome, failure, failure_with, internal, libav_text, own_failure, source_failure,
};
use crate::input::{Input, MOVIE_FORMAT};
use crate::link::Link;
use crate::source::{Mend, Source};
use crate::{allow, boxes, names, partitions};

/// Size of libav's own buffer. Larger reads go straight to the windows of [`Source`].
const AVIO_BYTES: usize = 64 << 10;
/// Bytes that demuxers may read to find the streams.
const PROBE_BYTES: &str = "10000000";
/// Microseconds of media that they may read.
const ANALYZE_MICROSECONDS: &str = "10000000";

/// Parameters of an opening.
pub(crate) struct Opening<'a> {
    /// The socket to the parent.
    pub link: &'a Link,
    /// Index of the object.
    pub object: u32,
    /// Size of the object in bytes.
    pub size: u64,
    /// Demuxer to use; `None` to detect it.
    pub format: Option<&'a str>,
    pub budget: &'a Budget,
    /// Whether libav examines the streams.
    pub look: bool,
}

impl Opening<'_> {
    /// Opens the source, with `mends` in place of its own bytes.
    pub(crate) fn open(&self, mends: Vec<Mend>) -> Outcome<Input> {
        let Self { link, object, size, budget, .. } = *self;
        if size == 0 {
            return Err(failure(FileFault::Empty));
        }
        let is_mended = !mends.is_empty();
        let mut source = Source::new(link.clone(), object, size).mended(mends.clone());
        let (past_end, blank, fetched) = (source.past_end(), source.blank(), source.fetched());
        let top = source.boxes();
        let head = head(&mut source, link)?;
        if let Some(begins) = partitions::another(link, object, size, &head)? {
            return Opening { size: begins, ..*self }.open(mends);
        }
        let mut io = StreamIo::from_read_seek_with_capacity(source, AVIO_BYTES)
            .map_err(|error| own_failure(error, "make an input"))?;
        let demuxer = recognise(&mut io, self.format).map_err(|refusal| first(link, refusal))?;
        let mut context = match open_with(io, demuxer, budget) {
            Ok(context) => context,
            Err(refusal) => {
                link.fault()?;
                // libav continues to look for fragments.
                let another = top.lock().unwrap_or_else(PoisonError::into_inner).another();
                let shorter = another.filter(|begins| *begins < size).ok_or(refusal)?;
                return Opening { size: shorter, ..*self }.open(mends);
            }
        };
        if !is_mended && is_hollow(&mut context) {
            let mends = boxes::mends(link, object, size)?;
            if !mends.is_empty() {
                drop(context);
                return self.open(mends);
            }
        }
        if self.look {
            find_streams(&mut context, budget).map_err(|refusal| first(link, refusal))?;
        }
        link.fault()?;
        if context.nb_streams() > budget.streams_max {
            return Err(failure(OverLimit::Tracks { limit: budget.streams_max }));
        }
        past_end.store(false, Ordering::Relaxed);
        let is_matroska = context.format().name() == MATROSKA_FORMAT;
        let blocks = is_matroska.then(|| Blocks::new(link.clone(), object, size));
        Ok(Input {
            context,
            link: link.clone(),
            past_end,
            blank,
            fetched,
            top,
            failed_reads: 0,
            truncated: false,
            blocks,
        })
    }
}

/// Whether an MP4 has a track with samples of which nothing is shown.
fn is_hollow(context: &mut context::Input) -> bool {
    if context.format().name() != MOVIE_FORMAT {
        return false;
    }
    #[expect(unsafe_code, reason = "the context is open; entries are read one by one")]
    unsafe {
        let context = context.as_mut_ptr();
        (0..(*context).nb_streams as usize).any(|index| {
            let stream = *(*context).streams.add(index);
            let entries = 0..ffi::avformat_index_get_entries_count(stream);
            let hidden = |entry: *const ffi::AVIndexEntry| {
                entry.is_null() || (*entry).flags() & ffi::AVINDEX_DISCARD_FRAME != 0
            };
            let mut entries = entries.map(|entry| ffi::avformat_index_get_entry(stream, entry));
            (*stream).nb_frames > 0 && entries.all(hidden)
        })
    }
}

/// The fault of the link if there is one, because it explains every later failure. Else `refusal`.
fn first(link: &Link, refusal: CodecFailure) -> CodecFailure {
    link.fault().err().unwrap_or(refusal)
}

/// The first bytes. Playlists and descriptions are text that makes demuxers open other files, so they are refused before a demuxer reads
/// them.
fn head(source: &mut Source, link: &Link) -> Outcome<Vec<u8>> {
    let mut head = Vec::new();
    let read = source.take(256).read_to_end(&mut head);
    link.fault()?;
    if read.is_err() || allow::is_reference_text(&head) {
        return Err(failure(FileFault::PointsElsewhere));
    }
    let rewound = std::io::Seek::rewind(source);
    rewound.map_err(|error| internal(error.to_string())).map(|()| head)
}

/// The demuxer for the content, if it is allowed.
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
    // MPEG-TS: joined recordings may number their tracks anew.
    options.set("merge_pmt_versions", "1");
    // One more than allowed, to distinguish too many streams from a damaged file.
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

/// Examines the streams. The decoders that libav opens for that get their limits too.
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

/// Refuses to open anything besides the source itself.
extern "C" fn deny(
    _context: *mut ffi::AVFormatContext,
    _io: *mut *mut ffi::AVIOContext,
    _url: *const c_char,
    _flags: c_int,
    _options: *mut *mut ffi::AVDictionary,
) -> c_int {
    ffi::AVERROR(ffi::EACCES)
}
