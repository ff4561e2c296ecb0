//! Changes of bytes that no option of ffmpeg makes.

use super::ebml::in_nanoseconds;

/// A change of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patch {
    /// The sound of an AVI claims five times the packets per second that it has.
    AviSoundRate,
    /// The last sound track of a MOV does not say where its channels belong.
    NoLayout,
    /// The ticks of a Matroska file are nanoseconds.
    Nanoseconds,
    /// The edits of an MP4 last no time.
    NoEdit,
    /// An FLV declares so many pictures per second.
    FlvRate(f64),
    /// A packet of a transport stream, which may hold several frames of sound, has times that are wrong.
    Pes { pid: u16, index: usize, seconds: f64 },
    /// The first boxes of an MP4 come again before each of its fragments.
    InitAgain,
}

impl Patch {
    /// Changes the file.
    pub(super) fn apply(self, bytes: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::AviSoundRate => avi_sound_rate(bytes),
            Self::NoLayout => no_layout(bytes),
            Self::Nanoseconds => {
                *bytes = in_nanoseconds(bytes)?;
                Ok(())
            }
            Self::NoEdit => no_edit(bytes),
            Self::FlvRate(rate) => flv_rate(bytes, rate),
            Self::Pes { pid, index, seconds } => pes(bytes, pid, index, seconds),
            Self::InitAgain => init_again(bytes),
        }
    }
}

/// The stream header of the sound (`strh`, type `auds`): `dwRate` is 24 bytes after the type.
fn avi_sound_rate(bytes: &mut [u8]) -> Result<(), String> {
    let head = bytes.windows(4).position(|four| four == b"auds").ok_or("no sound in the AVI")?;
    let place = head + 24..head + 28;
    let field = bytes.get_mut(place).ok_or("the AVI is cut short")?;
    let rate = u32::from_le_bytes([field[0], field[1], field[2], field[3]]);
    field.copy_from_slice(&(rate * 5).to_le_bytes());
    Ok(())
}

/// The only entry of every box `elst`: its duration is 12 bytes after the name, in 32 bits.
fn no_edit(bytes: &mut [u8]) -> Result<(), String> {
    let names: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"elst")).collect();
    for name in &names {
        let (head, entry) = bytes.get_mut(name + 4..name + 16).ok_or("cut short")?.split_at_mut(8);
        if head != [0, 0, 0, 0, 0, 0, 0, 1] {
            return Err("more than one edit".to_owned());
        }
        entry.fill(0);
    }
    if names.is_empty() { Err("no edits".to_owned()) } else { Ok(()) }
}

/// Moves presentation and decode time of the PES packet `index` of `pid`.
fn pes(bytes: &mut [u8], pid: u16, index: usize, seconds: f64) -> Result<(), String> {
    let ticks = (seconds * 90_000.0).round() as u64;
    let starts = |part: &&mut [u8]| {
        let own = u16::from(part[1] & 31) << 8 | u16::from(part[2]) == pid;
        own && part[1] & 0x40 != 0
    };
    let part = bytes.chunks_exact_mut(188).filter(starts).nth(index).ok_or("no such packet")?;
    let head = 4 + if part[3] & 0x20 != 0 { 1 + usize::from(part[4]) } else { 0 };
    for (flag, at) in [(0x80, head + 9), (0x40, head + 14)] {
        if part[head + 7] & flag != 0 {
            move_time(&mut part[at..at + 5], ticks);
        }
    }
    Ok(())
}

/// 33 bits in five bytes, with marks between them.
fn move_time(field: &mut [u8], ticks: u64) {
    let bits = [(field[0] >> 1) & 7, field[1], field[2] >> 1, field[3], field[4] >> 1];
    let old = bits.iter().zip([3, 8, 7, 8, 7]);
    let old = old.fold(0_u64, |time, (part, width)| time << width | u64::from(*part));
    let time = (old + ticks) % (1 << 33);
    let byte = |shift: u32| ((time >> shift) & 0xff) as u8;
    field[0] = field[0] & 0xf1 | ((time >> 30) as u8 & 7) << 1;
    (field[1], field[3]) = (byte(22), byte(7));
    (field[2], field[4]) = (byte(14) | 1, (time << 1) as u8 | 1);
}

#[test]
fn a_time_moves_by_ticks() {
    let mut field = [0x31, 0, 1, 0, 1];
    move_time(&mut field, 0x1_2345_6789);
    assert_eq!(field[0] & 0xf0, 0x30, "the kind of time stays");
    move_time(&mut field, (1 << 33) - 0x1_2345_6789);
    assert_eq!(field, [0x31, 0, 1, 0, 1]);
    move_time(&mut field, 1);
    assert_eq!(field, [0x31, 0, 1, 0, 3]);
}

/// A number of the metadata: its name, a zero, eight bytes.
fn flv_rate(bytes: &mut [u8], rate: f64) -> Result<(), String> {
    const NAME: &[u8] = b"framerate\0";
    let name = bytes.windows(NAME.len()).position(|part| part == NAME).ok_or("no rate")?;
    let from = name + NAME.len();
    let field = bytes.get_mut(from..from + 8).ok_or("the FLV is cut short")?;
    field.copy_from_slice(&rate.to_be_bytes());
    Ok(())
}

/// Repeats the bytes before the first `moof` before every other one.
fn init_again(bytes: &mut Vec<u8>) -> Result<(), String> {
    let (mut init, mut made, mut at) = (None, Vec::new(), 0);
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if &head[4..] == b"moof" {
            match &init {
                None => init = Some(made.clone()),
                Some(init) => made.extend_from_slice(init),
            }
        }
        made.extend_from_slice(bytes.get(at..at + length.max(8)).ok_or("cut short")?);
        at += length.max(8);
    }
    *bytes = made;
    init.map(drop).ok_or_else(|| "no fragments".to_owned())
}

/// The last box `chan` becomes free space.
fn no_layout(bytes: &mut [u8]) -> Result<(), String> {
    let name = bytes.windows(4).rposition(|four| four == b"chan").ok_or("no layout in the MOV")?;
    bytes[name..name + 4].copy_from_slice(b"free");
    Ok(())
}

#[test]
fn the_rate_is_changed_and_nothing_else() {
    // The type, the handler, flags, priority and language, initial frames, scale, rate.
    let mut bytes = b"strh\x38\0\0\0auds".to_vec();
    bytes.extend([0; 16]);
    bytes.extend(1152_u32.to_le_bytes());
    bytes.extend(44_100_u32.to_le_bytes());
    let before = bytes.clone();
    Patch::AviSoundRate.apply(&mut bytes).expect("an AVI");
    assert_eq!(bytes[..bytes.len() - 4], before[..before.len() - 4]);
    assert_eq!(bytes[bytes.len() - 4..], 220_500_u32.to_le_bytes());
    assert!(Patch::AviSoundRate.apply(&mut vec![0; 64]).is_err());
}

#[test]
fn the_last_layout_is_gone() {
    let mut bytes = b"..chan..chan..".to_vec();
    Patch::NoLayout.apply(&mut bytes).expect("a MOV");
    assert_eq!(bytes, b"..chan..free..");
}

#[test]
fn the_beginning_comes_before_every_fragment() {
    let boxed = |kind: &str| [&8_u32.to_be_bytes(), kind.as_bytes()].concat();
    let file = |kinds: &[&str]| kinds.iter().flat_map(|kind| boxed(kind)).collect::<Vec<u8>>();
    let mut bytes = file(&["ftyp", "moov", "moof", "mdat", "moof", "mdat"]);
    Patch::InitAgain.apply(&mut bytes).expect("an MP4");
    let again = ["ftyp", "moov", "moof", "mdat", "ftyp", "moov", "moof", "mdat"];
    assert_eq!(bytes, file(&again));
    assert!(Patch::InitAgain.apply(&mut file(&["ftyp", "moov"])).is_err());
}

#[test]
fn an_edit_lasts_no_time() {
    let mut bytes = b"..elst\0\0\0\0\0\0\0\x01\0\0\x12\x34\0\0\x04\0".to_vec();
    Patch::NoEdit.apply(&mut bytes).expect("an MP4");
    assert_eq!(bytes, b"..elst\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x04\0");
    assert!(Patch::NoEdit.apply(&mut vec![0; 64]).is_err());
}
