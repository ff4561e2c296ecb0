//! Session of one job with its process: answers reads, passes results on, and decides how the job ended.
//!
//! Invariants: work that is half done when `next` is dropped (a half-written frame, a block being fetched, a process being reaped) is kept
//! here and continued by the next call. No frame is passed on that the [`Contract`] of the job does not permit. The first final report ends
//! the process, and later frames are not read.

use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use jetreel_actors::ports::{CodecSession, PortFuture, ProcessBudget};
use jetreel_domain::codec::contract::{Breach, Contract, Effect};
use jetreel_domain::codec::death::CodecDeath;
use jetreel_domain::codec::wire::{
    CodecFailure, FRAME_BYTES_MAX, FailureCode, FromCodec, Job, Lent, ToCodec,
};
use jetreel_domain::words::failure::Failure;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::budget::Meter;
use super::frame;
use super::hello::{self, Confinement};
use super::process::Process;
use super::readahead::Sources;

/// How long the socket of an ended process is still read. A child of it may hold the other end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A running job.
pub(super) struct Session {
    process: Process,
    incoming: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
    outgoing: OwnedWriteHalf,
    /// Bytes still to be written to the process.
    pending: Bytes,
    /// The read still to be answered.
    asked: Option<Ask>,
    sources: Sources,
    /// Why a read failed: the true cause of the process's next report.
    source_failure: Option<Failure>,
    meter: Meter,
    contract: Contract,
    demanded: Confinement,
    /// The job, until the greeting of the process is accepted.
    job: Option<Bytes>,
    /// When the process was found ended.
    ended: Option<Instant>,
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
    /// With its final frame.
    Done(FromCodec),
    /// With a failure report.
    Reported(CodecFailure),
    /// Rejected by this side.
    Refused(Failure),
    /// Killed for a breach of the contract.
    Killed(CodecDeath, String),
    /// The process closed its socket, and may or may not have ended.
    Closed,
    /// The end was returned already.
    Told,
}

/// A job that is given up may have been about to end badly.
impl Drop for Session {
    fn drop(&mut self) {
        match self.end {
            Some(End::Told) => {}
            None
            | Some(
                End::Done(_) | End::Reported(_) | End::Refused(_) | End::Killed(..) | End::Closed,
            ) => self.process.distrust(),
        }
    }
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
        let contract = Contract::new(&job, Meter::cpu_seconds_max(&budget));
        Ok(Self {
            process,
            incoming: FramedRead::new(read, frame::greetings()),
            outgoing: write,
            pending: Bytes::new(),
            asked: None,
            sources,
            source_failure: None,
            meter: Meter::new(budget, Instant::now()),
            contract,
            demanded,
            job: Some(written(&ToCodec::Job(Box::new(job)))?),
            ended: None,
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

    /// Does the next step. Returns a frame that is for the caller.
    async fn step(&mut self) -> Result<Option<FromCodec>, End> {
        if let Some(ask) = self.asked {
            self.pending = self.answer(ask).await?;
            self.asked = None;
        }
        let (mut deadline, death) = self.meter.wait(Instant::now());
        let mut overdue = End::Killed(death, String::new());
        if let Some(ended) = self.ended {
            (deadline, overdue) = (ended + LAST_WORDS, End::Closed);
        }
        let Self { process, incoming, outgoing, pending, .. } = self;
        let exchange = async {
            if pending.has_remaining() && outgoing.write_all_buf(pending).await.is_err() {
                // A process that closed its end sent its reason before, or is dead. The next read shows which.
                pending.clear();
            }
            incoming.next().await
        };
        let came = tokio::select! {
            biased;
            came = exchange => came,
            () = process.ended(), if self.ended.is_none() => {
                self.ended = Some(Instant::now());
                return Ok(None);
            }
            () = sleep_until(deadline) => return Err(overdue),
        };
        self.meter.go_on(Instant::now());
        match came {
            None => Err(End::Closed),
            Some(Ok(body)) => self.take(&body),
            Some(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(nonsense(error))
            }
            // The connection was reset or ended within a frame.
            Some(Err(_)) => Err(End::Closed),
        }
    }

    /// Processes one frame.
    fn take(&mut self, body: &[u8]) -> Result<Option<FromCodec>, End> {
        if self.job.is_some() {
            return self.greeted(body).map(Some);
        }
        let kind = frame::kind(body, &self.contract).map_err(nonsense)?;
        self.meter.charge(kind, body.len()).map_err(|death| End::Killed(death, String::new()))?;
        let frame = frame::decode(body).map_err(nonsense)?;
        let effect = self.contract.admit(&frame).map_err(breach)?;
        self.got_on(effect);
        match frame {
            FromCodec::Read { object, offset, length } => {
                self.asked = Some(Ask { object, offset, length });
                Ok(None)
            }
            FromCodec::Done(_) => Err(End::Done(frame)),
            FromCodec::Failed(failure) => Err(End::Reported(failure)),
            FromCodec::Hello { .. }
            | FromCodec::Progress { .. }
            | FromCodec::Fragment { .. }
            | FromCodec::Picture { .. }
            | FromCodec::ChunkDone(_)
            | FromCodec::AudioFragment { .. }
            | FromCodec::AudioPartDone(_)
            | FromCodec::Output { .. } => Ok(Some(frame)),
        }
    }

    /// Processes the greeting: the process gets its job.
    fn greeted(&mut self, body: &[u8]) -> Result<FromCodec, End> {
        let frame = frame::greeting(body).map_err(nonsense)?;
        hello::accept(&frame, self.demanded).map_err(|r| End::Refused(r.failure()))?;
        self.pending = self.job.take().unwrap_or_default();
        self.incoming.decoder_mut().set_max_frame_length(self.contract.frame_bytes_max());
        self.meter.progress();
        Ok(frame)
    }

    fn got_on(&mut self, effect: Effect) {
        match effect {
            Effect::Progress => self.meter.progress(),
            Effect::None => {}
        }
    }

    /// The answer to a read. The store has its own timeouts; here only the wall clock of the job bounds it.
    async fn answer(&mut self, ask: Ask) -> Result<Bytes, End> {
        let before = self.sources.fetched();
        let read = self.sources.read(ask.object, ask.offset, ask.length);
        let answer = match timeout_at(self.meter.wall(), read).await {
            Ok(Ok(bytes)) => written(&Lent::Bytes(serde_bytes::Bytes::new(&bytes))),
            Ok(Err(failure)) => {
                self.source_failure = Some(failure);
                written(&ToCodec::NoBytes)
            }
            Err(_) => return Err(End::Killed(CodecDeath::WallClock, String::new())),
        };
        let fetched = self.sources.fetched() - before;
        let effect = self.contract.fetched(fetched).map_err(breach)?;
        self.got_on(effect);
        answer.map_err(End::Refused)
    }

    /// Reaps the process and returns how the job ended.
    async fn conclude(&mut self) -> Result<FromCodec, Failure> {
        let by_itself = match &self.end {
            Some(End::Closed) => self.process.ends_by_itself().await,
            _ => true,
        };
        let ended = self.process.end().await;
        let end = self.end.replace(End::Told).unwrap_or(End::Told);
        if !matches!(end, End::Done(_)) {
            self.process.distrust();
        }
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
            End::Told => Failure::task("codec-exit", "The codec has ended already."),
        })
    }

    /// The failure for a report of the codec. If reading the source failed, the failure is the store's. If not, a report of unavailable
    /// bytes is false.
    fn blame(&mut self, report: CodecFailure, log: &str) -> Failure {
        if report.code == FailureCode::SourceUnavailable {
            let detail = join("claims that it could not read what was given to it", log);
            let lie = || Failure::from(CodecDeath::Protocol).with_detail(detail);
            return self.source_failure.take().unwrap_or_else(lie);
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

fn written(message: &impl Serialize) -> Result<Bytes, Failure> {
    frame::write(message, FRAME_BYTES_MAX)
        .map_err(|detail| Failure::from(CodecDeath::Protocol).with_detail(detail))
}

fn nonsense(detail: impl std::fmt::Display) -> End {
    End::Killed(CodecDeath::Protocol, detail.to_string())
}

fn breach(breach: Breach) -> End {
    End::Killed(breach.death, breach.rule.to_owned())
}

fn join(first: &str, second: &str) -> String {
    match (first, second) {
        ("", only) | (only, "") => only.to_owned(),
        _ => format!("{first}\n{second}"),
    }
}
