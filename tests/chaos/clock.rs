//! A clock for nodes that can be set while they run, by `libfaketime`. The machine's own clock is never touched.

use std::path::{Path, PathBuf};

/// Paths in Debian, by machine.
const FOLDERS: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime",
    "/usr/lib/aarch64-linux-gnu/faketime",
    "/usr/lib/faketime",
];
const LIBRARY: &str = "libfaketimeMT.so.1";

/// The clock.
pub(crate) struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// Whether there can be one; else why not.
    pub(crate) fn available() -> Result<(), String> {
        match library() {
            Some(_) => Ok(()),
            None => Err("there is no libfaketime (package faketime)".to_owned()),
        }
    }

    /// A clock that is right.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        let Some(library) = library() else { anyhow::bail!("there is no libfaketime") };
        let clock = Self { file: folder.join("clock"), library };
        clock.set(0)?;
        Ok(clock)
    }

    /// Sets it off by so many seconds.
    pub(crate) fn set(&self, seconds: i64) -> anyhow::Result<()> {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n"))?;
        Ok(std::fs::rename(new, &self.file)?)
    }

    /// Environment variables of a node with this clock.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        [
            ("LD_PRELOAD", self.library.to_string_lossy().into_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_string_lossy().into_owned()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec()
    }
}

fn library() -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(LIBRARY)).find(|place| place.is_file())
}
