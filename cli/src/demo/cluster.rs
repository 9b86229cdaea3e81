//! One Peerway with its services and proxies.

use super::envoy::Envoy;
use super::stage::{Process, Stage, free_port, wait_for};
use crate::client::Client;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How long a process may take to become ready.
const READY: Duration = Duration::from_secs(20);

/// One running cluster.
pub struct Cluster {
    /// Its datacenter.
    pub name: String,
    /// Where its HTTP API listens.
    pub http: SocketAddr,
    /// Where its peering endpoint listens.
    pub tls: SocketAddr,
    /// Where it answers names.
    pub dns: SocketAddr,
    /// Its process.
    pub process: Process,
    stage: Stage,
    config: String,
}

impl Cluster {
    /// Starts a server with ports of its own and a data folder on the stage, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(stage: &Stage, name: &str) -> Result<Self> {
        Cluster::start_with(stage, name, "")
    }

    /// The same with further settings, as HCL.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start_with(stage: &Stage, name: &str, settings: &str) -> Result<Self> {
        let (http, grpc, tls, dns) = (free_port()?, free_port()?, free_port()?, free_port()?);
        let data = stage.dir().join(format!("{name}-data"));
        let config = format!(
            "datacenter = {name:?}\nnode_name  = \"{name}-1\"\ndata_dir   = {:?}\n\nports {{\n  http     = {http}\n  grpc     = {grpc}\n  grpc_tls = {tls}\n  dns      = {dns}\n}}\n{settings}\n",
            data.display().to_string()
        );
        let config = stage.write(&format!("{name}.hcl"), &config)?;
        let process = Self::spawn(stage, name, &config)?;
        let cluster = Cluster {
            name: name.to_owned(),
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, http)),
            tls: SocketAddr::from((Ipv4Addr::LOCALHOST, tls)),
            dns: SocketAddr::from((Ipv4Addr::LOCALHOST, dns)),
            process,
            stage: stage.clone(),
            config,
        };
        cluster.wait_ready()?;
        Ok(cluster)
    }

    /// Starts the server again after it was killed, with the same settings and data.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn restart(&mut self) -> Result<()> {
        self.process = Self::spawn(&self.stage, &self.name, &self.config)?;
        self.wait_ready()
    }

    fn spawn(stage: &Stage, name: &str, config: &str) -> Result<Process> {
        stage.start(
            name,
            &["server".to_owned(), "-config-file".to_owned(), config.to_owned()],
        )
    }

    fn wait_ready(&self) -> Result<()> {
        wait_for("the server to be ready", READY, || {
            if !self.process.is_running() {
                bail!("it has ended");
            }
            self.api()?.get("/ready")?.ok().map(|_| ())
        })
        .with_context(|| format!("cluster {}:\n{}", self.name, self.process.tail(10)))
    }

    /// A client of its HTTP API.
    ///
    /// # Errors
    /// Never for an address of ours.
    pub fn api(&self) -> Result<Client> {
        Client::new(&self.http.to_string())
    }

    /// GET as JSON.
    ///
    /// # Errors
    /// When the answer is not 2xx or not JSON.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.api()?.get(path)?.json()
    }

    /// Runs a client command against this cluster; its output.
    ///
    /// # Errors
    /// When the command fails, with what it said.
    pub fn cli(&self, args: &[&str]) -> Result<String> {
        let http = format!("-http-addr={}", self.http);
        // Client flags go behind the subcommand and before its arguments.
        let depth = if args.first() == Some(&"connect") { 3 } else { 2 };
        let split = args.len().min(depth);
        let mut all: Vec<&str> = args.iter().take(split).copied().collect();
        all.push(&http);
        all.extend(args.iter().skip(split));
        self.stage.run(&all)
    }

    /// Writes `text` as `file` on the stage and registers the services in it.
    ///
    /// # Errors
    /// When the file is refused.
    pub fn register(&self, file: &str, text: &str) -> Result<String> {
        let path = self.stage.write(file, text)?;
        self.cli(&["services", "register", &path])
    }

    /// Writes `text` as `file` on the stage and writes the config entry in it.
    ///
    /// # Errors
    /// When the entry is refused.
    pub fn write_config(&self, file: &str, text: &str) -> Result<String> {
        let path = self.stage.write(file, text)?;
        self.cli(&["config", "write", &path])
    }

    /// Runs the Envoy of a registered proxy, chosen by `which` (`-sidecar-for=ID` or `-gateway=mesh`).
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn envoy(&self, name: &str, which: &str) -> Result<Envoy> {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let args = [
            "connect".to_owned(),
            "envoy".to_owned(),
            format!("-http-addr={}", self.http),
            which.to_owned(),
            format!("-admin-bind={admin}"),
            format!("-envoy-binary={}", self.stage.envoy().display()),
            "--".to_owned(),
            "--concurrency".to_owned(),
            "1".to_owned(),
        ];
        let envoy = Envoy {
            process: self.stage.start(name, &args)?,
            admin,
        };
        self.stage.watch(&envoy);
        Ok(envoy)
    }

    /// State of a peering, `None` when there is none of this name.
    ///
    /// # Errors
    /// When the API does not answer.
    pub fn peering_state(&self, name: &str) -> Result<Option<String>> {
        let answer = self.api()?.get(&format!("/v1/peering/{name}"))?;
        if answer.status == 404 {
            return Ok(None);
        }
        Ok(answer.json()?["State"].as_str().map(str::to_owned))
    }

    /// Waits until a peering is in `state`.
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub fn wait_peering(&self, name: &str, state: &str, limit: Duration) -> Result<()> {
        wait_for(
            &format!("peering {name} in {} to be {state}", self.name),
            limit,
            || match self.peering_state(name)? {
                Some(now) if now == state => Ok(()),
                now => bail!("it is {}", now.unwrap_or_else(|| "gone".to_owned())),
            },
        )
    }

    /// How many instances of a service a peer exports, as this cluster's catalog says.
    ///
    /// # Errors
    /// When the API does not answer.
    pub fn imported(&self, service: &str, peer: &str) -> Result<usize> {
        let found = self.get(&format!("/v1/health/service/{service}?peer={peer}"))?;
        Ok(found.as_array().map_or(0, Vec::len))
    }

    /// The value of a metric without labels, or the sum over all its labels.
    ///
    /// # Errors
    /// When the API does not answer.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let text = self.api()?.get("/metrics")?.ok()?.body;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let is_it = rest.starts_with(' ') || rest.starts_with('{');
            if is_it {
                rest.rsplit(' ').next()?.parse::<f64>().ok()
            } else {
                None
            }
        });
        Ok(values.sum())
    }
}
