//! The kind of a frame, read from its first bytes. It bounds the frame's length before its body is stored.

/// The variants of [`crate::codec::wire::FromCodec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    Hello,
    Read,
    Progress,
    Fragment,
    Picture,
    ChunkDone,
    AudioFragment,
    AudioPartDone,
    Output,
    Done,
    Failed,
}

/// MessagePack: a map of one pair.
const MAP_OF_ONE: u8 = 0x81;
/// MessagePack: a string whose length is in the lower five bits.
const SHORT_STRING: u8 = 0xa0;

impl FrameKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Hello,
        Self::Read,
        Self::Progress,
        Self::Fragment,
        Self::Picture,
        Self::ChunkDone,
        Self::AudioFragment,
        Self::AudioPartDone,
        Self::Output,
        Self::Done,
        Self::Failed,
    ];

    /// The kind of a frame body; `None` if it is no frame of this protocol.
    #[must_use]
    pub fn of(body: &[u8]) -> Option<Self> {
        let (&[map, string], rest) = body.split_first_chunk::<2>()?;
        let name = rest.get(..usize::from(string.checked_sub(SHORT_STRING)?))?;
        let named = |kind: &Self| kind.name().as_bytes() == name;
        Self::ALL.into_iter().find(|kind| map == MAP_OF_ONE && named(kind))
    }

    /// The variant's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hello => "Hello",
            Self::Read => "Read",
            Self::Progress => "Progress",
            Self::Fragment => "Fragment",
            Self::Picture => "Picture",
            Self::ChunkDone => "ChunkDone",
            Self::AudioFragment => "AudioFragment",
            Self::AudioPartDone => "AudioPartDone",
            Self::Output => "Output",
            Self::Done => "Done",
            Self::Failed => "Failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_stands_in_the_first_bytes() {
        for kind in FrameKind::ALL {
            let name = kind.name();
            let mut body = vec![MAP_OF_ONE, SHORT_STRING | name.len() as u8];
            body.extend(name.as_bytes());
            assert_eq!(FrameKind::of(&body), Some(kind));
            assert_eq!(FrameKind::of(&body[..body.len() - 1]), None);
        }
        for nonsense in
            [&[][..], &[0x81], &[0x81, 0xa5], &[0xc1; 4], &[0x81, 0, 0], b"\x82\xa4Read"]
        {
            assert_eq!(FrameKind::of(nonsense), None, "{nonsense:?}");
        }
    }
}
