//! The thread that starts codec processes.
//!
//! A codec process asks the kernel to be killed with its parent, so that none survives a killed node, not even one that hangs in a decoder
//! and never reads its socket. The kernel follows the *thread* that started the process, and threads of a runtime end at any time. This
//! thread lives as long as the node.

use std::io;
use std::process::Command;
use std::sync::{OnceLock, mpsc};

use tokio::sync::oneshot;

use super::child::Child;

struct Order {
    command: Command,
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
    thread.send(Order { command, answer }).map_err(|_| gone())?;
    started.await.map_err(|_| gone())?
}

fn serve(orders: &mpsc::Receiver<Order>) {
    while let Ok(Order { mut command, answer }) = orders.recv() {
        let child = command.spawn().map(Child::spawned);
        // The command holds the process's end of the socket. It must be closed here, so that the socket closes when the process ends.
        drop(command);
        if answer.send(child).is_err() {
            tracing::debug!("a codec process is not needed any more");
        }
    }
}
