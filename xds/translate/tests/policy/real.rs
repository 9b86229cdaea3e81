//! Envoys that run what the model of them was asked about, and clients that call through them.

use crate::fixed::Fixed;
use crate::world::{LOCAL, PEERS, Roots};
use peerway_model::{Leaf, Secret, SpiffeId};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How long a state that must come may take, and a call.
const SETTLE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

/// The authorities of the clusters.
pub(crate) struct Authorities {
    issuers: BTreeMap<&'static str, CertifiedIssuer<'static, KeyPair>>,
}

/// A certificate with its key, as PEM.
pub(crate) struct Certificate {
    chain: String,
    key: String,
}

impl Authorities {
    pub(crate) fn new() -> Self {
        let issuers = std::iter::once(LOCAL)
            .chain(PEERS.map(|(_, domain, _)| domain))
            .map(|domain| {
                let mut params = CertificateParams::default();
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                params.subject_alt_names = vec![uri(&format!("spiffe://{domain}"))];
                let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
                (domain, issuer)
            });
        Authorities {
            issuers: issuers.collect(),
        }
    }

    pub(crate) fn roots(&self) -> Roots {
        self.issuers
            .iter()
            .map(|(domain, issuer)| ((*domain).to_owned(), issuer.pem()))
            .collect()
    }

    /// A certificate with these names and this common name, whatever they are.
    pub(crate) fn certificate(&self, domain: &str, names: &[String], common_name: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // Envoy takes a certificate that does not say what its key is for as one that may sign others.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.subject_alt_names = names.iter().map(|name| uri(name)).collect();
        let certificate = params.signed_by(&key, &self.issuers[domain]).unwrap();
        Certificate {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// The leaf of a proxy of this cluster.
    pub(crate) fn leaf(&self, spiffe_id: &str) -> Leaf {
        let made = self.certificate(LOCAL, &[spiffe_id.to_owned()], "leaf");
        Leaf {
            identity: SpiffeId::parse(spiffe_id).unwrap(),
            chain_pem: made.chain,
            key_pem: Secret::new(made.key),
            root_id: "id".to_owned(),
            serial: spiffe_id.to_owned(),
            not_before: 0,
            not_after: 1,
        }
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A running Envoy, stopped when dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    /// Where its listeners are, by name.
    pub(crate) ports: BTreeMap<String, u16>,
}

impl Running {
    pub(crate) fn start(binary: &Path, dir: &Path, name: &str, fixed: Fixed) -> Self {
        let at = |end: &str| dir.join(format!("{name}.{end}"));
        std::fs::write(at("pb"), fixed.bootstrap()).unwrap();
        let log = at("log");
        let child = Command::new(binary)
            .arg("--config-path")
            .arg(at("pb"))
            .arg("--admin-address-path")
            .arg(at("admin"))
            .args([
                "--disable-hot-restart",
                "--concurrency",
                "1",
                "--log-level",
                "warning",
            ])
            .arg("--log-path")
            .arg(&log)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Running {
            child,
            log,
            ports: BTreeMap::new(),
        };
        let deadline = SETTLE.as_millis() / LOOK.as_millis();
        for _ in 0..deadline {
            if let Some(ports) = listening(&at("admin")) {
                running.ports = ports;
                return running;
            }
            assert!(running.child.try_wait().unwrap().is_none(), "{}", running.said());
            std::thread::sleep(LOOK);
        }
        panic!("{name} does not listen: {}", running.said());
    }

    /// What it said, for a test that failed.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The listeners and their ports, once Envoy is live.
fn listening(admin: &Path) -> Option<BTreeMap<String, u16>> {
    let address = std::fs::read_to_string(admin).ok()?;
    let ask = |path: &str| {
        let mut connection = TcpStream::connect(address.trim()).ok()?;
        write!(
            connection,
            "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    if !ask("/ready")?.starts_with("HTTP/1.1 200") {
        return None;
    }
    // Lines of the form `name::127.0.0.1:port`.
    Some(
        ask("/listeners")?
            .lines()
            .filter_map(|line| {
                let (name, address) = line.trim().split_once("::")?;
                Some((name.to_owned(), address.rsplit_once(':')?.1.parse().ok()?))
            })
            .collect(),
    )
}

/// An application that answers every request with 200, for as long as the test runs; its port.
pub(crate) fn application() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || answer(connection));
        }
    });
    port
}

fn answer(mut connection: TcpStream) {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = connection.read(&mut chunk) {
        read.extend_from_slice(&chunk[..count]);
        while let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            read.drain(..end + 4);
            if connection
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .is_err()
            {
                return;
            }
        }
    }
}

/// Calls with a certificate; whom it reaches is not looked at.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    pub(crate) fn new(certificate: &Certificate) -> Self {
        let provider = Arc::new(ring::default_provider());
        let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_client_auth_cert(chain, key)
            .unwrap();
        Client {
            config: Arc::new(config),
        }
    }

    /// The status that a request in HTTP/1.1 is answered with; `None` when the connection ends without an answer.
    pub(crate) fn status(&self, port: u16, sni: &str, request: &str) -> Option<u16> {
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        tcp.set_read_timeout(Some(SETTLE)).unwrap();
        let name = ServerName::try_from(sni.to_owned()).unwrap();
        let session = ClientConnection::new(self.config.clone(), name).unwrap();
        let mut stream = StreamOwned::new(session, tcp);
        answered(&mut stream, request)
    }
}

/// The status that a request in HTTP/1.1 is answered with, without TLS.
pub(crate) fn plain_status(port: u16, request: &str) -> Option<u16> {
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    tcp.set_read_timeout(Some(SETTLE)).unwrap();
    answered(&mut tcp, request)
}

fn answered(stream: &mut (impl Read + Write), request: &str) -> Option<u16> {
    stream.write_all(request.as_bytes()).ok()?;
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    while !read.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut chunk) {
            Ok(count @ 1..) => read.extend_from_slice(&chunk[..count]),
            Ok(_) | Err(_) => return None,
        }
    }
    let head = String::from_utf8_lossy(&read);
    head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
