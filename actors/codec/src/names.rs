//! Common names of formats and codecs.
//!
//! Invariant: the names come from libav's own tables or consist of letters and digits. Nothing else of a file gets into a message.

use std::ffi::CStr;
use std::os::raw::c_char;

use ffmpeg_next::{Stream, codec, ffi};

/// Name of a stream's codec: libav's name, else the container's tag; `None` if there is neither.
pub(crate) fn codec(stream: &Stream<'_>) -> Option<String> {
    let parameters = stream.parameters();
    if parameters.id() == codec::Id::None {
        #[expect(unsafe_code, reason = "a plain field of the stream's parameters")]
        let tag = unsafe { (*parameters.as_ptr()).codec_tag };
        return printable(tag);
    }
    let id: ffi::AVCodecID = parameters.id().into();
    #[expect(unsafe_code, reason = "descriptors are static; an unknown codec has none")]
    let long = unsafe {
        let descriptor = ffi::avcodec_descriptor_get(id);
        if descriptor.is_null() { None } else { text((*descriptor).long_name) }
    };
    Some(long.unwrap_or_else(|| parameters.id().name().to_owned()))
}

/// A format that libav recognises: its long name.
pub(crate) fn format(name: &str, long_name: *const c_char) -> String {
    if let Some(kind) = name.strip_suffix("_pipe") {
        return format!("a single picture ({})", kind.to_uppercase());
    }
    text(long_name).unwrap_or_else(|| name.to_owned())
}

/// Up to four letters or digits of a tag.
fn printable(tag: u32) -> Option<String> {
    let bytes = tag.to_le_bytes().into_iter().filter(u8::is_ascii_alphanumeric);
    let name: String = bytes.map(char::from).collect();
    (!name.is_empty()).then_some(name)
}

fn text(name: *const c_char) -> Option<String> {
    if name.is_null() {
        return None;
    }
    #[expect(unsafe_code, reason = "names in libav's tables are static strings")]
    let text = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_named_by_its_letters_alone() {
        assert_eq!(printable(u32::from_le_bytes(*b"vvc1")), Some("vvc1".to_owned()));
        assert_eq!(printable(u32::from_le_bytes(*b"<a>\0")), Some("a".to_owned()));
        assert_eq!(printable(0), None);
    }

    #[test]
    fn a_format_has_its_long_name_and_a_picture_is_called_one() {
        assert_eq!(format("asf", c"Windows Media (ASF)".as_ptr()), "Windows Media (ASF)");
        assert_eq!(format("png_pipe", std::ptr::null()), "a single picture (PNG)");
        assert_eq!(format("odd", std::ptr::null()), "odd");
    }
}
