//! Identifies this program by the linker's hash.
//!
//! The version of the crate does not suffice, because changed code has the same one. The linker's hash is a note in the program and takes
//! two small reads. A program without it is hashed completely.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use sha2::{Digest as _, Sha256};

/// The program of this process.
const SELF: &str = "/proc/self/exe";
/// Type of a segment of notes.
const NOTES: u32 = 4;
/// Type of the note with the linker's hash.
const BUILD_ID: u32 = 3;
/// Owner of that note.
const OWNER: &[u8] = b"GNU\0";
/// Bytes before name and content of a note: their sizes and the type.
const NOTE_HEAD: usize = 12;
/// Most bytes of the notes of a program: far more than linkers make.
const NOTES_BYTES_MAX: u64 = 64 << 10;
/// Bytes that are read and hashed at once.
const PIECE: usize = 256 << 10;
/// Bytes of the head of a program for 64 bits.
const HEAD: usize = 64;
/// Bytes of the description of a segment.
const SEGMENT: usize = 56;

/// The hash of this program, in hexadecimal.
///
/// # Errors
/// The program cannot be read.
pub(crate) fn id() -> io::Result<String> {
    id_of(&File::open(SELF)?)
}

fn id_of(program: &File) -> io::Result<String> {
    if let Some(id) = noted(program)? {
        return Ok(hex::encode(id));
    }
    let (mut hasher, mut piece, mut at) = (Sha256::new(), vec![0; PIECE], 0);
    loop {
        match program.read_at(&mut piece, at)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => {
                hasher.update(&piece[..read]);
                at += read as u64;
            }
        }
    }
}

/// The linker's hash; `None` if there is none, or the program has another form.
fn noted(program: &File) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; HEAD];
    if program.read_at(&mut head, 0)? < HEAD || !head.starts_with(b"\x7fELF\x02") {
        return Ok(None);
    }
    let (first, count) = (long(&head, 0x20), short(&head, 0x38));
    for index in 0..u64::from(count) {
        let mut segment = [0; SEGMENT];
        let place = first.saturating_add(index * SEGMENT as u64);
        if program.read_at(&mut segment, place)? < SEGMENT {
            return Ok(None);
        }
        let bytes = long(&segment, 0x20);
        if word(&segment, 0) != NOTES || bytes > NOTES_BYTES_MAX {
            continue;
        }
        let mut notes = vec![0; bytes as usize];
        program.read_exact_at(&mut notes, long(&segment, 0x08))?;
        let align = long(&segment, 0x30).clamp(4, 8) as usize;
        if let Some(id) = build_id(&notes, align) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The hash among the notes of one segment.
fn build_id(mut notes: &[u8], align: usize) -> Option<Vec<u8>> {
    while notes.len() >= NOTE_HEAD {
        let (name, content) = (word(notes, 0) as usize, word(notes, 4) as usize);
        let kind = word(notes, 8);
        let start = (NOTE_HEAD.checked_add(name)?).checked_next_multiple_of(align)?;
        let end = start.checked_add(content)?;
        let found = notes.get(start..end)?;
        if kind == BUILD_ID && notes.get(NOTE_HEAD..NOTE_HEAD + name) == Some(OWNER) {
            return Some(found.to_vec());
        }
        notes = notes.get(end.checked_next_multiple_of(align)?..)?;
    }
    None
}

/// Integers of a program are in the byte order of its machine.
fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(taken(bytes, at))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(taken(bytes, at))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(taken(bytes, at))
}

fn taken<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..at + N).and_then(|found| found.try_into().ok());
    found.unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn note(name: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let padded = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let sizes = [name.len() as u32, content.len() as u32, kind].map(u32::to_ne_bytes);
        [sizes.concat(), padded(name), padded(content)].concat()
    }

    #[test]
    fn the_hash_is_found_among_other_notes() {
        let id = note(OWNER, BUILD_ID, &[7; 20]);
        let others = [note(OWNER, 1, &[1; 16]), note(b"Other\0", BUILD_ID, &[2; 5])].concat();
        assert_eq!(build_id(&[others.clone(), id.clone()].concat(), 4), Some(vec![7; 20]));
        assert_eq!(build_id(&others, 4), None);
        for cut in 1..id.len() {
            assert_eq!(build_id(&id[..cut], 4), None, "{cut}");
        }
        assert_eq!(build_id(&[0xff; 64], 4), None);
    }

    #[test]
    fn a_program_without_the_note_is_known_by_all_of_its_bytes() {
        let other = |content: &[u8]| {
            let mut file = tempfile();
            file.write_all(content).unwrap();
            id_of(&File::open(path_of(&file)).unwrap()).unwrap()
        };
        let script = other(b"#!/bin/sh\n");
        assert_eq!(script.len(), 64);
        assert_eq!(script, other(b"#!/bin/sh\n"));
        assert_ne!(script, other(b"#!/bin/sh\nexit\n"));
        assert_eq!(other(b"\x7fELF\x02").len(), 64);
    }

    fn tempfile() -> File {
        let path = std::env::temp_dir();
        let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR;
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        File::from(rustix::fs::open(path, flags, mode).unwrap())
    }

    fn path_of(file: &File) -> String {
        use std::os::fd::AsRawFd as _;
        format!("/proc/self/fd/{}", file.as_raw_fd())
    }
}
