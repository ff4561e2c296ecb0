//! A libavfilter graph with one input and one output. Frames pass by reference.
//!
//! Invariants: one thread. The pushed frame is not changed, and each output frame is a new reference.

use std::ffi::CString;

use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::{ffi, filter};

use crate::failure::{Outcome, internal, own_failure};

/// Form of a graph's input. Another form needs another graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pixel format.
    pub format: Pixel,
}

impl Shape {
    /// The form of a frame.
    pub(crate) fn of(frame: &Video) -> Self {
        Self { width: frame.width(), height: frame.height(), format: frame.format() }
    }
}

/// A chain of filters.
pub(crate) struct Graph {
    // Owns the targets of the two pointers.
    _graph: filter::Graph,
    source: *mut ffi::AVFilterContext,
    sink: *mut ffi::AVFilterContext,
}

impl Graph {
    /// A chain `filters` (libav's syntax) for frames of `shape`. Timestamps are ignored: frames leave in order.
    pub(crate) fn new(shape: Shape, filters: &str) -> Outcome<Self> {
        let mut graph = filter::Graph::new();
        #[expect(
            unsafe_code,
            reason = "nb_threads is a plain field to be set before the first filter is added"
        )]
        unsafe {
            (*graph.as_mut_ptr()).nb_threads = 1;
        }
        let pixel: ffi::AVPixelFormat = shape.format.into();
        let arguments = format!(
            "video_size={}x{}:pix_fmt={}:time_base=1/1000:pixel_aspect=1/1",
            shape.width, shape.height, pixel as i32,
        );
        let (from, to) = match (filter::find("buffer"), filter::find("buffersink")) {
            (Some(from), Some(to)) => (from, to),
            (Some(_) | None, _) => return Err(internal("libavfilter has no buffers")),
        };
        let built = graph
            .add(&from, "in", &arguments)
            .and_then(|_| graph.add(&to, "out", ""))
            .and_then(|_| graph.output("in", 0)?.input("out", 0)?.parse(filters))
            .and_then(|()| graph.validate());
        built.map_err(|error| own_failure(error, &format!("build the filters {filters:?}")))?;
        let source = end(&mut graph, "in")?;
        let sink = end(&mut graph, "out")?;
        Ok(Self { _graph: graph, source, sink })
    }

    /// Pushes a frame, or the end.
    pub(crate) fn push(&mut self, frame: Option<&Video>) -> Outcome<()> {
        #[expect(
            unsafe_code,
            reason = "KEEP_REF leaves the frame to its owner, in spite of the mutable pointer"
        )]
        let result = unsafe {
            let frame = frame.map_or(std::ptr::null_mut(), |frame| frame.as_ptr().cast_mut());
            ffi::av_buffersrc_add_frame_flags(self.source, frame, KEEP_REF)
        };
        if result < 0 { Err(own_failure(result, "filter a frame")) } else { Ok(()) }
    }

    /// Pulls a frame; `false` if none is ready.
    pub(crate) fn pull(&mut self, frame: &mut Video) -> Outcome<bool> {
        #[expect(unsafe_code, reason = "the frame is emptied before the sink fills it")]
        let result = unsafe {
            ffi::av_frame_unref(frame.as_mut_ptr());
            ffi::av_buffersink_get_frame(self.sink, frame.as_mut_ptr())
        };
        if result >= 0 {
            Ok(true)
        } else if result == ffi::AVERROR(ffi::EAGAIN) || result == ffi::AVERROR_EOF {
            Ok(false)
        } else {
            Err(own_failure(result, "filter a frame"))
        }
    }
}

const KEEP_REF: i32 = ffi::AV_BUFFERSRC_FLAG_KEEP_REF as i32;

fn end(graph: &mut filter::Graph, name: &str) -> Outcome<*mut ffi::AVFilterContext> {
    let missing = || internal("a filter graph has lost an end");
    let name = CString::new(name).map_err(|_| missing())?;
    #[expect(unsafe_code, reason = "looks an instance up by name; the graph owns it")]
    let context =
        unsafe { ffi::avfilter_graph_get_filter(graph.as_mut_ptr(), name.as_ptr().cast_mut()) };
    if context.is_null() { Err(missing()) } else { Ok(context) }
}
