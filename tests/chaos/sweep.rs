//! The sweep of crash points: at every named instant once, the process ends; afterwards everything must hold.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use bytes::Bytes;
use jetreel_actors::ports::Broker as _;
use jetreel_domain::state::Fact;

use super::checked;
use super::checker::{Expected, Findings};
use super::stage::Stage;
use super::step::{Step, Victim};
use super::world::{PLAIN, Spec, World};

/// A crash point must be passed within this time after an upload was sent.
const PASSED_WITHIN: Duration = Duration::from_secs(60);
/// After the crash everything must have ended within this time.
const ENDED_WITHIN: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(200);
/// SIGABRT.
const ABORTED: i32 = 6;
/// One at a time, so that a point is passed by the first upload.
const SPEC: Spec = Spec { slots: 1, ..PLAIN };

/// Which way leads past a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// An upload that becomes a video.
    Video,
    /// An upload that cannot be used.
    Refusal,
    /// One that cannot be used, and its message once more.
    Replay,
}

impl Way {
    fn past(point: &str) -> Self {
        match point.split_once('-') {
            Some(("deadletter", _)) => Self::Refusal,
            Some(("replay", _)) => Self::Replay,
            Some(_) | None => Self::Video,
        }
    }
}

/// Ends a node at `point`, starts it again, and checks.
///
/// # Errors
/// When the point is not passed, or the node does not come back.
pub(crate) async fn crash_at(
    point: &str,
    clip: Bytes,
    frames: u64,
    swept: bool,
) -> anyhow::Result<Findings> {
    let way = Way::past(point);
    let sent = match way {
        Way::Video => clip,
        Way::Refusal | Way::Replay => Bytes::from_static(b"this is no video at all"),
    };
    let mut world = World::new(&SPEC, sent).await?;
    let armed = format!("{point}=return");
    world.start_node(0, &[("FAILPOINTS", armed.as_str())]).await?;
    let mut stage = Stage::of(world);
    stage.step(Step::Submit(2, 1)).await?;
    if way == Way::Replay {
        stage.step(Step::Settle).await?;
        send_again(&stage.world).await?;
    }
    let status = stage.world.nodes[0].ended(PASSED_WITHIN).await;
    let status = status.with_context(|| format!("{point} is not passed"))?;
    let log = stage.world.nodes[0].log_tail();
    ensure!(status.signal() == Some(ABORTED), "the node ended with {status}:\n{log}");
    stage.world.close_gateway(0);
    stage.step(Step::Start(Victim::Node(0))).await?;
    let settled = tokio::time::timeout(ENDED_WITHIN, settle(&mut stage, way)).await;
    let expected = Expected { frames, may_fail: way != Way::Video, swept };
    let mut findings = checked(&mut stage, expected).await?;
    match settled {
        Ok(Ok(())) => {}
        Ok(Err(error)) => findings.broken.push(format!("{error:#}")),
        Err(_) => findings.broken.push("not everything ended".to_owned()),
    }
    Ok(findings)
}

/// The messages of uploads as a person would send them again: the same bytes, without headers.
async fn send_again(world: &World) -> anyhow::Result<()> {
    let context = jetstream::new(world.watch.client().clone());
    for message in world.watch.take_queued() {
        context.publish(message.subject.to_string(), message.payload).await?.await?;
    }
    Ok(())
}

async fn settle(stage: &mut Stage, way: Way) -> anyhow::Result<()> {
    stage.step(Step::Settle).await?;
    if way != Way::Replay {
        return Ok(());
    }
    for order in stage.world.uploads.acknowledged() {
        // It failed once; sent again, it fails again.
        let twice = |video: &jetreel_domain::state::Video| {
            video.order(order.number).is_some_and(|order| order.knows(&Fact::Failed(2)))
        };
        while !stage.world.bus.video(&order.video).await?.is_some_and(|found| twice(&found.value)) {
            tokio::time::sleep(POLL).await;
        }
    }
    stage.step(Step::Settle).await
}
