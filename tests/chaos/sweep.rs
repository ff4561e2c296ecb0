//! The sweep of crash points: at every named instant once, the process ends; afterwards everything must hold.

use jetreel_actors::ports::Videos;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;

use super::checked;
use super::checker::{Expected, Findings};
use super::stage::Stage;
use super::step::{Step, Victim};
use super::ways::Way;
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
    let mut stage = Stage::of(World::new(&SPEC, way.body(&clip)).await?);
    if let Some(earlier) = way.begins_at() {
        let own = way.earlier_settings(&stage.world)?;
        let own: Vec<(&str, &str)> =
            own.iter().map(|(key, value)| (*key, value.as_str())).collect();
        arm(&mut stage, earlier, &own).await?;
        stage.step(Step::Submit(way.earlier_uploads(), 1)).await?;
        aborted(&mut stage, earlier).await?;
    }
    arm(&mut stage, point, way.settings()).await?;
    way.go(&mut stage, &clip).await?;
    aborted(&mut stage, point).await?;
    way.mend(&stage).await?;
    stage.step(Step::Start(Victim::Node(0))).await?;
    let settled = tokio::time::timeout(ENDED_WITHIN, settle(&mut stage, way)).await;
    let may_be_cancelled = way == Way::Cancel;
    let expected = Expected { frames, may_fail: way.fails(), may_be_cancelled, swept };
    let mut findings = checked(&mut stage, expected).await?;
    match settled {
        Ok(Ok(())) => {}
        Ok(Err(error)) => findings.broken.push(format!("{error:#}")),
        Err(_) => findings.broken.push("not everything ended".to_owned()),
    }
    Ok(findings)
}

/// Starts the node; it will end at `point`.
async fn arm(stage: &mut Stage, point: &str, more: &[(&str, &str)]) -> anyhow::Result<()> {
    let armed = format!("{point}=return");
    let settings: Vec<(&str, &str)> =
        more.iter().copied().chain([("FAILPOINTS", armed.as_str())]).collect();
    stage.world.start_node(0, &settings).await
}

/// Waits until the node has ended at `point`, as it must.
async fn aborted(stage: &mut Stage, point: &str) -> anyhow::Result<()> {
    let status = stage.world.nodes[0].ended(PASSED_WITHIN).await;
    let status = status.with_context(|| format!("{point} is not passed"))?;
    let log = stage.world.nodes[0].log_tail();
    ensure!(status.signal() == Some(ABORTED), "the node ended with {status}:\n{log}");
    stage.world.close_gateway(0);
    Ok(())
}

async fn settle(stage: &mut Stage, way: Way) -> anyhow::Result<()> {
    way.go_on(stage).await?;
    stage.step(Step::Settle).await?;
    for order in stage.world.uploads.acknowledged() {
        let there = async |world: &World| {
            let found = world.bus.video(&order.video).await?;
            anyhow::Ok(found.is_none_or(|found| way.has_ended(&found.value, order.number)))
        };
        while !there(&stage.world).await? {
            tokio::time::sleep(POLL).await;
        }
    }
    stage.step(Step::Settle).await
}
