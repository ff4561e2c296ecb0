//! Tests of the state machine, move by move.

use super::*;

#[test]
fn a_closed_order_never_moves_again() {
    for from in [Status::Completed, Status::Cancelled] {
        assert!(Status::ALL.into_iter().all(|to| !from.may_become(to)), "{from}");
    }
}

#[test]
fn an_order_never_moves_back_except_by_replay() {
    for from in Status::ALL {
        for to in Status::ALL {
            let back = to <= from && from != Status::Failed;
            assert!(!(back && from.may_become(to)), "{from} → {to}");
        }
    }
    assert!(Status::Failed.may_become(Status::Encoding));
    assert!(!Status::Encoding.may_become(Status::Completed));
}

#[test]
fn an_upload_is_abandoned_once_it_was_given_up_with_nothing_to_work_on() {
    let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
    assert!(!video.is_abandoned(), "bytes may still come");
    let mut whole = video.clone();
    video.advance(1, Status::Cancelled, 1).unwrap();
    assert!(video.is_abandoned());
    whole.source =
        Source { bytes: 1, parts: vec![Part { key: "raw/a/00000".into(), bytes: 1 }], list: None };
    whole.advance(1, Status::Cancelled, 1).unwrap();
    assert!(!whole.is_abandoned(), "it was whole, and somebody cancelled it");
}

fn dead(sequence: u64) -> Dead {
    Dead { sequence, failure: Failure::task("codec-signal", ""), letter: 1 }
}

#[test]
fn an_order_goes_on_when_the_last_of_its_dead_is_replayed() {
    let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
    video.advance(1, Status::Queued, 1).unwrap();
    for (task, sequence) in [("main-0001", 7), ("main-0002", 8)] {
        video.bury(1, &task.into(), dead(sequence), 2).unwrap();
    }
    assert!(!video.revive(1, &"main-0001".into(), 7), "the message that died is no replay");
    assert!(video.revive(1, &"main-0001".into(), 9));
    assert_eq!(video.orders[0].status, Status::Failed);
    assert!(video.revive(1, &"main-0002".into(), 10));
    assert_eq!((video.orders[0].status, video.orders[0].ended), (Status::Queued, None));
    assert!(!video.revive(1, &"main-0002".into(), 11), "nothing is dead any more");
    assert!(
        video.bury(1, &"main-0002".into(), dead(8), 3).is_err(),
        "a gravedigger who comes too late"
    );
    video.bury(1, &"main-0002".into(), dead(12), 3).unwrap();
    assert!(video.orders[0].knows(&Fact::Failed(2)), "it can fail again, and that is told");
}

#[test]
fn nothing_of_a_closed_order_dies_or_comes_back() {
    let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
    video.advance(1, Status::Cancelled, 1).unwrap();
    assert!(video.bury(1, &"main-0001".into(), dead(7), 2).is_err());
    assert!(!video.revive(1, &"main-0001".into(), 9));
}

#[test]
fn another_source_opens_the_next_order_once() {
    let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::High, 0);
    let source = |bytes| Some(Source { bytes, ..Source::default() });
    assert_eq!(video.reopen(1, "in/a.mp4", source(10), 1), Some((2, true)));
    assert_eq!(video.reopen(1, "in/a.mp4", source(10), 2), Some((2, false)));
    assert_eq!(video.reopen(2, "in/b.mp4", source(11), 3), Some((3, true)));
    assert_eq!((video.source_of(3).bytes, video.orders[2].lane), (11, Lane::High));
}

#[test]
fn facts_are_numbered_without_gaps_and_recorded_once() {
    let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
    video.learn(1, Fact::Playable, 1);
    video.learn(1, Fact::Playable, 2);
    video.learn(1, Fact::Tier("720p".into()), 3);
    let seqs: Vec<u64> = video.orders[0].facts.iter().map(|known| known.seq).collect();
    assert_eq!((seqs, video.seq), (vec![1, 2], 2));
}

#[test]
fn a_state_keeps_the_details_of_the_first_deaths_only() {
    let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
    video.advance(1, Status::Queued, 1).unwrap();
    for index in 0..10 {
        let message = "The decoder crashed on this video (signal 11).";
        let failure = Failure::task("codec-signal", message).with_detail("x".repeat(1024));
        let unit = format!("main-{index:04}").as_str().into();
        video.bury(1, &unit, Dead { failure, ..dead(7) }, 2).unwrap();
        // Buried again by a worker that died before it was told so.
        let again = video.orders[0].dead[&unit].clone();
        video.bury(1, &unit, again.clone(), 2).unwrap();
        assert_eq!(video.orders[0].dead[&unit], again);
    }
    let detailed = video.orders[0].dead.values().filter(|dead| !dead.failure.detail.is_empty());
    assert_eq!(detailed.count(), DETAILS_MAX);
    let bytes = crate::order::document::write(&video).unwrap().len();
    assert!(bytes < 8 * 1024, "{bytes}");
}
