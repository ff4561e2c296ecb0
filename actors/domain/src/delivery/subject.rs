//! The subjects on which stages meet. Only this file and the descriptions of the stages spell them.

use crate::delivery::dispatch::TaskQueue;
use crate::delivery::stage::{Stage, Unit};
use crate::id::{Group, OrderId, TaskId, VideoId};
use crate::order::lane::Lane;
use crate::order::state::Fact;

/// Filters of subjects that are no queue of a stage.
const OTHER_ROOTS: [&str; 6] = [
    PARTS_ALL,
    LEDGER_ALL,
    "video.transcodes.progress.>",
    "video.deliveries.>",
    "video.redo.>",
    "video.transcodes.dlq.>",
];

/// Every subject filter that a stage reads or a stream holds. A tidy rule checks that each is bound to a stream.
#[must_use]
pub fn roots() -> Vec<String> {
    let queues = Stage::ALL.into_iter().map(Stage::filter);
    queues.chain(OTHER_ROOTS.map(ToOwned::to_owned)).collect()
}

/// Subject of a part of an open upload in its log.
#[must_use]
pub fn part(video: &VideoId, index: u32) -> String {
    format!("video.parts.{video}.{index}")
}

/// Filter for the part log of an open upload.
#[must_use]
pub fn parts_filter(video: &VideoId) -> String {
    format!("video.parts.{video}.*")
}

/// Filter for the part logs of all open uploads.
pub const PARTS_ALL: &str = "video.parts.>";

/// The video in the subject of a logged part.
#[must_use]
pub fn video_in_parts(subject: &str) -> Option<VideoId> {
    subject.strip_prefix("video.parts.")?.split('.').next()?.parse().ok()
}

/// Subject of a completed upload.
#[must_use]
pub fn upload(video: &VideoId) -> String {
    format!("video.uploads.raw.{video}")
}

/// Subject of a released task in a lane.
#[must_use]
pub fn encode(lane: Lane, order: &OrderId, task: TaskId) -> String {
    format!("video.encode.{lane}.{}.{}.{}.{task}", task.group, order.video, order.number)
}

/// Filter of the consumer for a lane and a group.
#[must_use]
pub fn encode_filter(lane: Lane, group: Group) -> String {
    Stage::Encode.queue(lane, group).filter
}

/// The queue of a released task, from its subject.
#[must_use]
pub fn task_queue(subject: &str) -> Option<TaskQueue> {
    let mut words = subject.strip_prefix("video.encode.")?.split('.');
    Some(TaskQueue::new(words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Filter for all tasks of an order, in every lane and group.
#[must_use]
pub fn encode_order_filter(order: &OrderId) -> String {
    format!("video.encode.*.*.{}.{}.*", order.video, order.number)
}

/// Filter for one task of an order, in every lane.
#[must_use]
pub fn encode_task_filter(order: &OrderId, task: TaskId) -> String {
    format!("video.encode.*.*.{}.{}.{task}", order.video, order.number)
}

/// Subject of the ledger entry of a finished task.
#[must_use]
pub fn ledger(order: &OrderId, task: TaskId) -> String {
    format!("video.ledger.{}.{}.{task}", order.video, order.number)
}

/// Subject of the checkpoint of a part of a task.
#[must_use]
pub fn ledger_part(order: &OrderId, task: TaskId, part: u32) -> String {
    format!("{}.{part}", ledger(order, task))
}

/// Filter for all ledger entries of an order, checkpoints included.
#[must_use]
pub fn ledger_filter(order: &OrderId) -> String {
    format!("video.ledger.{}.{}.>", order.video, order.number)
}

/// Filter for the ledger entries of an order's finished tasks, without checkpoints.
#[must_use]
pub fn ledger_tasks_filter(order: &OrderId) -> String {
    format!("video.ledger.{}.{}.*", order.video, order.number)
}

/// Filter for all ledger entries.
pub const LEDGER_ALL: &str = "video.ledger.>";

/// Filter for the ledger entries of all finished tasks, without checkpoints.
pub const LEDGER_TASKS_ALL: &str = "video.ledger.*.*.*";

/// The order in a ledger subject.
#[must_use]
pub fn order_on_ledger(subject: &str) -> Option<OrderId> {
    order_in(subject.strip_prefix("video.ledger.")?)
}

/// The order in a key of the bucket `claims`.
#[must_use]
pub fn order_in_claims(key: &str) -> Option<OrderId> {
    order_in(key)
}

fn order_in(words: &str) -> Option<OrderId> {
    let mut words = words.split('.');
    Some(OrderId::new(words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// The task in a subject of ENCODE or of a task's ledger entry: its last token.
#[must_use]
pub fn task_in(subject: &str) -> Option<TaskId> {
    subject.rsplit('.').next()?.parse().ok()
}

/// Subject of a request to evaluate an order.
#[must_use]
pub fn publish(order: &OrderId) -> String {
    Stage::Publish.subject_of(order)
}

/// Subject of a fact about an order.
#[must_use]
pub fn progress(order: &OrderId, fact: &Fact) -> String {
    format!("video.transcodes.progress.{}.{}.{fact}", order.video, order.number)
}

/// Filter for the cancellation of any order.
pub const CANCELLED_ALL: &str = "video.transcodes.progress.*.*.cancelled";

/// The order in the subject of a fact.
#[must_use]
pub fn order_in_progress(subject: &str) -> Option<OrderId> {
    order_in(subject.strip_prefix("video.transcodes.progress.")?)
}

/// Filter for all facts of a video.
#[must_use]
pub fn progress_filter(video: &VideoId) -> String {
    format!("video.transcodes.progress.{video}.>")
}

/// Key of a claim in the bucket `claims`.
#[must_use]
pub fn claim_key(order: &OrderId, unit: &Unit) -> String {
    format!("{}.{}.{unit}", order.video, order.number)
}

/// Prefix of the subjects of dead letters. The original subject follows.
pub const DLQ_PREFIX: &str = "video.transcodes.dlq.";

/// Subject of the dead letter of a message.
#[must_use]
pub fn dead_letter(original: &str) -> String {
    format!("{DLQ_PREFIX}{original}")
}

/// The stage that reads a subject; `None` if no stage does.
#[must_use]
pub fn stage(subject: &str) -> Option<Stage> {
    let of = |stage: &Stage| subject.split('.').take(2).eq(stage.subject_words().take(2));
    Stage::ALL.into_iter().find(of)
}

/// The video in a subject of a stage's queue, and the number of the order if the subject has one.
#[must_use]
pub fn owner(subject: &str) -> Option<(VideoId, Option<u32>)> {
    let stage = stage(subject)?;
    if subject.split('.').count() != stage.subject_words().count() {
        return None;
    }
    let value = |name: &str| {
        let mut words = stage.subject_words().zip(subject.split('.'));
        words.find(|(pattern, _)| *pattern == name).map(|(_, word)| word)
    };
    let number = value("{order}").map(str::parse).transpose().ok()?;
    Some((value("{video}")?.parse().ok()?, number))
}

/// Subject of the broker's advisory that a consumer gave up a message.
#[must_use]
pub fn given_up(stream: &str, consumer: &str) -> String {
    format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{consumer}")
}

/// Prefix of the endpoints of the micro service for dead letters.
pub const ADMIN_DLQ: &str = "jetreel.admin.dlq";

/// Prefix of the endpoints of the micro service for jobs.
pub const ADMIN_JOBS: &str = "jetreel.admin.jobs";

/// Filter for all claims of an order in the bucket `claims`.
#[must_use]
pub fn claim_filter(order: &OrderId) -> String {
    format!("{}.{}.>", order.video, order.number)
}

/// CloudEvents `type` of a fact. Subscribers of any broker can filter by it.
#[must_use]
pub fn event_type(fact: &Fact) -> String {
    format!("video.transcodes.{fact}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Group;

    #[test]
    fn the_log_of_an_upload_names_its_video() {
        let video = VideoId::from_bits(7);
        assert_eq!(video_in_parts(&part(&video, 3)), Some(video.clone()));
        assert_eq!(video_in_parts(&upload(&video)), None);
        assert_eq!(stage(&part(&video, 3)), None, "it is no queue");
    }

    #[test]
    fn a_subject_names_its_stage_and_its_owner() {
        let order = OrderId::new(VideoId::from_bits(7), 3);
        let task = TaskId::new(Group::Main, 1);
        let (video, number) = (order.video.clone(), Some(3));
        for (subject, stage_of, owner_of) in [
            (upload(&order.video), Some(Stage::Ingest), Some((video.clone(), None))),
            (encode(Lane::Low, &order, task), Some(Stage::Encode), Some((video.clone(), number))),
            (publish(&order), Some(Stage::Publish), Some((video, number))),
            (ledger(&order, task), None, None),
            ("video.publish.nobody.1".to_owned(), Some(Stage::Publish), None),
            (String::new(), None, None),
        ] {
            assert_eq!((stage(&subject), owner(&subject)), (stage_of, owner_of), "{subject}");
        }
    }
}
