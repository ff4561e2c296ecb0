//! Language tags: containers write ISO 639-2, playlists want BCP 47, which takes the two-letter code where there is one.

/// ISO 639-2 codes (terminological and bibliographic) of the languages with most speakers and the official ones of Europe.
#[rustfmt::skip]
const SHORT: [(&str, &str); 56] = [
    ("ara", "ar"), ("ben", "bn"), ("bul", "bg"), ("cat", "ca"), ("ces", "cs"), ("cze", "cs"),
    ("chi", "zh"), ("zho", "zh"), ("cym", "cy"), ("wel", "cy"), ("dan", "da"), ("deu", "de"),
    ("ger", "de"), ("ell", "el"), ("gre", "el"), ("eng", "en"), ("est", "et"), ("eus", "eu"),
    ("baq", "eu"), ("fas", "fa"), ("per", "fa"), ("fin", "fi"), ("fra", "fr"), ("fre", "fr"),
    ("gle", "ga"), ("heb", "he"), ("hin", "hi"), ("hrv", "hr"), ("hun", "hu"), ("ind", "id"),
    ("isl", "is"), ("ice", "is"), ("ita", "it"), ("jpn", "ja"), ("kor", "ko"), ("lav", "lv"),
    ("lit", "lt"), ("msa", "ms"), ("may", "ms"), ("mlt", "mt"), ("nld", "nl"), ("dut", "nl"),
    ("nor", "no"), ("pol", "pl"), ("por", "pt"), ("ron", "ro"), ("rum", "ro"), ("rus", "ru"),
    ("slk", "sk"), ("slo", "sk"), ("slv", "sl"), ("spa", "es"), ("swe", "sv"), ("tur", "tr"),
    ("ukr", "uk"), ("vie", "vi"),
];

/// The BCP 47 tag of a language as a container names it. `None` where it names none, or nothing that is a tag: the text comes
/// from an upload and must not reach a playlist unchecked.
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
    let short = SHORT.iter().find(|(long, _)| *long == primary).map_or(primary, |(_, two)| *two);
    Some(format!("{short}{}", &found[primary.len()..]))
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
    fn what_is_no_language_is_left_out() {
        for found in ["", "und", "x", "en\"\n#EXT-X-ENDLIST", "english", "en-", "日本"] {
            assert_eq!(tag(found), None, "{found}");
        }
    }
}
