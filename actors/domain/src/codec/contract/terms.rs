//! The permitted frames of each kind of job besides reads: results, progress, and the final report.

use super::breach::{Breach, Checked, ensure, nonsense};
use super::files::{self, Files};
use super::fragment::INIT_BYTES_MAX;
use super::frame::FrameKind;
use super::pictures::Pictures;
use super::sound::Sound;
use super::{facts, text};
use crate::codec::wire::{
    Attempt, FRAME_BYTES_MAX, FromCodec, ImagesJob, Job, JobWork, OUTPUT_BYTES, PackageJob, Report,
    Verified,
};
use crate::plan::thumbnails;

/// Most bytes of a frame besides its lists and its content.
const FRAME_BYTES: usize = 1 << 10;
const ATTEMPTS_MAX: usize = 256;
const ATTEMPT_BYTES_MAX: usize = 256;
/// Most bytes of a failure's message, and of its detail.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 10;
pub(super) const DETAIL_BYTES_MAX: usize = 8 << 10;

/// Frames that are still permitted.
#[derive(Debug, Clone)]
pub(super) enum Terms {
    Hello,
    Trespass,
    Probe(Box<Job>),
    Video(Pictures),
    Audio(Sound),
    Images(Files, ImagesJob),
    Package(Files, PackageJob),
    /// One job after the other.
    Batch(Vec<Terms>),
}

impl Terms {
    pub(super) fn new(job: &Job, cpu_seconds_max: f64) -> Self {
        Self::of(&job.work, job, cpu_seconds_max)
    }

    fn of(work: &JobWork, job: &Job, cpu_seconds_max: f64) -> Self {
        let (budget, cpu) = (&job.budget, cpu_seconds_max);
        match work {
            JobWork::Hello => Self::Hello,
            JobWork::Trespass => Self::Trespass,
            JobWork::Probe => Self::Probe(Box::new(job.clone())),
            JobWork::Video(video) => Self::Video(Pictures::new(video, budget, cpu)),
            JobWork::Audio(audio) => Self::Audio(Sound::new(audio, budget, cpu)),
            JobWork::Images(images) => Self::Images(Files::of_images(images), images.clone()),
            JobWork::Package(package) => Self::Package(Files::of_package(package), package.clone()),
            JobWork::Batch(pieces) => {
                Self::Batch(pieces.iter().map(|piece| Self::of(piece, job, cpu)).collect())
            }
        }
    }

    /// Most bytes of a frame of this kind.
    pub(super) fn bytes_max(&self, kind: FrameKind) -> usize {
        let content = match kind {
            FrameKind::Hello | FrameKind::Read | FrameKind::Progress => 0,
            FrameKind::Fragment => self.pictures().map_or(0, Pictures::fragment_bytes_max),
            FrameKind::Picture => self.pictures().map_or(0, Pictures::picture_bytes_max),
            FrameKind::ChunkDone => self.pictures().map_or(0, Pictures::report_bytes_max),
            FrameKind::AudioFragment => self.sound().map_or(0, Sound::fragment_bytes_max),
            FrameKind::AudioPartDone => self.sound().map_or(0, |_| INIT_BYTES_MAX as u64),
            FrameKind::Output if self.makes_files() => OUTPUT_BYTES as u64,
            FrameKind::Output => 0,
            FrameKind::Done => self.report_bytes_max() as u64,
            FrameKind::Failed => (MESSAGE_BYTES_MAX + DETAIL_BYTES_MAX) as u64,
        };
        let bytes = usize::try_from(content).unwrap_or(usize::MAX).saturating_add(FRAME_BYTES);
        bytes.min(FRAME_BYTES_MAX)
    }

    fn report_bytes_max(&self) -> usize {
        match self {
            Self::Hello | Self::Video(_) | Self::Audio(_) | Self::Package(..) => 0,
            Self::Trespass => ATTEMPTS_MAX * ATTEMPT_BYTES_MAX,
            Self::Probe(job) => facts::report_bytes_max(job),
            Self::Images(_, job) => thumbnails::sheets(job).map(|sheet| sheet.name.len() + 8).sum(),
            Self::Batch(pieces) => {
                pieces.iter().map(|piece| piece.report_bytes_max() + FRAME_BYTES).sum()
            }
        }
    }

    /// Most frames of a progress message.
    pub(super) fn progress_max(&self, job: &Job) -> u64 {
        match (self, &job.work) {
            (Self::Video(_), JobWork::Video(video)) => Pictures::progress_max(video, &job.budget),
            (Self::Audio(sound), _) => sound.units_max(),
            (Self::Package(_, package), _) if package.verify => files::samples(&package.video),
            (Self::Batch(pieces), _) => pieces.iter().map(|piece| piece.progress_max(job)).sum(),
            (_, _) => 0,
        }
    }

    /// Checks a result.
    pub(super) fn result(&mut self, frame: &FromCodec) -> Checked {
        match (self, frame) {
            (Self::Video(pictures), FromCodec::Fragment { chunk, tier, segment, bytes }) => {
                pictures.fragment(*chunk, *tier, segment, bytes)
            }
            (Self::Video(pictures), FromCodec::Picture { chunk, pts, bytes }) => {
                pictures.picture(*chunk, *pts, bytes)
            }
            (Self::Video(pictures), FromCodec::ChunkDone(report)) => pictures.done(report),
            (Self::Audio(sound), FromCodec::AudioFragment { part, segment, bytes }) => {
                sound.fragment(*part, segment, bytes)
            }
            (Self::Audio(sound), FromCodec::AudioPartDone(report)) => sound.done(report),
            (
                Self::Images(files, _) | Self::Package(files, _),
                FromCodec::Output { name, bytes, end },
            ) => files.append(name, bytes, *end),
            (Self::Batch(pieces), FromCodec::Output { .. }) => {
                let open = pieces.iter_mut().find(|piece| !piece.has_all_files());
                open.ok_or_else(|| nonsense("a file that is not to be made"))?.result(frame)
            }
            (_, _) => Err(nonsense("a result of another kind of work")),
        }
    }

    /// Checks the report of a finished job.
    pub(super) fn report(&self, report: &Report) -> Checked {
        let complete = match (self, report) {
            (Self::Hello, Report::Hello) => true,
            (Self::Trespass, Report::Trespass(attempts)) => return trespass(attempts),
            (Self::Probe(job), Report::Probe(found)) => return facts::facts(found, job),
            (Self::Video(pictures), Report::Video) => pictures.complete(),
            (Self::Audio(sound), Report::Audio { parts }) => sound.complete(*parts),
            (Self::Images(files, job), Report::Images { poster, vtt, sprites }) => {
                let named = poster == thumbnails::POSTER && vtt == thumbnails::INDEX;
                let sheets = thumbnails::sheets(job).map(|sheet| sheet.name);
                files.complete() && named && sheets.eq(sprites.iter().cloned())
            }
            (Self::Package(files, job), Report::Package { verified }) => {
                ensure(verified.is_some() == job.verify, "a file verified unasked, or not")?;
                verified.iter().try_for_each(verification)?;
                files.complete()
            }
            (Self::Batch(pieces), Report::Batch(reports)) => {
                ensure(pieces.len() == reports.len(), "a report of other pieces of work")?;
                return pieces
                    .iter()
                    .zip(reports)
                    .try_for_each(|(piece, report)| piece.report(report));
            }
            (_, _) => return Err(nonsense("a report of another kind of work")),
        };
        ensure(complete, "an end before everything was sent")
    }

    fn pictures(&self) -> Option<&Pictures> {
        if let Self::Video(pictures) = self { Some(pictures) } else { None }
    }

    fn sound(&self) -> Option<&Sound> {
        if let Self::Audio(sound) = self { Some(sound) } else { None }
    }

    fn files(&self) -> Option<&Files> {
        if let Self::Images(files, _) | Self::Package(files, _) = self { Some(files) } else { None }
    }

    fn makes_files(&self) -> bool {
        if let Self::Batch(pieces) = self {
            pieces.iter().any(Self::makes_files)
        } else {
            self.files().is_some()
        }
    }

    fn has_all_files(&self) -> bool {
        self.files().is_none_or(Files::complete)
    }
}

fn trespass(attempts: &[Attempt]) -> Result<(), Breach> {
    ensure(attempts.len() <= ATTEMPTS_MAX, "too many attempts")?;
    let texts = attempts.iter().flat_map(|attempt| [&attempt.what, &attempt.answer]);
    texts.into_iter().try_for_each(|text| text::words(text, ATTEMPT_BYTES_MAX))
}

fn verification(verified: &Verified) -> Checked {
    let Verified { frames: _, start, pts_hash } = verified;
    text::tick(*start)?;
    text::hash(pts_hash)
}
