//! File descriptors: the limit of this process, and the share of each purpose in it.
//!
//! Invariant: connections never take what codecs, store and broker need. [`Budget`] is derived from the limit, and each share is held
//! by a semaphore of its own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the log, the broker, timers, signals, the admin address, and what libraries open.
const NODE: u64 = 64;
/// For a task: its codec process (socket, log), files that are read for it and files that its tiers are written to.
const TASK: u64 = 16;
/// Connections, unless the setting asks for more: each costs memory too.
const CONNECTIONS_MAX: u64 = 10_000;
/// Connections at least, even where the limit is too low for them.
const CONNECTIONS_MIN: u64 = 16;
/// What "no limit" stands for: the kernel's own bound of a process, as it comes.
const UNLIMITED: u64 = 1 << 20;

/// Raises the soft limit of this process to its hard limit, and logs both; gives the limit that holds from now on.
pub fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let before = current.unwrap_or(UNLIMITED);
    let hard = maximum.unwrap_or(UNLIMITED);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = match raised {
        Ok(()) => hard,
        Err(error) => {
            tracing::warn!(%error, soft = before, hard, "the limit of file descriptors stays");
            before
        }
    };
    tracing::info!(limit, raised_from = before, hard, "limit of file descriptors");
    limit
}

/// The limit that holds now.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED)
}

/// What the gateway may hold at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Connections, with one descriptor each.
    pub connections: usize,
    /// Uploads that write, with two descriptors each: a part that grows and one that is synced.
    pub uploads: usize,
    /// Objects that are read, with one descriptor each.
    pub reads: usize,
}

impl Budget {
    /// The shares within `limit` descriptors, beside `tasks` tasks at the same time. `asked` connections, as far as they fit; 0: as
    /// many as fit. A connection costs 1.75 descriptors with its share of uploads and reads; a quarter of one stays free.
    #[must_use]
    pub fn new(limit: u64, tasks: usize, asked: usize) -> Self {
        let tasks = u64::try_from(tasks).unwrap_or(u64::MAX);
        let taken = TASK.saturating_mul(tasks).saturating_add(NODE);
        let fits = (limit.saturating_sub(taken) / 2).max(CONNECTIONS_MIN);
        let connections = match u64::try_from(asked).unwrap_or(u64::MAX) {
            0 => fits.min(CONNECTIONS_MAX),
            asked => asked.min(fits),
        };
        let connections = usize::try_from(connections).unwrap_or(usize::MAX);
        let quarter = (connections / 4).max(1);
        Self { connections, uploads: quarter, reads: quarter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_purposes_fit_into_the_limit_together() {
        for limit in [256, 1024, 4096, 65_536, 1 << 20] {
            for tasks in [0, 3, 6] {
                let budget = Budget::new(limit, tasks, 0);
                let held = budget.connections + 2 * budget.uploads + budget.reads;
                let taken = held as u64 + NODE + TASK * tasks as u64;
                assert!(taken <= limit, "{limit} {tasks}: {budget:?}");
            }
        }
        assert_eq!(Budget::new(1024, 3, 0).connections, 456);
        assert_eq!(Budget::new(1 << 20, 3, 0).connections, 10_000);
    }

    #[test]
    fn what_is_asked_for_is_given_as_far_as_it_fits() {
        assert_eq!(Budget::new(1024, 3, 100).connections, 100);
        assert_eq!(Budget::new(1024, 3, 5000).connections, 456);
        assert_eq!(Budget::new(1 << 20, 3, 50_000).connections, 50_000);
        assert_eq!(Budget::new(8, 3, 0).connections, 16);
    }
}
