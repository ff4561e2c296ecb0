//! Switches for tests: what keeps an upload from doing harm can be turned off one by one, to see that the rest holds alone.
//!
//! Invariants: a release build has none of them; a node passes no environment on, so it cannot turn them in a debug build
//! either; what is off is told in the greeting.

/// The environment variable that names what is off.
#[cfg(debug_assertions)]
const VARIABLE: &str = "JETREEL_CODEC_OFF";

#[cfg(debug_assertions)]
fn is_off(what: &str) -> bool {
    std::env::var(VARIABLE).is_ok_and(|words| words.split(',').any(|word| word == what))
}

#[cfg(not(debug_assertions))]
fn is_off(_: &str) -> bool {
    false
}

/// The lists of formats, codecs and protocols are off, and demuxers open what they like.
pub(crate) fn lists_off() -> bool {
    is_off("lists")
}

/// The process keeps its rights.
pub(crate) fn confinement_off() -> bool {
    is_off("confinement")
}

/// Options that make demuxers follow whatever a file refers to.
pub(crate) fn temptations() -> Vec<(&'static str, String)> {
    let all = "file,http,https,tcp,tls,udp,rtp,crypto,data,concat,subfile,cache,async,pipe";
    [
        ("protocol_whitelist", all),
        ("allowed_extensions", "ALL"),
        ("extension_picky", "0"),
        ("safe", "0"),
        ("enable_drefs", "1"),
        ("use_absolute_path", "1"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

/// What is off, for the greeting.
pub(crate) fn told() -> Vec<String> {
    let lists = lists_off().then(|| "the allow-lists are off".to_owned());
    let confinement = confinement_off().then(|| "confinement is off".to_owned());
    lists.into_iter().chain(confinement).collect()
}
