//! A codec that works like the real one, except on poisoned work, and optionally with another build or with chunks that do not fit.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::path::{Path, PathBuf};

use super::fake_codec::fixture;
use crate::clips::jetreel;

/// The codec, in a folder with what arms it.
pub(crate) struct Poison {
    folder: PathBuf,
}

impl Poison {
    /// A codec that is not armed.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::at(folder.join("poison"))
    }

    /// A codec that is not armed and says that it is of this build.
    pub(crate) fn of_build(folder: &Path, build: &str) -> Self {
        let codec = Self::at(folder.join(build));
        std::fs::write(codec.folder.join("build"), build).unwrap();
        codec
    }

    /// A codec whose chunks do not fit together.
    pub(crate) fn bent(folder: &Path) -> Self {
        let codec = Self::new(folder);
        std::fs::write(codec.folder.join("bent"), "").unwrap();
        codec
    }

    fn at(folder: PathBuf) -> Self {
        std::fs::create_dir(&folder).unwrap();
        let link = |to: PathBuf, name| std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
        link(fixture("poison_codec"), "codec");
        link(jetreel().with_file_name("jetreel-codec"), "real");
        Self { folder }
    }

    /// The program.
    pub(crate) fn codec(&self) -> String {
        self.folder.join("codec").to_str().unwrap().to_owned()
    }

    /// From now on it dies of every job whose description contains these words.
    pub(crate) fn arm(&self, words: &str) {
        std::fs::write(self.folder.join("armed"), words).unwrap();
    }

    /// From now on it dies of nothing.
    pub(crate) fn disarm(&self) {
        std::fs::remove_file(self.folder.join("armed")).unwrap();
    }
}
