//! Tests of named objects and orphans.

use super::*;
use crate::id::VideoId;
use crate::order::lane::Lane;
use crate::order::ledger::Object;
use crate::order::state::{Order, Part, PlanRef, Source};
use crate::plan::Class;
use crate::sample;
use crate::simulate;

const OUT: &str = "out/00000000000000000000000001/1/";

fn object(key: &str) -> Object {
    Object { key: key.to_owned(), bytes: 1, sha256: String::new() }
}

fn video(status: Status) -> Video {
    let mut video = Video::receiving(VideoId::from_bits(1), String::new(), Lane::Normal, 0);
    let key = format!("raw/{}/00000", video.id);
    video.source = Source { bytes: 1, parts: vec![Part { key, bytes: 1 }], list: None };
    let order = &mut video.orders[0];
    order.status = status;
    if status >= Status::Encoding {
        let object = object(&format!("{OUT}plan-a.json"));
        order.plan = Some(PlanRef {
            object,
            class: Class::A,
            tiers: Vec::new(),
            tasks: 1,
            chunks: 1,
            urgent: 0,
            bulk: None,
        });
    }
    if status == Status::Completed {
        let manifest = object(&format!("{OUT}final-a/manifest.json"));
        order.published = Some(Published { prefix: format!("{OUT}final-a"), manifest });
    }
    video
}

fn named(video: Option<&Video>, key: &str) -> bool {
    names(video, &Owner::of(key).unwrap()).has(key)
}

#[test]
fn only_keys_of_jetreels_own_making_have_an_owner() {
    let id = VideoId::from_bits(1);
    let original = Owner::of(&format!("raw/{id}/00000")).unwrap();
    assert_eq!(original, Owner::Original(id.clone()));
    let order = Owner::of(&format!("{OUT}main-0001/attempt/240p-00001.mp4")).unwrap();
    assert_eq!(order, Owner::Order(OrderId::new(id, 1)));
    assert!(OUT.starts_with(&order.prefix()) && order.prefix().starts_with(OUT));
    let probe = "probe/01939c7e-0000-7000-8000-00000000000a";
    let half = "probe/.01939c7e-0000-7000-8000-00000000000a.0123456789abcdef0123456789abcdef.part";
    for key in [probe, half] {
        assert_eq!(Owner::of(key), Some(Owner::Probe), "{key}");
        assert!(!named(None, key));
    }
    let node = "01939c7e-0000-7000-8000-00000000000a";
    for name in ["7", ".7.0123456789abcdef0123456789abcdef.part"] {
        let key = format!("nodes/{node}/{name}");
        let owner = Owner::of(&key).unwrap();
        assert_eq!(owner, Owner::Node(node.to_owned()));
        assert!(key.starts_with(&owner.prefix()) && owner.video().is_none());
        let mut names = names(None, &owner);
        assert!(!names.has(&key));
        names.add_all(&owner);
        assert!(names.has(&key));
    }
    for key in [
        "nodes/film.mp4",
        "nodes/a/7",
        "nodes/01939c7e-0000-7000-8000-00000000000a",
        "nodes/01939c7e-0000-7000-8000-00000000000a/7/8",
        "probe/film.mp4",
        "probe/01939c7e-0000-7000-8000-00000000000a/x",
        ".jetreel-store",
        "uploads/film.mp4",
        "raw/film.mp4",
        "raw/film/00000",
        "out/x/1/plan.json",
        "out/00000000000000000000000001/1",
        "out/00000000000000000000000001/one/plan.json",
    ] {
        assert_eq!(Owner::of(key), None, "{key}");
    }
    assert_eq!(Owner::task(&format!("{OUT}main-0001/a/b")).unwrap().to_string(), "main-0001");
    assert_eq!(Owner::task(&format!("{OUT}final-a/240p.m3u8")), None);
}

#[test]
fn an_original_stays_while_it_is_named_or_arrives() {
    let part = "raw/00000000000000000000000001/00000";
    let late = "raw/00000000000000000000000001/00007";
    for status in Status::ALL {
        let video = video(status);
        assert!(named(Some(&video), part), "{status}");
        assert_eq!(named(Some(&video), late), status == Status::Receiving, "{status}");
    }
    let mut cancelled = video(Status::Cancelled);
    cancelled.clear(1);
    assert!(!named(Some(&cancelled), part) && !named(None, part));
}

#[test]
fn what_state_names_stays_and_so_does_what_is_being_written() {
    let [plan, other] = ["plan-a.json", "plan-b.json"].map(|name| format!("{OUT}{name}"));
    let [set, torn] = ["final-a/240p.m3u8", "final-b/240p.m3u8"].map(|name| format!("{OUT}{name}"));
    for status in Status::ALL {
        let video = video(status);
        let planning = matches!(status, Status::Queued | Status::Ingesting);
        assert_eq!(named(Some(&video), &plan), status >= Status::Encoding || planning, "{status}");
        assert_eq!(named(Some(&video), &other), planning, "{status}");
        let writing = status == Status::Publishing;
        assert_eq!(named(Some(&video), &set), status == Status::Completed || writing, "{status}");
        assert_eq!(named(Some(&video), &torn), writing, "{status}");
    }
    assert!(!named(None, &plan));
    let mut superseded = video(Status::Publishing);
    superseded.orders[0].superseded = true;
    assert!(named(Some(&superseded), &plan) && !named(Some(&superseded), &torn));
}

#[test]
fn open_and_failed_orders_are_judged_by_the_ledger_and_complete_ones_by_the_manifest() {
    for status in Status::ALL {
        let expected = match status {
            Status::Encoding | Status::Publishing | Status::Failed => Evidence::Ledger,
            Status::Completed => {
                Evidence::Manifest(video(status).orders[0].published.clone().unwrap())
            }
            Status::Receiving | Status::Queued | Status::Ingesting | Status::Cancelled => {
                Evidence::State
            }
        };
        assert_eq!(evidence(Some(&video(status)), 1), expected, "{status}");
    }
    let mut superseded = video(Status::Encoding);
    superseded.orders[0].superseded = true;
    assert_eq!(evidence(Some(&superseded), 1), Evidence::State);
    assert_eq!(evidence(None, 1), Evidence::State);
}

#[test]
fn every_object_of_an_entry_is_named() {
    let order = OrderId::new(VideoId::from_bits(1), 1);
    let (policy, limits) = (sample::policy(), sample::limits());
    let plan = crate::plan::planner::plan(order, sample::facts(), &policy, &limits, "build", false)
        .unwrap();
    let frames: Vec<i64> = (0..1500).map(|frame| frame * 3600).collect();
    for planned in &plan.tasks {
        for entry in simulate::entries(&plan, planned, &frames) {
            let mut names = Names::default();
            names.add_entry(&entry);
            let text = format!("{entry:?}");
            let keys: BTreeSet<&str> = text
                .split("Object { key: \"")
                .skip(1)
                .filter_map(|rest| rest.split_once('"').map(|(key, _)| key))
                .collect();
            assert!(keys.iter().all(|key| names.has(key)), "{}", entry.task);
            assert_eq!(keys.len(), names.keys.len(), "{}", entry.task);
        }
    }
}

#[test]
fn the_objects_of_the_attempt_that_holds_a_claim_stay() {
    let order = OrderId::new(VideoId::from_bits(1), 1);
    let task: TaskId = "main-0001".parse().unwrap();
    let mut claim = crate::delivery::claim::take(None, "mine".into(), "node".into(), 7, 0);
    let judge = |claim: &Claim, attempt: &str| {
        let mut names = Names::default();
        names.add_claim(&order, task, claim);
        names.has(&format!("{OUT}main-0001/{attempt}/240p-00001.mp4"))
    };
    assert!(judge(&claim, "mine") && !judge(&claim, "theirs"));
    claim.released = true;
    assert!(!judge(&claim, "mine"));
}

#[test]
fn a_source_elsewhere_in_the_store_is_known_to_be_named() {
    let mut video = video(Status::Queued);
    assert_eq!(foreign_keys(&video).count(), 0);
    let part = Part { key: "raw/00000000000000000000000009/00000".into(), bytes: 1 };
    let source = Source { bytes: 1, parts: vec![part], list: None };
    video
        .orders
        .push(Order { source: Some(source), ..Order::new(2, Status::Queued, Lane::Low, 0) });
    let foreign: Vec<&str> = foreign_keys(&video).collect();
    assert_eq!(foreign, ["raw/00000000000000000000000009/00000"]);
}

#[test]
fn the_list_of_an_original_is_named_and_so_are_its_parts() {
    let mut video = video(Status::Queued);
    let folder = format!("raw/{}/", video.id);
    let key = |name: &str| format!("{folder}{name}");
    video.source = Source::listed(2, object(&key("list-a")));
    let other = Source::listed(2, object(&key("list-b")));
    video.orders.push(Order { source: Some(other), ..Order::new(2, Status::Queued, Lane::Low, 0) });
    let owner = Owner::Original(video.id.clone());
    let mut found = names(Some(&video), &owner);
    assert!(found.has(&key("list-a")) && found.has(&key("list-b")) && !found.has(&key("list-c")));
    assert!(!found.has(&key("00000")), "only the list knows");
    let lists: Vec<&str> =
        listed(&video).map(|source| source.list.as_ref().unwrap().key.as_str()).collect();
    assert_eq!(lists, [key("list-a"), key("list-b")]);
    let mut list = PartList::of(&video.id);
    list.push(&key("00000"), 2, None);
    found.add_parts(Arc::new(list));
    assert!(found.has(&key("00000")) && !found.has(&key("00001")));
    video.deleted = Some(1);
    assert_eq!(listed(&video).count(), 0);
    assert_eq!(names(Some(&video), &owner), Names::default());
}

#[test]
fn an_orphan_must_be_met_in_two_walks() {
    let mut candidates = Candidates::default();
    assert!(!candidates.note("a"));
    assert!(!candidates.note("a"), "the same walk");
    candidates.note("b");
    candidates.end_walk(&[]);
    assert!(candidates.note("a"));
    candidates.end_walk(&[]);
    assert!(!candidates.note("b"), "it was not met in between");
    candidates.forget("a");
    assert!(!candidates.note("a"));
    assert_eq!(candidates.count(), 2);
}

#[test]
fn what_a_walk_could_not_look_at_was_seen_before_all_the_same() {
    let mut candidates = Candidates::default();
    for key in ["out/a/1", "out/b/1", "out/c/1"] {
        candidates.note(key);
    }
    candidates.end_walk(&[]);
    // One folder cannot be read, and the object that was met cannot be judged.
    candidates.meet("out/b/1");
    candidates.meet("out/d/1");
    candidates.end_walk(&["out/a/".to_owned()]);
    assert!(candidates.note("out/a/1") && candidates.note("out/b/1"));
    assert!(!candidates.note("out/c/1"), "it was gone in between");
    assert!(!candidates.note("out/d/1"), "to be met is not to be an orphan");
}
