//! Roots of peers as Envoy sees them. Several peers' roots are side by side in one secret, which Envoy refuses whole
//! for one that it cannot read; so whatever is let in from a peer, Envoy has to be able to read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use peerway_peering_protocol::pem::roots;
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV, envoy};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ELLIPTIC: &str = include_str!("../../peering/protocol/src/pem/root.pem");
const RSA: &str = include_str!("certificates/rsa.pem");

fn der(text: &str) -> Vec<u8> {
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(body).unwrap()
}

fn pem(der: &[u8]) -> String {
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        STANDARD.encode(der)
    )
}

/// Every certificate that differs from this one in a bit or in a whole byte.
fn mutants(text: &str) -> Vec<String> {
    let whole = der(text);
    let mut mutants = Vec::new();
    for at in 0..whole.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 0xff] {
            let mut other = whole.clone();
            other[at] ^= mask;
            mutants.push(pem(&other));
        }
    }
    mutants
}

/// The files of a key and a certificate for the listener, made in `folder`.
fn leaf(folder: &Path) -> (PathBuf, PathBuf) {
    let (key, leaf) = (folder.join("key.pem"), folder.join("leaf.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-subj", "/CN=leaf", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&leaf)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    (key, leaf)
}

/// Whether an Envoy takes a listener that verifies by these roots, one trust domain each.
fn takes(binary: &Path, roots: &[String]) -> Result<(), String> {
    let domains: Vec<Value> = roots
        .iter()
        .enumerate()
        .map(|(index, pem)| json!({"name": format!("d{index}.consul"), "trust_bundle": {"inline_string": pem}}))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let (key, leaf) = leaf(folder.path());
    let api = "type.googleapis.com/envoy.extensions.";
    let config = json!({"static_resources": {"listeners": [{
        "name": "l",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{
            "filters": [{"name": "echo", "typed_config": {"@type": format!("{api}filters.network.echo.v3.Echo")}}],
            "transport_socket": {"name": "tls", "typed_config": {
                "@type": format!("{api}transport_sockets.tls.v3.DownstreamTlsContext"),
                "require_client_certificate": true,
                "common_tls_context": {
                    "tls_certificates": [{"certificate_chain": {"filename": leaf}, "private_key": {"filename": key}}],
                    "validation_context": {"custom_validator_config": {
                        "name": "envoy.tls.cert_validator.spiffe",
                        "typed_config": {
                            "@type": format!("{api}transport_sockets.tls.v3.SPIFFECertValidatorConfig"),
                            "trust_domains": domains}}}}}}}]}]}});
    let file = folder.path().join("envoy.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let output = Command::new(binary)
        .args(["--mode", "validate", "--log-level", "error", "--config-path"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(said)
}

/// Those of them that Envoy does not take, the first few.
fn culprits(binary: &Path, roots: &[String], found: &mut Vec<String>) {
    if found.len() >= 8 || takes(binary, roots).is_ok() {
        return;
    }
    match roots {
        [one] => found.push(one.clone()),
        _ => {
            let (first, second) = roots.split_at(roots.len() / 2);
            culprits(binary, first, found);
            culprits(binary, second, found);
        }
    }
}

#[test]
fn envoy_reads_every_root_that_is_let_in() {
    let all: Vec<String> = [ELLIPTIC, RSA].into_iter().flat_map(mutants).collect();
    let admitted: Vec<String> = all.iter().filter_map(|text| roots(text).ok()).collect();
    let (all, let_in) = (all.len(), admitted.len());
    assert!(
        let_in > 500 && all > let_in + 500,
        "{let_in} of {all} mutants are let in"
    );
    for variable in [ENVOY_ENV, OLDEST_ENVOY_ENV] {
        let binary = envoy(variable).unwrap();
        if let Err(said) = takes(&binary, &admitted) {
            let mut found = Vec::new();
            culprits(&binary, &admitted, &mut found);
            panic!("{said}\nfor one thing:\n{}", found.join("\n"));
        }
    }
}

#[test]
fn envoy_refuses_all_roots_for_one_that_it_cannot_read() {
    let binary = envoy(ENVOY_ENV).unwrap();
    let whole = [ELLIPTIC.to_owned(), RSA.to_owned()];
    takes(&binary, &whole).unwrap();
    let broken = pem(&[0x30, 0x03, 0x02, 0x01, 0x01]);
    assert!(roots(&broken).is_err());
    let [one, two] = whole;
    let said = takes(&binary, &[one, broken, two]).unwrap_err();
    assert!(said.contains("d1.consul"), "{said}");
}
