//! The allow-lists: containers, codecs, and the texts that are refused unseen.
//!
//! Invariant: what is not listed is not opened. No demuxer here opens further files by itself (no HLS, DASH, concat, SDP,
//! image sequences), and none reads a script.

use std::ffi::CStr;

use crate::switches;

/// libav's names of the demuxers.
const FORMATS: [&str; 7] =
    ["mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "avi", "flv", "mpeg", "ogg"];

/// libav's names of the picture decoders.
const PICTURE: [&str; 31] = [
    "h264",
    "hevc",
    "vp8",
    "vp9",
    "libdav1d",
    "libaom-av1",
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
    "msmpeg4",
    "msmpeg4v1",
    "msmpeg4v2",
    "h263",
    "h263i",
    "h263p",
    "mjpeg",
    "mjpegb",
    "theora",
    "vp6",
    "vp6a",
    "vp6f",
    "prores",
    "dnxhd",
    "ffv1",
    "huffyuv",
    "ffvhuff",
    "vc1",
    "wmv3",
    "flv",
    "svq3",
    "rawvideo",
];

/// libav's names of the sound decoders; those of PCM start with [`PCM`].
const SOUND: [&str; 23] = [
    "aac", "aac_latm", "mp3", "mp3float", "mp2", "mp2float", "mp1", "mp1float", "opus", "libopus",
    "vorbis", "flac", "ac3", "eac3", "dca", "truehd", "mlp", "alac", "wmav1", "wmav2", "amrnb",
    "amrwb", "speex",
];

/// PCM decoders, with and without compression.
const PCM: [&str; 21] = [
    "pcm_s8",
    "pcm_u8",
    "pcm_s16le",
    "pcm_s16be",
    "pcm_u16le",
    "pcm_u16be",
    "pcm_s24le",
    "pcm_s24be",
    "pcm_s32le",
    "pcm_s32be",
    "pcm_f32le",
    "pcm_f32be",
    "pcm_f64le",
    "pcm_f64be",
    "pcm_alaw",
    "pcm_mulaw",
    "pcm_dvd",
    "pcm_bluray",
    "adpcm_ms",
    "adpcm_ima_wav",
    "adpcm_ima_qt",
];

/// What libav itself is told of these lists when it opens a source.
pub(crate) fn options() -> Vec<(&'static str, String)> {
    if switches::lists_off() {
        return switches::temptations();
    }
    let decoders: Vec<&str> = PICTURE.iter().chain(&SOUND).chain(&PCM).copied().collect();
    vec![
        ("protocol_whitelist", "none".to_owned()),
        ("format_whitelist", FORMATS.join(",")),
        ("codec_whitelist", decoders.join(",")),
    ]
}

/// Whether a demuxer may open further files by itself.
pub(crate) fn may_open_others() -> bool {
    switches::lists_off()
}

/// What libav is told that a source is called: nothing, so that nothing can be relative to it.
pub(crate) fn url() -> &'static CStr {
    if switches::lists_off() { c"upload.mp4" } else { c"" }
}

/// Whether a demuxer of that name is allowed.
pub(crate) fn is_format(name: &str) -> bool {
    FORMATS.contains(&name) || switches::lists_off()
}

/// Whether a picture decoder of that name is allowed.
pub(crate) fn is_picture_decoder(name: &str) -> bool {
    PICTURE.contains(&name) || switches::lists_off()
}

/// Whether a sound decoder of that name is allowed.
pub(crate) fn is_sound_decoder(name: &str) -> bool {
    SOUND.contains(&name) || PCM.contains(&name) || switches::lists_off()
}

/// Whether a file begins like one of the texts that name other files: playlists, descriptions, scripts.
pub(crate) fn is_reference_text(head: &[u8]) -> bool {
    const BEGINNINGS: [&str; 12] = [
        "#extm3u",
        "ffconcat",
        "<?xml",
        "<mpd",
        "<smil",
        "<asx",
        "<html",
        "<!doctype",
        "v=0",
        "[reference]",
        "[playlist]",
        "rtsp://",
    ];
    if switches::lists_off() {
        return false;
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    BEGINNINGS.iter().any(|beginning| {
        head.get(..beginning.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(beginning.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_name_other_files_are_known_by_their_beginning() {
        for text in [
            "#EXTM3U\n",
            "\u{feff}#EXTM3U",
            "ffconcat version 1.0",
            " \n<?xml version",
            "<MPD>",
            "v=0\r\n",
            "[Reference]",
        ] {
            assert!(is_reference_text(text.as_bytes()), "{text}");
        }
        for media in [&b"\0\0\0\x18ftypmp42"[..], b"RIFF", b"\x1aE\xdf\xa3", b"", b"#"] {
            assert!(!is_reference_text(media));
        }
    }

    #[test]
    fn nothing_that_opens_other_files_is_allowed() {
        for name in ["hls", "dash", "concat", "sdp", "image2", "rtsp", "asf", "rm"] {
            assert!(FORMATS.iter().all(|list| list.split(',').all(|format| format != name)));
        }
    }
}
