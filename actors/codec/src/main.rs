//! The isolated codec process: it gets one job over a socket, does it with libav, and ends. On request it loads libav first, and forks such
//! a process for each job.
//!
//! Invariants: it drops its rights before the first byte of a source. It opens no file and no network connection; source bytes and results
//! go over the socket. It sends exactly one of `Done` and `Failed`. The exit code tells what happened even if the message cannot be sent.
//!
//! Reading order: switches for tests, confinement, memory, the socket, forks, allow-lists, the probe, then pictures, audio and packaging.

mod switches;
mod confine;
mod memory;
mod names;
mod failure;
mod program;
mod link;
mod forks;
mod allow;
mod toplevel;
mod repeats;
mod partitions;
mod source;
mod edits;
mod boxes;
mod blocks;
mod input;
mod opening;
mod clock;
mod offsets;
mod decoder;
mod doubt;
mod preroll;
mod packets;
mod decode;
mod facts;
mod clocks;
mod silence;
mod tail;
mod roster;
mod programme;
mod resampler;
mod joint;
mod points;
mod scan;
mod legacy;
mod trial;
mod another;
mod probe;
mod filter;
mod correct;
mod cascade;
mod encode;
mod jpeg;
mod tier;
mod cores;
mod encoders;
mod video;
mod movie;
mod mux;
mod timeline;
mod sound_decoder;
mod sound_probe;
mod split;
mod aac;
mod parts;
mod loss;
mod audio;
mod outlet;
mod images;
mod table;
mod verify;
mod package;

use ffmpeg_next::ffi;
use jetreel_domain::codec::wire::{FailureCode, FromCodec, Job, JobWork, Report, VERSION};

use crate::confine::confine;
use crate::failure::{Outcome, internal};
use crate::forks::Role;
use crate::link::{Link, protocol};

/// Exit status after a panic: `EX_SOFTWARE`.
const PANIC_EXIT: i32 = 70;

fn main() {
    confine::end_with_parent();
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::exit(PANIC_EXIT);
    }));
    ffmpeg_next::util::log::set_level(ffmpeg_next::util::log::Level::Warning);
    memory::set_up_heap();
    memory::explain_crashes();
    // Read before anything is confined: libav and x264 inspect the machine once, which they could not do later.
    let build = build();
    if build.is_ok() && forks::are_asked_for() && forks::serve() == Role::Server {
        quit(0);
    }
    quit(run(build))
}

/// Does one job. Returns the exit code.
fn run(build: Outcome<String>) -> i32 {
    let link = Link::inherited();
    let outcome = build.and_then(|build| serve(&link, build));
    let code = match &outcome {
        Ok(_) => 0,
        Err(failure) => failure.code.exit_code(),
    };
    let last_word = match outcome {
        Ok(report) => FromCodec::Done(report),
        Err(failure) => FromCodec::Failed(failure),
    };
    // The parent may be gone; then only the exit code remains.
    let told = link.last_word(&last_word);
    if told.is_err() && code == 0 { FailureCode::Protocol.exit_code() } else { code }
}

/// Ends the process without the destructors of about 160 libraries, which take 3 ms and do nothing for a process that ends.
fn quit(code: i32) -> ! {
    #[expect(unsafe_code, reason = "ends the process at once; nothing of it is needed any more")]
    unsafe {
        libc::_exit(code)
    }
}

fn serve(link: &Link, build: String) -> Outcome<Report> {
    let confined = confine();
    link.send(&FromCodec::Hello {
        version: VERSION,
        build,
        confinement: confined.tier.to_owned(),
        weaknesses: confined.weaknesses,
    })?;
    let job = link.job()?;
    if job.version != VERSION {
        return Err(protocol(&format!("the parent speaks version {}", job.version)));
    }
    memory::bound(&job.budget);
    work(link, &job, &job.work)
}

fn work(link: &Link, job: &Job, work: &JobWork) -> Outcome<Report> {
    match work {
        JobWork::Hello => Ok(Report::Hello),
        JobWork::Trespass => trespass(),
        JobWork::Audio(audio) => audio::run(link, job, audio),
        JobWork::Video(video) => video::run(link, job, video),
        JobWork::Probe => probe::run(link, job),
        JobWork::Images(images) => images::run(link, job, images),
        JobWork::Package(package) => package::run(link, job, package),
        JobWork::Batch(pieces) => {
            let reports = pieces.iter().map(|piece| self::work(link, job, piece));
            reports.collect::<Outcome<_>>().map(Report::Batch)
        }
    }
}

/// Attempts forbidden operations, and a thread, which is allowed.
fn trespass() -> Outcome<Report> {
    let attempts = confine::attempts();
    let thread = std::thread::Builder::new().spawn(|| ()).map_err(|error| error.to_string());
    let ended = thread.and_then(|thread| thread.join().map_err(|_| "it panicked".to_owned()));
    ended.map_err(|error| internal(format!("no thread can be started: {error}")))?;
    Ok(Report::Trespass(attempts))
}

/// All that determines the output bytes: this program, and its linked libraries.
fn build() -> Outcome<String> {
    #[expect(unsafe_code, reason = "these functions return constants")]
    let (codec, format, filter, scale) = unsafe {
        (
            ffi::avcodec_version(),
            ffi::avformat_version(),
            ffi::avfilter_version(),
            ffi::swscale_version(),
        )
    };
    let text = |version: u32| format!("{}.{}.{}", version >> 16, version >> 8 & 255, version & 255);
    let program =
        program::id().map_err(|error| internal(format!("this program cannot be read: {error}")))?;
    Ok(format!(
        "jetreel-codec {} program {program} protocol {VERSION} avcodec {} avformat {} avfilter {} swscale {} x264 {}",
        env!("CARGO_PKG_VERSION"),
        text(codec),
        text(format),
        text(filter),
        text(scale),
        encode::x264_core()?,
    ))
}
