//! A TCP proxy of our own: it delays, stalls, resets, and loses the answer to a publish that the server has stored.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::frames::{self, Frame};

const BLOCK: usize = 64 << 10;

/// How an answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The connection is reset before it: the client knows that it knows nothing.
    Reset,
    /// Everything but it arrives: the client waits in vain.
    Silence,
}

/// Faults that the proxy injects.
#[derive(Debug, Clone, Default)]
struct Orders {
    /// Every block comes so much later.
    delay: Duration,
    /// Answers to be lost: to publishes on subjects with this prefix, so many.
    losing: Option<(String, Loss, u32)>,
    /// Answers that were lost.
    lost: u32,
}

/// A proxy in front of one server.
pub(crate) struct Proxy {
    address: SocketAddr,
    orders: Arc<Mutex<Orders>>,
    /// Nothing passes.
    stalled: watch::Sender<bool>,
    /// Connections of an older generation are reset.
    generation: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy to `server`; it understands NATS.
    pub(crate) async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for a proxy")?;
        let address = listener.local_addr()?;
        let orders = Arc::<Mutex<Orders>>::default();
        let (generation, _) = watch::channel(0);
        let (stalled, is_stalled) = watch::channel(false);
        let link = Link { orders: orders.clone(), stalled: is_stalled, awaited: Arc::default() };
        let accepting = tokio::spawn(accept(listener, server, link, generation.clone()));
        Ok(Self { address, orders, stalled, generation, accepting })
    }

    /// Address that it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Delays everything from now on.
    pub(crate) fn delay(&self, by: Duration) {
        lock(&self.orders).delay = by;
    }

    /// Lets nothing pass, or everything again.
    pub(crate) fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// Loses the next `count` answers to publishes on subjects with a prefix.
    pub(crate) fn lose(&self, prefix: &str, loss: Loss, count: u32) {
        let mut orders = lock(&self.orders);
        orders.losing = Some((prefix.to_owned(), loss, count));
        orders.lost = 0;
    }

    /// How many answers were lost since, where any were to be.
    pub(crate) fn lost(&self) -> Option<u32> {
        let orders = lock(&self.orders);
        orders.losing.as_ref().map(|_| orders.lost)
    }

    /// Resets every connection.
    pub(crate) fn reset(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shared by both directions of a connection.
#[derive(Clone)]
struct Link {
    orders: Arc<Mutex<Orders>>,
    stalled: watch::Receiver<bool>,
    /// Subjects of answers that are to be lost.
    awaited: Arc<Mutex<BTreeSet<String>>>,
}

/// Treatment of a frame.
enum Fate {
    Pass,
    Vanish,
    Reset,
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    link: Link,
    generation: watch::Sender<u64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let link = Link { awaited: Arc::default(), ..link.clone() };
        let mut generation = generation.subscribe();
        generation.mark_unchanged();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            // Closed with something unsent, or told so, a connection is reset instead of ended.
            drop((client.set_zero_linger(), server.set_zero_linger()));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = pump(from_client, to_server, link.clone()) => {}
                () = pump(from_server, to_client, link) => {}
                _ = generation.changed() => {}
            }
        });
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, link: Link) {
    let (mut held, mut block) = (Vec::new(), vec![0; BLOCK]);
    loop {
        let Ok(count @ 1..) = from.read(&mut block).await else { return };
        held.extend_from_slice(&block[..count]);
        let Some(passed) = link.pass(&mut held) else { return };
        link.hold_up().await;
        if to.write_all(&passed).await.is_err() {
            return;
        }
    }
}

impl Link {
    /// Takes whole frames out of `held`; gives those that pass. `None`: the connection is to be reset.
    fn pass(&self, held: &mut Vec<u8>) -> Option<Vec<u8>> {
        let mut passed = Vec::with_capacity(held.len());
        let mut at = 0;
        while let Some((frame, length)) = frames::first(&held[at..]) {
            match self.fate(&frame) {
                Fate::Pass => passed.extend_from_slice(&held[at..at + length]),
                Fate::Vanish => {}
                Fate::Reset => return None,
            }
            at += length;
        }
        held.drain(..at);
        Some(passed)
    }

    fn fate(&self, frame: &Frame) -> Fate {
        match frame {
            Frame::Published { subject, reply: Some(reply) } => {
                let mut orders = lock(&self.orders);
                if let Some((prefix, _, count @ 1..)) = &mut orders.losing
                    && subject.starts_with(prefix.as_str())
                {
                    *count -= 1;
                    lock(&self.awaited).insert(reply.clone());
                }
                Fate::Pass
            }
            Frame::Delivered { subject } if lock(&self.awaited).remove(subject) => {
                let mut orders = lock(&self.orders);
                orders.lost += 1;
                match orders.losing {
                    Some((_, Loss::Silence, _)) => Fate::Vanish,
                    Some((_, Loss::Reset, _)) | None => Fate::Reset,
                }
            }
            Frame::Published { .. } | Frame::Delivered { .. } | Frame::Other => Fate::Pass,
        }
    }

    /// The delay is the fault; a link that stands still waits until the campaign lets it go.
    async fn hold_up(&self) {
        let delay = lock(&self.orders).delay;
        tokio::time::sleep(delay).await;
        // A proxy that is gone holds nothing up.
        drop(self.stalled.clone().wait_for(|stalled| !stalled).await);
    }
}
