//! The one thread that starts codec processes.
//!
//! A codec process asks the kernel to be killed together with its parent, so that none goes on unseen when a node is killed,
//! not even one that hangs in a decoder and never looks at its socket. The kernel means the *thread* that started it, and
//! threads of a runtime come and go. This one lives as long as its process.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{OnceLock, mpsc};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Order {
    command: Command,
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// Starts a process. Dropped halfway, it kills what was started.
pub(super) async fn spawn(command: Command) -> io::Result<Child> {
    static THREAD: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts codec processes is gone");
    let thread = match THREAD.get() {
        Some(thread) => thread,
        None => {
            let (sender, orders) = mpsc::channel();
            let thread = std::thread::Builder::new().name("codec-spawner".to_owned());
            thread.spawn(move || serve(&orders))?;
            THREAD.get_or_init(|| sender)
        }
    };
    let (answer, started) = oneshot::channel();
    let order = Order { command, runtime: Handle::current(), answer };
    thread.send(order).map_err(|_| gone())?;
    started.await.map_err(|_| gone())?
}

fn serve(orders: &mpsc::Receiver<Order>) {
    while let Ok(Order { mut command, runtime, answer }) = orders.recv() {
        let _entered = runtime.enter();
        // A runtime that is ending panics; the thread must not end with it, nor all processes with the thread.
        let child = catch_unwind(AssertUnwindSafe(|| command.spawn()));
        // It holds the process's end of the socket, whose closing tells of the process's end.
        drop(command);
        let child = child.unwrap_or_else(|_| Err(io::Error::other("the runtime is ending")));
        if answer.send(child).is_err() {
            tracing::debug!("a codec process is not wanted any more");
        }
    }
}
