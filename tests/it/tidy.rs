//! Rules that no compiler holds, as tests: size, purpose line, who may import whom, who may spell what.
//!
//! Each rule is a function from sources to complaints. It runs on the project, where it must find nothing, and on a bad
//! sample, where it must find something: a rule that cannot fail holds nothing.

mod circles;
mod code;
mod docstrings;
mod reasons;

use std::collections::BTreeSet;
use std::path::Path;

use code::{Source, crate_roots, functions, names, positions};
use jetreel_actors::crash;
use jetreel_domain::delivery::subject;
use jetreel_domain::words::advice;
use jetreel_domain::words::sentence;

const LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Folders, and what their code must not name.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    (
        "actors/domain/",
        &[
            "tokio",
            "ractor",
            "async_nats",
            "opendal",
            "prometheus",
            "ffmpeg_next",
            "uuid",
            "Instant",
            "SystemTime",
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "std::thread",
        ],
    ),
    ("actors/src/", &["async_nats", "opendal", "prometheus", "ffmpeg_next", "axum"]),
    ("actors/codec/", &["tokio", "async_nats", "opendal", "ractor", "prometheus", "std::net"]),
    ("src/", &["ffmpeg_next"]),
];

/// Modules of `src` that each adapt one thing outside; they meet only where the node is wired.
const ADAPTERS: [&str; 6] = ["bus", "store", "sandbox", "metrics", "http", "hook"];

/// Folders of `actors/src` that are no stages.
const NO_STAGES: [&str; 4] = ["ports", "settle", "supervisor", "testing"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn opens_with_its_purpose(sources: &[Source]) -> Vec<String> {
    let purpose = |source: &Source| {
        let first = source.text.lines().next().unwrap_or_default();
        first.strip_prefix("//! ").is_some_and(|words| words.trim().len() > 8)
    };
    let complaint =
        |source: &Source| format!("{}: must open with `//!` and its purpose", source.path);
    sources.iter().filter(|source| !purpose(source)).map(complaint).collect()
}

fn stays_short(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            found.push(format!("{}: {lines} lines, at most {LINES_MAX}", source.path));
        }
        for (name, lines) in functions(&source.code()) {
            if lines > FUNCTION_LINES_MAX {
                let at_most = format!("at most {FUNCTION_LINES_MAX}");
                found.push(format!("{}: fn {name} has {lines} lines, {at_most}", source.path));
            }
        }
    }
    found
}

fn names_only_what_its_layer_may(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let code = source.product_code();
        for (folder, words) in FORBIDDEN {
            let bad =
                words.iter().filter(|word| source.path.starts_with(folder) && names(&code, word));
            found.extend(bad.map(|word| format!("{}: names {word}", source.path)));
        }
    }
    found
}

/// Whether the whole file is test code: in the `tests` folder of some crate.
fn is_test(source: &Source) -> bool {
    source.path.split('/').any(|folder| folder == "tests")
}

/// The part of a path that is the module below `folder`: `encode` for `actors/src/encode/slot.rs`.
fn module_below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder)?;
    rest.split_once('/').map(|(module, _)| module).or_else(|| rest.strip_suffix(".rs"))
}

fn stages_do_not_name_each_other(sources: &[Source]) -> Vec<String> {
    let stage = |source: &Source| -> Option<String> {
        let (stage, _) = source.path.strip_prefix("actors/src/")?.split_once('/')?;
        (!NO_STAGES.contains(&stage)).then(|| stage.to_owned())
    };
    let stages: BTreeSet<String> = sources.iter().filter_map(stage).collect();
    let mut found = Vec::new();
    for source in sources {
        let Some(own) = stage(source) else { continue };
        for other in crate_roots(&source.product_code()) {
            if other != own && stages.contains(&other) {
                found.push(format!("{}: stage {own} names stage {other}", source.path));
            }
        }
    }
    found
}

fn adapters_do_not_name_each_other(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let Some(own) = module_below(&source.path, "src/") else { continue };
        if !ADAPTERS.contains(&own) {
            continue;
        }
        for other in crate_roots(&source.product_code()) {
            if other != own && ADAPTERS.contains(&other.as_str()) {
                found.push(format!("{}: adapter {own} names adapter {other}", source.path));
            }
        }
    }
    found
}

/// Files that spell subjects.
const SPELLERS: [&str; 2] =
    ["actors/domain/src/delivery/subject.rs", "actors/domain/src/delivery/stage.rs"];

fn spells_no_subjects(sources: &[Source]) -> Vec<String> {
    let product = |source: &&Source| !is_test(source) && !SPELLERS.contains(&source.path.as_str());
    let spelled = |source: &&Source| source.product_text().contains("\"video.");
    let complaint = |source: &Source| format!("{}: spells a subject of its own", source.path);
    sources.iter().filter(product).filter(spelled).map(complaint).collect()
}

fn is_safe_outside_the_codec(sources: &[Source]) -> Vec<String> {
    let allowed = ["actors/codec/", "tests/fixtures/"];
    let outside = |source: &&Source| !allowed.iter().any(|folder| source.path.starts_with(folder));
    let complaint = |source: &Source| format!("{}: unsafe outside actors/codec", source.path);
    let named = |source: &&Source| names(&source.code(), "unsafe");
    sources.iter().filter(outside).filter(named).map(complaint).collect()
}

fn never_unwraps(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !is_test(source)) {
        let code = source.product_code();
        for at in positions(&code, "unwrap").filter(|at| code[*at..].starts_with("unwrap()")) {
            let line = code[..at].lines().count();
            found.push(format!("{}:{line}: unwrap() outside tests", source.path));
        }
    }
    found
}

/// Whether a stream that holds `pattern` holds everything that `subject` matches (NATS wildcards).
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut have, mut want) = (pattern.split('.'), subject.split('.'));
    loop {
        match (have.next(), want.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(left), Some(right)) if left == right => {}
            (Some(_) | None, Some(_) | None) => return false,
        }
    }
}

/// All strings below a key `subjects`, wherever it stands.
fn bound_subjects(value: &toml::Value) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in value.as_table().into_iter().flatten() {
        match value.as_array() {
            Some(list) if key == "subjects" => {
                found.extend(list.iter().filter_map(|s| s.as_str().map(str::to_owned)));
            }
            _ => found.extend(bound_subjects(value)),
        }
    }
    found.extend(value.as_array().into_iter().flatten().flat_map(bound_subjects));
    found
}

fn unbound(topology: &str) -> Vec<String> {
    let bound =
        bound_subjects(&toml::Value::Table(topology.parse().expect("streams.toml is TOML")));
    let free = |root: &String| !bound.iter().any(|pattern| covers(pattern, root));
    let roots = subject::roots().into_iter().filter(free);
    roots.map(|root| format!("{root}: no stream holds it")).collect()
}

fn has_advice_for_every_reason(sources: &[Source]) -> Vec<String> {
    let without = |(_, code): &(String, String)| advice::of_code(code).is_none();
    let complaint = |(path, code): (String, String)| format!("{path}: no advice for {code:?}");
    reasons::codes(sources).into_iter().filter(without).map(complaint).collect()
}

fn speaks_in_whole_sentences(sources: &[Source]) -> Vec<String> {
    let wrong = |(path, said): (String, String)| {
        sentence::check(&said).err().map(|wrong| format!("{path}: {wrong}"))
    };
    reasons::sentences(sources).into_iter().filter_map(wrong).collect()
}

/// Names of crash points that the code passes.
fn passed_points(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !is_test(source)) {
        let text = source.product_text();
        let names = text.split("crash::point(\"").skip(1).filter_map(|rest| rest.split('"').next());
        found.extend(names.map(str::to_owned));
    }
    found.sort_unstable();
    found
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_file_opens_with_its_purpose() {
    assert_none(&opens_with_its_purpose(&code::all(root())));
    let bad = [Source::new("a.rs", "use std::fs;\n"), Source::new("b.rs", "//! x\n")];
    assert_eq!(opens_with_its_purpose(&bad).len(), 2);
}

#[test]
fn files_and_functions_stay_short() {
    assert_none(&stays_short(&code::all(root())));
    let long = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(FUNCTION_LINES_MAX));
    assert_eq!(stays_short(&[Source::new("a.rs", &long)]).len(), 1);
    assert_eq!(stays_short(&[Source::new("a.rs", &"//\n".repeat(LINES_MAX + 1))]).len(), 1);
}

#[test]
fn dependencies_point_one_way() {
    assert_none(&names_only_what_its_layer_may(&code::all(root())));
    let bad = [
        Source::new("actors/domain/src/a.rs", "use std::time::Instant;"),
        Source::new("actors/src/encode/a.rs", "fn f() { async_nats::connect(); }"),
        Source::new("src/cli.rs", "use ffmpeg_next as ffmpeg;"),
        Source::new("actors/codec/src/a.rs", "use tokio::spawn;"),
    ];
    assert_eq!(names_only_what_its_layer_may(&bad).len(), bad.len());
    let good = Source::new("actors/domain/src/a.rs", "// no tokio here\nlet instants = 1;");
    assert_none(&names_only_what_its_layer_may(&[good]));
}

#[test]
fn no_stage_names_another() {
    assert_none(&stages_do_not_name_each_other(&code::all(root())));
    let bad = [
        Source::new("actors/src/encode/mod.rs", "use crate::{ports::Store, publish::X};"),
        Source::new("actors/src/publish/mod.rs", "use crate::ports::Store;"),
        Source::new("actors/src/supervisor/mod.rs", "use crate::encode::X;"),
    ];
    assert_eq!(stages_do_not_name_each_other(&bad).len(), 1);
}

#[test]
fn no_adapter_names_another() {
    assert_none(&adapters_do_not_name_each_other(&code::all(root())));
    let bad = [
        Source::new("src/bus/mod.rs", "use crate::store::Store;"),
        Source::new("src/metrics.rs", "use crate::bus::Bus;"),
        Source::new("src/node.rs", "use crate::{bus, store};"),
    ];
    assert_eq!(adapters_do_not_name_each_other(&bad).len(), 2);
}

#[test]
fn no_files_need_each_other_in_a_circle() {
    let sources = code::all(root());
    for folder in ["actors/domain/src/", "actors/src/"] {
        assert_none(&circles::circles(&sources, folder));
    }
    let bad = [
        Source::new("x/a.rs", "use crate::b::{self, B};"),
        Source::new("x/b/mod.rs", "mod c;\npub use c::B;"),
        Source::new("x/b/c.rs", "use super::super::a;\nuse crate::a;"),
        Source::new("x/d.rs", "use crate::a;"),
    ];
    assert_eq!(circles::circles(&bad, "x/").len(), 1);
}

#[test]
fn subjects_are_spelled_in_one_place() {
    assert_none(&spells_no_subjects(&code::all(root())));
    let bad = Source::new("src/bus/mod.rs", "let s = format!(\"video.encode.{lane}\");");
    assert_eq!(spells_no_subjects(&[bad]).len(), 1);
}

#[test]
fn unsafe_code_is_in_the_codec_alone() {
    assert_none(&is_safe_outside_the_codec(&code::all(root())));
    let bad = Source::new("src/sandbox/mod.rs", "unsafe { libc::fork() }");
    assert_eq!(is_safe_outside_the_codec(&[bad]).len(), 1);
}

#[test]
fn errors_are_never_unwrapped() {
    assert_none(&never_unwraps(&code::all(root())));
    let bad =
        Source::new("src/a.rs", "fn f() { x().unwrap(); }\n#[cfg(test)]\nmod t { x.unwrap() }");
    assert_eq!(never_unwraps(&[bad]).len(), 1);
}

#[test]
fn public_items_have_a_docstring() {
    assert_none(&docstrings::missing(&code::all(root())));
    let bad = [
        Source::new("src/a.rs", "pub fn a() {}\n/// Text.\npub const A: u8 = 1;\npub enum B {}"),
        Source::new("actors/codec/src/a.rs", "#[derive(\n    Clone,\n)]\npub(crate) struct C;"),
        Source::new("actors/src/a.rs", "/// Text.\npub trait D {\n    fn d(&self);\n}"),
    ];
    assert_eq!(docstrings::missing(&bad).len(), 4);
    let good = [
        Source::new("src/a.rs", "/// Text.\n#[derive(\n    Clone,\n)]\npub struct A;"),
        Source::new("src/b.rs", "#[cfg(test)]\nmod tests {\n    pub fn a() {}\n}\nfn b() {}"),
        Source::new("src/tests.rs", "pub fn a() {}"),
        Source::new("actors/src/a.rs", "impl D for A {\n    fn d(&self) {}\n}"),
    ];
    assert_none(&docstrings::missing(&good));
}

#[test]
fn every_reason_has_advice() {
    let sources = code::all(root());
    assert_none(&has_advice_for_every_reason(&sources));
    assert!(reasons::codes(&sources).len() > 50, "the sources are not read as they are written");
    let bad = Source::new("src/a.rs", "fn f() { Failure::task(\n    \"of-tomorrow\", \"no\"); }");
    assert_eq!(has_advice_for_every_reason(&[bad]).len(), 1);
}

#[test]
fn failures_and_problems_speak_in_whole_sentences() {
    let sources = code::all(root());
    assert_none(&speaks_in_whole_sentences(&sources));
    assert!(
        reasons::sentences(&sources).len() > 90,
        "the sources are not read as they are written"
    );
    for said in ["a fragment", "No full stop", "One. two."] {
        let bad =
            Source::new("src/a.rs", &format!("fn f() {{ Failure::task(\"x\", \"{said}\"); }}"));
        assert_eq!(speaks_in_whole_sentences(&[bad]).len(), 1, "{said}");
    }
}

#[test]
fn every_subject_is_bound_to_a_stream() {
    let path = root().join("streams.toml");
    let topology = std::fs::read_to_string(&path).expect("streams.toml at the root");
    assert_none(&unbound(&topology));
    let bad = "[streams.ENCODE]\nsubjects = [\"video.encode.*.main.>\"]\n";
    assert_eq!(unbound(bad).len(), subject::roots().len());
    assert!(covers("video.>", "video.encode.>") && covers("a.*.c", "a.b.c"));
    assert!(!covers("a.*", "a.>") && !covers("a.b", "a.b.c") && !covers("a.b.>", "a.b"));
}

#[test]
fn every_crash_point_is_listed_and_passed_in_one_place() {
    let passed = passed_points(&code::all(root()));
    let mut listed: Vec<&str> = crash::POINTS.to_vec();
    listed.sort_unstable();
    assert_eq!(passed, listed);
    let sample = Source::new("src/a.rs", "fn f() {\n    crash::point(\"a-b\");\n}");
    assert_eq!(passed_points(&[sample]), ["a-b"]);
}
