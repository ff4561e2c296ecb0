//! The product under test: one `jetreel transcode`, what it printed and what it left behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::tools::{bounded, jetreel, run};

/// Exit code for media that is refused.
const REFUSED: i32 = 2;

/// A finished run.
pub(crate) struct Run {
    /// Exit code; `None` where a signal ended it, 124 where it took too long.
    pub(crate) code: Option<i32>,
    /// The object it printed; null where it printed none.
    pub(crate) json: Value,
    /// Last lines of standard error.
    pub(crate) err: String,
    /// Files in the output folder, relative.
    pub(crate) files: Vec<String>,
    /// Files left beside the output folder, in its temporary folder and in its working folder.
    pub(crate) left: Vec<String>,
    place: TempDir,
}

impl Run {
    /// The output folder.
    pub(crate) fn out(&self) -> PathBuf {
        self.place.path().join("out")
    }

    /// A place for the witness's own files.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.place.path().join("scratch")
    }

    /// Checks that it ended as for refused media: exit code, a reason in words, no files left behind.
    pub(crate) fn refusal(&self) -> Result<String, String> {
        if self.code != Some(REFUSED) {
            return Err(format!("exit {:?} instead of {REFUSED}: {}", self.code, self.err));
        }
        if !self.files.is_empty() || !self.left.is_empty() {
            return Err(format!("left behind: {:?} {:?}", self.files, self.left));
        }
        reason(&self.json).ok_or_else(|| format!("no reason in {}", self.json))
    }
}

/// Code and sentence of a refusal, wherever the object holds them.
fn reason(json: &Value) -> Option<String> {
    let object =
        ["error", "reason", "refusal"].iter().map(|key| &json[*key]).find(|v| !v.is_null())?;
    if let Some(text) = object.as_str() {
        return (!text.is_empty()).then(|| text.to_owned());
    }
    let part =
        |keys: [&str; 3]| keys.iter().find_map(|key| object[*key].as_str().map(str::to_owned));
    let code = part(["code", "reason", "kind"])?;
    let words = part(["message", "detail", "sentence"])?;
    Some(format!("{code}: {words}"))
}

/// Transcodes a file with the settings that the witness also uses.
pub(crate) fn transcode(file: &Path, limit: Duration) -> Run {
    let place = TempDir::new().expect("a temporary folder");
    for folder in ["tmp", "cwd", "scratch"] {
        std::fs::create_dir(place.path().join(folder)).expect("a fresh folder");
    }
    let mut command = bounded(&jetreel(), limit);
    command.arg("transcode").arg(file).arg("--out").arg(place.path().join("out"));
    command.args(["--json", "--preset", "veryfast"]);
    command.env("TMPDIR", place.path().join("tmp")).current_dir(place.path().join("cwd"));
    let said = run(&mut command);
    let tail: Vec<&str> = said.err.lines().rev().take(3).collect();
    // The folders of this test itself, and what has its own check.
    let known = |name: &String| {
        ["tmp", "cwd", "scratch", "out"].contains(&name.as_str()) || name.starts_with("out/")
    };
    let left = below(place.path()).into_iter().filter(|name| !known(name)).collect();
    Run {
        code: said.code,
        json: serde_json::from_str(said.out.trim()).unwrap_or(Value::Null),
        err: tail.join(" / "),
        files: below(&place.path().join("out")),
        left,
        place,
    }
}

/// Every file below a folder, relative to it; empty folders are listed too.
pub(crate) fn below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries.filter_map(Result::ok) {
            if entry.path().is_dir() {
                open.push(entry.path());
            }
            let path = entry.path();
            found.push(path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}
