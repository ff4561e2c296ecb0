//! The command line for a user who has not read the documentation: what it refuses, and its messages.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod capacity;
mod simulate;
mod transcode;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::clips::{jetreel, path};

/// Output and exit code of a command.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the product in a folder to its end.
pub(crate) fn said(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(jetreel());
    command.args(arguments).env("PATH", path()).current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn a_server_that_is_not_jetreel_is_called_one_and_its_address_needs_no_scheme() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("clip.mp4"), "no video").unwrap();
    for head in ["404 Not Found", "200 OK"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            let body = "<html>Hello</html>";
            let length = body.len();
            write!(stream, "HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        });
        let Said { code, err, .. } = said(folder.path(), &["status", "x", "--url", &address]);
        answering.join().unwrap();
        assert_eq!(code, Some(6), "{err}");
        assert!(err.contains("no Jetreel server") && err.contains("--url"), "{err}");
    }
}

#[test]
fn a_mistake_in_the_command_line_is_named_with_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("clips")).unwrap();
    std::fs::write(folder.path().join("clip.mp4"), "no video").unwrap();
    std::fs::write(folder.path().join("empty.mp4"), "").unwrap();
    let tiers = ["transcode", "clip.mp4", "--out", "out", "--tiers", "240p, 144p"];
    let codec = ["transcode", "clip.mp4", "--out", "out", "--set", "codec.path=/bin/false"];
    for (words, code, named) in [
        (&codec[..], 1, &["/bin/false", "codec.path"][..]),
        // The path stays as the person wrote it.
        (&["submit", "clips"], 1, &["path clips is a folder", "video file"]),
        (&["submit", "empty.mp4"], 2, &["The file is empty.", "[empty]"]),
        (&tiers, 2, &["\"144p\"", "240p, 360p, 480p", "--tiers"]),
        (&["dev", "--data", "clip.mp4/x"], 1, &["clip.mp4/x/media", "--data", "ot a directory"]),
        (&["streams", "plan"], 6, &["--data", "nats.url"]),
        (&["config", "check", "absent.toml"], 1, &["absent.toml"]),
        (&["dev", "--listen", "nowhere"], 2, &["--listen", "127.0.0.1:8080"]),
    ] {
        let Said { code: found, err, .. } = said(folder.path(), words);
        assert_eq!(found, Some(code), "{words:?}: {err}");
        assert!(named.iter().all(|name| err.contains(name)), "{words:?}: {err}");
    }
}
