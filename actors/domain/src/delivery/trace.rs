//! The place of work in a trace: W3C Trace Context, as the header `traceparent` of a message and in the state of a video.

use std::fmt;
use std::str::FromStr;

/// Name of the header.
pub const HEADER: &str = "traceparent";

/// Version that is written.
const VERSION: &str = "00";
/// Version that the standard forbids.
const NO_VERSION: &str = "ff";
/// Flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// A span, as its children on other nodes know it. Written as `00-<trace>-<span>-<flags>`, in lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// Id of the trace. Not zero.
    pub trace: u128,
    /// Id of the span. Not zero.
    pub span: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

/// A text that names no span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no traceparent of W3C Trace Context")]
pub struct BadTraceParent;

impl FromStr for TraceParent {
    type Err = BadTraceParent;

    fn from_str(text: &str) -> Result<Self, BadTraceParent> {
        let mut fields = text.split('-');
        let mut field = |digits| fields.next().filter(|field| is_hex(field, digits));
        let (version, trace, span, flags) = (field(2), field(32), field(16), field(2));
        let (Some(version), Some(trace), Some(span), Some(flags)) = (version, trace, span, flags)
        else {
            return Err(BadTraceParent);
        };
        // Later versions may append fields.
        if version == NO_VERSION || (version == VERSION && fields.next().is_some()) {
            return Err(BadTraceParent);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| BadTraceParent)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| BadTraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| BadTraceParent)?;
        if trace == 0 || span == 0 {
            return Err(BadTraceParent);
        }
        Ok(Self { trace, span, sampled: flags & SAMPLED != 0 })
    }
}

fn is_hex(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "{VERSION}-{:032x}-{:016x}-{flags:02x}", self.trace, self.span)
    }
}

impl TraceParent {
    /// The span that the headers of a message name.
    #[must_use]
    pub fn in_headers(headers: &[(String, String)]) -> Option<Self> {
        let (_, value) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(HEADER))?;
        value.parse().ok()
    }
}

/// The parent of work on a video. `message` is the span that its message names, `video` the one in the state. The message decides within
/// the trace of the video; a message of another trace, such as an operator's replay, does not lead out of it.
#[must_use]
pub fn parent(message: Option<TraceParent>, video: Option<TraceParent>) -> Option<TraceParent> {
    match (message, video) {
        (Some(message), Some(video)) if message.trace != video.trace => Some(video),
        (Some(message), _) => Some(message),
        (None, video) => video,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(text: &str) -> Option<TraceParent> {
        text.parse().ok()
    }

    #[test]
    fn a_header_is_read_and_written() {
        let parent = read(TEXT).unwrap();
        assert_eq!(parent.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!((parent.span, parent.sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(parent.to_string(), TEXT);
        let unsampled = read(&TEXT.replace("-01", "-00")).unwrap();
        assert!(!unsampled.sampled);
    }

    #[test]
    fn a_later_version_may_have_more_fields() {
        let later = format!("{}-more", TEXT.replacen("00", "01", 1));
        assert_eq!(read(&later), read(TEXT));
        assert_eq!(read(&format!("{TEXT}-more")), None);
    }

    #[test]
    fn other_texts_name_no_span() {
        let zero_trace = TEXT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = TEXT.replace("00f067aa0ba902b7", &"0".repeat(16));
        for bad in [
            "",
            "00-1-2-01",
            &zero_trace,
            &zero_span,
            &TEXT.to_uppercase(),
            &TEXT.replacen("00", "ff", 1),
            &TEXT[..TEXT.len() - 1],
            &TEXT.replace("4bf9", "+bf9"),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_header_is_found_whatever_its_case() {
        let headers = [("a".to_owned(), "b".to_owned()), ("Traceparent".into(), TEXT.into())];
        assert_eq!(TraceParent::in_headers(&headers), read(TEXT));
        assert_eq!(TraceParent::in_headers(&headers[..1]), None);
    }

    #[test]
    fn work_stays_in_the_trace_of_its_video() {
        let video = read(TEXT).unwrap();
        let (sent, strange) =
            (TraceParent { span: 7, ..video }, TraceParent { trace: 9, span: 7, ..video });
        assert_eq!(parent(Some(sent), Some(video)), Some(sent));
        assert_eq!(parent(Some(strange), Some(video)), Some(video));
        assert_eq!(parent(None, Some(video)), Some(video));
        assert_eq!(parent(Some(sent), None), Some(sent));
        assert_eq!(parent(None, None), None);
    }
}
