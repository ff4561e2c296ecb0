//! HLS playlists as a player reads them (RFC 8216), and the media they refer to put together into one file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// A rendition of the master playlist.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variant {
    /// Playlist file, relative to the master.
    pub(crate) uri: String,
    /// Declared peak, bits per second.
    pub(crate) bandwidth: u64,
    /// Pixels.
    pub(crate) size: (u32, u32),
}

impl Variant {
    /// Name of the tier: the playlist's file name.
    pub(crate) fn tier(&self) -> &str {
        let file = self.uri.rsplit('/').next().unwrap_or(&self.uri);
        file.strip_suffix(".m3u8").unwrap_or(file)
    }
}

/// Part of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    /// File, relative to the playlist.
    pub(crate) uri: String,
    /// First byte.
    pub(crate) offset: u64,
    /// Bytes; `None` is all.
    pub(crate) bytes: Option<u64>,
}

/// A media playlist.
#[derive(Debug, Clone, Default)]
pub(crate) struct Media {
    /// The initialisation segment.
    pub(crate) init: Piece,
    /// Seconds and place of each segment.
    pub(crate) segments: Vec<(f64, Piece)>,
    /// EXT-X-TARGETDURATION.
    pub(crate) target: u64,
    /// The list is complete.
    pub(crate) ended: bool,
}

impl Media {
    /// Seconds of the whole list.
    pub(crate) fn seconds(&self) -> f64 {
        self.segments.iter().map(|(seconds, _)| seconds).sum()
    }

    /// Starts of further objects in seconds from the start of the list. At each an encoder restarted.
    pub(crate) fn joints(&self) -> Vec<f64> {
        let (mut at, mut last, mut found) = (0.0, "", Vec::new());
        for (seconds, piece) in &self.segments {
            if piece.uri != last {
                found.push(at);
            }
            last = &piece.uri;
            at += seconds;
        }
        found
    }

    /// Seconds at the head that were encoded with a task for some of the tiers (the group `first`).
    pub(crate) fn head_seconds(&self) -> f64 {
        let head = self.segments.iter().take_while(|(_, piece)| piece.uri.contains("/first-"));
        head.map(|(seconds, _)| seconds).sum()
    }

    /// The task that made the head, such as `first-0001`.
    pub(crate) fn head_task(&self) -> &str {
        let uri = self.segments.first().map_or("", |(_, piece)| piece.uri.as_str());
        uri.split('/').find(|part| part.starts_with("first-")).unwrap_or_default()
    }

    /// Whether the list keeps its own rules.
    pub(crate) fn complaint(&self) -> Option<String> {
        let longest = self.segments.iter().map(|(seconds, _)| seconds.round() as u64).max();
        if !self.ended || self.segments.is_empty() || self.init.uri.is_empty() {
            return Some("not a complete list".to_owned());
        }
        (longest > Some(self.target)).then(|| format!("a segment is longer than {}", self.target))
    }
}

/// Reads a master playlist: its renditions from the largest to the smallest.
pub(crate) fn master(file: &Path) -> Result<Vec<Variant>, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (mut next, mut variants) = (Variant::default(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") {
            next.bandwidth = attribute(list, "BANDWIDTH").and_then(|v| v.parse().ok()).unwrap_or(0);
            let size = attribute(list, "RESOLUTION").unwrap_or_default();
            let (width, height) = size.split_once('x').unwrap_or_default();
            next.size = (width.parse().unwrap_or(0), height.parse().unwrap_or(0));
        } else if !line.starts_with('#') {
            variants.push(Variant { uri: line.to_owned(), ..std::mem::take(&mut next) });
        }
    }
    variants.sort_by_key(|variant| std::cmp::Reverse(variant.size.0 * variant.size.1));
    if variants.is_empty() { Err("the master lists nothing".to_owned()) } else { Ok(variants) }
}

/// The value of an attribute; quoted values may hold commas.
fn attribute(list: &str, name: &str) -> Option<String> {
    let (mut quoted, mut start, mut fields) = (false, 0, Vec::new());
    for (at, character) in list.char_indices() {
        if character == '"' {
            quoted = !quoted;
        } else if character == ',' && !quoted {
            fields.push(&list[start..at]);
            start = at + 1;
        }
    }
    fields.push(&list[start..]);
    let pairs = fields.into_iter().filter_map(|field| field.split_once('='));
    pairs
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"').to_owned())
        .next()
}

/// Reads a media playlist.
pub(crate) fn media(file: &Path) -> Result<Media, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (mut list, mut seconds, mut range) = (Media::default(), 0.0, None);
    for line in text.lines().map(str::trim) {
        if let Some(map) = line.strip_prefix("#EXT-X-MAP:") {
            let (bytes, offset) = byte_range(&attribute(map, "BYTERANGE").unwrap_or_default());
            let uri = attribute(map, "URI").unwrap_or_default();
            list.init = Piece { uri, offset: offset.unwrap_or(0), bytes };
        } else if let Some(value) = line.strip_prefix("#EXTINF:") {
            seconds = value.split(',').next().and_then(|v| v.parse().ok()).unwrap_or(0.0);
        } else if let Some(value) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            range = Some(byte_range(value));
        } else if let Some(value) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
            list.target = value.parse().unwrap_or(0);
        } else if line == "#EXT-X-ENDLIST" {
            list.ended = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            let piece = piece(line, range.take(), list.segments.last());
            list.segments.push((seconds, piece));
        }
    }
    Ok(list)
}

/// A range without an offset continues the previous one.
fn piece(
    uri: &str,
    range: Option<(Option<u64>, Option<u64>)>,
    last: Option<&(f64, Piece)>,
) -> Piece {
    let (bytes, offset) = range.unwrap_or_default();
    let follows = last.filter(|(_, piece)| piece.uri == uri);
    let after = follows.map_or(0, |(_, piece)| piece.offset + piece.bytes.unwrap_or(0));
    Piece { uri: uri.to_owned(), offset: offset.unwrap_or(after), bytes }
}

/// `bytes[@offset]`.
fn byte_range(text: &str) -> (Option<u64>, Option<u64>) {
    let (bytes, offset) = text.split_once('@').unwrap_or((text, ""));
    (bytes.parse().ok(), offset.parse().ok())
}

/// Writes the initialisation segment and all segments one after the other.
pub(crate) fn assemble(folder: &Path, list: &Media, to: &Path) -> Result<(), String> {
    let mut target = File::create(to).map_err(|error| error.to_string())?;
    for piece in std::iter::once(&list.init).chain(list.segments.iter().map(|(_, piece)| piece)) {
        let bytes = read(folder, piece)?;
        target.write_all(&bytes).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn read(folder: &Path, piece: &Piece) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", piece.uri);
    let mut file = File::open(folder.join(&piece.uri)).map_err(failed)?;
    file.seek(SeekFrom::Start(piece.offset)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(piece.bytes.unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(failed)?;
    match piece.bytes {
        Some(wanted) if wanted != bytes.len() as u64 => {
            Err(format!("{}: {} of {wanted} bytes", piece.uri, bytes.len()))
        }
        _ => Ok(bytes),
    }
}

#[test]
fn ranges_and_attributes_are_read_as_the_rfc_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a.m3u8");
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:4.0,\n\
                #EXT-X-BYTERANGE:10@0\na.mp4\n#EXTINF:3.5,\n#EXT-X-BYTERANGE:5\na.mp4\n#EXTINF:2,\n\
                #EXT-X-BYTERANGE:7@0\nb.mp4\n#EXT-X-ENDLIST\n";
    std::fs::write(&file, text).expect("written");
    let list = media(&file).expect("read");
    let places: Vec<_> = list.segments.iter().map(|(_, p)| (p.offset, p.bytes)).collect();
    assert_eq!(places, [(0, Some(10)), (10, Some(5)), (0, Some(7))]);
    assert_eq!((list.seconds(), list.joints(), list.complaint()), (9.5, vec![0.0, 7.5], None));
    let inf = "BANDWIDTH=5,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720";
    assert_eq!(attribute(inf, "CODECS").as_deref(), Some("avc1.64001f,mp4a.40.2"));
}
