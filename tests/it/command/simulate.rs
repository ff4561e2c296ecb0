//! `simulate`: bundled traces, traces of one's own, and the drawing.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::said;

fn simulated(folder: &Path, trace: &str) -> Value {
    let words = ["simulate", trace, "--json", "--set", "cost.vcpu-hour=0.5"];
    let told = said(folder, &words);
    assert_eq!(told.code, Some(0), "{}", told.err);
    serde_json::from_str(&told.out).unwrap()
}

#[test]
fn the_burst_of_500_drains_within_half_an_hour_and_a_drawing_shows_it() {
    let folder = TempDir::new().unwrap();
    let outcome = simulated(folder.path(), "burst-500");
    assert_eq!(outcome["uploads"], 500);
    let drained = outcome["drain_seconds"].as_f64().unwrap();
    assert!((1600.0..1900.0).contains(&drained), "{drained}");
    let hours = outcome["vcpu_hours"].as_f64().unwrap();
    assert!((outcome["cost"].as_f64().unwrap() - hours / 2.0).abs() < 1e-6);
    let told = said(folder.path(), &["simulate", "burst-500", "--svg", "burst.svg"]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    for named in ["500 uploads", "drained: ", "unpriced (set cost.vcpu-hour)", "normal"] {
        assert!(told.out.contains(named), "{named}: {}", told.out);
    }
    let drawing = fs::read_to_string(folder.path().join("burst.svg")).unwrap();
    assert!(drawing.starts_with("<svg") && drawing.contains("<polyline"));
}

#[test]
fn an_exported_trace_is_a_start_for_ones_own() {
    let folder = TempDir::new().unwrap();
    let exported = said(folder.path(), &["simulate", "--export", "slow-storage"]);
    assert_eq!(exported.code, Some(0), "{}", exported.err);
    fs::write(folder.path().join("own.toml"), &exported.out).unwrap();
    let (own, bundled) =
        (simulated(folder.path(), "own.toml"), simulated(folder.path(), "slow-storage"));
    assert_eq!(own["samples"], bundled["samples"], "the same trace, the same outcome");
    let fewer = exported.out.replace("nodes-max = 100", "nodes-max = 8");
    fs::write(folder.path().join("own.toml"), fewer).unwrap();
    assert_eq!(simulated(folder.path(), "own.toml")["nodes_peak"], 8);
    let uploads = "at-seconds,seconds,width,height,frame-rate,lane\n0,60,1920,1080,30,high\n9,60,640,360,25,low\n";
    fs::write(folder.path().join("uploads.csv"), uploads).unwrap();
    let lanes = simulated(folder.path(), "uploads.csv")["lanes"].clone();
    assert_eq!((&lanes["high"]["uploads"], &lanes["low"]["uploads"]), (&1.into(), &1.into()));
}

#[test]
fn a_mistake_in_a_trace_is_named_with_what_is_right() {
    let folder = TempDir::new().unwrap();
    let uploads = "[[uploads]]\nseconds = 60.0\nwidth = 1920\nheight = 1080\nframe-rate = 30.0\n";
    for (text, code, named) in [
        ("about = \"\"\n", 2, &["uploads", "there is none"][..]),
        ("seed = \n", 1, &["wrong.toml", "TOML"]),
        ("[scaler]\nnodes = 7\n", 1, &["wrong.toml", "`nodes`", "nodes-max"]),
        ("[scaler]\nnodes-max = 0\n", 2, &["scaler.nodes-max", "1 is the least"]),
        ("uploads-file = \"absent.csv\"\n", 1, &["absent.csv"]),
        (
            "[[uploads]]\nseconds = 60.0\nwidth = 64\nheight = 64\nframe-rate = 999.0\n",
            2,
            &["cannot be planned"],
        ),
    ] {
        let about = if text.starts_with("about") { "" } else { "about = \"\"\n" };
        let rest = if text.contains("scaler") { uploads } else { "" };
        fs::write(folder.path().join("wrong.toml"), format!("{about}{text}{rest}")).unwrap();
        let told = said(folder.path(), &["simulate", "wrong.toml"]);
        assert_eq!(told.code, Some(code), "{text}: {}", told.err);
        assert!(named.iter().all(|name| told.err.contains(name)), "{text}: {}", told.err);
    }
    for words in [&["simulate", "nowhere"][..], &["simulate", "--export", "nowhere"]] {
        let told = said(folder.path(), words);
        assert_eq!(told.code, Some(4), "{}", told.err);
        assert!(told.err.contains("burst-500, viral-day"), "{}", told.err);
    }
    assert_eq!(said(folder.path(), &["simulate"]).code, Some(2));
}
