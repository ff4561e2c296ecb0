//! Running programs: the product, and the ffmpeg and ffprobe commands that are the independent witness.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Output of a program.
#[derive(Debug)]
pub(crate) struct Said {
    /// Exit code; `None` where a signal ended it. 124 where it ran into its time limit.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Said {
    /// Standard output of a program that must have gone well.
    pub(crate) fn good(self, what: &str) -> Result<String, String> {
        if self.code == Some(0) {
            Ok(self.out)
        } else {
            let tail: Vec<&str> = self.err.lines().rev().take(3).collect();
            Err(format!("{what} ended with {:?}: {}", self.code, tail.join(" / ")))
        }
    }
}

/// Root of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The product's binary: `JETREEL_BIN`, else the one that Cargo built for this test. The codec is beside it.
pub(crate) fn jetreel() -> PathBuf {
    let built = option_env!("CARGO_BIN_EXE_jetreel").unwrap_or("jetreel");
    std::env::var_os("JETREEL_BIN").map_or_else(|| PathBuf::from(built), PathBuf::from)
}

/// `PATH` with the project's tools in front.
pub(crate) fn path() -> std::ffi::OsString {
    let mut folders = vec![root().join(".tools/bin")];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    std::env::join_paths(folders).expect("folders without separators")
}

/// A command that is ended, with all it started, when it takes longer than `limit`.
pub(crate) fn bounded(program: &Path, limit: Duration) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", &limit.as_secs().to_string()]).arg(program);
    command.env("PATH", path()).stdin(std::process::Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Said {
    Said::from(command.output().expect("coreutils' timeout can be started"))
}

/// Runs ffprobe.
pub(crate) fn ffprobe(arguments: &[&str], file: &Path) -> Result<String, String> {
    let mut command = bounded(Path::new("ffprobe"), Duration::from_secs(300));
    run(command.args(["-v", "error"]).args(arguments).arg(file)).good("ffprobe")
}

/// Runs ffmpeg and gives what it wrote on standard error (filters report there).
pub(crate) fn ffmpeg(arguments: &[String]) -> Result<String, String> {
    let mut command = bounded(Path::new("ffmpeg"), Duration::from_secs(1200));
    let said = run(command.args(["-nostdin", "-hide_banner", "-y"]).args(arguments));
    let err = said.err.clone();
    said.good("ffmpeg").map(|_| err)
}

/// The fields of each line that ffprobe prints with `-of compact=p=0`, as `(key, value)` pairs.
pub(crate) fn compact(text: &str) -> impl Iterator<Item = Vec<(&str, &str)>> {
    text.lines()
        .map(|line| line.split('|').filter_map(|field| field.split_once('=')).collect::<Vec<_>>())
        .filter(|fields| !fields.is_empty())
}

/// The value of a field.
pub(crate) fn field<'a>(fields: &[(&'a str, &'a str)], key: &str) -> Option<&'a str> {
    fields.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
}
