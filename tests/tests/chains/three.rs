//! Three clusters: `home`, whose `web` calls `api`, and its peers `east` and `west`, each with an `api` of its own. In
//! home nobody runs `api`: it is only a name, and entries say what it means.

use anyhow::{Result, bail};
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{Stage, free_port, wait_for};
use peerway_tests::TestStage;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// How long a state that must come may take.
pub(crate) const SETTLE: Duration = Duration::from_secs(40);

/// A peer of home.
#[allow(dead_code, reason = "not every test cuts one off")]
pub(crate) struct Exporter {
    pub(crate) cluster: Cluster,
    pub(crate) gateway: Envoy,
    /// Where its servers are dialled.
    servers: u16,
}

/// The clusters.
#[allow(dead_code, reason = "not every test looks at each")]
pub(crate) struct Three {
    test: TestStage,
    pub(crate) home: Cluster,
    /// The sidecar of `web`.
    pub(crate) web: Envoy,
    pub(crate) east: Exporter,
    pub(crate) west: Exporter,
    dials: u16,
}

/// What every service speaks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Speaks {
    #[default]
    Http,
    /// Bytes, as far as the mesh knows; the echoes speak HTTP all the same.
    #[allow(dead_code, reason = "not every test is about bytes")]
    Tcp,
}

impl Speaks {
    fn everywhere(self, cluster: &Cluster) -> Result<String> {
        let protocol = match self {
            Speaks::Http => "http",
            Speaks::Tcp => "tcp",
        };
        let defaults =
            format!("Kind = \"proxy-defaults\"\nName = \"global\"\nConfig {{ protocol = \"{protocol}\" }}");
        cluster.write_config(&format!("{}-defaults.hcl", cluster.name), &defaults)
    }
}

/// What is otherwise than usual.
#[derive(Default)]
pub(crate) struct Setup {
    /// More settings of home's server.
    pub(crate) home: String,
    /// What others see as the ports of west's gateway and of its servers, given the real ones.
    pub(crate) west: Option<Box<Seen>>,
    pub(crate) speaks: Speaks,
}

/// From the ports of a gateway and of a server to those that others dial.
pub(crate) type Seen = dyn FnOnce(u16, u16) -> (u16, u16);

fn exporter(stage: &Stage, name: &str, speaks: Speaks, seen: Option<Box<Seen>>) -> Result<Exporter> {
    let cluster = Cluster::start(stage, name)?;
    speaks.everywhere(&cluster)?;
    let (port, sidecar, gateway) = (free_port()?, free_port()?, free_port()?);
    let (wan, servers) = match seen {
        Some(seen) => seen(gateway, cluster.tls.port()),
        None => (gateway, cluster.tls.port()),
    };
    let echo = [
        "echo".to_owned(),
        format!("-listen=127.0.0.1:{port}"),
        format!("-name={name}"),
    ];
    stage.start(&format!("{name}-echo"), &echo)?;
    cluster.register(
        &format!("{name}-api.hcl"),
        &format!(
            "service {{\n name = \"api\"\n port = {port}\n address = \"127.0.0.1\"\n connect {{ sidecar_service {{ port = {sidecar} }} }}\n}}"
        ),
    )?;
    cluster.register(
        &format!("{name}-gateway.hcl"),
        &format!(
            "service {{\n kind = \"mesh-gateway\"\n name = \"mesh-gateway\"\n id = \"gateway\"\n address = \"127.0.0.1\"\n port = {gateway}\n tagged_addresses {{ wan = {{ address = \"127.0.0.1\" port = {wan} }} }}\n}}"
        ),
    )?;
    cluster.write_config(
        &format!("{name}-exports.hcl"),
        "Kind = \"exported-services\"\nName = \"default\"\nServices = [{ Name = \"*\" Consumers = [{ Peer = \"home\" }] }]",
    )?;
    cluster.write_config(
        &format!("{name}-intentions.hcl"),
        "Kind = \"service-intentions\"\nName = \"api\"\nSources = [{ Name = \"web\" Peer = \"home\" Action = \"allow\" }]",
    )?;
    let sidecar = cluster.envoy(&format!("{name}-api-sidecar"), "-sidecar-for=api")?;
    let gateway = cluster.envoy(&format!("{name}-gateway"), "-gateway=mesh")?;
    sidecar.wait_live(SETTLE)?;
    gateway.wait_live(SETTLE)?;
    Ok(Exporter {
        cluster,
        gateway,
        servers,
    })
}

impl Three {
    /// All three, peered; `web`'s sidecar runs.
    pub(crate) fn start(envoy: &str) -> Self {
        Three::start_with(envoy, Setup::default())
    }

    /// The same with something otherwise.
    pub(crate) fn start_with(envoy: &str, setup: Setup) -> Self {
        let test = TestStage::new(BINARY, envoy).unwrap();
        let stage = &test.stage;
        let home = Cluster::start_with(stage, "home", &setup.home).unwrap();
        setup.speaks.everywhere(&home).unwrap();
        let east = exporter(stage, "east", setup.speaks, None).unwrap();
        let west = exporter(stage, "west", setup.speaks, setup.west).unwrap();
        for exporter in [&east, &west] {
            let peer = &exporter.cluster;
            let address = format!("-server-external-addresses=127.0.0.1:{}", exporter.servers);
            let token = peer
                .cli(&["peering", "generate-token", "-name=home", &address])
                .unwrap();
            let name = format!("-name={}", peer.name);
            home.cli(&["peering", "establish", &name, "-peering-token", &token])
                .unwrap();
            home.wait_peering(&peer.name, "ACTIVE", SETTLE).unwrap();
        }
        let dials = free_port().unwrap();
        home.register(
            "web.hcl",
            &format!(
                "service {{\n name = \"web\"\n port = 1\n connect {{ sidecar_service {{\n  port = {}\n  proxy {{ upstreams = [{{ destination_name = \"api\" local_bind_port = {dials} }}] }}\n }} }}\n}}",
                free_port().unwrap()
            ),
        )
        .unwrap();
        let web = home.envoy("home-web-sidecar", "-sidecar-for=web").unwrap();
        web.wait_live(SETTLE).unwrap();
        Three {
            test,
            home,
            web,
            east,
            west,
            dials,
        }
    }

    /// Writes a config entry at home.
    pub(crate) fn says(&self, entry: &Value) {
        self.home.write_config("entry.json", &entry.to_string()).unwrap();
    }

    /// A connection of web's application to what it calls `api`.
    pub(crate) fn dial(&self) -> Caller {
        Caller::dial(self.dials).unwrap()
    }

    /// Waits until a call is answered by the `api` of `whom`; its answer.
    pub(crate) fn wait_answer(&self, whom: &str, request: &str) -> Answer {
        wait_for(
            &format!("{whom} to answer {request:?}"),
            SETTLE,
            || match Caller::dial(self.dials)?.call(request)? {
                answer if answer.service() == Some(whom) => Ok(answer),
                answer => bail!("{answer:?}"),
            },
        )
        .unwrap()
    }

    /// Nothing was rejected by any Envoy.
    pub(crate) fn finish(self) {
        self.test.finish().unwrap();
    }
}

/// An answer of an echo, or of an Envoy.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    body: Value,
}

impl Answer {
    /// The cluster whose api answered.
    pub(crate) fn service(&self) -> Option<&str> {
        self.body["service"].as_str()
    }

    /// The path that arrived there.
    pub(crate) fn path(&self) -> &str {
        self.body["path"].as_str().unwrap_or_default()
    }

    /// A header that arrived there.
    pub(crate) fn arrived(&self, name: &str) -> Option<&str> {
        let headers = self.body["headers"].as_array()?;
        let header = headers.iter().find(|header| header[0] == name)?;
        header[1].as_str()
    }
}

/// A connection that is kept open over calls.
pub(crate) struct Caller {
    stream: BufReader<TcpStream>,
}

impl Caller {
    fn dial(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(SETTLE))?;
        stream.set_nodelay(true)?;
        Ok(Caller {
            stream: BufReader::new(stream),
        })
    }

    /// Sends `GET` with `request` (the path, then header lines) and reads the answer.
    pub(crate) fn call(&mut self, request: &str) -> Result<Answer> {
        let (path, more) = request.split_once('\n').unwrap_or((request, ""));
        let mut text = format!("GET {path} HTTP/1.1\r\nhost: api\r\n");
        for line in more.lines() {
            text.push_str(&format!("{line}\r\n"));
        }
        text.push_str("\r\n");
        self.stream.get_mut().write_all(text.as_bytes())?;
        let mut status = None;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the connection was closed");
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
                None => status = line.split(' ').nth(1).and_then(|code| code.parse().ok()),
            }
        }
        let length = headers.get("content-length").and_then(|text| text.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body)?;
        let Some(status) = status else {
            bail!("an answer without a status");
        };
        Ok(Answer {
            status,
            headers,
            body: serde_json::from_slice(&body).unwrap_or(json!(null)),
        })
    }
}
