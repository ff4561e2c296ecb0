//! Language tags. Containers use ISO 639-2, playlists BCP 47, which prefers the two-letter code.

/// ISO 639-2 codes of the languages with most speakers, of the official languages of Europe, and of all with two codes: terminological
/// code, bibliographic code, ISO 639-1 code and English name.
#[rustfmt::skip]
const LANGUAGES: [(&str, &str, &str); 71] = [
    ("ara", "ar", "Arabic"), ("ben", "bn", "Bengali"), ("bod", "bo", "Tibetan"), ("tib", "bo", "Tibetan"),
    ("bul", "bg", "Bulgarian"), ("cat", "ca", "Catalan"), ("ces", "cs", "Czech"), ("cze", "cs", "Czech"),
    ("zho", "zh", "Chinese"), ("chi", "zh", "Chinese"), ("cym", "cy", "Welsh"), ("wel", "cy", "Welsh"),
    ("dan", "da", "Danish"), ("deu", "de", "German"), ("ger", "de", "German"), ("ell", "el", "Greek"),
    ("gre", "el", "Greek"), ("eng", "en", "English"), ("est", "et", "Estonian"), ("eus", "eu", "Basque"),
    ("baq", "eu", "Basque"), ("fas", "fa", "Persian"), ("per", "fa", "Persian"), ("fin", "fi", "Finnish"),
    ("fra", "fr", "French"), ("fre", "fr", "French"), ("gle", "ga", "Irish"), ("heb", "he", "Hebrew"),
    ("hin", "hi", "Hindi"), ("hrv", "hr", "Croatian"), ("hun", "hu", "Hungarian"), ("hye", "hy", "Armenian"),
    ("arm", "hy", "Armenian"), ("ind", "id", "Indonesian"), ("isl", "is", "Icelandic"), ("ice", "is", "Icelandic"),
    ("ita", "it", "Italian"), ("jpn", "ja", "Japanese"), ("kat", "ka", "Georgian"), ("geo", "ka", "Georgian"),
    ("kor", "ko", "Korean"), ("lav", "lv", "Latvian"), ("lit", "lt", "Lithuanian"), ("mkd", "mk", "Macedonian"),
    ("mac", "mk", "Macedonian"), ("mlt", "mt", "Maltese"), ("mri", "mi", "Maori"), ("mao", "mi", "Maori"),
    ("msa", "ms", "Malay"), ("may", "ms", "Malay"), ("mya", "my", "Burmese"), ("bur", "my", "Burmese"),
    ("nld", "nl", "Dutch"), ("dut", "nl", "Dutch"), ("nor", "no", "Norwegian"), ("pol", "pl", "Polish"),
    ("por", "pt", "Portuguese"), ("ron", "ro", "Romanian"), ("rum", "ro", "Romanian"), ("rus", "ru", "Russian"),
    ("slk", "sk", "Slovak"), ("slo", "sk", "Slovak"), ("slv", "sl", "Slovenian"), ("spa", "es", "Spanish"),
    ("sqi", "sq", "Albanian"), ("alb", "sq", "Albanian"), ("srp", "sr", "Serbian"), ("swe", "sv", "Swedish"),
    ("tur", "tr", "Turkish"), ("ukr", "uk", "Ukrainian"), ("vie", "vi", "Vietnamese"),
];

/// The BCP 47 tag of a container's language. `None` if there is none or it is no tag: text from an upload must not reach a playlist
/// unchecked.
#[must_use]
pub fn tag(found: &str) -> Option<String> {
    let lower = found.to_ascii_lowercase();
    let part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let primary = lower.split('-').next().unwrap_or_default();
    let letters =
        (2..=3).contains(&primary.len()) && primary.bytes().all(|b| b.is_ascii_lowercase());
    if !letters || lower.len() > 35 || !lower.split('-').all(part) || primary == "und" {
        return None;
    }
    let short = LANGUAGES.iter().find(|(long, ..)| *long == primary);
    let short = short.map_or(primary, |(_, two, _)| *two);
    Some(format!("{short}{}", &found[primary.len()..]))
}

/// English name of a BCP 47 tag, such as `German` or `German (de-CH)`. The tag itself if the name is unknown.
#[must_use]
pub fn name(tag: &str) -> String {
    let primary = tag.split('-').next().unwrap_or_default();
    match LANGUAGES.iter().find(|(_, two, _)| *two == primary) {
        Some((.., name)) if primary == tag => (*name).to_owned(),
        Some((.., name)) => format!("{name} ({tag})"),
        None => tag.to_owned(),
    }
}

/// The terminological ISO 639-2 code of a container's language, as MP4 stores it. `None` if there is none or no such code is known here.
#[must_use]
pub fn iso_639_2(found: &str) -> Option<String> {
    let tag = tag(found)?;
    let primary = tag.split('-').next().unwrap_or_default();
    let known = LANGUAGES.iter().find(|(_, two, _)| *two == primary).map(|(long, ..)| *long);
    let code = known.unwrap_or(primary);
    (code.len() == 3).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_letters_become_two_where_there_are_two() {
        let pairs =
            [("eng", "en"), ("GER", "de"), ("de-CH", "de-CH"), ("haw", "haw"), ("pt", "pt")];
        for (found, expected) in pairs {
            assert_eq!(tag(found).as_deref(), Some(expected));
        }
    }

    #[test]
    fn mp4_has_the_terminological_code() {
        for (found, expected) in [
            ("ger", Some("deu")),
            ("deu", Some("deu")),
            ("de-CH", Some("deu")),
            ("zh", Some("zho")),
            ("haw", Some("haw")),
            ("xx", None),
            ("und", None),
        ] {
            assert_eq!(iso_639_2(found).as_deref(), expected, "{found}");
        }
    }

    #[test]
    fn a_language_has_a_name_and_a_region_is_told() {
        for (tag, expected) in [("de", "German"), ("pt-BR", "Portuguese (pt-BR)"), ("haw", "haw")] {
            assert_eq!(name(tag), expected);
        }
    }

    #[test]
    fn what_is_no_language_is_left_out() {
        for found in ["", "und", "x", "en\"\n#EXT-X-ENDLIST", "english", "en-", "日本"] {
            assert_eq!(tag(found), None, "{found}");
        }
    }
}
