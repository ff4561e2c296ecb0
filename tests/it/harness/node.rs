//! A `jetreel node` as a separate process, and its codec processes: to be called, frozen and killed.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use jetreel_domain::id::{OrderId, VideoId};
use reqwest::{Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::oneshot;

use super::eventually::eventually;
use crate::clips::jetreel;

/// Prefix of the line that a node prints once it answers.
const LISTENING: &str = "listening on ";
/// Line that a node without a gateway prints once it works.
const RUNNING: &str = "the node runs without a gateway";

/// A running node; killed when dropped.
pub(crate) struct Node {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
    client: reqwest::Client,
}

impl Node {
    /// Starts a node with these settings, and waits until it works.
    pub(crate) async fn start(folder: &Path, settings: &[(String, String)]) -> Self {
        Self::start_as(Command::new(jetreel()), folder, settings).await
    }

    /// The same, where a process may have this many descriptors.
    pub(crate) async fn start_within(
        descriptors: u64,
        folder: &Path,
        settings: &[(String, String)],
    ) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors} && exec \"$@\""), "sh"]);
        command.arg(jetreel());
        Self::start_as(command, folder, settings).await
    }

    async fn start_as(mut command: Command, folder: &Path, settings: &[(String, String)]) -> Self {
        command.arg("node").current_dir(folder).envs(settings.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let errors = child.stderr.take().unwrap();
        let log = Arc::<Mutex<String>>::default();
        let (tell, told) = oneshot::channel();
        let (mut tell, kept) = (Some(tell), log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let address = line.strip_prefix(LISTENING).or_else(|| line.strip_prefix(RUNNING));
                if let Some((address, tell)) = address.and_then(|a| Some((a, tell.take()?))) {
                    drop(tell.send(address.trim_end_matches('/').to_owned()));
                }
                kept.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        // The sender goes with the thread, and the thread with the process.
        let Ok(address) = told.await else { panic!("no node: {}", log.lock().unwrap()) };
        Self { child, address, log, client: reqwest::Client::new() }
    }

    /// Its log.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has logged a line with this in it.
    pub(crate) async fn logs(&self, text: &str) {
        eventually(text, || self.log().contains(text)).await;
    }

    /// Stops it in the middle of whatever it does, as a machine that hangs.
    pub(crate) fn stop(&self) {
        assert!(send(self.pid().cast_signed(), Signal::STOP));
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        assert!(send(self.pid().cast_signed(), Signal::CONT));
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Host and port that it listens on.
    pub(crate) fn authority(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// GET of what must be there, whole.
    pub(crate) async fn bytes(&self, path: &str) -> Vec<u8> {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}: {}", self.log());
        answer.bytes().await.unwrap().to_vec()
    }

    /// GET of a range.
    pub(crate) async fn range(&self, path: &str, range: &str) -> Response {
        let asked = self.client.get(self.url(path)).header("range", range);
        asked.send().await.unwrap()
    }

    /// GET of a document.
    pub(crate) async fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.bytes(path).await).unwrap()
    }

    /// POST without a body.
    pub(crate) async fn command(&self, path: &str) -> Response {
        self.client.post(self.url(path)).send().await.unwrap()
    }

    /// DELETE of a video.
    pub(crate) async fn delete(&self, video: &VideoId) -> Response {
        self.client.delete(self.url(&format!("/v1/videos/{video}"))).send().await.unwrap()
    }

    /// Tells it to stop, as an operator or an orchestrator does.
    pub(crate) fn terminate(&self) {
        assert!(send(i32::try_from(self.child.id()).unwrap(), Signal::TERM));
    }

    /// Its exit code, once it has ended by itself.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut ended = None;
        eventually("the node ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        })
        .await;
        ended.unwrap().code()
    }

    /// POST of bytes to `/v1/videos`.
    pub(crate) async fn post(&self, bytes: Vec<u8>) -> Response {
        let asked = self.client.post(self.url("/v1/videos?title=test"));
        asked.header("content-type", "video/mp4").body(bytes).send().await.unwrap()
    }

    /// Uploads a file that is taken.
    pub(crate) async fn submit(&self, file: &Path) -> OrderId {
        self.taken(self.post(std::fs::read(file).unwrap()).await)
    }

    /// The same, for an owner whose name needs no escape.
    pub(crate) async fn submit_for(&self, file: &Path, owner: &str) -> OrderId {
        let asked = self.client.post(self.url(&format!("/v1/videos?owner={owner}")));
        self.taken(asked.body(std::fs::read(file).unwrap()).send().await.unwrap())
    }

    fn taken(&self, answer: Response) -> OrderId {
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{}", self.log());
        let job = answer.headers()["location"].to_str().unwrap().to_owned();
        job.strip_prefix("/v1/jobs/").unwrap().parse().unwrap()
    }

    /// Ends the node as a power switch would, its codec processes with it.
    pub(crate) fn kill(&mut self) {
        let codecs = self.codecs();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        for pid in codecs {
            send(pid, Signal::KILL);
        }
    }

    /// Number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ids of its running codec processes. One that is not confined yet has no task.
    pub(crate) fn codecs(&self) -> Vec<i32> {
        let all = self.codecs_of("jetreel-codec");
        all.into_iter().filter(|pid| is_confined(pid.cast_unsigned())).collect()
    }

    /// The same, of a program of that name.
    pub(crate) fn codecs_of(&self, name: &str) -> Vec<i32> {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| {
            stat(*pid)
                .is_some_and(|stat| stat.name.starts_with(name) && stat.parent == self.child.id())
        })
        .collect()
    }

    /// Stops a codec process in the middle of its work, as soon as there is one.
    pub(crate) async fn freeze_codec(&self) -> Frozen {
        let mut frozen = None;
        eventually("a codec process is at work", || {
            let mut stopped = self.codecs().into_iter().filter(|pid| send(*pid, Signal::STOP));
            frozen = stopped.next().map(|pid| Frozen { pid });
            frozen.is_some()
        })
        .await;
        let frozen = frozen.unwrap();
        // One that has ended meanwhile cannot be stopped any more.
        let there = || matches!(frozen.state(), Some('T') | None | Some('Z' | 'X'));
        eventually("the codec process stands still", there).await;
        frozen.must_hold();
        frozen
    }
}

impl Drop for Node {
    #[expect(clippy::print_stdout, reason = "what a test that fails needs to be understood")]
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("--- log of the node at {}\n{}", self.address, self.log());
        }
    }
}

/// A frozen codec process. It continues when this is dropped.
pub(crate) struct Frozen {
    pid: i32,
}

impl Frozen {
    /// Fails where the process is not there any more: its task was over too soon for the test to mean something.
    pub(crate) fn must_hold(&self) {
        assert_eq!(self.state(), Some('T'), "the codec process was no longer in the middle of it");
    }

    /// Kills it.
    pub(crate) fn kill(self) {
        assert!(send(self.pid, Signal::KILL));
    }

    fn state(&self) -> Option<char> {
        stat(self.pid).map(|stat| stat.state)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        send(self.pid, Signal::CONT);
    }
}

fn send(pid: i32, signal: Signal) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
}

struct Stat {
    name: String,
    state: char,
    parent: u32,
}

/// A line of `/proc/<pid>/stat`: number, name in brackets, state, parent.
fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    Some(Stat {
        name: head.split_once('(')?.1.to_owned(),
        state: fields.next()?.chars().next()?,
        parent: fields.next()?.parse().ok()?,
    })
}

/// Whether a process has dropped its rights: a filter of system calls is in force.
pub(crate) fn is_confined(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line == "Seccomp:\t2")
}
