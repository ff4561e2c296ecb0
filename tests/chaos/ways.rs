//! Which way leads past a crash point, and what has to be done to go it.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_nats::jetstream;
use async_nats::jetstream::consumer::{Config, FromConsumer as _, pull};
use bytes::Bytes;
use jetreel::bus::names;
use jetreel_domain::delivery::message::Uploaded;
use jetreel_domain::delivery::subject;
use jetreel_domain::id::Group;
use jetreel_domain::order::lane::Lane;
use jetreel_domain::order::state::{Fact, Order, Video};

use super::node;
use super::stage::{Stage, is_ended};
use super::step::Step;
use super::world::{SWEEP_SOON, World};

/// A file that is no video.
const UNUSABLE: &[u8] = b"this is no video at all";
/// An object that a person put into the store.
const CORRECTED: &str = "corrected/clip.mp4";
/// Settings under which a codec build is missed soon.
const MISSED_SOON: [(&str, &str); 4] = [
    ("JETREEL__RECONCILER__PASS_SECONDS", "1"),
    ("JETREEL__RECONCILER__LEASE_SECONDS", "5"),
    ("JETREEL__RECONCILER__PATIENCE_SECONDS", "3"),
    ("JETREEL__RECONCILER__BUILD_SECONDS", "10"),
];
/// Shorter than any task takes.
const BLINK: Duration = Duration::from_millis(50);

/// Which way leads past a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// An upload that becomes a video.
    Video,
    /// An upload that cannot be used.
    Refusal,
    /// One that cannot be used, and its message once more.
    Replay,
    /// One that cannot be used, and the wish to try it again.
    Retry,
    /// One that cannot be used, and another source for it.
    Reopen,
    /// An upload that is cancelled in the middle of a task.
    Cancel,
    /// An upload that gets another lane in the middle of a task.
    Priority,
    /// An upload whose node ended before it was announced.
    Untold,
    /// An upload whose node ended before all of it had arrived.
    HalfDone,
    /// An upload that its client breaks off.
    BrokenOff,
    /// An upload whose tasks the broker gives up.
    Stranded,
    /// An upload that was planned with a codec build that no node has any more.
    Outdated,
}

impl Way {
    /// The way past a point.
    pub(super) fn past(point: &str) -> Self {
        if point == "publish-after-claim" {
            return Self::Replay;
        }
        match point.split_once('-').map(|(stage, _)| stage) {
            Some("deadletter") => Self::Refusal,
            Some("replay") => Self::Replay,
            Some("dlq") => Self::Retry,
            Some("reopen") => Self::Reopen,
            Some("cancel" | "clear" | "sweep") => Self::Cancel,
            Some("priority") => Self::Priority,
            Some("reconcile") => Self::Untold,
            Some("giveup") => Self::HalfDone,
            Some("breakoff") => Self::BrokenOff,
            Some("orphan") => Self::Stranded,
            Some("takeover") => Self::Outdated,
            Some(_) | None => Self::Video,
        }
    }

    /// Whether jobs fail on this way.
    pub(super) fn fails(self) -> bool {
        match self {
            Self::Refusal | Self::Replay | Self::Retry | Self::Reopen => true,
            Self::Video
            | Self::Cancel
            | Self::Priority
            | Self::Untold
            | Self::HalfDone
            | Self::BrokenOff
            | Self::Stranded
            | Self::Outdated => false,
        }
    }

    /// Body of the uploads.
    pub(super) fn body(self, clip: &Bytes) -> Bytes {
        if self.fails() { Bytes::from_static(UNUSABLE) } else { clip.clone() }
    }

    /// Settings of the node that is to pass the point: it does not wait long to mend and to clear away.
    pub(super) fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Cancel | Self::Untold | Self::HalfDone | Self::BrokenOff => &SWEEP_SOON,
            Self::Outdated => &MISSED_SOON,
            Self::Video
            | Self::Refusal
            | Self::Replay
            | Self::Retry
            | Self::Reopen
            | Self::Priority
            | Self::Stranded => &[],
        }
    }

    /// The point at which an earlier node ended, and left what this way begins with.
    pub(super) fn begins_at(self) -> Option<&'static str> {
        match self {
            Self::Untold => Some("upload-after-queue"),
            Self::HalfDone => Some("upload-after-part"),
            Self::Outdated => Some("encode-after-claim"),
            Self::Video
            | Self::Refusal
            | Self::Replay
            | Self::Retry
            | Self::Reopen
            | Self::Cancel
            | Self::Priority
            | Self::BrokenOff
            | Self::Stranded => None,
        }
    }

    /// Number of uploads to that earlier node. A node that ends at the first one takes over its plans.
    pub(super) fn earlier_uploads(self) -> u32 {
        if self == Self::Outdated { 1 } else { 2 }
    }

    /// Settings of that earlier node.
    pub(super) fn earlier_settings(
        self,
        world: &World,
    ) -> anyhow::Result<Vec<(&'static str, String)>> {
        if self != Self::Outdated {
            return Ok(Vec::new());
        }
        let codec = outdated_codec(world)?;
        let soon = MISSED_SOON.map(|(key, value)| (key, value.to_owned()));
        let codec = ("JETREEL__CODEC__PATH", codec.to_string_lossy().into_owned());
        Ok(soon.into_iter().chain([codec]).collect())
    }

    /// Goes the way, up to the point where the node ends.
    pub(super) async fn go(self, stage: &mut Stage, clip: &Bytes) -> anyhow::Result<()> {
        if self == Self::Stranded {
            give_up_soon(&stage.world, true).await?;
        }
        // An earlier node ended while the clients were sending, and they still are.
        if self.begins_at().is_none() {
            stage.step(Step::Submit(2, 1)).await?;
        }
        match self {
            Self::Video
            | Self::Refusal
            | Self::Untold
            | Self::HalfDone
            | Self::Stranded
            | Self::Outdated => {}
            Self::BrokenOff => {
                let address = stage.node(0)?.address().context("the node does not run")?;
                stage.world.uploads.break_off(address).await;
            }
            Self::Replay => {
                stage.step(Step::Settle).await?;
                send_again(&stage.world).await?;
            }
            Self::Retry => {
                stage.step(Step::Settle).await?;
                self.ask_all(stage).await?;
            }
            Self::Reopen => {
                stage.step(Step::Settle).await?;
                correct(&stage.world, clip).await?;
            }
            Self::Cancel | Self::Priority => {
                stage.step(Step::Hold(0)).await?;
                self.ask_all(stage).await?;
                // The node ends them, at its own end at the latest.
                stage.held.clear();
            }
        }
        Ok(())
    }

    /// Done when the node runs again: clients without an answer repeat their requests, and an operator repairs.
    pub(super) async fn go_on(self, stage: &mut Stage) -> anyhow::Result<()> {
        match self {
            Self::Retry | Self::Priority => self.ask_all(stage).await,
            Self::Video
            | Self::Refusal
            | Self::Replay
            | Self::Reopen
            | Self::Cancel
            | Self::Untold
            | Self::HalfDone
            | Self::BrokenOff
            | Self::Stranded
            | Self::Outdated => Ok(()),
        }
    }

    /// Sets right what no node starts with.
    pub(super) async fn mend(self, stage: &Stage) -> anyhow::Result<()> {
        if self == Self::Stranded {
            give_up_soon(&stage.world, false).await?;
        }
        Ok(())
    }

    /// Whether the consequences of this way for a video that had ended before are over too.
    pub(super) fn has_ended(self, video: &Video, number: u32) -> bool {
        match self {
            // It failed once; tried again, it fails again.
            Self::Replay | Self::Retry => {
                let again = |order: &Order| order.knows(&Fact::Failed(2));
                is_ended(video) && video.order(number).is_some_and(again)
            }
            Self::Reopen => video.orders.len() > 1 && is_ended(video),
            Self::Video
            | Self::Refusal
            | Self::Cancel
            | Self::Priority
            | Self::Untold
            | Self::HalfDone
            | Self::BrokenOff
            | Self::Stranded
            | Self::Outdated => true,
        }
    }

    /// Asks for the same of every job. A node that ends meanwhile gives no answer.
    async fn ask_all(self, stage: &Stage) -> anyhow::Result<()> {
        let (wish, body) = match self {
            Self::Cancel => ("cancel", ""),
            Self::Priority => ("priority", r#"{"lane": "high"}"#),
            Self::Video
            | Self::Refusal
            | Self::Replay
            | Self::Retry
            | Self::Reopen
            | Self::Untold
            | Self::HalfDone
            | Self::BrokenOff
            | Self::Stranded
            | Self::Outdated => ("retry", ""),
        };
        let address = stage.node(0)?.address().context("the node does not run")?.to_owned();
        for order in stage.world.uploads.acknowledged() {
            let path = format!("/v1/jobs/{order}/{wish}");
            drop(stage.world.uploads.ask(&address, &path, body).await);
        }
        Ok(())
    }
}

/// A codec that says it is of another build.
fn outdated_codec(world: &World) -> anyhow::Result<PathBuf> {
    let real = node::program().with_file_name("jetreel-codec");
    let fixture = node::program().with_file_name("examples").join("poison_codec");
    ensure!(fixture.exists(), "cargo build --features chaos --example poison_codec is due");
    let folder = world.folder().join("outdated");
    std::fs::create_dir(&folder)?;
    symlink(real, folder.join("real"))?;
    symlink(fixture, folder.join("codec"))?;
    std::fs::write(folder.join("build"), "outdated")?;
    Ok(folder.join("codec"))
}

/// The messages of uploads as a person would send them again: the same bytes, without headers.
async fn send_again(world: &World) -> anyhow::Result<()> {
    let context = jetstream::new(world.watch.client().clone());
    for message in world.watch.take_queued() {
        context.publish(message.subject.to_string(), message.payload).await?.await?;
    }
    Ok(())
}

/// Puts a sound clip into the store, and names it as the source of every upload.
async fn correct(world: &World, clip: &Bytes) -> anyhow::Result<()> {
    let place = world.store_root().join(CORRECTED);
    std::fs::create_dir_all(place.parent().context("a key without a folder")?)?;
    std::fs::write(place, clip)?;
    let context = jetstream::new(world.watch.client().clone());
    for order in world.uploads.acknowledged() {
        let (video, number) = (order.video.clone(), order.number);
        let source = Some(CORRECTED.to_owned());
        let message = Uploaded { source, ..Uploaded::new(video, number, Lane::Normal) };
        let body = rmp_serde::to_vec_named(&message)?;
        context.publish(subject::upload(&order.video), body.into()).await?.await?;
    }
    Ok(())
}

/// Lets the broker give up every task that is not finished at once, or no more.
async fn give_up_soon(world: &World, soon: bool) -> anyhow::Result<()> {
    let context = jetstream::new(world.watch.client().clone());
    let stream = context.get_stream(names::ENCODE).await?;
    for group in Group::ALL {
        let name = names::encode_consumer(Lane::Normal, group);
        let found: Config = stream.consumer_info(&name).await?.config;
        let mut config = pull::Config::try_from_consumer_config(found)
            .map_err(|error| anyhow!("{name}: {error}"))?;
        (config.ack_wait, config.max_deliver) =
            if soon { (BLINK, 1) } else { (Duration::from_secs(25), 50) };
        stream.create_consumer(config).await?;
    }
    Ok(())
}
