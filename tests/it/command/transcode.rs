//! `transcode`: whose files it replaces.

use std::fs;

use tempfile::TempDir;

use super::said;
use crate::harness::media::{self, SHORT};

#[test]
fn a_strangers_file_is_replaced_only_by_force_and_an_earlier_result_as_it_is() {
    let Some(clip) = media::made(SHORT) else { return };
    let clip = clip.to_str().unwrap();
    let folder = TempDir::new().unwrap();
    let mine = folder.path().join("out/240p.mp4");
    fs::create_dir(folder.path().join("out")).unwrap();
    fs::write(&mine, "mine").unwrap();
    let words = ["transcode", clip, "--out", "out", "--tiers", "240p", "--preset", "ultrafast"];
    let refused = said(folder.path(), &words);
    assert_eq!(refused.code, Some(1), "{}{}", refused.out, refused.err);
    for named in ["240p.mp4", "--out", "--force"] {
        assert!(refused.err.contains(named), "{}", refused.err);
    }
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
    let forced = said(folder.path(), &[&words[..], &["--force"]].concat());
    assert_eq!(forced.code, Some(0), "{}", forced.err);
    assert!(fs::metadata(&mine).unwrap().len() > 100);
    // Now the manifest there names what is there.
    let again = said(folder.path(), &words);
    assert_eq!(again.code, Some(0), "{}", again.err);
}
