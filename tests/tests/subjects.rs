//! A peer's authority writes what it likes into the subjects of its certificates. It passes for nobody by that, on real
//! Envoys (xDS facts, section 3.7, trap 3).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "http/scene.rs"]
#[allow(dead_code, reason = "the callers here have no sidecars")]
mod scene;

use anyhow::bail;
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::wait_for;
use peerway_tests::openssl::{NEW_KEY, openssl};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV};
use scene::{Client, Http, SETTLE, get};
use std::path::PathBuf;

/// An authority whose key is in the hands of somebody who means harm.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new(folder: PathBuf) -> Self {
        std::fs::create_dir(&folder).unwrap();
        let use_of_key = "keyUsage=critical,keyCertSign,cRLSign";
        let own = ["-x509", "-days", "60", "-subj", "/CN=North's root"];
        let files = ["-addext", use_of_key, "-out", "root.pem", "-keyout", "root.key"];
        openssl(&folder, &[&["req"], &NEW_KEY[..], &own, &files].concat(), &[]).unwrap();
        Authority { folder }
    }

    /// Settings of the server that it is the authority of.
    fn settings(&self) -> String {
        let text = |file: &str| std::fs::read_to_string(self.folder.join(file)).unwrap();
        format!(
            "connect {{ ca_config {{\n root_cert = {:?}\n private_key = {:?}\n}} }}",
            text("root.pem"),
            text("root.key")
        )
    }

    /// A caller that is rightly called `id`, with a subject of one's choice.
    fn leaf(&self, name: &str, id: &str, subject: &str) -> Client {
        let file = |end: &str| format!("{name}.{end}");
        let (request, key, certificate, more) = (file("csr"), file("key"), file("crt"), file("ext"));
        let extensions = format!(
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=critical,URI:{id}\n"
        );
        std::fs::write(self.folder.join(&more), extensions).unwrap();
        let files = ["-utf8", "-subj", subject, "-out", &request, "-keyout", &key];
        openssl(&self.folder, &[&["req"], &NEW_KEY[..], &files].concat(), &[]).unwrap();
        let by = [
            "x509",
            "-req",
            "-CA",
            "root.pem",
            "-CAkey",
            "root.key",
            "-CAcreateserial",
        ];
        let files = [
            "-days",
            "7",
            "-in",
            &request,
            "-extfile",
            &more,
            "-out",
            &certificate,
        ];
        openssl(&self.folder, &[&by[..], &files].concat(), &[]).unwrap();
        Client::new(self.folder.join(certificate), self.folder.join(key))
    }
}

/// What a subject may bring forward that the one who signs it must not: that its owner is `id`. Openssl takes no part of
/// a name that is longer than 64 bytes, but for descriptions. `/`, `+` and `\` mean something to it.
fn subjects(gateway: &str, id: &str) -> Vec<String> {
    let (gateway, id) = (gateway.replace('/', r"\/"), id.replace('/', r"\/"));
    vec![
        format!("/description=;URI={id}"),
        format!("/description=;URI={id},"),
        // The order in which the parts of a name are written is not that in which they are given: this one ends where
        // an element of the header would. With the subject told, and whatever stands before a name passed over, Envoy
        // lets it in.
        format!("/CN=y/description=x;URI={id}"),
        format!("/description=x;URI={id}/CN=y"),
        format!("/description=\",By={gateway};Hash=00;URI={id},\""),
        format!("/description=By={gateway};Hash=00;URI={id}"),
        format!("/description=\\\\\";URI={id},"),
    ]
}

fn a_subject_says_nothing(envoy: &str) {
    let http = Http::start(envoy, "http");
    let (west, folder) = (&http.scene.west, http.folder("north-authority"));
    let authority = Authority::new(folder);
    let north = Cluster::start_with(http.stage(), "north", &authority.settings()).unwrap();
    let token = west.cli(&["peering", "generate-token", "-name=north"]).unwrap();
    north
        .cli(&["peering", "establish", "-name=west", "-peering-token", &token])
        .unwrap();
    north.wait_peering("west", "ACTIVE", SETTLE).unwrap();
    let export = "Kind = \"exported-services\"\nName = \"default\"\nServices = [{ Name = \"api\" Consumers = [{ Peer = \"east\" }, { Peer = \"north\" }] }]";
    west.write_config("export.hcl", export).unwrap();

    let roots = north.get("/v1/connect/ca/roots").unwrap();
    let domain = roots["TrustDomain"].as_str().unwrap();
    let sni = format!("api.default.default.north.external.{}", http.trust_domain("west"));
    let rightly = format!("spiffe://{domain}/ns/default/dc/north/svc/evil");
    let wanted = http.id("east", "web");
    let call = |client: &Client| client.send(http.gateway(), &sni, &get("/"));

    // Whoever has north's key is let in as what north vouches for.
    let only_web = r#"{ Name = "web" Peer = "east" Action = "allow" }"#;
    http.west_intention(&format!(
        r#"{only_web}, {{ Name = "evil" Peer = "north" Action = "allow" }}"#
    ));
    let plain = authority.leaf("plain", &rightly, "/CN=evil");
    wait_for("evil to be let in", SETTLE, || match call(&plain) {
        Some(answer) if answer.status == 200 => Ok(()),
        other => bail!("{other:?}"),
    })
    .unwrap();
    let liars: Vec<(String, Client)> = subjects(&http.gateway_id(), &wanted)
        .into_iter()
        .enumerate()
        .map(|(n, subject)| {
            let client = authority.leaf(&format!("liar-{n}"), &rightly, &subject);
            (subject, client)
        })
        .collect();
    for (subject, liar) in &liars {
        let answer = call(liar).unwrap();
        assert_eq!(answer.status, 200, "{subject}");
        let told = answer.json().to_string();
        assert!(told.contains(&format!(";URI={rightly}")), "{told}");
        assert!(!told.contains(&wanted) && !told.contains("Subject"), "{told}");
    }

    // And as nothing else.
    http.west_intention(only_web);
    http.wait_web(200);
    wait_for("evil to be refused", SETTLE, || match call(&plain) {
        Some(answer) if answer.status == 403 => Ok(()),
        other => bail!("{other:?}"),
    })
    .unwrap();
    for (subject, liar) in &liars {
        assert_eq!(call(liar).unwrap().status, 403, "{subject}");
    }
    // Nor does north's authority vouch for anybody of east's.
    let thief = authority.leaf("thief", &wanted, "/CN=web");
    assert!(call(&thief).is_none());
    http.finish();
}

#[test]
fn the_subject_of_a_certificate_says_nothing() {
    a_subject_says_nothing(ENVOY_ENV);
}

#[test]
fn the_subject_of_a_certificate_says_nothing_to_the_oldest_envoy() {
    a_subject_says_nothing(OLDEST_ENVOY_ENV);
}
