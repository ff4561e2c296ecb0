//! Programmes of a broadcast: which audio belongs to which picture.

use std::slice;

use ffmpeg_next::ffi;
use jetreel_domain::plan::media::UnusedReason;

use crate::facts;
use crate::input::Input;

/// Most characters of a name.
const NAME_LENGTH_MAX: usize = 40;

/// A programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Programme {
    /// Number and name.
    pub label: String,
    /// Indices of its streams.
    pub streams: Vec<u32>,
}

/// The programmes that the container lists.
pub(crate) fn programmes(input: &mut Input) -> Vec<Programme> {
    #[expect(
        unsafe_code,
        reason = "the context is open; its programmes are read at once and not kept"
    )]
    unsafe {
        let context = input.context().as_ptr();
        let count = (*context).nb_programs as usize;
        if count == 0 || (*context).programs.is_null() {
            return Vec::new();
        }
        let programmes = slice::from_raw_parts((*context).programs, count);
        programmes.iter().map(|programme| read(*programme)).collect()
    }
}

#[expect(unsafe_code, reason = "the pointer comes from an open context")]
unsafe fn read(programme: *const ffi::AVProgram) -> Programme {
    // SAFETY: the caller's pointer is valid, and libav keeps the length beside the array.
    unsafe {
        let programme = &*programme;
        let streams = match programme.nb_stream_indexes as usize {
            0 => &[][..],
            count => slice::from_raw_parts(programme.stream_index, count),
        };
        let name = clean(&facts::text(programme.metadata, c"service_name"));
        let number = programme.id;
        let label =
            if name.is_empty() { number.to_string() } else { format!("{number} “{name}”") };
        Programme { label, streams: streams.to_vec() }
    }
}

/// The reason to leave the audio stream `stream` out: it belongs to programmes, and none of them has the picture `picture`.
pub(crate) fn elsewhere(
    programmes: &[Programme],
    picture: u32,
    stream: u32,
) -> Option<UnusedReason> {
    let of = |stream: u32| programmes.iter().filter(move |p| p.streams.contains(&stream));
    let chosen = of(picture).next()?;
    let own = of(stream).next()?;
    let shared = of(stream).any(|programme| programme.streams.contains(&picture));
    (!shared).then(|| UnusedReason::OtherProgramme {
        own: own.label.clone(),
        chosen: chosen.label.clone(),
    })
}

/// Letters, digits and common punctuation of a name, up to [`NAME_LENGTH_MAX`].
fn clean(name: &str) -> String {
    let plain = |char: &char| char.is_alphanumeric() || " .,:-_+&!'()/".contains(*char);
    name.chars().filter(plain).take(NAME_LENGTH_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programme(label: &str, streams: &[u32]) -> Programme {
        Programme { label: label.to_owned(), streams: streams.to_vec() }
    }

    #[test]
    fn sound_of_another_programme_is_elsewhere() {
        let broadcast = [programme("1 “News”", &[0, 1]), programme("2", &[2, 3, 5])];
        let reason = |picture, stream| elsewhere(&broadcast, picture, stream);
        assert_eq!(reason(2, 3), None);
        let elsewhere =
            UnusedReason::OtherProgramme { own: "1 “News”".to_owned(), chosen: "2".to_owned() };
        assert_eq!(reason(2, 1), Some(elsewhere));
        // Audio or pictures that no programme lists are kept.
        assert_eq!((reason(2, 4), reason(6, 1)), (None, None));
    }

    #[test]
    fn sound_that_a_programme_shares_with_the_picture_is_its_own() {
        let shared = [programme("1", &[0, 1]), programme("2", &[0, 2]), programme("3", &[3, 1])];
        assert_eq!(elsewhere(&shared, 0, 1), None);
        assert_eq!(elsewhere(&shared, 0, 2), None);
    }

    #[test]
    fn a_name_is_plain_text() {
        assert_eq!(clean("\u{1b}[31mDas Erste\n<b>"), "31mDas Ersteb");
        assert_eq!(clean(&"x".repeat(100)).len(), NAME_LENGTH_MAX);
    }
}
