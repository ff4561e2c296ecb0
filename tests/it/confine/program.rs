//! A codec program that was changed is another build, although its version is the same.

use std::process::Command;

use jetreel::sandbox::CodecProcesses;
use jetreel_actors::ports::Codec as _;

use super::stage::Stage;

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
        let (written, path) = (place.path().join("bytes"), place.path().join(name));
        std::fs::write(&written, bytes).unwrap();
        // By another process: a program that this one has written cannot be started while a child of another test still holds its file.
        let copied = Command::new("install").arg("-m755").args([&written, &path]).status();
        assert!(copied.unwrap().success());
        CodecProcesses::new(path, stage.store.clone())
    };
    let mut bytes = std::fs::read(codec).unwrap();
    assert_eq!(other("copy", &bytes).build().await.unwrap(), build);

    // As a linker writes it that was given other code.
    let id = bytes_of(&program);
    let at = bytes.windows(id.len()).position(|found| found == id).unwrap();
    bytes[at] ^= 1;
    let changed = other("changed", &bytes).build().await.unwrap();
    let known = program_of(&changed);
    assert_ne!(known, program);
    assert_eq!(changed.replace(known, ""), build.replace(&program, ""), "all else is the same");
}

fn jetreel_codec() -> std::path::PathBuf {
    crate::clips::jetreel().with_file_name("jetreel-codec")
}
