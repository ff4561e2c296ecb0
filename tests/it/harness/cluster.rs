//! Three nats-servers as one cluster, for elections and replicas.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use jetreel::bus::{Bus, BusOptions};

const SERVERS: usize = 3;

/// A running cluster; ended with the test.
pub(crate) struct Cluster {
    _folder: tempfile::TempDir,
    servers: Vec<Child>,
    urls: Vec<String>,
}

impl Cluster {
    /// Starts three empty servers. Clients wait for the election.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports(2 * SERVERS);
        let (client_ports, route_ports) = ports.split_at(SERVERS);
        let routes: Vec<String> =
            route_ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let spawn = |index: usize| {
            let config = format!(
                "server_name: n{index}\nlisten: \"127.0.0.1:{}\"\n\
                 jetstream {{ store_dir: {:?}, max_file_store: 16GB }}\n\
                 cluster {{ name: test, listen: \"127.0.0.1:{}\", routes: [{}] }}\n",
                client_ports[index],
                folder.path().join(format!("store-{index}")),
                route_ports[index],
                routes.join(", "),
            );
            let path = folder.path().join(format!("n{index}.conf"));
            std::fs::write(&path, config).unwrap();
            let log = std::fs::File::create(folder.path().join(format!("n{index}.log"))).unwrap();
            let mut command = Command::new("nats-server");
            command.arg("--config").arg(path).stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(log).spawn().expect("nats-server is on PATH")
        };
        let servers = (0..SERVERS).map(spawn).collect();
        let urls = client_ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        Self { _folder: folder, servers, urls }
    }

    /// A connection to any of them.
    pub(crate) async fn bus(&self) -> Arc<Bus> {
        Bus::connect(&BusOptions::new(self.urls.join(","), "test")).await.unwrap()
    }

    /// A plain client.
    pub(crate) async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.urls.as_slice()).await.unwrap()
    }

    /// Kills the server that leads a stream.
    pub(crate) async fn kill_leader_of(&mut self, stream: &str) {
        let context = async_nats::jetstream::new(self.client().await);
        let info = context.get_stream(stream).await.unwrap().cached_info().clone();
        let leader = info.cluster.unwrap().leader.unwrap();
        let index: usize = leader.trim_start_matches('n').parse().unwrap();
        self.servers[index].kill().unwrap();
        self.servers[index].wait().unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in &mut self.servers {
            drop(server.kill());
            drop(server.wait());
        }
    }
}

/// Ports that were free a moment ago, all different.
fn free_ports(count: usize) -> Vec<u16> {
    let bound: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    bound.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
