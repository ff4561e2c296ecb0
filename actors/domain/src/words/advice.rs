//! Advice to users about a failure: a sentence for each stable code.
//!
//! Invariant: every code that the program uses has its own advice. A test over the sources checks this.

use crate::words::failure::{Failure, Severity};

/// Advice about a failure. An unknown code of another version gets the advice of its severity.
#[must_use]
pub fn suggestion(failure: &Failure) -> &'static str {
    of_code(&failure.code).unwrap_or(match failure.severity {
        Severity::Permanent => {
            "Trying the same again cannot help: mend what the message names, then replay, or discard the letter."
        }
        Severity::TaskFault => {
            "Read the detail; replay once its cause is gone, and discard the letter if it comes back the same."
        }
        Severity::DependencyFault => {
            "Run `jetreel doctor` on the node that is named; replay once it finds nothing wrong."
        }
    })
}

/// The advice for a code; `None` for a code that this version does not know.
#[must_use]
pub fn of_code(code: &str) -> Option<&'static str> {
    of_media(code)
        .or_else(|| of_limit(code))
        .or_else(|| of_codec(code))
        .or_else(|| of_object(code))
        .or_else(|| of_broker(code))
        .or_else(|| of_node(code))
}

/// Codes of faults of the file itself.
fn of_media(code: &str) -> Option<&'static str> {
    Some(match code {
        "unknown-format" | "unreadable" | "empty" | "no-frames" | "too-damaged" | "time-base" => {
            "The file itself is at fault: export it again, or copy it again from its source, and upload the new file. A replay of this \
             file ends the same way."
        }
        "no-video" => {
            "The file has no picture. Upload a file that has one; if this one should have a picture, export it again."
        }
        "unsupported-codec" => {
            "Export the video with a codec of the allow-list, such as H.264 or HEVC in MP4, and upload the new file."
        }
        "no-tier" => {
            "No rung of [plan] ladder fits this source. Add a smaller rung, or empty plan.tiers, and replay."
        }
        "no-level" => {
            "No H.264 level carries this picture at this rate. Lower max-frame-rate or short-side of the rung, and replay."
        }
        _ => return None,
    })
}

/// Codes of limits in the settings.
fn of_limit(code: &str) -> Option<&'static str> {
    Some(match code {
        "too-many-bytes" => "Raise limits.upload-bytes-max and replay, or upload a smaller file.",
        "too-many-pixels" => "Raise limits.pixels-max and replay, or upload a smaller picture.",
        "too-many-streams" => {
            "Raise limits.streams-max and replay, or upload the file without the tracks that are not needed."
        }
        "too-many-frames" => "Raise limits.frames-max and replay, or upload the video in pieces.",
        "too-long" => "Raise limits.seconds-max and replay, or upload the video in pieces.",
        "frame-rate" => {
            "Raise limits.frame-rate-max and replay, or export the video at a usual frame rate."
        }
        "timestamp-gap" => {
            "If the picture may stand still that long, raise limits.gap-seconds-max and replay; else export the video again."
        }
        _ => return None,
    })
}

/// Codes of the codec process.
fn of_codec(code: &str) -> Option<&'static str> {
    Some(match code {
        "stage-panicked" => {
            "This is an error in Jetreel: report it with the detail. Replay with another version of jetreel, or discard the letter."
        }
        "codec-signal" | "codec-exit" | "codec-internal" | "attempts-spent" => {
            "The decoder cannot take this file, or the node had too little memory. The detail holds the end of its log. Replay on a \
             node with more memory or a newer codec; if it crashes again, keep the file for a report and discard the letter."
        }
        "codec-cpu-budget" | "codec-wall-clock" | "codec-no-progress" => {
            "The task ran out of time. Replay while the nodes have less to do, or with a quicker plan.preset for new uploads; a file \
             that runs out of time again is damaged, or made to do so."
        }
        "codec-memory-budget" => {
            "The task needed more memory than its pictures explain. Where plan.preset is slow, choose a quicker one for new uploads; a \
             file that needs too much all the same is damaged, or made to do so."
        }
        "codec-output-budget" => {
            "The task made more data than its source explains. Look at the file before it is replayed: it may be made to fill disks."
        }
        "codec-read-budget" => {
            "The index of the file makes the decoder read it back and forth. Export the video again, or look at the file before it is \
             replayed: it may be made to keep the store busy."
        }
        "codec-protocol" | "frames-lost" => {
            "Node and codec do not understand each other. Install jetreel and jetreel-codec of one build on every node, and replay."
        }
        "codec-build" => {
            "No node has the codec that the job was planned with. Start one that has, or wait: after reconciler.build-seconds the video \
             is planned again."
        }
        "codec-missing" | "codec-unusable" => {
            "Put jetreel-codec beside jetreel or set codec.path; `jetreel doctor` says what it finds. Then replay."
        }
        "sandbox-weak" => {
            "The node cannot confine decoders as its settings demand. Allow user namespaces and Landlock there, or lower the \
             demand, and replay."
        }
        _ => return None,
    })
}

/// Codes of stored objects and the store.
fn of_object(code: &str) -> Option<&'static str> {
    Some(match code {
        "store-mismatch" => {
            "Let [store] and nats.url name what belongs together. `jetreel store adopt` binds the broker to another store for good:              objects that its state does not name are deleted a day later."
        }
        "store-not-shared" | "store-elsewhere" => {
            "Every node needs the same store: compare store.root, store.bucket and what is mounted there on the node that is named and on \
             this one. `jetreel doctor` says whose signs it sees."
        }
        "object-missing" | "object-short" | "object-cut-short" | "object-broken"
        | "manifest-broken" | "store-corrupt" | "part-changed" | "parts-changed" => {
            "An object in the store is not what was written. Restore it from a copy and replay, or upload the video again; then find \
             out what else that disk or bucket has lost."
        }
        "source-missing" => {
            "Name a key that the store has, in the same form as `jetreel config show` names its root, and publish the message again."
        }
        "source-denied" => {
            "Move the object below a prefix that store.sources allows, or add its prefix there on every node, and publish the message again."
        }
        "object-conflict" => {
            "Another object is stored where this one should be. Find out what else writes below store.root, and replay."
        }
        "plan-changed" | "plan-unreadable" | "plan-encode" | "manifest-encode" | "task-unknown"
        | "object-key" | "parts-unreadable" | "parts-encode" => {
            "The plan does not fit this version. Run the same version on every node and replay; if that does not help, upload the video again."
        }
        "object-denied" | "object-failed" => {
            "Look at the object that the message names: its permissions, its disk, the policy of its bucket. Mend it or restore it from a \
             copy, and replay; other objects are fine."
        }
        "storage-gone" => "Mount the disk of store.root again, and replay.",
        "storage-full" => {
            "Make room in the store or on the broker's disk, restart a nats-server whose disk was full, and replay."
        }
        "storage-denied" | "folder-unreadable" => {
            "Mend the credentials and permissions of the section [store], and replay."
        }
        "storage-busy" | "storage-failed" | "source-unavailable" | "probe-timeout" => {
            "The store was away or overloaded. Replay once `jetreel doctor` can write, read and remove an object."
        }
        "ledger-gap" => {
            "Somebody removed entries of the stream LEDGER while the job ran; it does again what is missing. Leave the stream alone: entries \
             go by themselves when their job has ended."
        }
        "seam-mismatch" => {
            "The chunks do not fit together. The next job of this video is encoded in one go: discard this letter."
        }
        _ => return None,
    })
}

/// Codes of the broker.
fn of_broker(code: &str) -> Option<&'static str> {
    Some(match code {
        "broker-timeout" | "broker-unavailable" | "broker-unreachable" | "broker-conflict"
        | "broker-refused" | "lease-renewal" | "claim-contended" | "state-contended"
        | "state-busy" => {
            "The broker was away or overloaded. Replay once `jetreel doctor` finds it well."
        }
        "broker-protocol" | "broker-too-old" => {
            "Run a nats-server of a supported version; `jetreel doctor` names it. Then replay."
        }
        "broker-credentials" | "broker-denied" => {
            "Mend nats.credentials, or what the broker allows this user; then replay."
        }
        "topology-missing" | "streams-destructive" => {
            "Compare the streams with `jetreel streams plan`, mend them with `jetreel streams apply`, and replay."
        }
        "stream-full" | "correction-unburied" => {
            "A stream is at its max_bytes. See what fills it with `nats stream report`, give it room in streams.toml, and replay."
        }
        "message-too-large" => {
            "Raise max_payload of the broker: 1 MB, its default, is enough for every message of Jetreel."
        }
        "private-broker" | "private-broker-in-use" | "no-nats-server" => {
            "The private broker does not run. Set nats.server to a nats-server program, and stop what else uses nats.data."
        }
        _ => return None,
    })
}

/// Codes of messages, states and the node itself.
fn of_node(code: &str) -> Option<&'static str> {
    Some(match code {
        "bad-message" | "bad-subject" | "unreadable-document" => {
            "The message or document is of no known form: written by hand, or by a newer version. Compare the versions of the nodes; \
             discard the letter if none of them knows it."
        }
        "message-contradicts" | "document-contradicts" | "entry-contradicts" => {
            "Somebody published it who may publish there, and names what is another's. Find out who has that right, and take it away;              then discard the letter."
        }
        "newer-document" => {
            "Finish the upgrade: only nodes of the newer version change this. A task that waits for it costs no attempt."
        }
        "video-gone" | "id-taken" | "upload-taken" => {
            "The video does not exist any more, or its id belongs to another. Nothing is left to do: discard the letter."
        }
        "hook-unreachable" | "hook-refused" => {
            "The hook of dead letters was not reached. Check that hook.url answers with a 2xx, and that hook.authorization is right. The \
             call is repeated."
        }
        "scaler-hook-unreachable" | "scaler-hook-refused" | "scaler-hook-slow" => {
            "The hook of the scaler failed. Check that scaler.hook ends with 0 or answers with a 2xx within scaler.hook-seconds. The call is \
             repeated with the newest number of nodes."
        }
        "local-node-unstarted" => {
            "No node process could be started on the scaler's machine. Check scaler.local.folder and the limits of processes and memory. \
             The start is repeated."
        }
        "branch-failed" | "encoder-gone" | "upload-crashed" | "no-reason" => {
            "A part of the node crashed. Keep its log for a report, and replay: other nodes are not concerned."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_of_a_codec_has_advice() {
        use crate::codec::wire::FailureCode as Code;
        use crate::words::failure::code;
        for found in Code::ALL {
            assert!(of_code(code(found)).is_some(), "{found:?}");
        }
    }

    #[test]
    fn a_code_of_another_version_has_the_advice_of_its_severity() {
        let of = |failure: Failure| suggestion(&failure);
        assert!(of(Failure::permanent("of-tomorrow", "")).contains("cannot help"));
        assert!(of(Failure::task("of-tomorrow", "")).contains("replay"));
        assert!(of(Failure::dependency("of-tomorrow", "")).contains("doctor"));
    }
}
