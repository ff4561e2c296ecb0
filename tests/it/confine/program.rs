//! A codec program that was changed is another build, although its version is the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use jetreel::sandbox::CodecProcesses;
use jetreel_actors::ports::Codec as _;
use jetreel_domain::codec::wire::{FromCodec, JobWork};

use super::stage::{Stage, nothing};

/// The word after `program` in the name of a build.
fn program_of(build: &str) -> &str {
    let mut words = build.split(' ').skip_while(|word| *word != "program");
    words.nth(1).unwrap()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[tokio::test]
async fn a_changed_program_is_another_build_and_a_copy_is_the_same() {
    let stage = Stage::new();
    let build = stage.direct().build().await.unwrap();
    let program = program_of(&build).to_owned();
    assert!(build.contains(" avcodec ") && build.contains(" x264 "), "{build}");
    let place = tempfile::tempdir().unwrap();
    let codec = jetreel_codec();
    let other = |name: &str, bytes: &[u8]| {
        CodecProcesses::new(installed(place.path(), name, bytes), stage.store.clone())
    };
    let mut bytes = std::fs::read(codec).unwrap();
    assert_eq!(other("copy", &bytes).build().await.unwrap(), build);

    change(&mut bytes, &program);
    let changed = other("changed", &bytes).build().await.unwrap();
    let known = program_of(&changed);
    assert_ne!(known, program);
    assert_eq!(changed.replace(known, ""), build.replace(&program, ""), "all else is the same");
}

#[tokio::test]
async fn a_program_that_is_replaced_does_the_next_job() {
    let stage = Stage::new();
    let place = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(jetreel_codec()).unwrap();
    let codec = CodecProcesses::new(installed(place.path(), "codec", &bytes), stage.store.clone());
    let before = greeting(&stage, &codec).await;
    assert_eq!(greeting(&stage, &codec).await, before);
    change(&mut bytes, program_of(&before));
    installed(place.path(), "codec", &bytes);
    assert_ne!(greeting(&stage, &codec).await, before);
}

/// The build in the greeting of the next process.
async fn greeting(stage: &Stage, codec: &CodecProcesses) -> String {
    let mut session = stage.start(codec, JobWork::Hello, nothing(), stage.budget()).await.unwrap();
    let FromCodec::Hello { build, .. } = session.next().await.unwrap() else {
        panic!("no greeting")
    };
    build
}

/// Puts a program into a folder, in place of another one of that name.
fn installed(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let (written, path) = (folder.join("bytes"), folder.join(name));
    std::fs::write(&written, bytes).unwrap();
    // By another process: a program that this one has written cannot be started while a child of another test still holds its file.
    let copied = Command::new("install").arg("-m755").args([&written, &path]).status();
    assert!(copied.unwrap().success());
    path
}

/// Changes a program as a linker writes it that was given other code.
fn change(bytes: &mut [u8], program: &str) {
    let id = bytes_of(program);
    let at = bytes.windows(id.len()).position(|found| found == id).unwrap();
    bytes[at] ^= 1;
}

fn jetreel_codec() -> PathBuf {
    crate::clips::jetreel().with_file_name("jetreel-codec")
}
