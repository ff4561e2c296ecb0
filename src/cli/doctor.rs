//! `jetreel doctor`: checks this machine, the broker and the store, and says how to repair what is wrong.

mod belonging;
mod waits;

use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use jetreel_actors::ports::{Codec, Nodes as _, Store, Survey as _};
use jetreel_domain::delivery::room::{Fill, Room};
use jetreel_domain::order::owner::PROBES;
use jetreel_domain::upkeep::presence::{Builds, Presence};
use jetreel_domain::words::advice;
use jetreel_domain::words::failure::Failure;
use rustix::fs::{Access, access};
use serde::Serialize;

use super::exit::Exit;
use super::local::{self, Place};
use super::output;
use crate::bus::doctor::Durability;
use crate::bus::{Bus, doctor, private};
use crate::node::{codec_binary, store_folder};
use crate::relations;
use crate::sandbox::{CodecProcesses, Confinement};
use crate::settings::{Nats, Settings};
use crate::store::{OpenDalStore, StoreOptions};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    /// Advice; empty if nothing needs to be done.
    advice: String,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), advice: String::new() }
    }

    fn warn<T: Into<String>>(check: &'static str, found: T, advice: &str) -> Self {
        let (found, advice) = (found.into(), advice.to_owned());
        Self { check, verdict: Verdict::Warn, found, advice }
    }

    fn fail<T: Into<String>>(check: &'static str, found: T, advice: &str) -> Self {
        Self { verdict: Verdict::Fail, ..Self::warn(check, found, advice) }
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<Exit> {
    let settings = &arguments.place.applied_to(settings);
    let mut findings = vec![Finding::ok("settings", "they can be used")];
    findings.extend(store(settings).await);
    findings.extend(codec(settings).await);
    findings.extend(broker(settings).await);
    if arguments.json {
        output::json(&serde_json::json!({ "findings": findings }))?;
    } else {
        findings.iter().for_each(|finding| output::text(&line(finding)));
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn line(finding: &Finding) -> String {
    let Finding { check, verdict, found, advice } = finding;
    let word = match verdict {
        Verdict::Ok => "OK  ",
        Verdict::Warn => "WARN",
        Verdict::Fail => "FAIL",
    };
    let advice = if advice.is_empty() { String::new() } else { format!("\n        → {advice}") };
    format!("{word}  {check}: {found}{advice}")
}

async fn store(settings: &Settings) -> Vec<Finding> {
    let advice = "check the section [store] of the settings, and who may write there";
    if let Some(folder) = store_folder(settings).filter(|folder| is_unused(folder)) {
        return vec![unused(folder, advice)];
    }
    let tried = async {
        let store = OpenDalStore::open(&StoreOptions::from(&settings.store))?;
        let key = format!("{PROBES}{}", uuid::Uuid::new_v4());
        store.write(&key, Bytes::from_static(b"jetreel")).await?;
        let read = store.read_all(&key).await?;
        store.delete(&key).await?;
        let gone = store.size(&key).await?.is_none();
        Ok::<bool, Failure>(read == "jetreel" && gone)
    };
    vec![match tried.await {
        Ok(true) => Finding::ok("store", "an object was written, read and removed"),
        Ok(false) => Finding::fail("store", "an object was not read or removed as written", advice),
        Err(failure) => Finding::fail("store", failure.told(), advice),
    }]
}

/// Whether nothing was ever stored there. A check must not change the machine.
fn is_unused(folder: &Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

fn unused(folder: &Path, advice: &str) -> Finding {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let there = folder.ancestors().find(|above| above.exists()).unwrap_or(&folder);
    let found = format!("{} is empty", folder.display());
    match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok("store", format!("{found}, and can be written in")),
        Err(error) => {
            Finding::fail("store", format!("{found}: {}: {error}", there.display()), advice)
        }
    }
}

async fn codec(settings: &Settings) -> Vec<Finding> {
    let advice = "build it with `cargo build --release -p jetreel-codec`, or set codec.path";
    let binary = match codec_binary(settings) {
        Ok(binary) => binary,
        Err(error) => return vec![Finding::fail("codec", error.to_string(), advice)],
    };
    let Ok(scratch) = tempfile::tempdir() else { return Vec::new() };
    let Ok(store) = OpenDalStore::open(&StoreOptions::fs(scratch.path().to_string_lossy())) else {
        return Vec::new();
    };
    let codec = CodecProcesses::new(binary, std::sync::Arc::new(store));
    match codec.build().await {
        Ok(build) => vec![
            Finding::ok("codec", build),
            confinement(&codec, settings.codec.confinement).await,
            trespass(&codec).await,
        ],
        Err(failure) => vec![Finding::fail("codec", failure.told(), advice)],
    }
}

async fn confinement(codec: &CodecProcesses, demanded: Confinement) -> Finding {
    const CHECK: &str = "confinement";
    let asked = async {
        let tier: Confinement = codec.confinement().await?.parse().unwrap_or_default();
        Ok::<_, Failure>((tier, codec.weaknesses().await?))
    };
    let (tier, weaknesses) = match asked.await {
        Ok(reached) => reached,
        Err(failure) => return Finding::fail(CHECK, failure.told(), "see the finding before"),
    };
    let found = match weaknesses.as_slice() {
        [] => tier.to_string(),
        weaknesses => format!("{tier} ({})", weaknesses.join("; ")),
    };
    if tier < demanded {
        let advice = "no task runs here: allow what is missing, or lower codec.confinement";
        Finding::fail(CHECK, format!("{found}, less than the {demanded} demanded"), advice)
    } else if tier < Confinement::Full {
        let advice =
            "decoders could be confined better: allow user namespaces and Landlock for FULL";
        Finding::warn(CHECK, found, advice)
    } else {
        Finding::ok(CHECK, found)
    }
}

/// Operations that a codec process of this node can do although its confinement must prevent them.
async fn trespass(codec: &CodecProcesses) -> Finding {
    const CHECK: &str = "sandbox";
    let attempts = match codec.trespass().await {
        Ok(attempts) => attempts,
        Err(failure) => return Finding::fail(CHECK, failure.told(), "see the findings before"),
    };
    let open = attempts.iter().filter(|attempt| !attempt.denied);
    let open: Vec<&str> = open.map(|attempt| attempt.what.as_str()).collect();
    let denied = format!("{} of {} attempts denied", attempts.len() - open.len(), attempts.len());
    if open.is_empty() {
        return Finding::ok(CHECK, denied);
    }
    let advice = "an upload that breaks a decoder could do that; run elsewhere";
    Finding::warn(CHECK, format!("{denied}; it can still {}", open.join(", ")), advice)
}

async fn broker(settings: &Settings) -> Vec<Finding> {
    let advice = "check nats.url and nats.credentials, and whether the server runs with JetStream";
    let bus = match &settings.nats.url {
        Some(_) => match local::connect(settings).await {
            Ok(bus) => bus,
            Err(error) => return vec![Finding::fail("broker", told(&error), advice)],
        },
        None => match local::running(settings).await {
            Some(bus) => bus,
            None => {
                let related = match local::streams(settings) {
                    Ok(wanted) => declared(&relations::of_declared(settings, &wanted, None)),
                    Err(error) => vec![unusable(&error)],
                };
                return [vec![private_broker(settings).await], related].concat();
            }
        },
    };
    let wanted = match local::streams(settings) {
        Ok(wanted) => wanted,
        Err(error) => return vec![unusable(&error)],
    };
    match doctor::examine(&bus, &wanted, settings.nats.monitor.as_deref()).await {
        Ok(facts) => {
            let mut findings = of_facts(&facts, &settings.nats);
            findings.extend(declared(&relations::of_declared(settings, &wanted, Some(&bus))));
            let raise = advice::of_code("message-too-large").unwrap_or_default();
            let doubts = relations::doubts_of(settings, &bus);
            findings.extend(doubts.into_iter().map(|text| Finding::warn("relations", text, raise)));
            if facts.jetstream && facts.drift.is_empty() {
                findings.push(nodes(&bus, settings.reconciler.build_seconds).await);
                findings.extend(waits::examine(&bus, settings.reconciler.build_seconds).await);
            }
            if facts.jetstream {
                findings.push(match bus.dead_letters().await {
                    Ok(room) => of_letters(&room),
                    Err(failure) => Finding::fail("dead letters", failure.told(), advice),
                });
                findings.extend(belonging::examine(&bus, settings).await);
            }
            findings
        }
        Err(failure) => vec![Finding::fail("broker", failure.told(), advice)],
    }
}

fn of_letters(room: &Room) -> Finding {
    const CHECK: &str = "dead letters";
    let Room { letters, bytes, limit } = room;
    let found = match (limit, room.percent()) {
        (Some(limit), Some(percent)) => {
            format!("{letters} of {bytes} bytes, {percent} % of {limit}")
        }
        (_, _) => format!("{letters} of {bytes} bytes"),
    };
    let advice =
        "replay or discard some with `jetreel dlq`, or raise max_bytes of DLQ in streams.toml";
    match room.fill() {
        Fill::Fine => Finding::ok(CHECK, found),
        Fill::Filling => Finding::warn(CHECK, found, advice),
        Fill::Full => Finding::fail(
            CHECK,
            format!("full: {found}; messages that cannot be buried wait"),
            advice,
        ),
    }
}

fn unusable(streams: &anyhow::Error) -> Finding {
    Finding::fail("streams", format!("{streams:#}"), "mend nats.streams")
}

/// Relations between settings, streams and server. Differences between the server and streams.toml are reported with the streams.
fn declared(violations: &[String]) -> Vec<Finding> {
    if violations.is_empty() {
        return vec![Finding::ok("relations", "settings, streams and server fit together")];
    }
    let advice = "change one of the two values that it names";
    violations.iter().map(|text| Finding::fail("relations", text.as_str(), advice)).collect()
}

/// The private broker that `dev` and `transcode` would start.
async fn private_broker(settings: &Settings) -> Finding {
    match private::locate(settings.nats.server.as_deref()).await {
        Ok(path) => Finding::ok(
            "broker",
            format!(
                "private, by {}; none runs in {} now, --data names another folder",
                path.display(),
                settings.nats.data.display()
            ),
        ),
        Err(failure) => Finding::fail("broker", failure.told(), "set nats.url or nats.server"),
    }
}

fn told(error: &anyhow::Error) -> String {
    error.downcast_ref().map_or_else(|| error.to_string(), Failure::told)
}

/// Nodes with a recent heartbeat.
async fn nodes(bus: &Bus, seconds: u64) -> Finding {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = i64::try_from(since.as_secs().saturating_sub(seconds)).unwrap_or(i64::MAX);
    match bus.said(0, usize::MAX).await {
        Ok(said) => {
            let lately = said.words.into_iter().map(|word| word.presence);
            let lately: Vec<Presence> = lately.filter(|said| said.at >= since).collect();
            let unreadable: Vec<String> =
                said.unreadable.iter().map(|word| word.failure.told()).collect();
            match unreadable.as_slice() {
                [] => of_nodes(&lately),
                unreadable => Finding::warn(
                    "nodes",
                    format!("{} Of the others: {}", unreadable.join(" "), of_nodes(&lately).found),
                    "inspect the bucket `nodes`; the report of a stopped node expires within an hour",
                ),
            }
        }
        Err(failure) => Finding::warn("nodes", failure.told(), "inspect the bucket `nodes`"),
    }
}

fn of_nodes(nodes: &[Presence]) -> Finding {
    const CHECK: &str = "nodes";
    let builds = Builds::of(nodes);
    let in_vain: Vec<&str> = builds.in_vain().into_iter().collect();
    if !nodes.is_empty() && !nodes.iter().any(Presence::encodes) {
        let found = format!("{} running, none encodes: jobs wait", nodes.len());
        return Finding::warn(CHECK, found, "start a node whose node.roles has `encode`");
    }
    if !in_vain.is_empty() {
        let found = format!(
            "jobs are planned with a codec build that no encoding node has: {}",
            in_vain.join("; ")
        );
        return Finding::fail(CHECK, found, "install the same jetreel-codec on every node");
    }
    let encoding: Vec<&str> = builds.encoding().iter().map(String::as_str).collect();
    let found = match encoding.as_slice() {
        [] if nodes.is_empty() => "none running".to_owned(),
        [] => format!("{} running, none with a working codec", nodes.len()),
        [_] => format!("{} running, of one codec build", nodes.len()),
        several => {
            format!("{} running, of several codec builds: {}", nodes.len(), several.join("; "))
        }
    };
    if encoding.len() > 1 {
        let advice =
            "a job waits for a node of the build that it was planned with: finish the upgrade";
        return Finding::warn(CHECK, found, advice);
    }
    Finding::ok(CHECK, found)
}

fn of_facts(facts: &doctor::BusFacts, nats: &Nats) -> Vec<Finding> {
    let version = Finding::ok("broker", format!("nats-server {}", facts.server_version));
    if !facts.jetstream {
        let advice = "start the server with JetStream, and allow it for this account";
        return vec![version, Finding::fail("jetstream", "not available", advice)];
    }
    let sync = sync(doctor::durability(facts.sync_always, nats.replicas), nats.require_sync);
    let streams = if facts.drift.is_empty() {
        Finding::ok("streams", "as declared")
    } else {
        let changes: Vec<String> = facts.drift.iter().map(ToString::to_string).collect();
        let advice =
            "`jetreel streams plan` shows the differences, `jetreel streams apply` removes them";
        Finding::fail("streams", changes.join("; "), advice)
    };
    vec![version, sync, streams]
}

fn sync(found: Durability, required: bool) -> Finding {
    let finding = if required { Finding::fail::<&str> } else { Finding::warn::<&str> };
    match found {
        Durability::Synced => Finding::ok("sync", "every write is synced before it is confirmed"),
        Durability::Copied => Finding::ok(
            "sync",
            "writes are not synced, or it is not known whether they are; three replicas replace the sync if no single power failure hits them all",
        ),
        Durability::AtRisk => finding(
            "sync",
            "writes are confirmed before they are synced, and have one replica: a power failure loses accepted uploads",
            "set `sync_interval: always` in the server's jetstream section, or run three servers",
        ),
        Durability::Unknown => finding(
            "sync",
            "unknown",
            "set nats.monitor to the server's monitoring address to have it checked",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    fn nats(replicas: u32, require_sync: bool) -> Nats {
        let sources = Sources { no_usual_places: true, ..Sources::default() };
        Nats { replicas, require_sync, ..Settings::load(&sources).unwrap().nats }
    }

    #[test]
    fn a_broker_without_its_streams_fails_and_says_what_to_do() {
        let facts = doctor::BusFacts {
            server_version: "2.15.1".into(),
            jetstream: false,
            sync_always: None,
            drift: Vec::new(),
        };
        let findings = of_facts(&facts, &nats(1, false));
        assert_eq!(findings.last().map(|finding| finding.verdict), Some(Verdict::Fail));
        assert!(line(&findings[1]).contains("→ start the server with JetStream"));
    }

    #[test]
    fn nodes_whose_codecs_do_not_fit_together_are_told() {
        let node = |role: &str, build: &str| Presence {
            v: 1,
            node: "one".to_owned(),
            roles: [role.to_owned()].into(),
            codec_build: Some(build.to_owned()),
            slots: 1,
            ..Presence::default()
        };
        let verdict = |nodes: &[Presence]| of_nodes(nodes).verdict;
        assert_eq!(verdict(&[]), Verdict::Ok);
        assert_eq!(verdict(&[node("ingest", "a"), node("encode", "a")]), Verdict::Ok);
        let mixed = [node("ingest", "a"), node("encode", "a"), node("encode", "b")];
        assert_eq!(verdict(&mixed), Verdict::Warn);
        assert_eq!(verdict(&[node("ingest", "a"), node("encode", "b")]), Verdict::Fail);
        let nobody = of_nodes(&[node("ingest", "a"), node("gateway", "a")]);
        assert_eq!(nobody.verdict, Verdict::Warn);
        assert!(nobody.advice.contains("`encode`"), "{nobody:?}");
    }

    #[test]
    fn letters_are_told_before_there_is_no_room() {
        let verdict = |bytes| of_letters(&Room { letters: 7, bytes, limit: Some(1 << 30) }).verdict;
        assert_eq!(verdict(1 << 29), Verdict::Ok);
        assert_eq!(verdict(900 << 20), Verdict::Warn);
        assert_eq!(verdict(1 << 30), Verdict::Fail);
        let found = of_letters(&Room { letters: 7, bytes: 900 << 20, limit: Some(1 << 30) });
        assert_eq!(found.found, "7 of 943718400 bytes, 87 % of 1073741824");
    }

    #[test]
    fn a_store_that_was_never_used_is_left_as_it_is() {
        let above = tempfile::tempdir().unwrap();
        let absent = above.path().join("a/media");
        assert!(is_unused(&absent) && is_unused(above.path()));
        assert_eq!(unused(&absent, "").verdict, Verdict::Ok);
        assert!(!above.path().join("a").exists());
        std::fs::write(above.path().join("x"), "x").unwrap();
        assert!(!is_unused(above.path()));
    }

    #[test]
    fn a_server_that_does_not_sync_is_warned_about() {
        let facts = doctor::BusFacts {
            server_version: "2.15.1".into(),
            jetstream: true,
            sync_always: Some(false),
            drift: Vec::new(),
        };
        let verdict = |nats| of_facts(&facts, &nats)[1].verdict;
        assert_eq!(verdict(nats(1, false)), Verdict::Warn);
        assert_eq!(verdict(nats(1, true)), Verdict::Fail);
        assert_eq!(verdict(nats(3, true)), Verdict::Ok);
    }
}
