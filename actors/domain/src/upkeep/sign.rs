//! Signs: small objects by which nodes notice that their stores differ.
//!
//! A copy of a store has the id of the original: `cp -r`, a restored snapshot, a replicated disk. So every node writes a sign to its
//! store, a new one with each of its reports, and the report names the newest sign. A store that lacks the signs of other nodes is not
//! their store.
//!
//! Invariants: only times of the broker's server are compared. Nodes without a sign are not checked. A node that doubts its own store
//! reports that, and no other node stops because of it. If stores differ, only nodes that see more nodes than they miss take work.

use std::collections::{BTreeMap, BTreeSet};

use crate::order::owner::{SIGNS, is_start_id};
use crate::upkeep::presence::Word;
use crate::words::failure::Failure;
use crate::words::printable::printable;

/// Age in seconds at which a report no longer counts: its node may be dead and its store replaced.
const FRESH: i64 = 120;

/// Rounds in a row after which a missing sign counts. One round may miss a sign because its node has just replaced it.
const ROUNDS: u32 = 3;

/// Different signs of one node, missing in rounds in a row, after which they count.
const SIGNS_MISSED: u32 = 2;

/// Nodes whose signs a node reads in one round or at its start. In a larger cluster each node at work is checked by this many others.
const LOOKED_FOR_MAX: usize = 32;

/// Characters of a node's name in a message.
const NAME_MAX: usize = 60;

/// Key of a sign of the node that started as `id`.
#[must_use]
pub fn key(id: &str, number: u64) -> String {
    format!("{SIGNS}{id}/{number}")
}

/// Folder of all signs of the node that started as `id`.
#[must_use]
pub fn folder(id: &str) -> String {
    format!("{SIGNS}{id}/")
}

/// The newest sign of a node, as its report names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// Id of the start of the node.
    pub id: String,
    /// Name of the node, for display.
    pub node: String,
    /// Number of the sign.
    pub number: u64,
    /// Whether the node doubts its own store.
    pub doubted: bool,
}

impl Sign {
    fn of(word: &Word) -> Option<Self> {
        let number = word.presence.sign.filter(|_| is_start_id(&word.id))?;
        let node = printable(&word.presence.node).chars().take(NAME_MAX).collect();
        let doubted = word.presence.astray;
        Some(Self { id: word.id.clone(), node, number, doubted })
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> String {
        key(&self.id, self.number)
    }

    /// The failure of a node that does not start because its store lacks the sign.
    #[must_use]
    pub fn refusal(&self) -> Failure {
        let (node, key) = (&self.node, self.key());
        let message = format!(
            "The store of this node holds no {key}, which the node {node} wrote to its own store: one may be a copy of the other. Let the \
             section [store] of both name the same store. If {node} and its store are gone for good, wait two minutes and start again."
        );
        Failure::permanent("store-not-shared", message)
    }

    /// The failure of a running node that takes no more work because its store lacks the sign.
    #[must_use]
    pub fn estranged(&self) -> Failure {
        let (node, key) = (&self.node, self.key());
        let message = format!(
            "The store of this node holds no {key}, which the node {node} wrote to its own store: one may be a copy of the other. This \
             node takes no work until it finds the signs of the others. Mount the right disk, or stop the node that is wrong."
        );
        Failure::dependency("store-not-shared", message)
    }

    /// The failure that a running node reports about this one: the stores of most nodes lack its sign.
    #[must_use]
    pub fn astray(&self) -> Failure {
        let (node, key) = (&self.node, self.key());
        let message = format!(
            "The node {node} writes to another store: the one of this node and of others holds no {key}. What it makes is missing for \
             all others. Stop it, and let its section [store] name the store of the others."
        );
        Failure::dependency("store-elsewhere", message)
    }
}

/// Numbers of the signs of a node that its store may hold.
///
/// Invariant: the sign that the report of the node names stays, and the one that it named before, which other nodes may still read.
#[derive(Debug, Clone)]
pub struct Kept {
    numbers: BTreeSet<u64>,
    told: u64,
    before: u64,
}

impl Kept {
    /// The node wrote or tried to write `number`, and its report may name it.
    #[must_use]
    pub fn from(number: u64) -> Self {
        Self { numbers: [number].into(), told: number, before: number }
    }

    /// A write begins. Whether it succeeds or not, the store may hold the sign.
    pub fn write(&mut self, number: u64) {
        self.numbers.insert(number);
    }

    /// A report that names `number` is with the broker.
    pub fn tell(&mut self, number: u64) {
        if number > self.told {
            (self.before, self.told) = (self.told, number);
        }
    }

    /// Whether a report named `number`.
    #[must_use]
    pub fn is_told(&self, number: u64) -> bool {
        self.told >= number
    }

    /// Signs that no report names any more. Newer ones than the told one stay: their writes may still be under way.
    pub fn spare(&self) -> impl Iterator<Item = u64> {
        self.numbers.range(..self.told).copied().filter(|number| *number != self.before)
    }

    /// The store no longer holds `number`.
    pub fn remove(&mut self, number: u64) {
        self.numbers.remove(&number);
    }
}

/// The last reports of the nodes that reported lately.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    words: BTreeMap<String, Word>,
    now: i64,
}

impl Heard {
    /// Adds reports, and removes the nodes that left.
    pub fn hear(&mut self, said: impl IntoIterator<Item = Word>, left: &[String]) {
        for word in said {
            self.now = self.now.max(word.at);
            self.words.insert(word.id.clone(), word);
        }
        for id in left {
            self.words.remove(id);
        }
        let now = self.now;
        self.words.retain(|_, word| now.saturating_sub(word.at) <= FRESH);
    }

    /// Signs that the store of a starting node must hold. `own` is the id of its start; it has reported that it arrives. Nodes at work
    /// count. Without any, nodes that arrived earlier count, so that of two nodes that start at once only the later one is refused.
    #[must_use]
    pub fn at_start(&self, own: &str) -> Vec<Sign> {
        let settled = self.others(own, |word| word.presence.is_settled());
        if !settled.is_empty() {
            return next_on_ring(settled, own);
        }
        let mine = self.words.get(own).map_or(u64::MAX, |word| word.sequence);
        next_on_ring(self.others(own, |word| !word.presence.arriving || word.sequence < mine), own)
    }

    /// Signs that the store must hold for a command that is no node.
    #[must_use]
    pub fn from_outside(&self) -> Vec<Sign> {
        let settled = self.others("", |word| word.presence.is_settled());
        if settled.is_empty() { self.others("", |word| !word.presence.arriving) } else { settled }
    }

    /// Signs that the store of a node at work must hold. An `estranged` node also checks other nodes that doubt their stores.
    #[must_use]
    pub fn at_work(&self, own: &str, estranged: bool) -> Vec<Sign> {
        let looked_for =
            |word: &Word| !word.presence.arriving && (estranged || word.presence.is_settled());
        next_on_ring(self.others(own, looked_for), own)
    }

    fn others(&self, own: &str, which: impl Fn(&Word) -> bool) -> Vec<Sign> {
        let words = self.words.values().filter(|word| word.id != own && which(word));
        words.filter_map(Sign::of).collect()
    }
}

/// Those of the next nodes on a ring of ids, so that every node is checked by equally many.
fn next_on_ring(mut signs: Vec<Sign>, own: &str) -> Vec<Sign> {
    let after = signs.partition_point(|sign| sign.id.as_str() < own);
    signs.rotate_left(after);
    signs.truncate(LOOKED_FOR_MAX);
    signs
}

/// Which signs of the running nodes a store holds.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Names of the nodes whose signs it holds.
    pub seen: Vec<String>,
    /// Signs that it lacks.
    pub missing: Vec<Sign>,
}

/// Whether a store holds the signs of other nodes, as far as it answered.
#[derive(Debug, Clone, Default)]
pub struct Finds {
    by_node: BTreeMap<String, bool>,
}

impl Finds {
    /// Those of `wanted` that were not seen yet.
    #[must_use]
    pub fn open(&self, wanted: &[Sign]) -> Vec<Sign> {
        let seen = |sign: &Sign| self.by_node.get(&sign.id) == Some(&true);
        wanted.iter().filter(|sign| !seen(sign)).cloned().collect()
    }

    /// Adds an answer of the store.
    pub fn add(&mut self, sign: &Sign, found: bool) {
        self.by_node.insert(sign.id.clone(), found);
    }

    /// What is known of `wanted`. `None` if the store answered for none of them.
    #[must_use]
    pub fn around(&self, wanted: Vec<Sign>) -> Option<Around> {
        let (mut around, all) = (Around::default(), wanted.len());
        for sign in wanted {
            match self.by_node.get(&sign.id) {
                Some(true) => around.seen.push(sign.node),
                Some(false) => around.missing.push(sign),
                None => {}
            }
        }
        let known = around.seen.len() + around.missing.len();
        (known > 0 || all == 0).then_some(around)
    }
}

/// A node whose sign was missing in the last rounds.
#[derive(Debug, Clone)]
struct Missed {
    sign: Sign,
    rounds: u32,
    /// Number of different signs.
    signs: u32,
    told: bool,
}

impl Missed {
    fn counts(&self) -> bool {
        self.rounds >= ROUNDS || self.signs >= SIGNS_MISSED
    }
}

/// What the rounds so far tell about the store of a node.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    missed: BTreeMap<String, Missed>,
    lost: bool,
    estranged: bool,
}

/// Result of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The node takes work. The listed nodes have another store, which was not reported before.
    Works(Vec<Sign>),
    /// The node takes no work: its store lacks this sign. `None` if all nodes that it missed have left.
    Estranged(Option<Sign>),
}

impl Sight {
    /// Adds whether the store holds the node's own newest sign. If not, the disk under the node was exchanged, or the folder was emptied.
    pub fn own(&mut self, found: bool) {
        self.lost |= !found;
    }

    /// Whether the node's own sign was missing since it last found the others.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// The sign that was missing first is in the store again: the disk of before is back.
    pub fn own_again(&mut self) {
        self.lost = false;
    }

    /// Whether the node doubts its own store, so that other nodes must not check its signs.
    #[must_use]
    pub fn doubts(&self) -> bool {
        self.lost || self.estranged
    }

    /// Whether the node takes no work.
    #[must_use]
    pub fn is_estranged(&self) -> bool {
        self.estranged
    }

    /// Adds one round: whether the store holds each sign. `None` if the store did not answer.
    pub fn round(&mut self, looks: Vec<(Sign, Option<bool>)>) -> Verdict {
        let seen = looks.iter().filter(|(_, found)| *found == Some(true)).count();
        let blind = looks.iter().any(|(_, found)| found.is_none());
        let settled =
            looks.iter().filter(|(sign, found)| *found == Some(true) && !sign.doubted).count();
        let there: BTreeSet<String> = looks.iter().map(|(sign, _)| sign.id.clone()).collect();
        self.missed.retain(|id, _| there.contains(id));
        for (sign, found) in looks {
            match found {
                Some(true) => drop(self.missed.remove(&sign.id)),
                Some(false) => self.miss(sign),
                None => {}
            }
        }
        let missing = self.missed.values().filter(|missed| self.lost || missed.counts()).count();
        if self.estranged && !blind && self.is_led(settled) {
            self.missed.clear();
            self.estranged = false;
        } else if self.estranged {
            // A node that lost its own sign needs the sign of another node: that all others left proves nothing.
            self.estranged = blind || !self.missed.is_empty() || (self.lost && seen == 0);
        } else {
            let company = seen + 1;
            self.estranged = missing > 0 && (self.lost || missing >= company);
        }
        if !self.estranged && !blind && self.missed.is_empty() {
            self.lost = false;
        }
        self.verdict()
    }

    /// Whether the store is that of the nodes at work, of which `settled` are seen: it lacks only signs of nodes that doubt their own
    /// stores, and fewer than it holds, the node's own included.
    fn is_led(&self, settled: usize) -> bool {
        let company = settled + 1;
        let doubted = self.missed.values().all(|missed| missed.sign.doubted);
        settled > 0 && doubted && self.missed.len() < company
    }

    fn miss(&mut self, sign: Sign) {
        let first = Missed { sign: sign.clone(), rounds: 0, signs: 1, told: false };
        let missed = self.missed.entry(sign.id.clone()).or_insert(first);
        missed.rounds += 1;
        missed.signs += u32::from(missed.sign.number != sign.number);
        missed.sign = sign;
    }

    fn verdict(&mut self) -> Verdict {
        if self.estranged {
            return Verdict::Estranged(
                self.missed.values().next().map(|missed| missed.sign.clone()),
            );
        }
        let mut told = Vec::new();
        for missed in self.missed.values_mut().filter(|missed| missed.counts() && !missed.told) {
            missed.told = true;
            told.push(missed.sign.clone());
        }
        Verdict::Works(told)
    }
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
