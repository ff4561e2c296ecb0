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
    for (first, last) in [(SOCKET_FD + 1, LOG_FD - 1), (LOG_FD + 1, i32::MAX)] {
        if close_range(first, last).is_err() {
            (first..=last.min(FEW)).for_each(close);
        }
    }
}

fn close(descriptor: i32) {
    #[expect(
        unsafe_code,
        reason = "nothing in this process owns a descriptor besides the log and the socket"
    )]
    unsafe {
        libc::close(descriptor);
    }
}

fn close_range(first: i32, last: i32) -> io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "nothing in this process owns a descriptor besides the log and the socket"
    )]
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
