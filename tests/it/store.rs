//! The store on a real directory and on a real S3 server.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use bytes::{Bytes, BytesMut};
use futures::stream;
use jetreel::http::{Place, UploadError, store_parts};
use jetreel::store::{OpenDalStore, StoreOptions, link_source};
use jetreel_actors::ports::{PIECE_BYTES, Store};
use jetreel_domain::id::VideoId;
use jetreel_domain::order::parts::PartList;
use jetreel_domain::words::failure::Severity;
use sha2::{Digest, Sha256};

use crate::harness::eventually::eventually;
use crate::harness::s3::S3Server;

const MIB: usize = 1 << 20;

fn directory_store() -> (tempfile::TempDir, OpenDalStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = OpenDalStore::open(&StoreOptions::fs(directory.path().to_str().unwrap())).unwrap();
    (directory, store)
}

/// Bytes that differ everywhere.
fn noise(length: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// All that a reader gives.
async fn read_in_order(store: &dyn Store, key: &str, range: Range<u64>) -> Vec<Bytes> {
    let mut reader = store.reader(key, range).await.unwrap();
    let mut pieces = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        assert!((1..=PIECE_BYTES).contains(&piece.len()));
        pieces.push(piece);
    }
    pieces
}

/// Contract of every store.
async fn keeps_the_contract(store: &dyn Store) {
    let content = noise(11 * MIB + 77);
    let mut writer = store.writer("out/video/1/a").await.unwrap();
    for piece in content.chunks(700_001) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let object = writer.finish().await.unwrap();
    assert_eq!((object.key.as_str(), object.bytes), ("out/video/1/a", content.len() as u64));
    assert_eq!(object.sha256, sha256(&content));
    assert_eq!(store.size(&object.key).await.unwrap(), Some(object.bytes));
    assert_eq!(store.read_all(&object.key).await.unwrap(), content);

    let pieces = read_in_order(store, &object.key, 1000..object.bytes).await;
    assert_eq!(pieces.concat(), content[1000..]);
    assert!(pieces.iter().rev().skip(1).all(|piece| piece.len() == PIECE_BYTES), "whole pieces");
    let missing = async {
        let mut reader = store.reader("out/video/1/none", 0..9).await?;
        reader.next().await
    };
    assert_eq!(missing.await.unwrap_err().code, "object-missing");

    let end = object.bytes;
    for (range, expected) in [
        (0..10, 0..10),
        (5_000_000..7_500_000, 5_000_000..7_500_000),
        (end - 5..end, content.len() - 5..content.len()),
        (end - 5..end + 100, content.len() - 5..content.len()),
        (end..end + 100, 0..0),
        (end + 50..end + 100, 0..0),
        (3..3, 0..0),
    ] {
        let read = store.read(&object.key, range.clone()).await.unwrap();
        assert!(read == content[expected], "{range:?} gave {} bytes", read.len());
    }

    let empty = store.write("out/video/1/empty", Bytes::new()).await.unwrap();
    assert_eq!((empty.bytes, empty.sha256), (0, sha256(b"")));
    assert_eq!(store.read_all(&empty.key).await.unwrap(), Bytes::new());

    store.delete(&object.key).await.unwrap();
    store.delete(&object.key).await.unwrap();
    assert_eq!(store.size(&object.key).await.unwrap(), None);
    let missing = store.read(&object.key, 0..1).await.unwrap_err();
    assert_eq!((missing.severity, missing.code.as_str()), (Severity::TaskFault, "object-missing"));

    let mut writer = store.writer("out/video/1/given-up").await.unwrap();
    writer.write(content).await.unwrap();
    writer.abort().await.unwrap();
    assert_eq!(store.size("out/video/1/given-up").await.unwrap(), None);
}

/// Keys and sizes that a walk meets, page by page.
async fn walked(store: &dyn Store, prefix: &str, page: usize) -> BTreeMap<String, u64> {
    let mut walk = store.walk(prefix).await.unwrap();
    let mut met = BTreeMap::new();
    loop {
        let objects = walk.page(page).await.unwrap();
        let ended = objects.len() < page;
        for object in objects {
            assert!(object.modified.is_some_and(|at| at > 1_700_000_000), "{object:?}");
            assert_eq!(met.insert(object.key, object.bytes), None, "met twice");
        }
        if ended {
            return met;
        }
    }
}

async fn is_walked_as_a_whole(store: &dyn Store) {
    let mut all = BTreeMap::new();
    for index in 0_usize..7 {
        let key = format!("out/walk/{}/{index}", index % 3);
        store.write(&key, noise(index)).await.unwrap();
        all.insert(key, index as u64);
    }
    for page in [1, 3, 7, 1000] {
        assert_eq!(walked(store, "out/walk/", page).await, all, "pages of {page}");
    }
    all.retain(|key, _| key.starts_with("out/walk/1/"));
    assert_eq!(walked(store, "out/walk/1/", 2).await, all);
    assert_eq!(walked(store, "out/nowhere/", 2).await, BTreeMap::new());
    for key in all.keys() {
        store.delete(key).await.unwrap();
    }
    assert_eq!(walked(store, "out/walk/", 100).await.len(), 5);
}

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let (_directory, store) = directory_store();
    keeps_the_contract(&store).await;
    is_walked_as_a_whole(&store).await;
}

#[tokio::test]
async fn in_a_directory_an_object_is_whole_from_its_first_moment_and_for_good() {
    let (directory, store) = directory_store();
    let content = noise(MIB);
    let mut writer = store.writer("out/v/a").await.unwrap();
    writer.write(content.clone()).await.unwrap();
    assert_eq!(store.size("out/v/a").await.unwrap(), None, "not before it is finished");
    let mut rival = store.writer("out/v/a").await.unwrap();
    rival.write(Bytes::from_static(b"another")).await.unwrap();
    writer.finish().await.unwrap();
    let taken = rival.finish().await.unwrap_err();
    assert_eq!((taken.severity, taken.code.as_str()), (Severity::TaskFault, "object-conflict"));
    let taken = store.write("out/v/a", Bytes::from_static(b"another")).await.unwrap_err();
    assert_eq!(taken.code, "object-conflict");
    assert_eq!(store.read_all("out/v/a").await.unwrap(), content);

    let mut dropped = store.writer("out/v/b").await.unwrap();
    dropped.write(content).await.unwrap();
    drop(dropped);
    assert_eq!(
        walked(&store, "", 100).await.into_keys().collect::<Vec<_>>(),
        [".jetreel-store".to_owned(), "out/v/a".to_owned()]
    );
    store.delete("out/v/a").await.unwrap();
    assert!(!directory.path().join("out/v").exists(), "nor an empty folder");
}

#[tokio::test]
async fn a_directory_that_is_not_the_store_takes_nothing() {
    let (directory, store) = directory_store();
    std::fs::remove_file(directory.path().join(".jetreel-store")).unwrap();
    let refused = store.write("out/v/a", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(refused.code, "storage-gone");
    assert!(!directory.path().join("out").exists());
}

#[tokio::test]
async fn an_s3_bucket_keeps_the_contract() {
    let server = S3Server::start().await;
    // Ranges beyond the end look like broken transfers, which are retried.
    let mut options = server.options();
    options.retries = 1;
    let store = OpenDalStore::open(&options).unwrap();
    keeps_the_contract(&store).await;
    is_walked_as_a_whole(&store).await;
    assert_eq!(server.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn an_unfinished_upload_to_a_bucket_goes_with_its_writer() {
    let server = S3Server::start().await;
    let store = OpenDalStore::open(&server.options()).unwrap();
    let mut dropped = store.writer("out/v/a").await.unwrap();
    // Several parts.
    for _ in 0..3 {
        dropped.write(Bytes::from(vec![7; 6 << 20])).await.unwrap();
    }
    assert!(!server.leftovers().is_empty(), "nothing was sent yet");
    drop(dropped);
    eventually("the parts are gone", || server.leftovers().is_empty()).await;
    assert_eq!(store.size("out/v/a").await.unwrap(), None);
}

#[tokio::test]
async fn a_range_of_a_bucket_is_read_with_one_request() {
    let server = S3Server::start().await;
    let store = OpenDalStore::open(&server.options()).unwrap();
    let content = noise(20 * MIB);
    store.write("out/v/a", content.clone()).await.unwrap();
    let before = server.gets();
    let pieces = read_in_order(&store, "out/v/a", 0..content.len() as u64).await;
    assert_eq!((pieces.concat().len(), server.gets() - before), (content.len(), 1));
}

#[tokio::test]
async fn an_s3_server_that_is_away_or_refuses_costs_nobody_an_attempt() {
    let server = S3Server::start().await;
    let mut options = server.options();
    options.retries = 1;
    options.secret_key = "wrong".to_owned();
    let refused = OpenDalStore::open(&options).unwrap().read("a", 0..1).await.unwrap_err();
    assert_eq!(refused.severity, Severity::DependencyFault);
    assert_eq!(refused.code, "storage-denied", "{refused:?}");
    server.stop().await;
    let away = OpenDalStore::open(&options).unwrap().read("a", 0..1).await.unwrap_err();
    assert_eq!(away.severity, Severity::DependencyFault);
    assert_eq!(away.code, "storage-failed", "{away:?}");
}

#[tokio::test]
async fn a_bucket_that_is_gone_is_no_store_without_objects() {
    let server = S3Server::start().await;
    let mut options = server.options();
    options.bucket = "gone".to_owned();
    let store = OpenDalStore::open(&options).unwrap();
    let failure = store.walk("out/").await.unwrap().page(1).await.unwrap_err();
    assert_eq!(failure.severity, Severity::DependencyFault, "{failure:?}");
}

#[tokio::test]
async fn a_small_object_is_read_into_no_more_memory_than_it_takes() {
    let (_directory, store) = directory_store();
    store.write("out/v/small", Bytes::from(vec![7; 1000])).await.unwrap();
    let read = BytesMut::from(store.read_all("out/v/small").await.unwrap());
    assert_eq!((read.len(), read.capacity()), (1000, 1000));
}

#[tokio::test]
async fn an_object_missing_from_an_unmounted_directory_is_the_directorys_fault() {
    let (directory, store) = directory_store();
    std::fs::remove_file(directory.path().join(".jetreel-store")).unwrap();
    for failure in [
        store.read("out/a", 0..1).await.unwrap_err(),
        store.read_all("out/a").await.unwrap_err(),
        store.size("out/a").await.unwrap_err(),
    ] {
        assert_eq!(failure.code, "storage-gone");
        assert_eq!(failure.severity, Severity::DependencyFault);
    }
}

#[tokio::test]
async fn a_key_cannot_leave_the_directory() {
    let (directory, store) = directory_store();
    let outside = directory.path().parent().unwrap().join("jetreel-escape");
    assert!(store.write("../jetreel-escape", Bytes::from_static(b"x")).await.is_err());
    assert!(!outside.exists());
}

#[tokio::test]
async fn many_writers_can_finish_at_once() {
    let (_directory, store) = directory_store();
    let writes = (0..300).map(|index| {
        let store = store.clone();
        tokio::spawn(async move {
            let key = format!("out/{index}/object");
            store.write(&key, Bytes::from_static(b"x")).await.unwrap().bytes
        })
    });
    for write in writes.collect::<Vec<_>>() {
        assert_eq!(write.await.unwrap(), 1);
    }
}

fn body(content: &Bytes, piece: usize) -> Vec<Result<Bytes, Infallible>> {
    content.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect()
}

fn place<'a>(store: &'a dyn Store, prefix: &'a str, part_bytes: u64, limit: u64) -> Place<'a> {
    Place { store, log: &(), prefix, part_bytes, limit }
}

async fn joined(store: &dyn Store, list: &PartList) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in list.iter() {
        let bytes = store.read_all(&part.key()).await.unwrap();
        assert_eq!(bytes.len() as u64, part.bytes);
        assert_eq!(part.sha256.unwrap().as_slice(), Sha256::digest(&bytes).as_slice());
        joined.extend_from_slice(&bytes);
    }
    joined
}

#[tokio::test]
async fn an_upload_becomes_parts_whatever_its_pieces() {
    let (_directory, store) = directory_store();
    let content = noise(1000);
    for piece in [1, 99, 100, 101, 1000] {
        let pieces = stream::iter(body(&content, piece));
        let prefix = format!("raw/{piece}");
        let list = store_parts(&place(&store, &prefix, 100, 1000), pieces).await.unwrap();
        assert_eq!((list.len(), list.bytes()), (10, 1000), "pieces of {piece}");
        assert_eq!(list.get(9).unwrap().key(), format!("{prefix}/00009"));
        assert_eq!(joined(&store, &list).await, content);
    }
    let pieces = stream::iter(body(&content, 64));
    let list = store_parts(&place(&store, "raw/w", 300, 1000), pieces).await.unwrap();
    assert_eq!(list.iter().map(|part| part.bytes).collect::<Vec<_>>(), [300, 300, 300, 100]);
    let nothing = stream::iter(body(&Bytes::new(), 1));
    let list = store_parts(&place(&store, "raw/x", 300, 1000), nothing).await.unwrap();
    assert!(list.is_empty() && list.bytes() == 0);
}

fn files_below(directory: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_file())).count()
}

#[tokio::test]
async fn an_upload_over_its_limit_leaves_nothing() {
    let (directory, store) = directory_store();
    let content = noise(1001);
    for piece in [1, 250, 1001] {
        let pieces = stream::iter(body(&content, piece));
        let error = store_parts(&place(&store, "raw/v", 100, 1000), pieces).await.unwrap_err();
        assert!(matches!(error, UploadError::TooLarge { limit: 1000 }), "{error:?}");
        assert_eq!(files_below(&directory.path().join("raw/v")), 0);
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let (directory, store) = directory_store();
    let content = noise(950);
    let mut pieces: Vec<Result<Bytes, &str>> =
        content.chunks(90).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    pieces.push(Err("connection reset"));
    let error =
        store_parts(&place(&store, "raw/v", 100, 5000), stream::iter(pieces)).await.unwrap_err();
    assert!(matches!(error, UploadError::Body("connection reset")), "{error:?}");
    assert_eq!(files_below(&directory.path().join("raw/v")), 0);
}

#[tokio::test]
async fn a_local_file_is_linked_not_copied() {
    let (directory, store) = directory_store();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("film.mp4");
    std::fs::write(&file, b"0123456789").unwrap();
    let video = VideoId::from_bits(7);
    let part = link_source(directory.path(), &video, &file).await.unwrap();
    assert_eq!((part.key, part.bytes), (format!("raw/{video}/00000"), 10));
    let key = format!("raw/{video}/00000");
    assert_eq!(store.read(&key, 3..6).await.unwrap(), "345");
    store.delete(&key).await.unwrap();
    assert!(file.exists());
    assert!(link_source(directory.path(), &video, elsewhere.path()).await.is_err());
}

/// Peak memory of this process, KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Peak memory is a fact of a whole process, so this test runs in its own process, started by the test below.
#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn a_big_upload_alone() {
    const PIECE: usize = 64 << 10;
    let (_directory, store) = directory_store();
    let upload = |prefix: &'static str, bytes: usize| {
        let piece = move |index| Ok::<_, Infallible>(Bytes::from(vec![index as u8; PIECE]));
        let pieces = stream::iter((0..bytes / PIECE).map(piece));
        let store = store.clone();
        async move { store_parts(&place(&store, prefix, 64 << 20, u64::MAX), pieces).await.unwrap() }
    };
    upload("raw/warm", 8 * MIB).await;
    let before = peak_memory();
    let list = upload("raw/big", 320 * MIB).await;
    assert_eq!((list.len(), list.bytes()), (5, 320 * MIB as u64));
    let growth = peak_memory() - before;
    println!("peak memory grew by {growth} KiB");
    assert!(growth < 16 << 10, "peak memory grew by {growth} KiB");
}

#[test]
fn memory_stays_flat_during_a_big_upload() {
    let alone = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::a_big_upload_alone", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&alone.stdout);
    assert!(alone.status.success() && told.contains("1 passed"), "{told}");
}
