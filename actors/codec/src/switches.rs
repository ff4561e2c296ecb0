//! Switches for tests: each protection against an upload can be turned off, to show that the others suffice.
//!
//! Invariants: a release build has no switches. A node passes no environment on, so it cannot set them in a debug build either. The
//! greeting reports what is off.

/// Environment variable that names the protections to turn off.
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

/// Whether the allow-lists of formats, codecs and protocols are off, so that demuxers may open other files.
pub(crate) fn lists_off() -> bool {
    is_off("lists")
}

/// Whether the process keeps its rights.
pub(crate) fn confinement_off() -> bool {
    is_off("confinement")
}

/// Options that make demuxers follow the references of a file.
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

/// The protections that are off, for the greeting.
pub(crate) fn told() -> Vec<String> {
    let lists = lists_off().then(|| "the allow-lists are off".to_owned());
    let confinement = confinement_off().then(|| "confinement is off".to_owned());
    lists.into_iter().chain(confinement).collect()
}
