//! Links a local file into the store as the source of a video, without a copy. Only for the one-shot `transcode`.

use std::io;
use std::path::{Path, PathBuf};

use jetreel_domain::id::VideoId;
use jetreel_domain::order::state::Part;

/// Why a file cannot be linked into a store.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// The system refused.
    #[error("failed to link {} into the store", path.display())]
    System {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
}

/// Links the file at `path` into the `fs` store at `root` as the only raw part of `video`.
pub async fn link_source(root: &Path, video: &VideoId, path: &Path) -> Result<Part, LinkError> {
    let refused = |source| LinkError::System { path: path.to_owned(), source };
    let target = tokio::fs::canonicalize(path).await.map_err(refused)?;
    let facts = tokio::fs::metadata(&target).await.map_err(refused)?;
    if !facts.is_file() {
        return Err(LinkError::NotAFile(path.to_owned()));
    }
    let key = format!("raw/{video}/00000");
    let link = root.join(&key);
    if let Some(directory) = link.parent() {
        tokio::fs::create_dir_all(directory).await.map_err(refused)?;
    }
    tokio::fs::symlink(&target, &link).await.map_err(refused)?;
    Ok(Part { key, bytes: facts.len() })
}
