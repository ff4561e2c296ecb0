//! Disks of their own: ext4 in a file, to be cut off as by a power failure, filled, and slowed down.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::stage::LOOK;
use super::tools::{is_root, need, run, run_command};

/// Shuts a file system down at once and drops the unwritten part of its journal, as a power failure does. The request is
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
place = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(place, 0x8004587d, struct.pack('I', 2))";
const FILLER: &str = ".filler";
const BLOCK: usize = 1 << 16;
/// Longer than a process takes to enter its namespaces.
const LET_GO_WITHIN: Duration = Duration::from_secs(10);

/// Whether there can be disks; else why not.
pub(crate) fn available() -> Result<(), String> {
    need(&["mkfs.ext4", "mount", "umount", "losetup", "python3"])?;
    if !is_root() {
        return Err("disks of our own need root".to_owned());
    }
    match Path::new("/dev/loop-control").exists() {
        true => Ok(()),
        false => Err("there are no loop devices".to_owned()),
    }
}

/// A disk, mounted.
pub(crate) struct Disk {
    image: PathBuf,
    place: PathBuf,
}

impl Disk {
    /// A new, empty one of `megabytes`.
    pub(crate) fn new(folder: &Path, name: &str, megabytes: u64) -> anyhow::Result<Self> {
        let disk = Self { image: folder.join(format!("{name}.img")), place: folder.join(name) };
        File::create(&disk.image)?.set_len(megabytes << 20)?;
        let image = disk.image.to_string_lossy();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", &image])?;
        std::fs::create_dir_all(&disk.place)?;
        disk.mount()?;
        Ok(disk)
    }

    /// Path of its mount point.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Cuts the power. Everything that still uses it must be ended before it can come [`Self::back`].
    pub(crate) fn power_cut(&self) -> anyhow::Result<()> {
        let mut python = Command::new("python3");
        python.args(["-c", SHUTDOWN]).arg(&self.place);
        run_command(python).map(drop)
    }

    /// Mounts it again, which replays its journal. A process that is just entering its mount namespace still holds the file system that was
    /// shut down, and mounting its loop device would return that one. So this waits for it.
    pub(crate) async fn back(&self) -> anyhow::Result<()> {
        run("umount", &[&self.place.to_string_lossy()])?;
        let until = Instant::now() + LET_GO_WITHIN;
        while !run("losetup", &["--associated", &self.image.to_string_lossy()])?.is_empty() {
            ensure!(Instant::now() < until, "{} is held by somebody", self.place.display());
            tokio::time::sleep(LOOK).await;
        }
        self.mount()
    }

    /// Writes until nothing more fits; again where somebody has made room since.
    pub(crate) fn fill(&self) -> anyhow::Result<()> {
        let filler = self.place.join(FILLER);
        let mut filler = File::options().create(true).append(true).open(filler)?;
        for size in [BLOCK, 512, 1] {
            while filler.write_all(&vec![0_u8; size]).is_ok() {}
        }
        // Not before it is on disk is it sure that the place is taken.
        drop(filler.sync_all());
        Ok(())
    }

    /// Makes room again.
    pub(crate) fn free(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.place.join(FILLER)).context("the disk was not full")
    }

    /// Its number, as control groups name it: `major:minor`.
    pub(crate) fn number(&self) -> anyhow::Result<String> {
        use std::os::unix::fs::MetadataExt as _;
        let device = std::fs::metadata(&self.place)?.dev();
        Ok(format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device)))
    }

    fn mount(&self) -> anyhow::Result<()> {
        let (image, place) = (self.image.to_string_lossy(), self.place.to_string_lossy());
        run("mount", &["-o", "loop,noatime", &image, &place]).map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(run("umount", &["-l", &self.place.to_string_lossy()]));
    }
}
