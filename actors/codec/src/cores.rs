//! Limits how many threads of this process run at once.

use std::sync::{Condvar, Mutex, PoisonError};

/// A number of cores that threads share. A thread takes one to work and returns it to wait.
pub(crate) struct Cores {
    free: Mutex<u32>,
    freed: Condvar,
}

impl Cores {
    /// `count` cores, but at least one.
    pub(crate) fn new(count: u32) -> Self {
        Self { free: Mutex::new(count.max(1)), freed: Condvar::new() }
    }

    /// Waits for a free core and takes it.
    pub(crate) fn take(&self) {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let none = |free: &mut u32| *free == 0;
        let mut free = self.freed.wait_while(free, none).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
    }

    /// Returns a core.
    pub(crate) fn give(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.freed.notify_one();
    }

    /// Runs `work` while holding a core.
    pub(crate) fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        self.take();
        let done = work();
        self.give();
        done
    }

    /// Runs `wait` without the held core.
    pub(crate) fn without<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.give();
        let done = wait();
        self.take();
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn no_more_threads_work_than_there_are_cores() {
        let (cores, busy, most) = (Cores::new(2), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        cores.with(|| {
                            let now = busy.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(now, Ordering::SeqCst);
                            std::thread::yield_now();
                            busy.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 2);
    }
}
