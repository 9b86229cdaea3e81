//! The certificates that each side of a call across clusters sees, read by openssl.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::{free_port, wait_for};
use peerway_cli::demo::story;
use peerway_tests::{ENVOY_ENV, TestStage};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_peerway-e2e");
const SETTLE: Duration = Duration::from_secs(20);

/// Runs openssl with `input`; standard output and standard error together.
fn openssl(args: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is needed by this test, install it");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn written(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The leaf of a service as the cluster's API gives it: files of the certificate and its key.
fn leaf(cluster: &Cluster, service: &str, dir: &Path) -> (PathBuf, PathBuf) {
    let leaf = cluster
        .get(&format!("/v1/agent/connect/ca/leaf/{service}"))
        .unwrap();
    let file = |field: &str, end: &str| {
        written(
            dir,
            &format!("{}-{service}.{end}", cluster.name),
            leaf[field].as_str().unwrap(),
        )
    };
    (file("CertPEM", "crt"), file("PrivateKeyPEM", "key"))
}

/// A file with the cluster's roots, and its trust domain.
fn roots(cluster: &Cluster, dir: &Path) -> (PathBuf, String) {
    let roots = cluster.get("/v1/connect/ca/roots").unwrap();
    let pems: Vec<&str> = roots["Roots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|root| root["RootCert"].as_str().unwrap())
        .collect();
    let file = written(dir, &format!("{}-roots.pem", cluster.name), &pems.concat());
    (file, roots["TrustDomain"].as_str().unwrap().to_owned())
}

/// The first certificate in what a tool printed.
fn certificate(printed: &str) -> String {
    let begin = printed
        .find("-----BEGIN CERTIFICATE-----")
        .unwrap_or_else(|| panic!("no certificate in {printed}"));
    let end = printed[begin..].find("-----END CERTIFICATE-----").unwrap() + "-----END CERTIFICATE-----".len();
    printed[begin..begin + end].to_owned()
}

/// Checks that a certificate has one URI SAN, this one, and that these roots (and not those) vouch for it.
fn vouched(pem: &str, spiffe_id: &str, purpose: &str, by: &Path, not_by: &Path, dir: &Path) {
    let file = written(dir, "seen.crt", pem);
    let sans = openssl(&["x509", "-noout", "-ext", "subjectAltName"], pem);
    let names: Vec<&str> = sans
        .lines()
        .skip(1)
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(names, [format!("URI:{spiffe_id}")], "{sans}");
    let verify = |roots: &Path| {
        let (roots, file) = (roots.display().to_string(), file.display().to_string());
        openssl(
            &[
                "verify",
                "-x509_strict",
                "-purpose",
                purpose,
                "-CAfile",
                &roots,
                &file,
            ],
            "",
        )
    };
    assert!(verify(by).contains("OK"), "{}", verify(by));
    assert!(
        verify(not_by).contains("verification failed"),
        "{}",
        verify(not_by)
    );
}

#[test]
fn each_side_sees_the_others_identity_vouched_for_by_the_others_root() {
    let test = TestStage::new(BINARY, ENVOY_ENV).unwrap();
    let dir = test.stage.dir();
    let scene = story::set(&test.stage).unwrap();
    let (east_roots, east_domain) = roots(&scene.east, dir);
    let (west_roots, west_domain) = roots(&scene.west, dir);

    // A service whose sidecar is openssl, so that the test sees what a sidecar of west sees.
    let (probe, dial) = (free_port().unwrap(), free_port().unwrap());
    let service = format!(
        "service {{\n name = \"probe\"\n port = 1\n address = \"127.0.0.1\"\n connect {{ sidecar_service {{ port = {probe} }} }}\n}}"
    );
    scene.west.register("probe.hcl", &service).unwrap();
    let export = "Kind = \"exported-services\"\nName = \"default\"\nServices = [\n { Name = \"api\" Consumers = [{ Peer = \"east\" }] },\n { Name = \"probe\" Consumers = [{ Peer = \"east\" }] },\n]";
    scene.west.write_config("export.hcl", export).unwrap();
    story::introduce(&scene).unwrap();
    wait_for("both services to be imported", SETTLE, || {
        let count = scene.east.imported("api", "west")? + scene.east.imported("probe", "west")?;
        if count == 2 {
            Ok(())
        } else {
            anyhow::bail!("{count}")
        }
    })
    .unwrap();

    // What web's side sees of api: through west's gateway, with web's own leaf.
    let (certificate_file, key_file) = leaf(&scene.east, "web", dir);
    let imported = scene.east.get("/v1/health/connect/api?peer=west").unwrap();
    let sni = imported[0]["Service"]["Connect"]["PeerMeta"]["SNI"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(sni, format!("api.default.default.east.external.{west_domain}"));
    let gateway = scene.west.get("/v1/agent/service/gateway").unwrap();
    let address = format!("127.0.0.1:{}", gateway["Port"]);
    let (certificate_file, key_file) = (
        certificate_file.display().to_string(),
        key_file.display().to_string(),
    );
    let args = [
        "s_client",
        "-connect",
        &address,
        "-servername",
        &sni,
        "-cert",
        &certificate_file,
        "-key",
        &key_file,
    ];
    let seen = wait_for("the gateway to reach api's sidecar", SETTLE, || {
        let seen = openssl(&args, "");
        if seen.contains("BEGIN CERTIFICATE") {
            Ok(seen)
        } else {
            anyhow::bail!("{seen}")
        }
    })
    .unwrap();
    let api = format!("spiffe://{west_domain}/ns/default/dc/west/svc/api");
    vouched(
        &certificate(&seen),
        &api,
        "sslserver",
        &west_roots,
        &east_roots,
        dir,
    );

    // What api's side sees of web: openssl in the place of the sidecar.
    let (certificate_file, key_file) = leaf(&scene.west, "probe", dir);
    let log = dir.join("s_server.log");
    let out = std::fs::File::create(&log).unwrap();
    let mut server = Command::new("openssl")
        .args([
            "s_server",
            "-accept",
            &probe.to_string(),
            "-Verify",
            "1",
            "-verify_return_error",
            "-CAfile",
        ])
        .arg(&east_roots)
        .arg("-cert")
        .arg(certificate_file)
        .arg("-key")
        .arg(key_file)
        .stdin(Stdio::piped())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .spawn()
        .unwrap();
    // A second proxy of web that dials probe.
    let web = format!(
        "service {{\n name = \"web\"\n id = \"web-2\"\n port = 2\n address = \"127.0.0.1\"\n connect {{ sidecar_service {{ port = {} proxy {{ upstreams = [{{ destination_name = \"probe\" destination_peer = \"west\" local_bind_port = {dial} }}] }} }} }}\n}}",
        free_port().unwrap()
    );
    scene.east.register("web-2.hcl", &web).unwrap();
    scene
        .east
        .envoy("east-web-2-sidecar", "-sidecar-for=web-2")
        .unwrap();
    let seen = wait_for("openssl to see a client certificate", SETTLE, || {
        let mut call = std::net::TcpStream::connect(("127.0.0.1", dial))?;
        call.write_all(b"hello\n")?;
        let seen = std::fs::read_to_string(&log)?;
        if seen.contains("Client certificate") {
            Ok(seen)
        } else {
            anyhow::bail!("{seen}")
        }
    });
    let _ = server.kill();
    let _ = server.wait();
    let web = format!("spiffe://{east_domain}/ns/default/dc/east/svc/web");
    vouched(
        &certificate(&seen.unwrap()),
        &web,
        "sslclient",
        &east_roots,
        &west_roots,
        dir,
    );
    test.finish().unwrap();
}
