//! Named instants at which a build for fault tests can end the process: one at every step boundary of every stage.
//!
//! Without the feature `chaos` a point is nothing. A test holds that [`POINTS`] names exactly those that the code passes.

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

/// Ends the process here, as a crash would, where [`arm`] was told so.
#[cfg(feature = "chaos")]
pub fn point(name: &'static str) {
    fail::fail_point!(name, |_| {
        tracing::error!(name, "crash point");
        std::process::abort()
    });
}

/// Nothing in this build.
#[cfg(not(feature = "chaos"))]
#[inline]
pub fn point(_: &'static str) {}

/// Arms the points that the environment variable `FAILPOINTS` names, until the process ends. `encode-after-claim=return` ends it
/// when that point is passed first, `encode-after-claim=2*off->return` when it is passed for the third time.
#[cfg(feature = "chaos")]
pub fn arm() {
    std::mem::forget(fail::FailScenario::setup());
}

/// Nothing in this build.
#[cfg(not(feature = "chaos"))]
#[inline]
pub fn arm() {}
