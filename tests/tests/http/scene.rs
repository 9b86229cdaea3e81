//! Two peered clusters in which west's `api` speaks HTTP and east's `web` and `other` dial it; and clients of it that
//! have no sidecar.

use anyhow::bail;
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::{Stage, free_port, wait_for};
use peerway_cli::demo::story::{self, Scene};
use peerway_tests::TestStage;
use peerway_tests::plain::{self, send};
pub(crate) use peerway_tests::plain::{Answer, Request};
use std::path::PathBuf;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
/// The host of requests to `api`.
const API: &str = "api";
/// How long a state that must come may take.
pub(crate) const SETTLE: Duration = Duration::from_secs(20);

/// A request to `api`.
pub(crate) fn get(path: &str) -> Request {
    Request::get(path, API)
}

/// The same of any method.
pub(crate) fn request(method: &str, path: &str) -> Request {
    Request::new(method, path, API)
}

fn wait_answer(port: u16, status: u16) -> Answer {
    wait_for(
        &format!("a call to be answered with {status}"),
        SETTLE,
        || match send(port, &get("/hello"))? {
            answer if answer.status == status => Ok(answer),
            answer => bail!("{answer:?}"),
        },
    )
    .unwrap()
}

/// A TLS client with a certificate and no sidecar.
pub(crate) struct Client {
    certificate: PathBuf,
    key: PathBuf,
}

impl Client {
    pub(crate) fn new(certificate: PathBuf, key: PathBuf) -> Self {
        Client { certificate, key }
    }

    /// The answer, or `None` when none came: the connection was refused. Whom it talks to is not looked at.
    pub(crate) fn send(&self, port: u16, sni: &str, request: &Request) -> Option<Answer> {
        let file = |path: &PathBuf| path.to_string_lossy().into_owned();
        let arguments = ["-cert", &file(&self.certificate), "-key", &file(&self.key)];
        let (answer, _) = plain::client(port, sni, &arguments, request).unwrap();
        Answer::parse(&answer).ok()
    }
}

/// West, as the tests change it.
pub(crate) struct West<'a> {
    cluster: &'a Cluster,
}

impl West<'_> {
    /// Registers a service that nobody runs, with a sidecar that nobody runs.
    pub(crate) fn register(&self, name: &str) {
        let text = format!(
            "service {{\n name = \"{name}\"\n port = 1\n address = \"127.0.0.1\"\n connect {{ sidecar_service {{ port = {} }} }}\n}}",
            free_port().unwrap()
        );
        self.cluster.register(&format!("{name}.hcl"), &text).unwrap();
    }
}

/// The clusters.
pub(crate) struct Http {
    test: TestStage,
    pub(crate) scene: Scene,
    gateway: u16,
}

impl Http {
    /// Both clusters peered and api exported; nobody may call it yet.
    pub(crate) fn start(envoy: &str, protocol: &str) -> Self {
        let test = TestStage::new(BINARY, envoy).unwrap();
        let scene = story::set(&test.stage).unwrap();
        let defaults = format!("Kind = \"service-defaults\"\nName = \"api\"\nProtocol = \"{protocol}\"");
        scene.west.write_config("api-defaults.hcl", &defaults).unwrap();
        let export = "Kind = \"exported-services\"\nName = \"default\"\nServices = [{ Name = \"api\" Consumers = [{ Peer = \"east\" }] }]";
        scene.west.write_config("export.hcl", export).unwrap();
        story::introduce(&scene).unwrap();
        let gateway = scene.west.get("/v1/catalog/service/mesh-gateway").unwrap();
        let gateway = u16::try_from(gateway[0]["ServicePort"].as_u64().unwrap()).unwrap();
        Http { test, scene, gateway }
    }

    #[allow(dead_code, reason = "not every test has a cluster of its own")]
    pub(crate) fn stage(&self) -> &Stage {
        &self.test.stage
    }

    /// A folder of the test's that does not exist yet.
    #[allow(dead_code, reason = "not every test writes files")]
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.test.stage.dir().join(name)
    }

    pub(crate) fn west(&self) -> West<'_> {
        West {
            cluster: &self.scene.west,
        }
    }

    /// Says who may call api: the sources of its `service-intentions`.
    pub(crate) fn west_intention(&self, sources: &str) {
        let text = format!("Kind = \"service-intentions\"\nName = \"api\"\nSources = [{sources}]");
        self.scene.west.write_config("intention.hcl", &text).unwrap();
    }

    /// A call of web through its sidecar.
    pub(crate) fn web(&self, request: &Request) -> Answer {
        send(self.scene.web_dials, request).unwrap()
    }

    /// A call of other through its sidecar.
    pub(crate) fn other(&self, request: &Request) -> Answer {
        send(self.scene.other_dials, request).unwrap()
    }

    /// Waits until web's call is answered like this.
    pub(crate) fn wait_web(&self, status: u16) -> Answer {
        wait_answer(self.scene.web_dials, status)
    }

    /// Waits until other's call is answered like this.
    pub(crate) fn wait_other(&self, status: u16) -> Answer {
        wait_answer(self.scene.other_dials, status)
    }

    fn cluster(&self, name: &str) -> &Cluster {
        match name {
            "east" => &self.scene.east,
            _ => &self.scene.west,
        }
    }

    pub(crate) fn trust_domain(&self, cluster: &str) -> String {
        let roots = self.cluster(cluster).get("/v1/connect/ca/roots").unwrap();
        roots["TrustDomain"].as_str().unwrap().to_owned()
    }

    /// The SPIFFE ID of a service.
    pub(crate) fn id(&self, cluster: &str, service: &str) -> String {
        let domain = self.trust_domain(cluster);
        format!("spiffe://{domain}/ns/default/dc/{cluster}/svc/{service}")
    }

    /// The SPIFFE ID of west's gateway.
    pub(crate) fn gateway_id(&self) -> String {
        format!("spiffe://{}/gateway/mesh/dc/west", self.trust_domain("west"))
    }

    /// Where west's gateway listens.
    pub(crate) fn gateway(&self) -> u16 {
        self.gateway
    }

    /// Where api's sidecar listens.
    pub(crate) fn sidecar(&self) -> u16 {
        self.scene.api_sidecar
    }

    /// The SNI by which east knows api.
    pub(crate) fn exported_sni(&self) -> String {
        format!("api.default.default.east.external.{}", self.trust_domain("west"))
    }

    /// The SNI by which west knows api.
    pub(crate) fn internal_sni(&self) -> String {
        format!("api.default.west.internal.{}", self.trust_domain("west"))
    }

    /// A client with the leaf of a service.
    pub(crate) fn leaf(&self, cluster: &str, service: &str) -> Client {
        let leaf = self
            .cluster(cluster)
            .get(&format!("/v1/agent/connect/ca/leaf/{service}"))
            .unwrap();
        let file = |field: &str, end: &str| {
            let name = format!("{cluster}-{service}.{end}");
            let text = leaf[field].as_str().unwrap();
            PathBuf::from(self.test.stage.write(&name, text).unwrap())
        };
        Client::new(file("CertPEM", "crt"), file("PrivateKeyPEM", "key"))
    }

    /// Ends the test: no Envoy may have rejected anything.
    pub(crate) fn finish(self) {
        self.test.finish().unwrap();
    }
}
