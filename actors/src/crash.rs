//! Named crash points: a build for fault tests can end the process at each step boundary of each stage.
//!
//! Without the feature `chaos` a crash point does nothing. A test checks that [`POINTS`] lists exactly the points that the code passes.

/// Every point, in pipeline order.
pub const POINTS: &[&str] = &[
    "upload-after-part",
    "upload-after-log",
    "upload-before-list",
    "upload-before-queue",
    "upload-after-queue",
    "upload-after-announce",
    "upload-before-answer",
    "breakoff-after-cancel",
    "ingest-after-delivery",
    "ingest-after-claim",
    "ingest-after-begin",
    "ingest-after-plan-written",
    "ingest-after-plan-set",
    "release-after-task",
    "ingest-before-ack",
    "encode-after-claim",
    "encode-after-object",
    "encode-after-part",
    "encode-before-entry",
    "encode-after-entry",
    "publish-after-claim",
    "publish-after-learn",
    "announce-after-fact",
    "announce-before-note",
    "publish-after-announce",
    "publish-after-release",
    "publish-after-publishing",
    "publish-after-set",
    "publish-after-complete",
    "publish-before-forget",
    "publish-before-ack",
    "takeover-after-state",
    "takeover-after-queue",
    "takeover-before-forget",
    "deadletter-before-letter",
    "deadletter-after-letter",
    "deadletter-after-death",
    "deadletter-before-term",
    "replay-after-claim",
    "replay-after-revival",
    "dlq-after-replay",
    "reopen-after-state",
    "priority-after-state",
    "priority-after-release",
    "priority-after-claim",
    "priority-after-remove",
    "cancel-after-state",
    "cancel-after-fact",
    "orphan-after-claim",
    "orphan-after-remove",
    "reconcile-before-repair",
    "reconcile-after-repair",
    "giveup-after-cancel",
    "giveup-after-fact",
    "clear-after-state",
    "clear-after-forget",
    "sweep-after-delete",
];

/// Ends the process as a crash would, if [`arm`] armed this point.
#[cfg(feature = "chaos")]
pub fn point(name: &'static str) {
    fail::fail_point!(name, |_| {
        tracing::error!(name, "crash point");
        std::process::abort()
    });
}

/// Does nothing in this build.
#[cfg(not(feature = "chaos"))]
#[inline]
pub fn point(_: &'static str) {}

/// Arms the points that the environment variable `FAILPOINTS` names, until the process ends. `encode-after-claim=return` ends the process
/// when it passes that point for the first time, `encode-after-claim=2*off->return` when it passes it for the third time.
#[cfg(feature = "chaos")]
pub fn arm() {
    std::mem::forget(fail::FailScenario::setup());
}

/// Does nothing in this build.
#[cfg(not(feature = "chaos"))]
#[inline]
pub fn arm() {}
