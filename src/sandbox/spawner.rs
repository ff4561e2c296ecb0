//! The thread that starts codec processes.
//!
//! A codec process asks the kernel to be killed with its parent, so that none survives a killed node, not even one that hangs in a decoder
//! and never reads its socket. The kernel follows the *thread* that started the process, and threads of a runtime end at any time. This
//! thread lives as long as the node.

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

/// Starts a process. If the future is dropped, the process is killed.
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
        // Spawning panics on a runtime that shuts down. The thread must survive that, because all processes end with it.
        let child = catch_unwind(AssertUnwindSafe(|| command.spawn()));
        // The command holds the process's end of the socket. It must be closed here, so that the socket closes when the process ends.
        drop(command);
        let child = child.unwrap_or_else(|_| Err(io::Error::other("the runtime is ending")));
        if answer.send(child).is_err() {
            tracing::debug!("a codec process is not needed any more");
        }
    }
}
