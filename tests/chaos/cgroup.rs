//! Control groups (version 1): a disk that is slow for one process, memory that runs out for one.

use std::path::PathBuf;

use anyhow::Context as _;

const ROOT: &str = "/sys/fs/cgroup";

/// Whether there can be groups of a controller such as `blkio`; else why not.
pub(crate) fn available(controller: &str) -> Result<(), String> {
    let tried = Group::new(controller);
    tried.map(drop).map_err(|error| format!("no control group {controller}: {error:#}"))
}

/// A group; removed when dropped, once its processes are gone.
pub(crate) struct Group {
    folder: PathBuf,
}

impl Group {
    /// A new group without processes.
    pub(crate) fn new(controller: &str) -> anyhow::Result<Self> {
        let name = format!("jetreel-chaos-{}", uuid::Uuid::new_v4().simple());
        let parent = PathBuf::from(ROOT).join(controller);
        anyhow::ensure!(parent.join("cgroup.procs").exists(), "version 1 is not mounted");
        let folder = parent.join(name);
        std::fs::create_dir(&folder).context("not allowed")?;
        Ok(Self { folder })
    }

    /// Sets one of its limits.
    pub(crate) fn set(&self, file: &str, value: &str) -> anyhow::Result<()> {
        std::fs::write(self.folder.join(file), value).with_context(|| format!("{file}: {value}"))
    }

    /// Reads one of its numbers.
    pub(crate) fn get(&self, file: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.folder.join(file)).with_context(|| file.to_owned())
    }

    /// Puts a process in.
    pub(crate) fn take(&self, pid: u32) -> anyhow::Result<()> {
        self.set("cgroup.procs", &pid.to_string())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.folder));
    }
}
