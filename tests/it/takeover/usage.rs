//! Resources of a process, as the kernel counts them.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Descriptors of the sockets, pipes and files of two tasks, one of which is about to end.
const DESCRIPTORS_MORE_MAX: usize = 24;
/// Bytes that a job may take while it runs. The worst of them sends a hundred megabytes.
const BYTES_MORE_MAX: u64 = 64 << 20;
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(5);

/// At one moment, or at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    descriptors: usize,
    bytes: u64,
}

impl Usage {
    /// Now.
    pub(super) fn of(process: u32) -> Self {
        Self { descriptors: descriptors(process), bytes: kilobytes(process, "VmRSS:") << 10 }
    }

    /// By how much `most` is above what a job may take.
    pub(super) fn excess(&self, most: &Self) -> Option<String> {
        let fits = most.descriptors <= self.descriptors + DESCRIPTORS_MORE_MAX
            && most.bytes <= self.bytes + BYTES_MORE_MAX;
        (!fits).then(|| format!("{most} at most after {self}"))
    }

    /// Waits until nothing more is held than then. Memory is not given back at once.
    pub(super) async fn is_back(&self, process: u32) -> Option<String> {
        let holds = |now: &Self| {
            now.descriptors <= self.descriptors && now.bytes <= self.bytes + BYTES_MORE_MAX
        };
        let back = super::in_time(async || holds(&Self::of(process))).await;
        (!back).then(|| format!("{} left after {self}", Self::of(process)))
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} descriptors and {} MiB", self.descriptors, self.bytes >> 20)
    }
}

/// A watch over a process.
pub(super) struct Watch {
    process: u32,
    descriptors: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Watches a process from now on.
pub(super) fn watch(process: u32) -> Watch {
    // The kernel counts the peak of the memory anew.
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
    let (most, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let (seen, ended) = (most.clone(), over.clone());
    let thread = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            seen.fetch_max(descriptors(process), Ordering::Relaxed);
            std::thread::sleep(INTERVAL);
        }
    });
    Watch { process, descriptors: most, over, thread }
}

impl Watch {
    /// The most that was used.
    pub(super) fn await_end(self) -> Usage {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let descriptors = self.descriptors.load(Ordering::Relaxed);
        Usage { descriptors, bytes: kilobytes(self.process, "VmHWM:") << 10 }
    }
}

fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

fn kilobytes(process: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
