//! Exports a finished order as a folder of plain files that any web server can serve.
//!
//! Invariant: the folder appears complete or not at all. It is built beside its place and then renamed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jetreel_domain::order::ledger::Object;
use jetreel_domain::order::state::Published;
use jetreel_domain::output::manifest::Manifest;
use jetreel_domain::output::playlist;
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// File name of the manifest.
pub(super) const MANIFEST: &str = "manifest.json";

/// Prefix of the scratch folders.
const SCRATCH: &str = ".jetreel-";
/// File in a scratch folder that its process keeps locked as long as it lives.
const OWNER: &str = "owner";

/// The folder of the result, and the scratch folder beside it.
pub(super) struct Target {
    folder: PathBuf,
    scratch: TempDir,
    _owner: File,
}

impl Target {
    /// Creates the scratch folder on the file system of `folder`, which need not exist.
    pub(super) fn new(folder: &Path) -> anyhow::Result<Self> {
        let folder = std::path::absolute(folder)?;
        anyhow::ensure!(
            !folder.exists() || folder.is_dir(),
            "{} is not a folder; choose another --out",
            folder.display()
        );
        // The nearest existing folder above. A run without a result must leave no folder behind.
        let above = folder.ancestors().skip(1).find(|above| above.is_dir());
        let above = above.context("--out has no folder above it")?;
        clear_abandoned(above);
        let unusable = || format!("cannot write in {}; choose another --out", above.display());
        let scratch = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(above);
        let scratch = scratch.with_context(unusable)?;
        let _owner = own(scratch.path()).with_context(unusable)?;
        Ok(Self { folder, scratch, _owner })
    }

    /// Path of the scratch folder, with streams and objects of this run.
    pub(super) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Collects the files of an order and moves them into place. `root` is the store's folder.
    pub(super) fn fill(
        &self,
        root: &Path,
        files: &BTreeMap<String, String>,
    ) -> anyhow::Result<PathBuf> {
        let made = self.scratch.path().join("made");
        for (name, key) in files {
            let place = made.join(name);
            if let Some(folder) = place.parent() {
                fs::create_dir_all(folder)?;
            }
            take(&root.join(key), &place).with_context(|| format!("cannot write {name}"))?;
        }
        self.move_in(&made)
            .with_context(|| format!("cannot move the result to {}", self.folder.display()))?;
        Ok(self.folder.clone())
    }

    /// Removes the scratch folder and reports a failure. Dropping it removes the folder too, without a report.
    pub(super) fn remove(self) {
        let path = self.scratch.path().to_owned();
        if let Err(error) = self.scratch.close() {
            tracing::warn!(%error, path = %path.display(), "the scratch folder could not be removed");
        }
    }

    fn move_in(&self, made: &Path) -> io::Result<()> {
        if !self.folder.exists() {
            if let Some(above) = self.folder.parent() {
                fs::create_dir_all(above)?;
            }
            return fs::rename(made, &self.folder);
        }
        self.clear_earlier(made)?;
        for entry in fs::read_dir(made)? {
            let entry = entry?;
            let place = self.folder.join(entry.file_name());
            if place.is_dir() {
                fs::remove_dir_all(&place)?;
            }
            fs::rename(entry.path(), place)?;
        }
        Ok(())
    }

    /// Removes files of an earlier result that this one does not replace. The folder's manifest names them.
    fn clear_earlier(&self, made: &Path) -> io::Result<()> {
        let plain = |name: &&String| !name.contains('/') && !name.starts_with('.');
        let earlier = earlier(&self.folder);
        for name in earlier.iter().filter(plain).filter(|name| !made.join(name).exists()) {
            match fs::remove_file(self.folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Locks a scratch folder. The lock file appears only once it is locked.
fn own(scratch: &Path) -> io::Result<File> {
    let unlocked = scratch.join(format!("{OWNER}.new"));
    let file = File::create_new(&unlocked)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    fs::rename(unlocked, scratch.join(OWNER))?;
    Ok(file)
}

/// Removes the scratch folders of killed processes, whose locks are free.
fn clear_abandoned(above: &Path) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_scratch = entry.file_name().to_string_lossy().starts_with(SCRATCH);
        if is_scratch
            && let Ok(owner) = File::open(path.join(OWNER))
            && flock(&owner, FlockOperation::NonBlockingLockExclusive).is_ok()
            && let Err(error) = fs::remove_dir_all(&path)
        {
            tracing::warn!(%error, path = %path.display(), "the scratch folder of a killed run could not be removed");
        }
    }
}

/// Names of the files of an earlier result in the folder, from its manifest. Empty without a manifest of Jetreel.
pub(super) fn earlier(folder: &Path) -> BTreeSet<String> {
    let Ok(text) = fs::read(folder.join(MANIFEST)) else { return BTreeSet::new() };
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else { return BTreeSet::new() };
    listed(&manifest).into_keys().chain([MANIFEST.to_owned()]).collect()
}

/// Links a file if the file system supports it, else copies it.
fn take(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(|_| ()))
}

/// Files of a finished order: keys by name below the folder.
pub(super) fn files(manifest: &Manifest, published: &Published) -> BTreeMap<String, String> {
    let mut files = listed(manifest);
    files.insert(MANIFEST.to_owned(), published.manifest.key.clone());
    files
}

/// Files of a finished order without the manifest itself.
fn listed(manifest: &Manifest) -> BTreeMap<String, String> {
    let named = |object: &Object| {
        let name = object.key.rsplit('/').next().unwrap_or_default();
        (name.to_owned(), object.key.clone())
    };
    let addressed =
        |object: &Object| (playlist::object_uri(&manifest.video, object), object.key.clone());
    let tiers = manifest.tiers.iter();
    let progressive = tiers.clone().filter_map(|tier| {
        let object = tier.progressive.as_ref()?;
        Some((format!("{}.mp4", tier.name), object.key.clone()))
    });
    let segments = tiers.flat_map(|tier| &tier.objects);
    let segments = segments.chain(manifest.audio.iter().flat_map(|track| &track.objects));
    let pictures = manifest.images.iter().flat_map(|images| &images.files);
    let pictures = pictures.map(|(name, object)| (name.clone(), object.key.clone()));
    let playlists = manifest.files.iter().map(named);
    playlists.chain(segments.map(addressed)).chain(progressive).chain(pictures).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(root: &Path, key: &str) -> (String, String) {
        let path = root.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, key).unwrap();
        (key.to_owned(), key.to_owned())
    }

    #[test]
    fn a_target_that_is_not_filled_leaves_nothing_behind() {
        let above = tempfile::tempdir().unwrap();
        let target = Target::new(&above.path().join("a/b/out")).unwrap();
        assert!(target.scratch().is_dir());
        drop(target);
        assert_eq!(fs::read_dir(above.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_is_made_with_its_parents_and_an_existing_one_keeps_its_other_files() {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("store");
        let files = [stored(&root, "o/1/x.mp4"), stored(&root, "master.m3u8")].into();
        let out = above.path().join("a/out");
        for _ in 0..2 {
            let target = Target::new(&out).unwrap();
            assert_eq!(target.fill(&root, &files).unwrap(), out);
            assert_eq!(fs::read_to_string(out.join("o/1/x.mp4")).unwrap(), "o/1/x.mp4");
            fs::write(out.join("mine.txt"), "mine").unwrap();
        }
        assert!(out.join("mine.txt").exists());
        assert_eq!(fs::read_dir(&out).unwrap().count(), 3);
    }

    #[test]
    fn the_next_run_removes_the_scratch_of_one_that_was_killed_and_of_no_other() {
        let above = tempfile::tempdir().unwrap();
        let out = above.path().join("out");
        let killed = Target::new(&out).unwrap();
        // As after a kill: the folder stays, and the lock ends with the process.
        let left = killed.scratch.keep();
        drop(killed._owner);
        fs::create_dir(above.path().join(".jetreel-somebody-elses")).unwrap();
        let running = Target::new(&out).unwrap();
        assert!(!left.exists());
        let other = Target::new(&out).unwrap();
        assert!(running.scratch().join(OWNER).exists() && other.scratch() != running.scratch());
        drop((running, other));
        let names: Vec<_> =
            fs::read_dir(above.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [".jetreel-somebody-elses"]);
    }

    #[test]
    fn a_file_cannot_be_the_target() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Target::new(file.path()).err().unwrap().to_string();
        assert!(error.contains("--out"), "{error}");
    }
}
