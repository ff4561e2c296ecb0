//! A file far larger than memory should be: every process stays as small as with a small one.
//!
//! `JETREEL_BIG_BYTES` sets its size; `make big` takes 10 GB. The file is sparse, but every byte of it is sent and stored.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clips::jetreel;
use crate::harness::media::{self, FILM};
use crate::harness::node::Node;
use crate::harness::site::Site;

/// Far beyond what the bounds below add up to.
const BYTES_DEFAULT: u64 = 1 << 30;
/// The kernel keeps each process's peak itself; looking is only needed before it ends.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// KiB of resident memory. Independent of the file's size: parts of 16 MiB on their way, read-ahead, frames of the ladder.
const NODE_MAX: u64 = 160 << 10;
const SUBMIT_MAX: u64 = 128 << 10;
const CODEC_MAX: u64 = 512 << 10;

fn bytes_wanted() -> u64 {
    std::env::var("JETREEL_BIG_BYTES").map_or(BYTES_DEFAULT, |text| text.parse().unwrap())
}

/// The film with a box of nothing behind it: a valid MP4 of any size.
fn big_film(folder: &Path, film: &Path) -> PathBuf {
    let big = folder.join("big.mp4");
    std::fs::copy(film, &big).unwrap();
    let mut file = OpenOptions::new().write(true).open(&big).unwrap();
    let end = file.seek(SeekFrom::End(0)).unwrap();
    // ISO/IEC 14496-12, 4.2: size 1 says that a 64-bit size follows the type.
    file.write_all(&1_u32.to_be_bytes()).unwrap();
    file.write_all(b"free").unwrap();
    file.write_all(&(bytes_wanted() - end).to_be_bytes()).unwrap();
    file.set_len(bytes_wanted()).unwrap();
    big
}

/// Peak of resident memory in KiB.
fn peak_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Highest peak by process number, of the codec processes and one more, while `done` is not set.
fn watch(node: &Node, other: u32, done: &AtomicBool) -> BTreeMap<u32, u64> {
    let mut peaks = BTreeMap::new();
    while !done.load(Ordering::Acquire) {
        let codecs = node.codecs().into_iter().filter_map(|pid| u32::try_from(pid).ok());
        for pid in codecs.chain([other]) {
            if let Some(peak) = peak_of(pid) {
                let highest: &mut u64 = peaks.entry(pid).or_default();
                *highest = peak.max(*highest);
            }
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    peaks
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_flat_whatever_the_size_of_a_file() {
    let Some(film) = media::made(FILM) else { return };
    let site = Site::start().await;
    let node = Arc::new(site.node("one", &[]).await);
    let idle = peak_of(node.pid()).unwrap();
    let big = big_film(site.folder(), &film);
    let mut submit = Command::new(jetreel());
    submit.arg("submit").arg(&big).args(["--wait", "--json", "--url", &node.url("")]);
    let mut submit = submit.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (pid, done) = (submit.id(), Arc::new(AtomicBool::new(false)));
    let watching = tokio::task::spawn_blocking({
        let (node, done) = (node.clone(), done.clone());
        move || watch(&node, pid, &done)
    });
    let ended = tokio::task::spawn_blocking(move || submit.wait().unwrap()).await.unwrap();
    done.store(true, Ordering::Release);
    let mut peaks = watching.await.unwrap();
    assert!(ended.success(), "{ended}");

    let submit = peaks.remove(&pid).unwrap();
    let codec = peaks.values().copied().max().unwrap();
    let node = peak_of(node.pid()).unwrap();
    let bytes = bytes_wanted();
    println!("{bytes} bytes: node {idle} → {node} KiB, submit {submit} KiB, codec {codec} KiB");
    assert!(node < NODE_MAX, "node {node} KiB");
    assert!(submit < SUBMIT_MAX, "submit {submit} KiB");
    assert!(codec < CODEC_MAX, "codec {codec} KiB");
}
