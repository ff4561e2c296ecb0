//! Opens a source: libav's demuxers over range reads. Only what is listed here is allowed.
//!
//! Invariants: the content of a file, never its name, determines its format. No demuxer may open anything else (no protocols, `io_open`
//! denied). Streams, probing and errors are bounded. A fault of the link takes precedence over the error that libav makes of it. No packet
//! has a time base that is finer than the outputs support.

use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ffmpeg_next::format::context;
use ffmpeg_next::{Error, Packet, Stream, ffi, media};
use jetreel_domain::codec::clock;
use jetreel_domain::codec::wire::Budget;
use jetreel_domain::plan::rational::Rational;
use jetreel_domain::words::reason::FileFault;

use crate::blocks::Blocks;
use crate::facts;
use crate::failure::{Outcome, failure_with, internal, source_failure};
use crate::link::Link;
use crate::opening::Opening;
use crate::toplevel::TopLevel;

/// Failed reads in a row after which the rest of a source is skipped.
const FAILED_READS_MAX: u32 = 256;

/// Name of libav's MP4 demuxer. Only its index can be complete.
pub(crate) const MOVIE_FORMAT: &str = "mov,mp4,m4a,3gp,3g2,mj2";
/// Name of libav's demuxer of MPEG program streams, in which a packet may hold several pictures and one timestamp.
pub(crate) const PROGRAM_STREAM_FORMAT: &str = "mpeg";

/// An open source.
pub(crate) struct Input {
    pub(super) context: context::Input,
    pub(super) link: Link,
    pub(super) past_end: Arc<AtomicBool>,
    pub(super) blank: Arc<AtomicBool>,
    pub(super) fetched: Arc<AtomicU64>,
    pub(super) top: Arc<Mutex<TopLevel>>,
    pub(super) failed_reads: u64,
    pub(super) truncated: bool,
    /// Reader of block times; `None` unless the file is Matroska.
    pub(super) blocks: Option<Blocks>,
}

impl Input {
    /// Opens object `object` of `size` bytes. `format` selects the demuxer that an earlier probe found.
    pub(crate) fn open(
        link: &Link,
        object: u32,
        size: u64,
        format: Option<&str>,
        budget: &Budget,
    ) -> Outcome<Self> {
        Opening { link, object, size, format, budget, look: true }.open(Vec::new())
    }

    /// Opens a probed source for its pictures. MP4 describes its tracks in the header, so libav need not decode the first frames again,
    /// which costs a tenth of a second at 1080p.
    pub(crate) fn open_known(
        link: &Link,
        object: u32,
        size: u64,
        format: &str,
        budget: &Budget,
    ) -> Outcome<Self> {
        let look = format != MOVIE_FORMAT;
        Opening { link, object, size, format: Some(format), budget, look }.open(Vec::new())
    }

    /// Name of the demuxer, in the form of [`Input::open`].
    pub(crate) fn format(&self) -> String {
        self.context.format().name().to_owned()
    }

    /// Number of streams.
    pub(crate) fn streams(&self) -> u32 {
        self.context.nb_streams()
    }

    /// A stream by index.
    pub(crate) fn stream(&self, index: u32) -> Outcome<Stream<'_>> {
        self.context.stream(index as usize).ok_or_else(|| {
            failure_with(FileFault::TrackGone, format!("There is no track {index}."))
        })
    }

    /// Seconds per tick of a stream's packets as [`Input::read`] returns them.
    pub(crate) fn time_base(&self, index: u32) -> Outcome<Rational> {
        Ok(clock::working(self.own_time_base(index)?))
    }

    fn own_time_base(&self, index: u32) -> Outcome<Rational> {
        Ok(facts::rational(self.stream(index)?.time_base()))
    }

    /// The context, for functions that only libav's C interface has.
    pub(crate) fn context(&mut self) -> &mut context::Input {
        &mut self.context
    }

    /// Makes the demuxer skip all other streams.
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

    /// From now on packets have times, flags and lengths but no content, and the source is not read. Only for containers with a complete
    /// index. It cannot be undone.
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

    /// Seeks to the last random-access point of `stream` at or before `dts`, in ticks of [`Input::time_base`].
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

    /// Seeks to the first packet in the indexes of `streams`.
    pub(crate) fn rewind(&mut self, streams: &[u32]) -> Outcome<()> {
        self.past_end.store(false, Ordering::Relaxed);
        // A seek moves all tracks to the same time, so the track that begins first determines it.
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

    /// Timestamp of the first packet in a stream's index, in the container's ticks.
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

    /// The next packet. `None` at the end, even if the file is cut short.
    ///
    /// A failed read is counted ([`Input::failed_reads`]), and the next packet is tried: in most formats damage is local.
    pub(crate) fn read(&mut self) -> Outcome<Option<Packet>> {
        let mut failed = 0;
        while failed < FAILED_READS_MAX {
            let mut packet = Packet::empty();
            match packet.read(&mut self.context) {
                Ok(()) if self.is_of_another(&packet) => {}
                Ok(()) => {
                    self.complete(&mut packet)?;
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
                    failed += 1;
                }
            }
        }
        self.truncated = true;
        Ok(None)
    }

    /// Whether a packet belongs to a movie after the first one. libav treats the fragments of both as those of one.
    fn is_of_another(&self, packet: &Packet) -> bool {
        let begins = self.another_movie().and_then(|begins| isize::try_from(begins).ok());
        begins.is_some_and(|begins| packet.position() >= begins)
    }

    /// Adds the times that libav omits.
    fn complete(&mut self, packet: &mut Packet) -> Outcome<()> {
        let Some(blocks) = &mut self.blocks else { return Ok(()) };
        let stream = self.context.stream(packet.stream());
        let medium = stream.map(|stream| stream.parameters().medium());
        if medium == Some(media::Type::Video) { blocks.mend(packet) } else { Ok(()) }
    }

    /// Converts a packet to the time base of [`Input::time_base`].
    fn coarsen(&self, packet: &mut Packet) -> Outcome<()> {
        let own = self.own_time_base(packet.stream() as u32)?;
        let working = clock::working(own);
        if working != own {
            packet.rescale_ts(facts::libav(own), facts::libav(working));
        }
        Ok(())
    }

    /// Byte position of another movie in an MP4, as far as the file was read.
    pub(crate) fn another_movie(&self) -> Option<u64> {
        self.top.lock().unwrap_or_else(PoisonError::into_inner).another()
    }

    /// Bytes of the source that were read so far.
    pub(crate) fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Number of failed reads.
    pub(crate) fn failed_reads(&self) -> u64 {
        self.failed_reads
    }

    /// Whether reading ended earlier than the container declares.
    pub(crate) fn truncated(&self) -> bool {
        self.truncated
    }
}
