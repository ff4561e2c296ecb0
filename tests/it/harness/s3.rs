//! A real S3 server within the test process: `s3s-fs` on loopback, over a temporary directory.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use jetreel::store::StoreOptions;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

const BUCKET: &str = "videos";
const ACCESS_KEY: &str = "test-key";
const SECRET_KEY: &str = "test-secret";

/// A running server; dropped, it is gone with all its objects.
pub(crate) struct S3Server {
    directory: tempfile::TempDir,
    endpoint: String,
    denied: Denied,
    gets: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

/// Part of a key to which access is denied.
type Denied = Arc<Mutex<Option<String>>>;

impl S3Server {
    /// Starts a server with one empty bucket.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join(BUCKET)).unwrap();
        let files = s3s_fs::FileSystem::new(directory.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let denied = Denied::default();
        let gets = Arc::<AtomicUsize>::default();
        let serving = serve(listener, builder.build(), denied.clone(), gets.clone());
        let serving = tokio::spawn(serving);
        Self { directory, endpoint, denied, gets, serving }
    }

    /// Copies the bucket, as a backup tool does, to another of this name.
    pub(crate) fn copy(&self, name: &str) {
        let (from, to) = (self.directory.path().join(BUCKET), self.directory.path().join(name));
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    }

    /// From now on every request for a key with this in it is denied.
    pub(crate) fn deny(&self, part: &str) {
        *self.denied.lock().unwrap() = Some(part.to_owned());
    }

    /// Requests for the bytes of an object so far.
    pub(crate) fn gets(&self) -> usize {
        self.gets.load(Ordering::SeqCst)
    }

    /// How to reach it.
    pub(crate) fn options(&self) -> StoreOptions {
        let mut options = StoreOptions::s3(BUCKET);
        options.endpoint = self.endpoint.clone();
        options.region = "us-east-1".to_owned();
        options.access_key = ACCESS_KEY.to_owned();
        options.secret_key = SECRET_KEY.to_owned();
        options
    }

    /// Goes away, with every connection.
    pub(crate) async fn stop(mut self) {
        self.serving.abort();
        assert!((&mut self.serving).await.is_err_and(|error| error.is_cancelled()));
    }

    /// Names of everything the server keeps beside whole objects, such as parts of unfinished uploads.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(".part-") || name.starts_with(".upload-")).collect()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, service: S3Service, denied: Denied, gets: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (service, denied, gets) = (service.clone(), denied.clone(), gets.clone());
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                gets.fetch_add(usize::from(request.method() == Method::GET), Ordering::SeqCst);
                let part = denied.lock().unwrap().clone();
                let refused = part.is_some_and(|part| request.uri().path().contains(&part));
                let service = service.clone();
                let answered = (!refused)
                    .then_some(async move { service.call(request.map(s3s::Body::from)).await });
                async move {
                    let Some(answered) = answered else {
                        let mut answer = Response::new(s3s::Body::empty());
                        *answer.status_mut() = StatusCode::FORBIDDEN;
                        return Ok(answer);
                    };
                    answered.await
                }
            });
            let server = Builder::new(TokioExecutor::new());
            drop(server.serve_connection(TokioIo::new(socket), service).await);
        });
    }
}
