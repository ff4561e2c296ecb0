//! The fork server: a process that has loaded libav, and forks a process for each job.
//!
//! Loading libav and the libraries that it needs takes 40 to 60 ms of CPU time, a fork 2 ms.
//!
//! Invariants: the server gets no job and no byte of a source, and reads nothing but one-byte requests of its node. It has one thread, so
//! that no fork happens while another thread holds a lock. A forked process has none of its descriptors, and is a child of the node: its end,
//! its times and its limits are the node's business, and it outlives the server.

use std::io::{self, IoSliceMut, Stdin};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use jetreel_domain::codec::forks::{ARGUMENT, DESCRIPTORS, READY, REQUEST};
use libc::{c_long, pid_t};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::confine;

/// Name of the server in lists of processes.
const SERVER: &core::ffi::CStr = c"jetreel-forks";
/// Name of the forked processes, which is the one of the program.
const PROCESS: &core::ffi::CStr = c"jetreel-codec";

/// What this process is after [`serve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A process for one job.
    Process,
    /// A server that is not needed any more.
    Server,
}

/// Descriptors of a requested process.
struct Request {
    socket: OwnedFd,
    log: OwnedFd,
}

/// Whether the node asks for a server.
pub(crate) fn are_asked_for() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// Serves requests on standard input to its end. Returns in the server, and in each process that it forked. A process that cannot be a
/// server remains one for one job.
pub(crate) fn serve() -> Role {
    let Some(thread) = only_thread() else { return Role::Process };
    confine::close_inherited();
    rename(SERVER);
    let node = io::stdin();
    if send(&node, &[READY]).is_err() {
        return Role::Server;
    }
    while let Some(request) = next(&node) {
        let answer = match fork(thread) {
            Ok(None) => return begin(request),
            Ok(Some(child)) => child,
            Err(error) => -error.raw_os_error(),
        };
        drop(request);
        if send(&node, &answer.to_be_bytes()).is_err() {
            break;
        }
    }
    Role::Server
}

/// Where the C library keeps the id of this thread; `None` if there are other threads, or the kernel does not tell.
///
/// A forked process has another id. `fork` would write it there, but cannot make a child of the parent.
fn only_thread() -> Option<NonNull<pid_t>> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?.count();
    let place = rustix::thread::get_clear_child_tid_address().ok()??.cast::<pid_t>();
    #[expect(
        unsafe_code,
        reason = "the kernel writes there when this thread ends, so it is memory"
    )]
    let noted = unsafe { place.read() };
    let own = rustix::thread::gettid().as_raw_nonzero().get();
    (threads == 1 && noted == own).then_some(place)
}

/// The next request; `None` if the node closed the socket or violates the protocol.
fn next(node: &Stdin) -> Option<Request> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = retry_on_intr(|| {
        rustix::net::recvmsg(node, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)
    });
    if received.ok()?.bytes != 1 || byte != [REQUEST] {
        return None;
    }
    let mut descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        RecvAncillaryMessage::ScmCredentials(_) | _ => None,
    });
    let mut descriptors = descriptors.next()?;
    Some(Request { socket: descriptors.next()?, log: descriptors.next()? })
}

/// Forks a child of the node. Returns its id, and `None` in the child.
fn fork(thread: NonNull<pid_t>) -> Result<Option<pid_t>, Errno> {
    let flags = libc::CLONE_PARENT | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID;
    let (flags, thread) = (c_long::from(flags | libc::SIGCHLD), thread.as_ptr());
    let nothing = std::ptr::null_mut::<pid_t>();
    #[expect(
        unsafe_code,
        reason = "there is no other thread, so the child is a whole copy; the kernel writes its id where the C library keeps it"
    )]
    // Architectures differ in the order of the last two arguments; the other one is not used with these flags.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags, nothing, nothing, thread, thread) };
    match pid_t::try_from(child) {
        Ok(0) => Ok(None),
        Ok(child @ 1..) => Ok(Some(child)),
        Ok(_) | Err(_) => {
            Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::AGAIN))
        }
    }
}

/// Makes a forked process what a started one is.
fn begin(request: Request) -> Role {
    confine::end_with_parent();
    let socket = rustix::stdio::dup2_stdin(&request.socket);
    let log = rustix::stdio::dup2_stderr(&request.log);
    drop(request);
    confine::close_inherited();
    rename(PROCESS);
    // Without a socket of its own it would speak for the server.
    if socket.and(log).is_ok() { Role::Process } else { Role::Server }
}

fn rename(name: &core::ffi::CStr) {
    // For readers of process lists only.
    let _refused = rustix::thread::set_name(name);
}

fn send(node: &Stdin, bytes: &[u8]) -> Result<(), Errno> {
    match retry_on_intr(|| rustix::io::write(node, bytes)) {
        Ok(written) if written == bytes.len() => Ok(()),
        Ok(_) => Err(Errno::IO),
        Err(error) => Err(error),
    }
}
