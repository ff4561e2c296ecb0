//! A separate node for a test: `jetreel dev` in a temporary folder on a free port, with a few HTTP calls.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::clips::{jetreel, path};

const GONE_WITHIN: Duration = Duration::from_secs(30);
/// The node is another process behind plain HTTP: it has no event to await, so it is asked again until a deadline.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A running node; it is stopped when dropped.
pub(crate) struct Node {
    child: Child,
    port: u16,
    place: TempDir,
}

/// Answer of the node.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status code.
    pub(crate) status: u16,
    /// Header lines.
    head: String,
    /// Body.
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// A header's value; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }
}

impl Node {
    /// Starts a node with these settings (environment variables), and waits until it answers.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let place = TempDir::new().expect("a temporary folder");
        let log = File::create(place.path().join("node.log")).expect("a log file");
        let mut command = Command::new(jetreel());
        command.arg("dev").current_dir(place.path()).env("PATH", path());
        command.envs(settings.iter().copied());
        // Any free port: the node says which it got, on its first line.
        command.env("JETREEL__HTTP__LISTEN", "127.0.0.1:0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the product can be started");
        let output = child.stdout.take().expect("its output");
        let mut node = Self { child, port: 0, place };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a line");
        let port = line.trim().trim_end_matches('/').rsplit_once(':');
        node.port = port.and_then(|(_, port)| port.parse().ok()).unwrap_or_else(|| {
            panic!("the node ended: {}", node.log());
        });
        node
    }

    /// Everything that it writes is below this folder.
    pub(crate) fn folder(&self) -> &Path {
        self.place.path()
    }

    /// Its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Path of its log.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.place.path().join("node.log")
    }

    /// Whether the process is there.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// GET.
    pub(crate) fn get(&self, path: &str) -> std::io::Result<Answer> {
        self.ask(&format!("GET {path} HTTP/1.1"), &[])
    }

    /// Sends a file's bytes: the path of the job, or what was said against it.
    pub(crate) fn submit(&self, file: &Path) -> Result<String, String> {
        let bytes = std::fs::read(file).expect("a readable clip");
        let answer = self.ask("POST /v1/videos HTTP/1.1", &bytes).map_err(|e| e.to_string())?;
        match (answer.status, answer.header("location")) {
            (202, Some(job)) => Ok(job.to_owned()),
            (status, _) => Err(format!("{status} {}", answer.body)),
        }
    }

    /// Waits for a job's end: its document.
    pub(crate) fn ended(&self, job: &str, deadline: Instant) -> Result<Value, String> {
        loop {
            let document = self.get(job).map_err(|error| error.to_string())?.json();
            if matches!(document["status"].as_str(), Some("COMPLETED" | "FAILED" | "CANCELLED")) {
                return Ok(document);
            }
            if Instant::now() > deadline {
                return Err(format!("still at {document}"));
            }
            sleep(BETWEEN_LOOKS);
        }
    }

    fn ask(&self, first: &str, body: &[u8]) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let port = self.port;
        let length = body.len();
        write!(
            stream,
            "{first}\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n"
        )?;
        // A server that refuses early may close before all is sent. Its answer counts.
        let _sent = stream.write_all(body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + GONE_WITHIN;
        while self.is_alive() && Instant::now() < deadline {
            sleep(BETWEEN_LOOKS);
        }
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
