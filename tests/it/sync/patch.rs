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

/// What lies before the first `moof` is put before every other one too.
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
