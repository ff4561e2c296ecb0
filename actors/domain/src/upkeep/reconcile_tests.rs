//! Tests of the troubles and of how long each must last.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{Group, TaskId, VideoId};
use crate::order::lane::Lane;
use crate::order::ledger::Object;
use crate::order::release::{Step, Windows};
use crate::order::state::{Dead, Fact, Part, PlanRef, Status, Video};
use crate::order::takeover::Takeover;
use crate::plan::Class;
use crate::upkeep::reconcile::{
    Announcement, Found, Need, PLANNED_ANEW_MAX, Policy, Position, Trouble, Watch, announcement,
    is_settled, need, troubles,
};

const POLICY: Policy = Policy {
    pass_seconds: 10,
    lease_seconds: 35,
    patience_seconds: 15,
    doubt_seconds: 3600,
    receiving_seconds_max: 1000,
    cancelled_seconds: 60,
    build_seconds: 600,
    orphan_seconds: 86_400,
    sweep_seconds: 600,
    objects_per_pass: 100,
};

fn video(status: Status) -> Video {
    let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
    video.orders[0].status = status;
    let object = Object { key: "plan".into(), bytes: 1, sha256: String::new() };
    let plan = PlanRef {
        object,
        class: Class::A,
        tiers: Vec::new(),
        tasks: 3,
        chunks: 3,
        urgent: 0,
        bulk: None,
    };
    if status >= Status::Encoding {
        video.orders[0].plan = Some(plan);
    }
    video
}

fn task(index: u32) -> TaskId {
    TaskId::new(Group::Main, index)
}

fn steps(count: u32) -> Vec<Step> {
    (0..count).map(|index| Step { task: task(index), needs: Vec::new() }).collect()
}

fn judged(video: &Video, found: Found) -> Vec<Trouble> {
    troubles(video, &BTreeMap::from([(1, found)]), 0, &POLICY).into_iter().collect()
}

fn tasks(queued: &[u32], finished: &[u32]) -> Found {
    let set = |indices: &[u32]| indices.iter().map(|index| task(*index)).collect();
    let (queued, finished) = (set(queued), set(finished));
    Found::Tasks { steps: steps(3), queued, finished, windows: Windows::OPEN, stranded: false }
}

fn stranded(finished: &[u32]) -> Found {
    let finished = finished.iter().map(|index| task(*index)).collect();
    let (steps, queued) = (steps(3), BTreeSet::new());
    Found::Tasks { steps, queued, finished, windows: Windows::OPEN, stranded: true }
}

#[test]
fn an_announcement_is_placed_by_where_the_consumer_is() {
    let at = Position { delivered: 10, floor: 5, unsettled: 2 };
    assert_eq!(announcement(None, &at), Announcement::Absent);
    assert_eq!(announcement(Some(11), &at), Announcement::Waiting);
    assert_eq!(announcement(Some(10), &at), Announcement::InDoubt);
    assert_eq!(announcement(Some(5), &at), Announcement::Passed);
    // A floor of 0 proves nothing. That no message is unsettled proves all.
    let floorless = Position { floor: 0, ..at };
    assert_eq!(announcement(Some(5), &floorless), Announcement::InDoubt);
    let idle = Position { unsettled: 0, ..floorless };
    assert_eq!(announcement(Some(5), &idle), Announcement::Passed);
}

#[test]
fn an_upload_that_no_message_names_is_lost_and_a_waiting_one_is_not() {
    for status in [Status::Queued, Status::Ingesting] {
        let video = video(status);
        assert_eq!(need(&video.orders[0], 0, &POLICY), Need::Announcement);
        let judged = |place| judged(&video, Found::Announcement(place));
        assert_eq!(judged(Announcement::Absent), [Trouble::UploadLost(1)]);
        assert_eq!(judged(Announcement::Passed), [Trouble::UploadLost(1)]);
        assert_eq!(judged(Announcement::InDoubt), [Trouble::UploadInDoubt(1)]);
        assert_eq!(judged(Announcement::Waiting), []);
    }
}

#[test]
fn a_due_task_that_is_nowhere_is_lost() {
    let mut video = video(Status::Encoding);
    assert_eq!(need(&video.orders[0], 0, &POLICY), Need::Tasks);
    assert_eq!(judged(&video, tasks(&[1], &[0])), [Trouble::TaskLost(1, task(2))]);
    assert_eq!(judged(&video, tasks(&[1, 2], &[0])), []);
    assert_eq!(judged(&video, tasks(&[], &[0, 1, 2])), [Trouble::Unevaluated(1)]);
    let failure = crate::words::failure::Failure::task("x", "");
    video.orders[0].dead.insert(task(2).into(), Dead { sequence: 1, letter: 0, failure });
    assert_eq!(judged(&video, tasks(&[1], &[0])), [], "a dead task waits for its replay");
}

#[test]
fn an_order_whose_codec_build_is_nowhere_is_planned_anew_while_tasks_are_left() {
    let mut video = video(Status::Encoding);
    let lost = |index| Trouble::TaskLost(1, task(index));
    let anew = Trouble::StrandedOrder(1, 0);
    assert_eq!(judged(&video, stranded(&[])), [lost(0), lost(1), lost(2), anew]);
    assert_eq!(judged(&video, stranded(&[0, 1])), [lost(2), anew]);
    assert_eq!(judged(&video, stranded(&[0, 1, 2])), [Trouble::Unevaluated(1)]);
    let publishing = self::video(Status::Publishing);
    let planned_anew = judged(&publishing, stranded(&[])).contains(&Trouble::StrandedOrder(1, 0));
    assert!(!planned_anew, "every task was finished before");
    video.supersede(1, Takeover::CodecBuild, 5);
    assert_eq!(video.planned_anew(), 1);
    let patience = |before| Trouble::StrandedOrder(2, before).patience(&POLICY);
    assert_eq!((patience(0), patience(1), patience(3)), (15, 30, 120));
    assert_eq!(patience(u32::MAX), patience(PLANNED_ANEW_MAX));
}

#[test]
fn nothing_of_an_ended_order_is_looked_at() {
    for status in [Status::Failed, Status::Completed, Status::Cancelled] {
        assert_eq!(need(&video(status).orders[0], 1 << 40, &POLICY), Need::Nothing);
    }
    let mut superseded = video(Status::Encoding);
    superseded.orders[0].superseded = true;
    assert_eq!(need(&superseded.orders[0], 0, &POLICY), Need::Nothing);
}

#[test]
fn an_upload_is_given_up_when_it_stands_still_not_when_it_is_slow() {
    let video = video(Status::Receiving);
    assert_eq!(need(&video.orders[0], 999, &POLICY), Need::Nothing);
    assert_eq!(need(&video.orders[0], 1000, &POLICY), Need::Parts);
    let judged =
        |newest, now| troubles(&video, &BTreeMap::from([(1, Found::Parts(newest))]), now, &POLICY);
    assert_eq!(judged(None, 1000), BTreeSet::from([Trouble::Stalled(1, 0)]));
    assert_eq!(judged(Some(500), 1499), BTreeSet::new());
    assert_eq!(judged(Some(500), 1500), BTreeSet::from([Trouble::Stalled(1, 500)]));
}

#[test]
fn an_upload_that_goes_on_survives_a_clock_that_leapt_ahead() {
    let video = video(Status::Receiving);
    let mut watch = Watch::default();
    let mut at = |now, newest| {
        let found = BTreeMap::from([(1, Found::Parts(Some(newest)))]);
        watch.ripe(now, troubles(&video, &found, now, &POLICY), &POLICY)
    };
    let day = 86_400;
    assert_eq!(at(day, 10), [], "its newest part looks old at once");
    assert_eq!(at(day + 10, day + 5), [], "but the next one comes");
    assert_eq!(at(3 * day, day + 5), []);
    let long = POLICY.receiving_seconds_max;
    assert_eq!(at(3 * day + long, day + 5), [Trouble::Stalled(1, day + 5)]);
}

#[test]
fn an_upload_that_goes_on_by_another_clock_is_not_given_up() {
    let video = video(Status::Receiving);
    let mut watch = Watch::default();
    let day = 86_400;
    for minute in 0..100 {
        // The store's clock did not jump.
        let found = BTreeMap::from([(1, Found::Parts(Some(60 * minute)))]);
        let now = day + 60 * minute;
        assert_eq!(watch.ripe(now, troubles(&video, &found, now, &POLICY), &POLICY), []);
    }
}

#[test]
fn a_video_rests_when_all_is_announced_and_cleared() {
    let mut video = video(Status::Completed);
    assert!(is_settled(&video));
    video.learn(1, Fact::Completed, 1);
    assert!(!is_settled(&video));
    assert_eq!(judged(&video, Found::Nothing), [Trouble::Unannounced]);
    video.announced = 1;
    assert!(is_settled(&video));
    assert!(!is_settled(&self::video(Status::Encoding)));
    assert!(is_settled(&self::video(Status::Failed)), "it waits for a replay");
}

#[test]
fn a_cancelled_order_is_cleared_once_its_workers_have_noticed() {
    let mut video = video(Status::Encoding);
    video.source.parts.push(Part { key: "raw/part".into(), bytes: 1 });
    video.cancel(1, 100).unwrap();
    video.announced = video.seq;
    let at = |now| troubles(&video, &BTreeMap::new(), now, &POLICY);
    assert_eq!(at(159), BTreeSet::new());
    assert_eq!(at(160), BTreeSet::from([Trouble::Uncleared(1)]));
    assert!(!is_settled(&video));
    video.clear(1);
    assert!(is_settled(&video) && video.orders[0].plan.is_none() && video.source.parts.is_empty());
}

#[test]
fn a_trouble_is_mended_when_it_lasts_and_then_given_as_long_again() {
    let lost = || BTreeSet::from([Trouble::UploadLost(1)]);
    let mut watch = Watch::default();
    let mut at = |now, amiss| watch.ripe(now, amiss, &POLICY);
    assert_eq!(at(100, lost()), []);
    assert_eq!(at(114, lost()), []);
    assert_eq!(at(115, lost()), [Trouble::UploadLost(1)]);
    assert_eq!(at(116, lost()), [], "the repair has time to take effect");
    assert_eq!(at(130, lost()), [Trouble::UploadLost(1)]);
    assert_eq!(at(131, BTreeSet::new()), []);
    assert_eq!(at(200, lost()), [], "what went away is watched anew");
    assert_eq!(at(50, lost()), [], "the clock was set back");
    assert_eq!(at(65, lost()), [Trouble::UploadLost(1)]);
}
