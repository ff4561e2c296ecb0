//! File descriptors: the limit of this process, and the share of each purpose.
//!
//! Invariant: connections never use the descriptors of codecs, store and broker. [`Budget`] is derived from the limit, and a semaphore
//! guards each share.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for the log, the broker, timers, signals, the admin address, and libraries.
const NODE: u64 = 64;
/// Descriptors of a task: its codec process (socket, log), files that are read for it, and files that its tiers are written to.
const TASK: u64 = 16;
/// Default limit of connections. Each costs memory too.
const CONNECTIONS_MAX: u64 = 10_000;
/// Fewest connections, even if the limit is too low for them.
const CONNECTIONS_MIN: u64 = 16;
/// The limit that stands for "no limit": the kernel's default bound of a process.
const UNLIMITED: u64 = 1 << 20;

/// Raises the soft limit of this process to its hard limit, and logs both. Returns the new limit.
pub fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let before = current.unwrap_or(UNLIMITED);
    let hard = maximum.unwrap_or(UNLIMITED);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = match raised {
        Ok(()) => hard,
        Err(error) => {
            tracing::warn!(%error, soft = before, hard, "the limit of file descriptors could not be raised");
            before
        }
    };
    tracing::info!(limit, raised_from = before, hard, "limit of file descriptors");
    limit
}

/// The current limit.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED)
}

/// Limits of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Connections, with one descriptor each.
    pub connections: usize,
    /// Uploads that write, with two descriptors each: a part that grows and one that is being synced.
    pub uploads: usize,
    /// Objects that are being read, with one descriptor each.
    pub reads: usize,
}

impl Budget {
    /// The shares within `limit` descriptors, besides `tasks` simultaneous tasks. `asked` connections as far as they fit; 0 for as many as
    /// fit. A connection costs 1.75 descriptors with its share of uploads and reads, and a quarter of one stays free.
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
