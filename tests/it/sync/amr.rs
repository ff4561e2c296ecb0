//! AMR in 3GP with one frame in a packet, or with five, as telephones write it. No encoder is needed: a beep is seven frames, silence is two.

use std::path::Path;

use super::make::{record, text};
use super::take::Take;
use crate::clips::ffmpeg;

/// Bytes of a frame of 4.75 kbit/s with its header, and samples in it.
const FRAME: usize = 13;
const SAMPLES: u32 = 160;

/// Frames per second.
const RATE: f64 = 50.0;

/// Frames in a packet. Ten pictures per second keep them together: the muxer writes the frames between two pictures as one chunk.
const PACKED: u32 = 5;
pub(super) const PICTURES: u32 = 10;

/// Two frames that follow each other in silence.
const SILENCE: [&str; 2] = ["04363cc7f0670435ffe0000000", "04ff18c7f06d0433ffe0000000"];

/// 80 ms of 1000 Hz, from the second frame on.
const BEEP: [&str; 7] = [
    "04204e1c5ff2b9f42ea083820a",
    "0481f326aaab17955530008082",
    "0420c70d5d7b6455355688474a",
    "0481c70d56eb5b453142823568",
    "04324b0d7df3576ab4c280034a",
    "04f31e80f00600457feb31381a",
    "04aa3cc7f04d8433fff9a00110",
];

/// Makes the file: the picture of `take`, and a beep at every flash; with five frames in a packet if `packed`.
pub(super) fn produce(
    take: &Take,
    packed: bool,
    folder: &Path,
    whole: &Path,
) -> Result<(), String> {
    let (picture, sound) = (folder.join("picture.3gp"), folder.join("sound.amr"));
    record(take, &picture)?;
    std::fs::write(&sound, frames(take)).map_err(|error| error.to_string())?;
    let single = folder.join("single.3gp");
    let words =
        ["-i", &text(&picture), "-i", &text(&sound), "-map", "0", "-map", "1", "-c", "copy"];
    let words = words.iter().map(|&word| word.to_owned());
    ffmpeg(&words.chain([text(&single)]).collect::<Vec<_>>())?;
    let mut bytes = std::fs::read(&single).map_err(|error| error.to_string())?;
    if packed {
        pack(&mut bytes)?;
    }
    std::fs::write(whole, bytes).map_err(|error| error.to_string())
}

/// An AMR file (RFC 4867, 5).
fn frames(take: &Take) -> Vec<u8> {
    let count = (take.end() * RATE).round() as usize;
    let mut all: Vec<&str> = (0..count).map(|index| SILENCE[(index + 1) % 2]).collect();
    for at in take.flashes() {
        let first = (at * RATE).round() as usize - 1;
        all[first..first + BEEP.len()].copy_from_slice(&BEEP);
    }
    let byte = |text: &str, at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16);
    let bytes = all.iter().flat_map(|text| (0..FRAME).map(|at| byte(text, at).unwrap_or_default()));
    b"#!AMR\n".iter().copied().chain(bytes).collect()
}

/// Joins [`PACKED`] frames to one sample, in the tables of the sound track.
fn pack(bytes: &mut [u8]) -> Result<(), String> {
    let track = find(bytes, 0, b"samr")?;
    let sizes = find(bytes, track, b"stsz")? + 8;
    let (size, count) = (word(bytes, sizes)?, word(bytes, sizes + 4)?);
    let chunks = find(bytes, track, b"stsc")? + 8;
    let in_a_chunk = (word(bytes, chunks)?, word(bytes, chunks + 8)?);
    if size as usize != FRAME || !count.is_multiple_of(PACKED) || in_a_chunk != (1, PACKED) {
        return Err(format!("{count} samples of {size} bytes, {in_a_chunk:?} in a chunk"));
    }
    let times = find(bytes, track, b"stts")? + 8;
    let mode = find(bytes, track, b"damr")? + 12;
    put(bytes, sizes, size * PACKED);
    put(bytes, sizes + 4, count / PACKED);
    put(bytes, chunks + 8, 1);
    put(bytes, times + 4, count / PACKED);
    put(bytes, times + 8, SAMPLES * PACKED);
    bytes[mode] = PACKED as u8;
    Ok(())
}

/// Place of a box's name at `from` or after it.
fn find(bytes: &[u8], from: usize, name: &[u8; 4]) -> Result<usize, String> {
    let found = bytes[from..].windows(4).position(|four| four == name);
    found.map(|at| from + at).ok_or_else(|| format!("no {}", String::from_utf8_lossy(name)))
}

fn word(bytes: &[u8], at: usize) -> Result<u32, String> {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map(u32::from_be_bytes).ok_or_else(|| "the file is cut short".to_owned())
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}
