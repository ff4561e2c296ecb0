//! Detects that memory ran out, however it shows: as an error of libav, as a failed allocation of this program, or as the crash of a
//! library that did not check an allocation.
//!
//! The parent bounds the address space (`RLIMIT_AS`) well above the job's needs. So a process without room for one more large allocation
//! has used up its budget.

use std::alloc::{GlobalAlloc, Layout, System};
use std::os::raw::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use ffmpeg_next::ffi;
use jetreel_domain::codec::budget;
use jetreel_domain::codec::wire::{Budget, FailureCode};

/// Free memory in bytes below which memory has run out. The job sets it.
static ROOM: AtomicUsize = AtomicUsize::new(64 << 20);

/// The system's allocator. If it has no memory left, the process ends with a reason.
struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

#[expect(
    unsafe_code,
    reason = "an allocator cannot be written otherwise; this one only looks at results"
)]
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        given(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        given(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        given(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn given(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        spent();
    }
    memory
}

/// Ends the process without another allocation.
fn spent() -> ! {
    #[expect(unsafe_code, reason = "ends the process at once; nothing of it is needed any more")]
    unsafe {
        libc::_exit(FailureCode::MemoryBudget.exit_code())
    }
}

/// Value of `M_PERTURB`: allocated bytes are set to its complement, zero.
const ZEROED: c_int = 0xff;

/// Sets up the heap of the C library, before there is a second thread.
///
/// Memory is allocated as zeros. x264 (core 164, the AVX-512 code of its rate control) reads some that it never wrote, at widths that are
/// no multiple of 128, and its output depends on that. Allocations of up to 1032 bytes that the C library takes from memory freed by the
/// same thread (its `tcache`) are not covered: they keep their content. All threads share one heap. Separate heaps would take 64 MB of
/// address space each, for which no job has a budget, and encoders allocate little once they are open.
pub(crate) fn set_up_heap() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "sets two numbers, before there is a second thread")]
    unsafe {
        libc::mallopt(libc::M_PERTURB, ZEROED);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Bounds single allocations of libav by what one picture or one index of this job can need.
pub(crate) fn bound(limits: &Budget) {
    let bytes = usize::try_from(budget::allocation_max(limits.pixels_max)).unwrap_or(usize::MAX);
    ROOM.store(bytes, Ordering::Relaxed);
    #[expect(unsafe_code, reason = "sets a number; called before libav works")]
    unsafe {
        ffi::av_max_alloc(bytes);
    }
}

/// Whether there is no room for one more large allocation.
pub(crate) fn is_short() -> bool {
    let length = ROOM.load(Ordering::Relaxed);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    #[expect(
        unsafe_code,
        reason = "maps address space that nothing uses and gives it back; safe in a signal handler too"
    )]
    unsafe {
        let room = libc::mmap(std::ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0);
        if room == libc::MAP_FAILED {
            return true;
        }
        libc::munmap(room, length);
    }
    false
}

/// Signals by which a library dies if it does not check an allocation.
const CRASHES: [c_int; 3] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT];

/// Handlers of these signals before ours.
static BEFORE: [OnceLock<libc::sigaction>; 3] = [const { OnceLock::new() }; 3];

/// Checks memory when the process crashes, and leaves everything else to the previous handler.
pub(crate) fn explain_crashes() {
    for (signal, before) in CRASHES.into_iter().zip(&BEFORE) {
        #[expect(
            unsafe_code,
            reason = "the handler only does what a handler may: it maps, unmaps, ends, or restores what was there"
        )]
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let mut old: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_crash as *const () as usize;
            action.sa_flags = libc::SA_ONSTACK;
            if libc::sigaction(signal, std::ptr::null(), &mut old) == 0 && before.set(old).is_ok() {
                libc::sigaction(signal, &action, std::ptr::null_mut());
            }
        }
    }
}

extern "C" fn on_crash(signal: c_int) {
    if is_short() {
        spent();
    }
    let at = CRASHES.iter().position(|crash| *crash == signal);
    if let Some(before) = at.and_then(|at| BEFORE.get(at)).and_then(OnceLock::get) {
        // The failed instruction fails again, now without this handler.
        #[expect(unsafe_code, reason = "restores an action that the kernel gave")]
        unsafe {
            libc::sigaction(signal, before, std::ptr::null_mut());
        }
    }
}
