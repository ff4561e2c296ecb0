//! What tests use beside the product, programs above all: without it they are skipped.
//!
//! `JETREEL_DEMANDED=<program>,<program>` names programs whose absence is a failure instead; `make` and CI set it to what `.ci/setup`
//! installs.

use std::io::Write as _;

use crate::clips::path;

const DEMANDED: &str = "JETREEL_DEMANDED";

/// Whether a program is there.
///
/// # Panics
///
/// If it is missing and demanded.
pub(crate) fn there_is(program: &str) -> bool {
    let found = std::env::split_paths(&path()).any(|folder| folder.join(program).is_file());
    if found {
        return true;
    }
    let demanded = std::env::var(DEMANDED).unwrap_or_default();
    assert!(
        !demanded.split(',').any(|name| name == program),
        "{program} is missing, and {DEMANDED} demands it: run .ci/setup"
    );
    skipped(&format!("{program} is missing"));
    false
}

/// Says why a test is skipped, on standard error, past the capture of the test runner.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    writeln!(std::io::stderr(), "skipped: {test}: {why}").expect("standard error can be written");
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output, Stdio};

    use super::DEMANDED;

    /// Tests that make their clips anew each time.
    const NEEDY: [&str; 4] = [
        "foreign::heads::a_recording_without_any_key_picture_is_refused_and_told_why",
        "shapes::tiny_pictures_are_enlarged_and_thin_ones_get_bars",
        "sync::every_beep_coincides_with_its_flash",
        "told::subtitles_that_are_left_out_are_named",
    ];

    /// Runs the needy tests where there is no ffmpeg.
    fn without_ffmpeg(demanded: &str) -> Output {
        let empty = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(NEEDY).arg("--exact").stdin(Stdio::null());
        command.env("PATH", empty.path()).env(DEMANDED, demanded).output().expect("a run")
    }

    #[test]
    fn a_skip_names_the_test_and_the_program_though_output_is_captured() {
        let done = without_ffmpeg("");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        for name in NEEDY {
            let line = format!("skipped: {name}: ffmpeg is missing");
            assert!(said.contains(&line), "{said}");
        }
    }

    #[test]
    fn a_demanded_program_that_is_missing_fails_every_test_that_uses_it() {
        let done = without_ffmpeg("nats,ffmpeg");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(!done.status.success(), "{said}");
        assert!(said.contains(&format!("0 passed; {} failed", NEEDY.len())), "{said}");
    }
}
