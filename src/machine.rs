//! What this machine, or the control group of this process, offers to codec processes.

use std::path::{Path, PathBuf};

use jetreel_actors::scale::Room;

/// Memory that the node itself needs, with the buffers of its transfers.
const NODE_BYTES: u64 = 512 << 20;
/// Memory where nothing says how much there is.
const UNKNOWN_BYTES: u64 = 4 << 30;

/// Cores and memory for the slots of this node.
#[must_use]
pub fn room() -> Room {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = memory_bytes(Path::new("/")).unwrap_or(UNKNOWN_BYTES);
    Room {
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        memory_bytes: memory.saturating_sub(NODE_BYTES),
    }
}

/// The least of the machine's memory and of the limits of the control group and its parents. `None` if neither can be read.
fn memory_bytes(root: &Path) -> Option<u64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| limits_of(root, line));
    limits.chain(installed(root)).min()
}

/// Limits of a line of `/proc/self/cgroup`: number, controllers, path. The second version of control groups has no controllers there.
fn limits_of(root: &Path, line: &str) -> Vec<u64> {
    let mut words = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (words.next(), words.next()) else { return Vec::new() };
    let (mount, file) = match controllers {
        "" => (root.join("sys/fs/cgroup"), "memory.max"),
        "memory" => (root.join("sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        _ => return Vec::new(),
    };
    let group = mount.join(path.trim_start_matches('/'));
    let folders = group.ancestors().take_while(|folder| folder.starts_with(&mount));
    folders.map(|folder| folder.join(file)).filter_map(|file| number(&file)).collect()
}

/// A number of bytes; `None` if there is no file, or the file says `max`.
fn number(file: &PathBuf) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn installed(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");

    #[test]
    fn the_least_limit_of_all_control_groups_counts() {
        let root = machine(&[MEMINFO]);
        assert_eq!(memory_bytes(root.path()), Some(8 << 30));
        let root = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "0::/pods/a\n"),
            ("sys/fs/cgroup/pods/memory.max", "2147483648\n"),
            ("sys/fs/cgroup/pods/a/memory.max", "max\n"),
        ]);
        assert_eq!(memory_bytes(root.path()), Some(2 << 30));
        let root = machine(&[
            MEMINFO,
            ("proc/self/cgroup", "5:cpu:/a\n4:memory:/a\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"),
        ]);
        assert_eq!(memory_bytes(root.path()), Some(1 << 30));
        assert_eq!(memory_bytes(Path::new("/nowhere")), None);
    }

    #[test]
    fn this_machine_offers_something() {
        let room = room();
        assert!(room.cores >= 1 && room.memory_bytes > 0, "{room:?}");
    }
}
