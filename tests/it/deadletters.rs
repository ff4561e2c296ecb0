//! What was given up: explained, brought back by each of the ways there are, and never a place where secrets lie.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod dev;
mod full;
mod hook;
mod natscli;
mod others;
mod poisoned;
mod secrets;
mod service;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Output, Stdio};

use jetreel_domain::delivery::claim::Claim;
use jetreel_domain::delivery::deadletter::Buried;
use jetreel_domain::id::{OrderId, TaskId};
use serde_json::Value;
use tokio::process::Command;

use crate::clips::{jetreel, path};
use crate::harness::media::{self, FILM, Recipe};
use crate::harness::node::Node;
use crate::harness::poison::Poison;
use crate::harness::site::{Site, Watched};

/// Three retries, as by default, without the waiting.
pub(crate) const RETRIES: (&str, &str) = ("RETRY__ENCODE", "100ms, 200ms, 300ms");
/// Refused media leaves a letter.
pub(crate) const BURY_REFUSED: (&str, &str) = ("RETRY__BURY_REFUSED", "true");
/// Attempts until a task is dead.
const ATTEMPTS: usize = 4;
/// Text in the job that is poison in [`FILM`]: a chunk in its middle.
const CHUNK: &str = "first_chunk: 2,";
const SOURCE: Recipe = FILM;

/// A place where one task dies of every film.
struct Ward {
    site: Site,
    node: Node,
    poison: Poison,
    film: PathBuf,
}

impl Ward {
    /// `None` where there is no ffmpeg to make the film.
    async fn open() -> Option<Self> {
        let film = media::made(SOURCE)?;
        let site = Site::start().await;
        let poison = Poison::new(site.folder());
        let (codec, slots) = (poison.codec(), ("NODE__SLOTS", "2"));
        let node = site.node("one", &[RETRIES, slots, ("CODEC__PATH", &codec)]).await;
        Some(Self { site, node, poison, film })
    }

    /// Uploads a film that dies; gives its letter once everything that could still be done is done.
    async fn dead(&self) -> (OrderId, Buried) {
        self.poison.arm(CHUNK);
        let order = self.node.submit(&self.film).await;
        self.site.facts(&order).await.until("failed-1").await;
        self.poison.disarm();
        (order.clone(), letter_of(&self.site, &order).await)
    }

    /// Runs `jetreel dlq` with these arguments.
    async fn dlq(&self, words: &[&str]) -> Output {
        let mut command = Command::new(jetreel());
        command.arg("dlq").args(words).envs(self.site.settings().iter().cloned());
        command.current_dir(self.site.folder()).stdin(Stdio::null()).env("PATH", path());
        command.output().await.unwrap()
    }

    /// Runs it with `--json`; it must succeed.
    async fn dlq_json(&self, words: &[&str]) -> Value {
        let output = self.dlq(words).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The only letter of an order.
async fn letter_of(site: &Site, order: &OrderId) -> Buried {
    use jetreel_actors::ports::DeadLetters as _;
    let letters = site.bus.letters(0, 100).await.unwrap();
    let mut letters = letters.into_iter().filter(|l| l.letter.order.as_ref() == Some(order));
    let letter = letters.next().expect("a letter");
    assert!(letters.next().is_none(), "one letter");
    letter
}

/// How often each task of an order was begun.
async fn begun(claims: &mut Watched<Claim>, order: &OrderId) -> BTreeMap<TaskId, usize> {
    let mut attempts = BTreeMap::<TaskId, BTreeSet<String>>::new();
    let of = format!(".{}.{}.", order.video, order.number);
    for (subject, claim) in claims.so_far_by_subject().await {
        let task = subject.split_once(&of).and_then(|(_, task)| task.parse().ok());
        if let Some(task) = task.filter(|_| !claim.released) {
            attempts.entry(task).or_default().insert(claim.attempt_id);
        }
    }
    attempts.into_iter().map(|(task, ids)| (task, ids.len())).collect()
}
