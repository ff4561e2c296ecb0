//! Processes of one codec program: forked by a server that has loaded the libraries, or started one by one.
//!
//! ```text
//! started with `fork-server` ─► READY ─────► server: forks a process a job, until it is spent or gone; then the next one is started
//!                          ├──► a greeting ► no server: this process gets the next job, and all others are started
//!                          └──► nothing ───► this process gets the next job, and fails it
//! ```
//!
//! Invariants: a job never depends on a server. Without one its process is started, and a process outlives the server that forked it.
//! A server knows no job and no source.
//!
//! All processes of a server have the same layout of memory. Therefore a server is replaced after some processes, after some time, and
//! after each process that ended badly: no upload can try one address after another, or use what an earlier one found out long ago.

use std::fs;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use jetreel_domain::codec::forks::{ARGUMENT, DESCRIPTORS, READY, REQUEST};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::Pid;
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::process::{Idle, Process};

/// Processes that one server forks: loading the libraries again costs 1 ms for each of them.
const PROCESSES_MAX: u32 = 50;
/// Life of a server. An idle one takes 22 MB.
const LIFE: Duration = Duration::from_secs(60);
/// Time that a program may take to load its libraries.
const LOAD_WAIT: Duration = Duration::from_secs(20);
/// Time that a server may take to fork.
const FORK_WAIT: Duration = Duration::from_secs(20);
/// Time that a killed server may take to end. One that hangs in the kernel, on a storage that does not answer, ends later and unseen.
const BURY_WAIT: Duration = Duration::from_secs(5);

/// Starts the processes of one program. Clones share the server.
#[derive(Clone)]
pub(super) struct Forks {
    binary: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The program that the rest is about.
    program: Option<Program>,
    server: Option<Server>,
    /// A process that is no server.
    idle: Option<Idle>,
    /// Whether the program cannot fork.
    plain: bool,
}

/// A file with a program, distinguished from one that replaced it.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// Addresses that the processes of a server have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout(Arc<AtomicBool>);

/// A process that forks others.
struct Server {
    process: Process,
    socket: UnixStream,
    left: u32,
    layout: Layout,
}

/// Why a server forked no process.
enum Unforked {
    /// It cannot fork now.
    Refused(io::Error),
    /// It has ended, or does not answer.
    Gone(io::Error),
    /// What it forks is no child of this node: another process stands in between.
    Foreign(io::Error),
}

impl Layout {
    /// Has no later process share these addresses.
    pub(super) fn distrust(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_distrusted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Forks {
    /// Processes of `binary`. None is started yet.
    pub(super) fn new(binary: PathBuf) -> Self {
        Self { binary, state: Arc::default() }
    }

    /// Starts what the first job needs, and does not wait for it.
    pub(super) fn prepare(&self) {
        let forks = self.clone();
        tokio::spawn(async move {
            let mut state = forks.state.lock().await;
            if let Err(error) = forks.fill(&mut state).await {
                // The next job reports it.
                tracing::debug!(%error, "the codec could not be started ahead");
            }
        });
    }

    /// A process that waits for its job.
    pub(super) async fn take(&self) -> io::Result<Idle> {
        let forks = self.clone();
        // Goes on if this future is dropped. An answer that nobody reads would be taken for the next one.
        let taken = tokio::spawn(async move { forks.next().await });
        taken.await.map_err(io::Error::other)?
    }

    async fn next(&self) -> io::Result<Idle> {
        let mut state = self.state.lock().await;
        for _ in 0..2 {
            self.fill(&mut state).await?;
            if let Some(idle) = state.idle.take() {
                return Ok(idle);
            }
            let Some(server) = &mut state.server else { break };
            match server.fork().await {
                Ok(idle) => return Ok(idle),
                Err(Unforked::Refused(error)) => return Err(error),
                Err(Unforked::Gone(error)) => state.bury(&error).await,
                Err(Unforked::Foreign(error)) => {
                    state.bury(&error).await;
                    state.plain = true;
                }
            }
        }
        drop(state);
        Process::spawn(&self.binary, [""; 0]).await
    }

    /// Makes sure that there is a server or an idle process, if the program can fork.
    async fn fill(&self, state: &mut State) -> io::Result<()> {
        let program = Program::at(&self.binary);
        if state.program != program {
            *state = State { program, ..State::default() };
        }
        if state.plain || state.idle.is_some() || state.server.as_ref().is_some_and(Server::is_fit)
        {
            return Ok(());
        }
        state.server = None;
        let (process, mut socket) = Process::spawn(&self.binary, [ARGUMENT]).await?;
        let byte = timeout(LOAD_WAIT, first_byte(&socket)).await.ok().and_then(Result::ok);
        if byte == Some(READY) {
            socket.read_u8().await?;
            let server = Server { process, socket, left: PROCESSES_MAX, layout: Layout::default() };
            tokio::spawn(retire(Arc::downgrade(&self.state), server.layout.clone()));
            state.server = Some(server);
        } else {
            state.plain = byte.is_some();
            state.idle = Some((process, socket));
        }
        Ok(())
    }
}

/// Ends a server after its life, also one that is not used any more.
async fn retire(state: Weak<Mutex<State>>, layout: Layout) {
    sleep(LIFE).await;
    let Some(state) = state.upgrade() else { return };
    let server = &mut state.lock().await.server;
    if server.as_ref().is_some_and(|server| Arc::ptr_eq(&server.layout.0, &layout.0)) {
        *server = None;
    }
}

impl State {
    /// Reaps a server that is gone, with what it may have forked before it could tell.
    async fn bury(&mut self, error: &io::Error) {
        let Some(mut server) = self.server.take() else { return };
        let ended = timeout(BURY_WAIT, async {
            let ended = server.process.end().await;
            server.process.reap_group().await;
            ended
        });
        match ended.await {
            Ok(ended) => {
                tracing::warn!(%error, death = ?ended.death, log = ended.log, "the codec's fork server is gone");
            }
            Err(_) => tracing::warn!(%error, "the codec's fork server does not end"),
        }
    }
}

impl Program {
    fn at(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        let (device, inode, bytes) = (file.dev(), file.ino(), file.len());
        Some(Self { device, inode, bytes, changed: (file.ctime(), file.ctime_nsec()) })
    }
}

impl Server {
    fn is_fit(&self) -> bool {
        self.left > 0 && !self.layout.is_distrusted()
    }

    async fn fork(&mut self) -> Result<Idle, Unforked> {
        self.left -= 1;
        let refused = Unforked::Refused;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(refused)?;
        ours.set_nonblocking(true).map_err(refused)?;
        let (log, log_end) = io::pipe().map_err(refused)?;
        let ours = UnixStream::from_std(ours).map_err(refused)?;
        let asked = ask(&self.socket, [theirs.as_fd(), log_end.as_fd()]).await;
        asked.map_err(Unforked::Gone)?;
        drop((theirs, log_end));
        let answer = timeout(FORK_WAIT, self.socket.read_i32()).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let answer = answer.map_err(Unforked::Gone)?;
        let Some(pid) = Pid::from_raw(answer).filter(|_| answer > 0) else {
            return Err(refused(io::Error::from_raw_os_error(-answer)));
        };
        let process = Process::forked(pid, log.into(), self.layout.clone());
        let process = process.map_err(|error| match error.raw_os_error() {
            Some(code) if code == Errno::SRCH.raw_os_error() => Unforked::Foreign(error),
            Some(_) | None => Unforked::Gone(error),
        });
        Ok((process?, ours))
    }
}

/// Requests a process with these descriptors.
async fn ask(
    server: &UnixStream,
    descriptors: [std::os::fd::BorrowedFd<'_>; DESCRIPTORS],
) -> io::Result<()> {
    let sent = server.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let (byte, flags) = ([IoSlice::new(&[REQUEST])], SendFlags::NOSIGNAL);
        Ok(rustix::net::sendmsg(server, &byte, &mut control, flags)?)
    });
    sent.await.map(drop)
}

/// The first byte that came, which stays there.
///
/// # Errors
/// The socket was closed without one.
async fn first_byte(socket: &UnixStream) -> io::Result<u8> {
    let mut byte = [0];
    let peek = || Ok(rustix::net::recv(socket, &mut byte[..], RecvFlags::PEEK)?.0);
    match socket.async_io(Interest::READABLE, peek).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(byte[0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_ends_after_its_life_if_it_is_still_the_same() {
        let state = Arc::new(Mutex::new(State::default()));
        for same in [false, true] {
            // Waits for the end of its input, as a server does.
            let (process, socket) = Process::spawn(Path::new("/bin/cat"), [""; 0]).await.unwrap();
            let (layout, begun) = (Layout::default(), tokio::time::Instant::now());
            let own = if same { layout.clone() } else { Layout::default() };
            state.lock().await.server = Some(Server { process, socket, left: 1, layout: own });
            retire(Arc::downgrade(&state), layout).await;
            assert!(begun.elapsed() >= LIFE);
            assert_eq!(state.lock().await.server.is_none(), same);
        }
    }
}
