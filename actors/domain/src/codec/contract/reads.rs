//! The permitted reads of a codec process: within its objects, and not many more than a few passes over them.

use super::breach::{Breach, Checked, ensure};
use crate::codec::death::CodecDeath;
use crate::codec::wire::{Job, JobWork, READ_BYTES_MAX};

/// Passes over all objects. A probe makes two, one after it has looked around. A task makes one, and a second if a container cannot seek.
const PASSES: u64 = 6;
/// Bytes in addition: demuxers read the first and the last megabytes repeatedly.
const BYTES_BASE: u64 = 128 << 20;
/// Reads in addition: top-level boxes, steps of a search.
const REQUESTS_BASE: u64 = 4096;
/// Smallest average read in bytes: the codec's windows begin with as many.
const REQUEST_BYTES: u64 = 64 << 10;
/// Reads per piece that the job itself names: header and content, copied and verified.
const REQUESTS_PER_PIECE: u64 = 4;

/// Reads that are still permitted.
#[derive(Debug, Clone)]
pub(super) struct Reads {
    /// Sizes of the objects in bytes.
    objects: Vec<u64>,
    requests: u64,
    served: u64,
    fetched: u64,
}

impl Reads {
    pub(super) fn new(job: &Job) -> Self {
        let total = job.objects.iter().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        let passes = total.saturating_mul(PASSES);
        let bytes = passes.saturating_add(BYTES_BASE);
        let requests = (pieces(&job.work) * REQUESTS_PER_PIECE).saturating_add(REQUESTS_BASE);
        Self {
            objects: job.objects.clone(),
            requests: requests.saturating_add(passes / REQUEST_BYTES),
            served: bytes,
            fetched: bytes,
        }
    }

    /// Checks and counts a read.
    pub(super) fn ask(&mut self, object: u32, offset: u64, length: u32) -> Checked {
        let size = self.objects.get(object as usize);
        let end = offset.checked_add(u64::from(length));
        let inside = size.zip(end).is_some_and(|(size, end)| length > 0 && end <= *size);
        ensure(inside && length <= READ_BYTES_MAX, "a read outside of the objects")?;
        spend(&mut self.requests, 1)?;
        spend(&mut self.served, u64::from(length))
    }

    /// Counts bytes that the node fetched for a read.
    pub(super) fn fetch(&mut self, bytes: u64) -> Checked {
        spend(&mut self.fetched, bytes)
    }
}

fn spend(left: &mut u64, amount: u64) -> Checked {
    *left = left
        .checked_sub(amount)
        .ok_or(Breach { death: CodecDeath::Reads, rule: "more was read than the work takes" })?;
    Ok(())
}

/// Number of the pieces of objects that a job names.
fn pieces(work: &JobWork) -> u64 {
    let pieces = match work {
        JobWork::Hello
        | JobWork::Trespass
        | JobWork::Probe
        | JobWork::Video(_)
        | JobWork::Audio(_) => 0,
        JobWork::Images(images) => images.pictures.len(),
        JobWork::Package(package) => {
            let sound = package.audio.as_ref().map_or(0, |track| track.segments.len());
            package.video.segments.len() + sound
        }
        JobWork::Batch(works) => return works.iter().map(self::pieces).sum(),
    };
    pieces as u64
}
