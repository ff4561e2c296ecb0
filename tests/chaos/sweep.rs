//! The sweep of crash points: at every named instant once, the process ends; afterwards everything must hold.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;

use super::checker::{self, Expected, Findings};
use super::stage::Stage;
use super::step::{Step, Victim};
use super::world::{PLAIN, Spec, World};

/// A crash point must be passed within this time after an upload was sent.
const PASSED_WITHIN: Duration = Duration::from_secs(60);
/// SIGABRT.
const ABORTED: i32 = 6;
/// One at a time, so that a point is passed by the first upload.
const SPEC: Spec = Spec { slots: 1, ..PLAIN };

/// Points that only what cannot be used leads to.
fn needs_bad_media(point: &str) -> bool {
    point.starts_with("deadletter-")
}

/// Ends a node at `point`, starts it again, and checks.
///
/// # Errors
/// When the point is not passed, or the node does not come back.
pub(crate) async fn crash_at(point: &str, clip: Bytes, frames: u64) -> anyhow::Result<Findings> {
    let bad = needs_bad_media(point);
    let sent = if bad { Bytes::from_static(b"this is no video at all") } else { clip };
    let mut world = World::new(&SPEC, sent).await?;
    let armed = format!("{point}=return");
    world.start_node(0, &[("FAILPOINTS", armed.as_str())]).await?;
    let uploads = world.uploads.clone();
    let sending = tokio::spawn(uploads.send(2, 1));
    let status = world.nodes[0].ended(PASSED_WITHIN).await;
    let status = status.with_context(|| format!("{point} is not passed"))?;
    use std::os::unix::process::ExitStatusExt as _;
    if status.signal() != Some(ABORTED) {
        bail!("the node ended with {status}:\n{}", world.nodes[0].log_tail());
    }
    world.close_gateway(0);
    let mut stage = Stage::of(world);
    stage.step(Step::Start(Victim::Node(0))).await?;
    sending.await??;
    let settled = tokio::time::timeout(PASSED_WITHIN * 2, stage.step(Step::Settle)).await;
    let expected = Expected { frames, may_fail: bad, swept: false };
    let mut findings = checker::check(&stage.world, expected).await?;
    match settled {
        Ok(Ok(())) => {}
        Ok(Err(error)) => findings.broken.push(format!("{error:#}")),
        Err(_) => findings.broken.push("not everything ended".to_owned()),
    }
    Ok(findings)
}
