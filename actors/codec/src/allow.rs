//! Allow-lists of containers and codecs, and the texts that are refused unseen.
//!
//! Invariant: only listed formats are opened. No demuxer here opens further files by itself (no HLS, DASH, concat, SDP, image sequences),
//! and none reads a script.
//!
//! The lists are long because uploads come from thirty years of cameras and programs. They bound the reachable code of libav; the
//! confinement of the process keeps a fault in that code from doing harm.

use std::ffi::CStr;

use jetreel_domain::words::sentence::list;

use crate::switches;

/// Demuxers by libav's names, each with the common name of its files. ASF and MXF can name further files and pages. libav's demuxers ignore
/// those of an ASF and ask `io_open` for those of an MXF, which is denied. RealMedia is not listed, because nothing writes it any more.
const FORMATS: [(&str, &str); 10] = [
    ("mov,mp4,m4a,3gp,3g2,mj2", "MP4, MOV"),
    ("matroska,webm", "MKV, WebM"),
    ("mpegts", "MPEG-TS"),
    ("avi", "AVI"),
    ("flv", "FLV"),
    ("mpeg", "MPEG-PS"),
    ("ogg", "Ogg"),
    ("asf", "WMV"),
    ("mxf", "MXF"),
    ("dv", "DV"),
];

/// Picture decoders by libav's names, all in software. Formats that no upload has are not listed: those of games, of single pictures, of
/// experiments.
const PICTURE: [&[&str]; 8] = [
    // Cameras, web, broadcast, discs.
    &[
        "h264",
        "hevc",
        "vp8",
        "vp9",
        "libdav1d",
        "libaom-av1",
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "h261",
        "h263",
        "h263i",
        "h263p",
        "dirac",
        "theora",
    ],
    // Intra-coded pictures: cameras, editors, cinema packages.
    &["mjpeg", "mjpegb", "sp5x", "amv", "avrn", "jpeg2000", "png", "rawvideo", "ffv1"],
    // Tape and editing.
    &[
        "dvvideo",
        "prores",
        "dnxhd",
        "cfhd",
        "huffyuv",
        "ffvhuff",
        "hymt",
        "utvideo",
        "magicyuv",
        "lagarith",
        "vble",
        "aic",
        "pixlet",
        "hq_hqa",
        "hqx",
        "cllc",
        "sheervideo",
        "speedhq",
        "hap",
        "dxv",
        "notchlc",
    ],
    // Uncompressed, in the layouts of capture cards.
    &["v210", "v308", "v408", "v410", "ayuv", "yuv4", "y41p", "r210", "r10k", "avrp", "avui"],
    // Windows Media and its predecessors.
    &[
        "msmpeg4",
        "msmpeg4v1",
        "msmpeg4v2",
        "wmv1",
        "wmv2",
        "wmv3",
        "wmv3image",
        "vc1",
        "vc1image",
        "msvideo1",
        "msrle",
        "indeo2",
        "indeo3",
        "indeo4",
        "indeo5",
        "cljr",
        "loco",
    ],
    // QuickTime before MPEG-4.
    &["cinepak", "qtrle", "rpza", "smc", "8bps", "svq1", "svq3"],
    // Flash.
    &["flv", "vp3", "vp4", "vp5", "vp6", "vp6a", "vp6f", "vp7", "flashsv", "flashsv2"],
    // Recordings of screens and games.
    &[
        "camtasia",
        "tscc2",
        "camstudio",
        "zlib",
        "mszh",
        "zmbv",
        "fraps",
        "dxtory",
        "fic",
        "scpr",
        "g2m",
        "mss1",
        "mss2",
        "msa1",
        "mts2",
    ],
];

/// Audio decoders by libav's names. Formats that no upload has are not listed: those of game consoles and games, codecs of audio files
/// (Monkey's Audio, Shorten, TAK, DSD), and RealAudio, whose container is refused.
const SOUND: [&[&str]; 7] = [
    // Cameras, web, broadcast, discs.
    &[
        "aac", "aac_latm", "mp3", "mp3float", "mp2", "mp2float", "mp1", "mp1float", "opus",
        "libopus", "vorbis", "flac", "ac3", "eac3", "dca", "truehd", "mlp", "alac",
    ],
    // Windows Media and its predecessors.
    &["wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice", "truespeech", "imc", "iac", "gsm_ms"],
    // QuickTime before AAC.
    &["qdm2", "qdmc", "mace3", "mace6"],
    // Lossless audio in Matroska.
    &["wavpack", "tta"],
    // Phones, telephony, surveillance.
    &["amrnb", "amrwb", "evrc", "qcelp", "gsm", "g723_1", "g729", "g722", "g726", "g726le"],
    // Flash and webcams. libav's own Speex decoder decodes one frame per packet.
    &["speex", "libspeex", "nellymoser", "adpcm_swf"],
    // Tape, studios and editing: SMPTE 302M, DV, differential PCM.
    &[
        "s302m",
        "dvaudio",
        "adpcm_ms",
        "adpcm_ima_wav",
        "adpcm_ima_qt",
        "adpcm_ima_amv",
        "adpcm_yamaha",
        "adpcm_ct",
    ],
];

/// PCM decoders, with and without compression.
const PCM: [&str; 20] = [
    "pcm_s8",
    "pcm_u8",
    "pcm_s16le",
    "pcm_s16be",
    "pcm_u16le",
    "pcm_u16be",
    "pcm_s24le",
    "pcm_s24be",
    "pcm_u24le",
    "pcm_s32le",
    "pcm_s32be",
    "pcm_u32le",
    "pcm_f32le",
    "pcm_f32be",
    "pcm_f64le",
    "pcm_f64be",
    "pcm_alaw",
    "pcm_mulaw",
    "pcm_dvd",
    "pcm_bluray",
];

/// The lists as options of libav when it opens a source.
pub(crate) fn options() -> Vec<(&'static str, String)> {
    if switches::lists_off() {
        return switches::temptations();
    }
    let kinds = PICTURE.iter().chain(&SOUND).copied().flatten();
    let decoders: Vec<&str> = kinds.chain(&PCM).copied().collect();
    vec![
        ("protocol_whitelist", "none".to_owned()),
        ("format_whitelist", FORMATS.map(|(name, _)| name).join(",")),
        ("codec_whitelist", decoders.join(",")),
    ]
}

/// Whether a demuxer may open further files by itself.
pub(crate) fn may_open_others() -> bool {
    switches::lists_off()
}

/// Name of a source for libav: empty, so that nothing can be relative to it.
pub(crate) fn url() -> &'static CStr {
    if switches::lists_off() { c"upload.mp4" } else { c"" }
}

/// Whether the demuxer is allowed.
pub(crate) fn is_format(name: &str) -> bool {
    FORMATS.iter().any(|(allowed, _)| *allowed == name) || switches::lists_off()
}

/// Accepted formats as text: `MP4, MOV … or Ogg`.
pub(crate) fn accepted_formats() -> String {
    let names: Vec<&str> = FORMATS.iter().flat_map(|(_, names)| names.split(", ")).collect();
    list(&names, "or")
}

/// Whether the picture decoder is allowed.
pub(crate) fn is_picture_decoder(name: &str) -> bool {
    PICTURE.iter().any(|kind| kind.contains(&name)) || switches::lists_off()
}

/// Whether the audio decoder is allowed.
pub(crate) fn is_sound_decoder(name: &str) -> bool {
    SOUND.iter().any(|kind| kind.contains(&name)) || PCM.contains(&name) || switches::lists_off()
}

/// Whether a file begins like a text that names other files: playlists, descriptions, scripts.
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
    use std::ffi::CString;

    use super::*;
    use jetreel_domain::words::reason::CODECS;

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
    fn what_a_refusal_recommends_is_accepted() {
        let accepted = accepted_formats();
        assert_eq!(
            accepted,
            "MP4, MOV, MKV, WebM, MPEG-TS, AVI, FLV, MPEG-PS, Ogg, WMV, MXF or DV"
        );
        for (codec, decoder) in
            [("H.264", "h264"), ("HEVC", "hevc"), ("VP9", "vp9"), ("AV1", "libdav1d")]
        {
            assert!(CODECS.contains(codec) && is_picture_decoder(decoder), "{codec}");
        }
    }

    #[test]
    fn nothing_that_opens_other_files_is_allowed() {
        for name in
            ["hls", "dash", "concat", "sdp", "image2", "rtsp", "rm", "imf", "webm_dash_manifest"]
        {
            assert!(FORMATS.iter().all(|(list, _)| list.split(',').all(|format| format != name)));
        }
    }

    /// A name with a typing error allows nothing.
    #[test]
    fn every_name_is_one_of_libavs() {
        let kinds = PICTURE.iter().chain(&SOUND).copied().flatten();
        for name in kinds.chain(&PCM) {
            let found = ffmpeg_next::codec::decoder::find_by_name(name);
            assert!(found.is_some(), "{name}");
        }
        for (name, _) in FORMATS {
            let name = CString::new(name).unwrap();
            #[expect(unsafe_code, reason = "looks a name up in a static table")]
            let found = unsafe { ffmpeg_next::ffi::av_find_input_format(name.as_ptr()) };
            assert!(!found.is_null(), "{name:?}");
        }
    }
}
