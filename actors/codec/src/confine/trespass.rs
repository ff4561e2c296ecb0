//! Attempts what confinement must prevent.
//!
//! Each attempt is harmless even if it succeeds: it requests what it never uses, names processes without touching them, and passes
//! arguments that do nothing.

use jetreel_domain::codec::wire::{Attempt, SOCKET_FD};
use libc::c_long;

/// A system call with its description.
struct Call {
    what: &'static str,
    number: c_long,
    arguments: [usize; 6],
}

impl Call {
    fn new<const N: usize>(what: &'static str, number: c_long, given: [usize; N]) -> Self {
        let mut arguments = [0; 6];
        arguments.iter_mut().zip(given).for_each(|(argument, given)| *argument = given);
        Self { what, number, arguments }
    }

    fn attempt(&self) -> Attempt {
        let [a, b, c, d, e, f] = self.arguments;
        #[expect(
            unsafe_code,
            reason = "every pointer among the arguments is null or a static string that the kernel only reads"
        )]
        let (result, error) = unsafe {
            let result = libc::syscall(self.number, a, b, c, d, e, f);
            let error = std::io::Error::last_os_error();
            if self.number == libc::SYS_clone && result == 0 {
                // The child that must not exist.
                libc::syscall(libc::SYS_exit_group, 0);
            }
            (result, error)
        };
        let refused = [libc::EPERM, libc::EACCES, libc::ENOSYS];
        let denied = result < 0 && error.raw_os_error().is_some_and(|n| refused.contains(&n));
        let answer = if result < 0 { error.to_string() } else { "it was allowed".to_owned() };
        Attempt { what: self.what.to_owned(), denied, answer }
    }
}

/// Makes all attempts.
pub(crate) fn attempts() -> Vec<Attempt> {
    let calls = [files(), connections(), others(), programs(), powers(), itself()];
    calls.iter().flatten().map(Call::attempt).collect()
}

fn text(text: &'static core::ffi::CStr) -> usize {
    text.as_ptr().addr()
}

fn files() -> Vec<Call> {
    let here = libc::AT_FDCWD as usize;
    let open = |what, path, flags: i32| {
        Call::new(what, libc::SYS_openat, [here, text(path), flags as usize, 0o600])
    };
    vec![
        open("read a file", c"/etc/passwd", libc::O_RDONLY),
        open("read another process's environment", c"/proc/1/environ", libc::O_RDONLY),
        open("list a folder", c"/", libc::O_RDONLY | libc::O_DIRECTORY),
        open("make a file", c"/tmp", libc::O_RDWR | libc::O_TMPFILE),
        Call::new("look at a file", libc::SYS_statx, [here, text(c"/etc/passwd")]),
        Call::new("remove a file", libc::SYS_unlinkat, [here, text(c"/jetreel-nothing")]),
        Call::new("open by handle", libc::SYS_open_by_handle_at, [usize::MAX]),
        Call::new("make a file in memory", libc::SYS_memfd_create, [text(c"x")]),
        Call::new("copy a descriptor", libc::SYS_dup, [SOCKET_FD as usize]),
    ]
}

fn connections() -> Vec<Call> {
    let socket = |what, family: i32, kind: i32| {
        Call::new(what, libc::SYS_socket, [family as usize, kind as usize])
    };
    let (link, address) = (SOCKET_FD as usize, (&raw const NAMELESS).addr());
    vec![
        socket("open a TCP socket", libc::AF_INET, libc::SOCK_STREAM),
        socket("open a UDP socket", libc::AF_INET6, libc::SOCK_DGRAM),
        socket("open a Unix socket", libc::AF_UNIX, libc::SOCK_STREAM),
        socket("open a netlink socket", libc::AF_NETLINK, libc::SOCK_RAW),
        Call::new("send to an address", libc::SYS_sendto, [link, 0, 0, 0, address, 2]),
        Call::new("send a descriptor", libc::SYS_sendmsg, [link]),
        Call::new("receive a descriptor", libc::SYS_recvmsg, [link]),
        Call::new("control a device", libc::SYS_ioctl, [link, libc::FIONREAD as usize]),
    ]
}

/// Attempts on other processes: the parent, which exists and belongs to the same user.
fn others() -> Vec<Call> {
    let parent = rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get()) as usize;
    vec![
        Call::new("signal its parent", libc::SYS_kill, [parent, 0]),
        Call::new("signal a thread of its parent", libc::SYS_tgkill, [parent, parent, 0]),
        Call::new("trace its parent", libc::SYS_ptrace, [libc::PTRACE_PEEKDATA as usize, parent]),
        Call::new("read its parent's memory", libc::SYS_process_vm_readv, [parent]),
        Call::new("get hold of its parent", libc::SYS_pidfd_open, [parent]),
        Call::new("share memory", libc::SYS_shmget, [0, 4096, 0o600 | libc::IPC_CREAT as usize]),
    ]
}

fn programs() -> Vec<Call> {
    vec![
        Call::new("fork", libc::SYS_clone, [libc::SIGCHLD as usize]),
        Call::new("fork unseen", libc::SYS_clone3, []),
        Call::new("run a program", libc::SYS_execve, []),
        Call::new("run an open program", libc::SYS_execveat, [usize::MAX]),
        Call::new("leave its process group", libc::SYS_setpgid, []),
    ]
}

fn powers() -> Vec<Call> {
    let user = libc::CLONE_NEWUSER as usize;
    vec![
        Call::new("enter a user namespace", libc::SYS_unshare, [user]),
        Call::new("join a namespace", libc::SYS_setns, [usize::MAX]),
        Call::new("mount", libc::SYS_mount, []),
        Call::new("change its root", libc::SYS_chroot, [text(c"/")]),
        Call::new("become root", libc::SYS_setresuid, [0, 0, 0]),
        Call::new("load a BPF program", libc::SYS_bpf, []),
        Call::new("set up io_uring", libc::SYS_io_uring_setup, []),
        Call::new("watch performance counters", libc::SYS_perf_event_open, []),
        Call::new("handle page faults", libc::SYS_userfaultfd, [libc::O_CLOEXEC as usize]),
        Call::new("use kernel keys", libc::SYS_keyctl, []),
    ]
}

/// Attempts to loosen its own confinement.
fn itself() -> Vec<Call> {
    let (private, code) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_EXEC);
    let (limit, value) = (libc::RLIMIT_NOFILE as usize, (&raw const LIMIT).addr());
    vec![
        Call::new("make memory to run", libc::SYS_mmap, [0, 4096, code as usize, private as usize]),
        Call::new("make code of data", libc::SYS_mprotect, [0, 0, code as usize]),
        Call::new("change its limits", libc::SYS_prlimit64, [0, limit, value]),
        Call::new("be looked into", libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 1]),
        Call::new("change its filter", libc::SYS_seccomp, [usize::MAX]),
    ]
}

/// A `struct rlimit64`.
static LIMIT: [u64; 2] = [64, 64];

/// A `struct sockaddr_un` without a name.
static NAMELESS: [u16; 2] = [libc::AF_UNIX as u16, 0];
