//! Traps: a file that nothing may read, and a server that nothing may call.

use std::fs::{File, FileTimes};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// Words that must appear nowhere.
const SECRET: &str = "canary-5d0c1f7e9a2b4c68";

/// The file and the server.
pub(crate) struct Canary {
    place: TempDir,
    port: u16,
    calls: Arc<AtomicUsize>,
}

impl Canary {
    /// Sets both up.
    pub(crate) fn new() -> Self {
        let place = TempDir::new().expect("a temporary folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        std::thread::spawn(move || {
            for _call in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        });
        let canary = Self { place, port, calls };
        for file in [canary.file(), canary.neighbour(), canary.control()] {
            std::fs::write(&file, SECRET).expect("written");
            rewind(&file);
        }
        canary
    }

    /// The file that crafted media point at.
    pub(crate) fn file(&self) -> PathBuf {
        self.place.path().join("secret.txt")
    }

    /// The other tenant's media that they point at.
    fn neighbour(&self) -> PathBuf {
        self.place.path().join("secret.txt.mp4")
    }

    fn control(&self) -> PathBuf {
        self.place.path().join("control.txt")
    }

    /// The address that they point at.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/canary", self.port)
    }

    /// Touched traps, and whether this file system shows reads at all.
    pub(crate) fn touched(&self) -> (Vec<String>, bool) {
        let mut found = Vec::new();
        let calls = self.calls.load(Ordering::SeqCst);
        if calls > 0 {
            found.push(format!("the canary server was called {calls} times"));
        }
        for file in [self.file(), self.neighbour()] {
            if was_read(&file) {
                found.push(format!("{} was read", file.display()));
            }
        }
        let _text = std::fs::read_to_string(self.control());
        (found, was_read(&self.control()))
    }
}

/// An access time long before the last change: the next read moves it.
fn rewind(file: &Path) {
    let long_ago = SystemTime::now() - Duration::from_secs(7 * 86_400);
    let times = FileTimes::new().set_accessed(long_ago);
    File::options().write(true).open(file).and_then(|f| f.set_times(times)).expect("times set");
}

fn was_read(file: &Path) -> bool {
    let meta = std::fs::metadata(file).expect("it is there");
    let (read, changed) = (meta.accessed().expect("a time"), meta.modified().expect("a time"));
    read + Duration::from_secs(86_400) > changed
}

/// Files below `folder` that hold the secret.
pub(crate) fn leaks(folder: &Path) -> Vec<String> {
    let names = crate::clips::below(folder).into_iter();
    names.filter(|name| holds_secret(&folder.join(name))).collect()
}

fn holds_secret(file: &Path) -> bool {
    let bytes = std::fs::read(file).unwrap_or_default();
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

#[test]
fn the_canary_sings() {
    let canary = Canary::new();
    let (quiet, visible) = canary.touched();
    assert!(quiet.is_empty(), "{quiet:?}");
    std::fs::copy(canary.file(), canary.place.path().join("copy")).expect("copied");
    let address = canary.url().replace("http://", "").replace("/canary", "");
    let before = std::time::Instant::now();
    std::net::TcpStream::connect(address).expect("the server listens");
    while canary.calls.load(Ordering::SeqCst) == 0 && before.elapsed() < Duration::from_secs(5) {
        std::thread::yield_now();
    }
    let (loud, _) = canary.touched();
    assert_eq!(loud.len(), 1 + usize::from(visible), "{loud:?}");
    assert!(leaks(canary.place.path()).contains(&"copy".to_owned()));
}
