//! What must hold after a run, as the fault campaign's checker holds it for real processes: everything acknowledged has ended, with one
//! result, and what is named is there.

use std::collections::BTreeSet;
use std::sync::Arc;

use jetreel_actors::intake;
use jetreel_domain::delivery::deadletter::Buried;
use jetreel_domain::delivery::stage::{Stage, Unit};
use jetreel_domain::delivery::subject;
use jetreel_domain::id::OrderId;
use jetreel_domain::order::announce;
use jetreel_domain::order::ledger::{Entry, Object, Output};
use jetreel_domain::order::state::{Dead, Order, Status, Video};
use jetreel_domain::output::manifest::Manifest;

use super::letters::letters;
use super::script::{ATTEMPTS, Cut, FRAME, Poison};
use super::server::{ENCODE, ENTRIES, INGEST, LEDGER, PROGRESS, PUBLISH, Server, UPLOADS};
use super::store::hash;
use super::story::{Plot, Story};
use super::world::World;

/// Claims after which a task is buried for attempts without a report, and one that was in progress.
const STARTS_MAX: u32 = 8 + 1;

/// Code of a task whose every attempt ended without a report.
const SILENT: &str = "attempts-spent";

/// Frames of every source.
const FRAMES: u64 = 14 * 90_000 / FRAME as u64;

fn has_ended(order: &Order) -> bool {
    order.superseded || order.status.is_ended()
}

fn videos(server: &Server) -> Vec<Video> {
    server.videos.kept.values().map(|kept| kept.value.clone()).collect()
}

/// Orders that have not ended.
pub(crate) fn open(world: &Arc<World>, uploads: usize) -> Vec<String> {
    world.look(|server| {
        let mut open = Vec::new();
        let videos = videos(server);
        if videos.len() < uploads {
            open.push("an upload is not there yet".to_owned());
        }
        for video in &videos {
            let orders = video.orders.iter().filter(|order| !has_ended(order));
            open.extend(orders.map(|o| format!("{} is {}", video.order_id(o.number), o.status)));
            if !announce::due(video).is_empty() {
                open.push(format!("{} has facts to tell", video.id));
            }
            let uncleared = |order: &&Order| video.is_uncleared(order.number);
            open.extend(video.orders.iter().filter(uncleared).map(|_| "uncleared".to_owned()));
        }
        for stream in [ENCODE, PUBLISH] {
            let left = server.streams[stream].messages.values();
            open.extend(left.map(|message| format!("{} is queued", message.subject)));
        }
        for (stream, consumer) in [(UPLOADS, INGEST), (LEDGER, ENTRIES)] {
            let waiting = server.streams[stream].waiting(consumer);
            open.extend(waiting.map(|message| format!("{} is not settled", message.subject)));
        }
        open.extend(on_record(server, &videos));
        open
    })
}

/// Closed orders that still have entries or claims.
fn on_record(server: &Server, videos: &[Video]) -> BTreeSet<String> {
    let subjects = server.streams[LEDGER].messages.values().map(|m| m.subject.as_str());
    let on_ledger = subjects.filter_map(subject::order_on_ledger);
    let keys = server.claims.kept.keys().map(String::as_str);
    let orders = on_ledger.chain(keys.filter_map(subject::order_in_claims));
    let closed = |id: &OrderId| {
        let video = videos.iter().find(|video| video.id == id.video);
        video.and_then(|video| video.order(id.number)).is_none_or(Order::is_closed)
    };
    orders.filter(closed).map(|order| format!("{order} has records")).collect()
}

/// Everything that does not hold.
pub(crate) fn check(world: &Arc<World>, story: &Story) -> Vec<String> {
    let mut found = world.look(|server| {
        let mut found = server.violations.clone();
        for video in videos(server) {
            found.extend(told(server, &video));
            for order in &video.orders {
                let id = video.order_id(order.number);
                found.extend(deaths(server, &id, order));
                found.extend(objects(server, &video, order));
                found.extend(published(server, &id, order));
            }
        }
        found.extend(strays(server));
        found.extend(doubled(server));
        found
    });
    found.extend(charged(world, story));
    found
}

/// Facts that are told are those that are known, in their order.
fn told(server: &Server, video: &Video) -> Vec<String> {
    let prefix = subject::progress_filter(&video.id);
    let prefix = prefix.trim_end_matches('>');
    let progress = server.streams[PROGRESS].messages.values();
    let own = progress.filter(|message| message.subject.starts_with(prefix));
    let told: Vec<(u64, String)> =
        own.filter_map(|message| rmp_serde::from_slice(&message.body).ok()).collect();
    let mut known: Vec<(u64, String)> = Vec::new();
    for order in &video.orders {
        let id = video.order_id(order.number);
        known.extend(order.facts.iter().map(|fact| (fact.seq, format!("{id}/{}", fact.fact))));
    }
    known.sort();
    known.truncate(usize::try_from(video.announced).unwrap_or(usize::MAX));
    let mut found = Vec::new();
    if told != known {
        found.push(format!("{} knows {known:?} and told {told:?}", video.id));
    }
    for order in video.orders.iter().filter(|order| !order.superseded) {
        let word = match order.status {
            Status::Completed => "completed",
            Status::Failed => "failed-",
            Status::Cancelled => "cancelled",
            Status::Receiving
            | Status::Queued
            | Status::Ingesting
            | Status::Encoding
            | Status::Publishing => continue,
        };
        if !order.facts.iter().any(|known| known.fact.to_string().starts_with(word)) {
            found.push(format!("{} ended in silence", video.order_id(order.number)));
        }
    }
    found
}

/// FAILED means dead, and every letter that a death names is there and is its own.
fn deaths(server: &Server, id: &OrderId, order: &Order) -> Vec<String> {
    let mut found = Vec::new();
    if !order.superseded
        && (order.status == Status::Failed) == order.dead.is_empty()
        && order.status != Status::Cancelled
    {
        found.push(format!("{id} is {} with {} deaths", order.status, order.dead.len()));
    }
    if order.is_closed() {
        return found;
    }
    let letters = letters(server);
    for (what, Dead { letter, sequence, failure }) in &order.dead {
        if *letter == 0 && *what == Unit::Stage(Stage::Ingest) && failure.is_of_media() {
            continue;
        }
        let named = letters.iter().find(|buried| buried.sequence == *letter);
        let own = named.is_some_and(|buried| {
            let letter = &buried.letter;
            (letter.order.as_ref(), &letter.task, letter.sequence) == (Some(id), what, *sequence)
        });
        if !own {
            found.push(format!("{id}: {what} died, and its letter {letter} is not there"));
        }
    }
    found
}

/// Letters of open orders that no death names. A closed order may leave one: if its worker died before the death was recorded, nothing
/// looks for it any more. A message that was announced anew while the previous one was being buried may leave one too.
fn strays(server: &Server) -> Vec<String> {
    let videos = videos(server);
    let nobodys = |buried: &Buried| {
        let letter = &buried.letter;
        let Some(id) = &letter.order else { return true };
        let video = videos.iter().find(|video| video.id == id.video);
        let Some(order) = video.and_then(|video| video.order(id.number)) else { return true };
        !order.is_closed() && !order.dead.contains_key(&letter.task)
    };
    let stray = letters(server).into_iter().filter(nobodys);
    stray.map(|buried| format!("letter {} is nobody's", buried.letter.subject)).collect()
}

/// Of each message there is one letter.
fn doubled(server: &Server) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let letters = letters(server).into_iter().map(|buried| buried.letter);
    let twice = letters.filter(|l| !seen.insert((l.stream.clone(), l.sequence)));
    twice.map(|letter| format!("{} has two letters", letter.subject)).collect()
}

fn missing(server: &Server, object: &Object) -> Option<String> {
    let Some(stored) = server.objects.get(&object.key) else {
        return Some(format!("{} is gone", object.key));
    };
    let same =
        (stored.bytes.len() as u64, hash(&stored.bytes)) == (object.bytes, object.sha256.clone());
    (!same).then(|| format!("{} is not what was written", object.key))
}

/// Checks that objects named by state and ledger exist.
fn objects(server: &Server, video: &Video, order: &Order) -> Vec<String> {
    let mut found = Vec::new();
    if order.status != Status::Cancelled && !order.superseded {
        let parts = &video.source_of(order.number).parts;
        let gone = parts.iter().filter(|part| !server.objects.contains_key(&part.key));
        found.extend(gone.map(|part| format!("{} is gone", part.key)));
        found.extend(order.plan.iter().filter_map(|plan| missing(server, &plan.object)));
    }
    if order.is_closed() {
        return found;
    }
    let filter = subject::ledger_filter(&video.order_id(order.number));
    let prefix = filter.trim_end_matches('>');
    for message in server.streams[LEDGER].messages.values() {
        if !message.subject.starts_with(prefix) {
            continue;
        }
        match intake::read::<Entry>(&message.subject, &message.body) {
            Ok(entry) => {
                let named = entry.outputs.iter().flat_map(Output::objects);
                found.extend(named.filter_map(|object| missing(server, object)));
            }
            Err(refused) => found.push(format!("{}: {refused:?}", message.subject)),
        }
    }
    found
}

/// A completed order has a manifest, and all that it names.
fn published(server: &Server, id: &OrderId, order: &Order) -> Vec<String> {
    let Some(published) = &order.published else { return Vec::new() };
    if let Some(missing) = missing(server, &published.manifest) {
        return vec![missing];
    }
    let bytes = &server.objects[&published.manifest.key].bytes;
    let manifest: Manifest = match serde_json::from_slice(bytes) {
        Ok(manifest) => manifest,
        Err(error) => return vec![format!("{id}: {error}")],
    };
    let mut found: Vec<String> =
        manifest.objects().filter_map(|object| missing(server, object)).collect();
    let mut keys = BTreeSet::new();
    let twice = manifest.objects().filter(|object| !keys.insert(&object.key));
    found.extend(twice.map(|object| format!("{} is named twice", object.key)));
    for tier in manifest.tiers.iter().filter(|tier| tier.frames != FRAMES) {
        found.push(format!("{id}: {} has {} frames", tier.name, tier.frames));
    }
    found
}

/// Checks that attempts are charged to the tasks that failed, and to no others.
fn charged(world: &Arc<World>, story: &Story) -> Vec<String> {
    let scripts = world.scripts().clone();
    let mut found = Vec::new();
    // Whoever shares a node with what brings it down is charged too: nobody can tell them apart.
    let kills = |plot: &Plot| plot.script.poison.values().any(|how| *how == Poison::Kill);
    let deadly = story.plots.iter().any(kills);
    for video in world.look(videos) {
        let Some(script) = scripts.get(&video.id) else { continue };
        let plot = story.plots.iter().find(|plot| plot.id == video.id);
        let innocent = story.faults.crash == 0.0
            && !deadly
            && plot.is_some_and(|plot| plot.script.poison.is_empty());
        let crashes = script.crashes.values().max().copied().unwrap_or(0);
        let starts = script.starts.values().max().copied().unwrap_or(0);
        for order in video.orders.iter().filter(|order| order.status == Status::Completed) {
            if script.cut == Cut::Torn && !order.sequential {
                found.push(format!("{} has a seam", video.order_id(order.number)));
            }
        }
        for order in &video.orders {
            for (what, dead) in &order.dead {
                let id = format!("{}: {what}", video.order_id(order.number));
                if innocent {
                    found.push(format!("{id} died without a fault of its own: {}", dead.failure));
                }
                if dead.failure.code == "codec-signal" && crashes < ATTEMPTS {
                    found.push(format!("{id} died after {crashes} crashes"));
                }
                if script.poison.values().any(|how| *how == Poison::Limp) {
                    found.push(format!("{id} died though it had got further"));
                }
                if dead.failure.code == SILENT && starts < ATTEMPTS {
                    found.push(format!("{id} was given up after {starts} starts"));
                }
            }
        }
        let most = STARTS_MAX * script.lives * video.orders.len() as u32;
        for (work, crashes) in script.crashes.iter().filter(|(_, crashes)| **crashes > most) {
            found.push(format!("{}: {work} crashed {crashes} times", video.id));
        }
        for (work, kills) in script.kills.iter().filter(|(_, kills)| **kills > most) {
            found.push(format!("{}: {work} brought {kills} nodes down", video.id));
        }
    }
    found
}
