//! Output of a finished order: playlists and manifest, and the checks before they are written.

pub mod assembly;
pub mod verify;
pub mod bitrate;
pub mod language;
pub mod playlist;
pub mod price;
pub mod manifest;
pub mod cost;
pub mod losses;
