//! Closes inherited descriptors except the log and the socket.

use std::io;

use jetreel_domain::codec::wire::SOCKET_FD;

/// Standard error, the log.
const LOG_FD: i32 = 2;

const _: () =
    assert!(SOCKET_FD == LOG_FD - 2, "one descriptor lies between them, the others above");

/// Most descriptors that are closed one by one if the kernel (before 5.9) or a container has no call for a range. The parent leaves no more
/// open.
const FEW: i32 = 1024;

/// Closes every other descriptor.
pub(super) fn close_all() {
    close_between(SOCKET_FD + 1, LOG_FD - 1);
    close_inherited();
}

/// Closes the descriptors above the standard ones.
pub(crate) fn close_inherited() {
    close_between(LOG_FD + 1, i32::MAX);
}

fn close_between(first: i32, last: i32) {
    if close_range(first, last).is_err() {
        (first..=last.min(FEW)).for_each(close);
    }
}

fn close(descriptor: i32) {
    #[expect(
        unsafe_code,
        reason = "nothing in this process owns a descriptor besides the standard ones"
    )]
    unsafe {
        libc::close(descriptor);
    }
}

fn close_range(first: i32, last: i32) -> io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "nothing in this process owns a descriptor besides the standard ones"
    )]
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
