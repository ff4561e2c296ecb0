//! One job and its process: answers reads, hands results on, and decides how it ended.
//!
//! Invariant: whatever is half done when `next` is dropped (a frame half written, a block on its way, a process half
//! reaped) is kept here and continued by the next call.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::StreamExt;
use jetreel_actors::ports::{CodecSession, PortFuture, ProcessBudget};
use jetreel_domain::failure::{CodecDeath, Failure};
use jetreel_domain::wire::{CodecFailure, FRAME_BYTES_MAX, FailureCode, FromCodec, Job, ToCodec};
use serde_bytes::ByteBuf;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::budget::Meter;
use super::hello::{self, Confinement};
use super::process::Process;
use super::readahead::Sources;

/// Most bytes one read may ask for: the answer must fit a frame.
const READ_BYTES_MAX: u32 = (FRAME_BYTES_MAX - 1024) as u32;

/// A job being worked on.
pub(super) struct Session {
    process: Process,
    incoming: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
    outgoing: OwnedWriteHalf,
    /// What is still to be written to the process.
    pending: Bytes,
    /// The read that is still to be answered.
    asked: Option<Ask>,
    sources: Sources,
    /// Why a read could not be answered: the true reason for what the process reports next.
    source_failure: Option<Failure>,
    meter: Meter,
    demanded: Confinement,
    /// The job, until the process has said hello and is accepted.
    job: Option<Bytes>,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy)]
struct Ask {
    object: u32,
    offset: u64,
    length: u32,
}

/// How a job ended, before its process is reaped.
#[derive(Debug, Clone)]
enum End {
    /// With its last word.
    Done(FromCodec),
    /// With a report of failure.
    Reported(CodecFailure),
    /// Refused by this side.
    Refused(Failure),
    /// Killed for a breach.
    Killed(CodecDeath, String),
    /// It closed its socket: by ending itself, or not.
    Closed,
    /// Told already.
    Told,
}

impl Session {
    pub(super) fn new(
        process: Process,
        socket: UnixStream,
        job: Job,
        sources: Sources,
        budget: ProcessBudget,
        demanded: Confinement,
    ) -> Result<Self, Failure> {
        let (read, write) = socket.into_split();
        let mut frames = LengthDelimitedCodec::new();
        frames.set_max_frame_length(FRAME_BYTES_MAX);
        Ok(Self {
            process,
            incoming: FramedRead::new(read, frames),
            outgoing: write,
            pending: Bytes::new(),
            asked: None,
            sources,
            source_failure: None,
            meter: Meter::new(budget, Instant::now()),
            demanded,
            job: Some(frame(&ToCodec::Job(Box::new(job)))?),
            end: None,
        })
    }

    async fn advance(&mut self) -> Result<FromCodec, Failure> {
        loop {
            if self.end.is_some() {
                return self.conclude().await;
            }
            match self.step().await {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(end) => self.end = Some(end),
            }
        }
    }

    /// Does the next thing that is due; gives a frame that is for the caller.
    async fn step(&mut self) -> Result<Option<FromCodec>, End> {
        if let Some(ask) = self.asked {
            self.pending = self.answer(ask).await?;
            self.asked = None;
        }
        let (deadline, death) = self.meter.deadline(Instant::now());
        let overdue = |_| End::Killed(death, String::new());
        if self.pending.has_remaining() {
            let written = self.outgoing.write_all_buf(&mut self.pending);
            // A process that closed its end has said why before, or is dead: reading tells.
            if timeout_at(deadline, written).await.map_err(overdue)?.is_err() {
                self.pending.clear();
            }
        }
        match timeout_at(deadline, self.incoming.next()).await.map_err(overdue)? {
            None => Err(End::Closed),
            Some(Ok(body)) => self.take(&body),
            Some(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(nonsense(error))
            }
            // Reset, or an end within a frame.
            Some(Err(_)) => Err(End::Closed),
        }
    }

    /// Understands one frame.
    fn take(&mut self, body: &[u8]) -> Result<Option<FromCodec>, End> {
        let frame: FromCodec = rmp_serde::from_slice(body).map_err(nonsense)?;
        if self.job.is_some() {
            hello::accept(&frame, self.demanded).map_err(|r| End::Refused(r.failure()))?;
            self.pending = self.job.take().unwrap_or_default();
            return Ok(Some(frame));
        }
        self.meter.count(&frame).map_err(|death| End::Killed(death, String::new()))?;
        match frame {
            FromCodec::Hello { .. } => Err(nonsense("a second greeting")),
            FromCodec::Read { object, offset, length } => {
                if self.sources.size(object).is_none() || length > READ_BYTES_MAX {
                    return Err(nonsense(format!("a read of {length} bytes of object {object}")));
                }
                self.asked = Some(Ask { object, offset, length });
                Ok(None)
            }
            FromCodec::Done(_) => Err(End::Done(frame)),
            FromCodec::Failed(failure) => Err(End::Reported(failure)),
            FromCodec::Progress { .. }
            | FromCodec::Fragment { .. }
            | FromCodec::Picture { .. }
            | FromCodec::ChunkDone(_)
            | FromCodec::AudioFragment { .. }
            | FromCodec::AudioPartDone(_)
            | FromCodec::Output { .. } => Ok(Some(frame)),
        }
    }

    /// The answer to a read. Storage has its own patience; only the wall clock of the job bounds it here.
    async fn answer(&mut self, ask: Ask) -> Result<Bytes, End> {
        let (deadline, _) = self.meter.deadline(Instant::now() + Duration::from_secs(86_400));
        let read = self.sources.read(ask.object, ask.offset, ask.length);
        let answer = match timeout_at(deadline, read).await {
            Ok(Ok(bytes)) => ToCodec::Bytes(ByteBuf::from(bytes)),
            Ok(Err(failure)) => {
                self.source_failure = Some(failure);
                ToCodec::NoBytes
            }
            Err(_) => return Err(End::Killed(CodecDeath::WallClock, String::new())),
        };
        frame(&answer).map_err(End::Refused)
    }

    /// Reaps the process and tells how the job ended.
    async fn conclude(&mut self) -> Result<FromCodec, Failure> {
        let by_itself = match &self.end {
            Some(End::Closed) => self.process.ends_by_itself().await,
            _ => true,
        };
        let ended = self.process.end().await;
        let end = self.end.replace(End::Told).unwrap_or(End::Told);
        let death = |death: CodecDeath| Failure::from(death).with_detail(&ended.log);
        Err(match end {
            End::Done(frame) => return Ok(frame),
            End::Reported(failure) => self.blame(failure, &ended.log),
            End::Refused(failure) => failure,
            End::Killed(cause, detail) => death(cause).with_detail(join(&detail, &ended.log)),
            End::Closed if by_itself => death(self.meter.explain(ended.death, self.process.cpu())),
            End::Closed => {
                death(CodecDeath::Protocol).with_detail(join("closed its socket", &ended.log))
            }
            End::Told => Failure::task("codec-exit", "the codec process has ended already"),
        })
    }

    /// The failure for a report: where the source could not be had, the store knows better why.
    fn blame(&mut self, report: CodecFailure, log: &str) -> Failure {
        if report.code == FailureCode::SourceUnavailable
            && let Some(failure) = self.source_failure.take()
        {
            return failure;
        }
        let mut failure = Failure::from(report);
        failure.detail = join(&failure.detail, log);
        failure
    }
}

impl CodecSession for Session {
    fn next(&mut self) -> PortFuture<'_, FromCodec> {
        Box::pin(self.advance())
    }

    fn cpu_seconds(&self) -> f64 {
        self.process.cpu().as_secs_f64()
    }
}

fn frame(message: &ToCodec) -> Result<Bytes, Failure> {
    let broken = |detail: String| Failure::from(CodecDeath::Protocol).with_detail(detail);
    let body = rmp_serde::to_vec_named(message).map_err(|error| broken(error.to_string()))?;
    if body.len() > FRAME_BYTES_MAX {
        return Err(broken(format!("a frame of {} bytes is too large", body.len())));
    }
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_u32(body.len() as u32);
    frame.put_slice(&body);
    Ok(frame.freeze())
}

fn nonsense(detail: impl std::fmt::Display) -> End {
    End::Killed(CodecDeath::Protocol, detail.to_string())
}

fn join(first: &str, second: &str) -> String {
    match (first, second) {
        ("", only) | (only, "") => only.to_owned(),
        _ => format!("{first}\n{second}"),
    }
}
