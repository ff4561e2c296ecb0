//! `capacity`: the case of the textbook, loads of one's own, and the speed of this machine.

use serde_json::Value;
use tempfile::TempDir;

use super::said;
use crate::harness::media::{self, SHORT};

fn answered(words: &[&str]) -> Value {
    let folder = TempDir::new().unwrap();
    let told = said(folder.path(), &[&["capacity", "--json"], words].concat());
    assert_eq!(told.code, Some(0), "{}", told.err);
    serde_json::from_str(&told.out).unwrap()
}

#[test]
fn the_textbooks_case_is_worked_in_each_reading_with_its_cost() {
    let folder = TempDir::new().unwrap();
    let words = ["capacity", "--textbook", "--set", "cost.vcpu-hour=0.04"];
    let told = said(folder.path(), &words);
    assert_eq!(told.code, Some(0), "{}", told.err);
    for named in [
        "500 uploads × 2.5 CPU-hours = 1,250 CPU-hours",
        "1,250 CPU-hours ÷ 0.5 h = 2,500 CPUs",
        "312.5, so 313",
        "625, so 625",
        "but the text says 42",
        "50.08 USD",
        "100.00 USD",
        "3 h 43 min",
    ] {
        assert!(told.out.contains(named), "{named}: {}", told.out);
    }
    let document = answered(&["--textbook"]);
    let nodes: Vec<&Value> =
        document["readings"].as_array().unwrap().iter().map(|r| &r["nodes"]).collect();
    assert_eq!(nodes, [313, 625, 42, 42]);
    assert_eq!(document["readings"][0]["cost"], Value::Null, "unpriced");
}

#[test]
fn a_load_is_answered_with_its_working_and_its_assumptions() {
    let same = answered(&["--uploads", "500", "--cpu-hours", "2.5"]);
    assert_eq!((&same["answer"]["nodes"], &same["burst_cost"]), (&313.into(), &Value::Null));
    let halved = answered(&["--uploads", "500", "--cpu-hours", "2.5", "--speed", "0.5"]);
    assert_eq!(halved["answer"]["nodes"], 625);
    let price = ["--set", "cost.vcpu-hour=0.1"];
    let stream = ["--per-hour", "80", "--cpu-hours", "2.5"];
    let stream = answered(&[&stream[..], &price].concat());
    assert_eq!(stream["answer"]["nodes"], 32);
    let hourly = stream["steady_cost_hour"].as_f64().unwrap();
    assert!((hourly - 25.6).abs() < 1e-9, "{hourly}");
    // By the product's own planner: twice the length, twice the cost.
    let encode = |length: &str| {
        let words = ["--uploads", "500", "--length", length, "--size", "1280x720"];
        let document = answered(&words);
        let said = document["assumptions"].to_string();
        assert!(said.contains("720p, 480p, 360p, 240p") && said.contains("veryfast"), "{said}");
        document["answer"]["burst_encode_hours"].as_f64().unwrap()
    };
    let (one, two) = (encode("600"), encode("1200"));
    assert!((1.95..2.05).contains(&(two / one)), "{one} {two}");
}

#[test]
fn a_load_that_is_missing_or_wrong_is_refused() {
    let folder = TempDir::new().unwrap();
    for (words, named) in [
        (&["capacity"][..], "--uploads"),
        (&["capacity", "--uploads", "0"], "above 0"),
        (&["capacity", "--uploads", "5", "--size", "big"], "1920x1080"),
        (&["capacity", "--textbook", "--uploads", "5"], "--textbook"),
        (&["capacity", "--uploads", "5", "--tiers", "2160p"], "cannot be planned"),
    ] {
        let told = said(folder.path(), words);
        assert_eq!(told.code, Some(2), "{words:?}: {}", told.err);
        assert!(told.err.contains(named), "{words:?}: {}", told.err);
    }
    let absent = said(folder.path(), &["capacity", "--uploads", "5", "--measure", "absent.mp4"]);
    assert_eq!(absent.code, Some(1), "{}", absent.err);
    assert!(absent.err.contains("absent.mp4"), "{}", absent.err);
}

#[test]
fn the_speed_of_this_machine_is_measured_by_a_real_transcode() {
    let Some(clip) = media::made(SHORT) else { return };
    let words = ["--uploads", "10", "--measure", clip.to_str().unwrap()];
    let document = answered(&words);
    let speed = document["question"]["speed"].as_f64().unwrap();
    assert!((0.01..100.0).contains(&speed), "{speed}");
    let said = document["assumptions"].to_string();
    assert!(said.contains("of CPU time on this machine"), "{said}");
}
