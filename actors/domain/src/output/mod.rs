//! What a finished order is read by: playlists and manifest, and the checks before they are written.

pub mod assembly;
pub mod verify;
pub mod bitrate;
pub mod language;
pub mod playlist;
pub mod manifest;
pub mod losses;
