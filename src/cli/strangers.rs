//! Finds files in the folder of a result that Jetreel did not make. They are replaced only with `--force`.
//!
//! The manifest of an earlier result names its files. Every other file counts as foreign.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jetreel_domain::plan::thumbnails;

use super::export;
use crate::settings::Settings;

/// Folder of media objects in the folder of a result.
const OBJECTS: &str = "o";
/// Most foreign files that a message names.
const NAMED_MAX: usize = 3;

/// The folder of a result, and whether foreign files in it may be replaced.
pub(super) struct Strangers {
    folder: PathBuf,
    force: bool,
}

impl Strangers {
    /// For `folder`, which need not exist.
    pub(super) fn new(folder: &Path, force: bool) -> Self {
        Self { folder: folder.to_owned(), force }
    }

    /// Fails if a result would replace foreign files. `made` tells whether the result has an entry of that name.
    ///
    /// # Errors
    /// There is such a file. The message names it and says what to do.
    pub(super) fn refuse(&self, made: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        if self.force || !self.folder.is_dir() {
            return Ok(());
        }
        let unreadable = || format!("cannot read the folder {}", self.folder.display());
        let found = find(&self.folder, made).with_context(unreadable)?;
        anyhow::ensure!(found.is_empty(), "{}", message(&self.folder, &found));
        Ok(())
    }
}

/// Tells whether a result made with these settings may have a file of that name at the top of its folder.
pub(super) fn names(settings: &Settings) -> impl Fn(&str) -> bool + use<> {
    let plan = settings.plan_policy();
    let ladder = plan.ladder.iter().map(|rung| rung.name.clone());
    let all = plan.tiers.is_none();
    let tiers: Vec<String> = plan.tiers.unwrap_or_else(|| ladder.collect());
    let smallest = plan.ladder.iter().map(|rung| rung.short_side).min().unwrap_or(0);
    let (package, images) = (plan.package, plan.images);
    move |name| {
        // A source below the ladder has a tier of its own size.
        let lines = |name: &str| name.strip_suffix('p').and_then(|lines| lines.parse().ok());
        let small = |name: &str| all && lines(name).is_some_and(|lines: u32| lines < smallest);
        let tier = |name: &str| tiers.iter().any(|tier| tier == name) || small(name);
        let rendition = |name: &str| tier(name) || name.starts_with("audio-");
        let init = |name: &str| name.strip_prefix("init-").is_some_and(rendition);
        let file = |name: &str| init(name) || (package && tier(name));
        let picture = [thumbnails::POSTER, thumbnails::INDEX].contains(&name)
            || thumbnails::is_sheet_name(name);
        [export::MANIFEST, "master.m3u8", OBJECTS].contains(&name)
            || name.strip_suffix(".m3u8").is_some_and(rendition)
            || name.strip_suffix(".mp4").is_some_and(file)
            || (images && picture)
    }
}

/// Foreign files that a result would replace, ordered by name.
fn find(folder: &Path, made: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
    let earlier = export::earlier(folder);
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !made(&name) {
            continue;
        }
        if name == OBJECTS && entry.file_type()?.is_dir() {
            // The whole folder is replaced.
            files(&entry.path(), &name, &mut |file| {
                if !earlier.contains(&file) {
                    found.insert(file);
                }
            })?;
        } else if !earlier.contains(&name) {
            found.insert(name);
        }
    }
    Ok(found.into_iter().collect())
}

/// Calls `each` with the path of every file below a folder, which is called `name`.
fn files(folder: &Path, name: &str, each: &mut impl FnMut(String)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            files(&entry.path(), &name, each)?;
        } else {
            each(name);
        }
    }
    Ok(())
}

fn message(folder: &Path, found: &[String]) -> String {
    let named = found[..found.len().min(NAMED_MAX)].join(", ");
    let more = match found.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "the result could replace files in {} that Jetreel did not make: {named}{more}; choose another --out, or replace them with --force",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    fn settings(overrides: &[(&str, &str)]) -> Settings {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let overrides = overrides.iter().map(own).collect();
        let sources = Sources { overrides, no_usual_places: true, ..Sources::default() };
        Settings::load(&sources).unwrap()
    }

    #[test]
    fn a_name_that_a_result_has_is_known() {
        let made = names(&settings(&[]));
        for name in [
            "manifest.json",
            "master.m3u8",
            "240p.m3u8",
            "init-240p.mp4",
            "240p.mp4",
            "audio-0.m3u8",
            "init-audio-0.mp4",
            "poster.jpg",
            "thumbnails.vtt",
            "sprite-012.jpg",
            "180p.mp4",
            "o",
        ] {
            assert!(made(name), "{name}");
        }
        for name in ["holiday.mp4", "241p.mp4", "sprite-x.jpg", "notes.txt", "init-x.mp4"] {
            assert!(!made(name), "{name}");
        }
        let few = names(&settings(&[("plan.package", "false"), ("plan.images", "false")]));
        assert!(!few("240p.mp4") && !few("poster.jpg") && few("init-240p.mp4"));
    }

    #[test]
    fn a_strangers_file_is_named_and_a_file_beside_the_result_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let made = names(&settings(&[]));
        let refused = |force| Strangers::new(folder.path(), force).refuse(&made);
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        assert!(refused(false).is_ok());
        fs::create_dir(folder.path().join("o")).unwrap();
        assert!(refused(false).is_ok(), "an empty folder holds nothing");
        fs::write(folder.path().join("o/mine"), "mine").unwrap();
        fs::write(folder.path().join("240p.mp4"), "mine").unwrap();
        // A file that is no manifest of Jetreel names no files of Jetreel.
        fs::write(folder.path().join("manifest.json"), "{}").unwrap();
        let text = refused(false).unwrap_err().to_string();
        assert!(text.contains("240p.mp4, manifest.json, o/mine;"), "{text}");
        assert!(text.contains("--force") && text.contains("--out"), "{text}");
        assert!(refused(true).is_ok());
    }

    #[test]
    fn a_folder_that_is_not_there_holds_nobodys_files() {
        let folder = tempfile::tempdir().unwrap();
        let absent = Strangers::new(&folder.path().join("a/b"), false);
        assert!(absent.refuse(|_| true).is_ok());
    }
}
