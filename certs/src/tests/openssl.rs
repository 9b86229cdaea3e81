//! Certificates as the `openssl` program reads them.

use super::*;
use std::path::Path;
use std::process::Command;

/// Runs the `openssl` program, which must be installed, and returns what it prints.
pub(crate) fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the openssl program is needed by this test, install it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {text}{problems}");
    text
}

#[test]
fn openssl_verifies_strictly_for_both_purposes() {
    let (roots, authority) = built_in();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("root.pem"), &roots.active().unwrap().pem).unwrap();
    let now = NOW.as_secs().to_string();
    for path in [
        "ns/default/dc/dc1/svc/web",
        "gateway/mesh/dc/dc1",
        "agent/server/dc/dc1",
    ] {
        let leaf = issue(&authority, path);
        std::fs::write(at("leaf.pem"), &leaf.chain_pem).unwrap();
        std::fs::write(at("key.pem"), leaf.key_pem.expose()).unwrap();
        for purpose in ["sslserver", "sslclient"] {
            let said = openssl(
                folder.path(),
                &[
                    "verify",
                    "-x509_strict",
                    "-check_ss_sig",
                    "-attime",
                    &now,
                    "-purpose",
                    purpose,
                    "-CAfile",
                    "root.pem",
                    "leaf.pem",
                ],
            );
            assert_eq!(said, "leaf.pem: OK\n");
        }
        let san = openssl(
            folder.path(),
            &["x509", "-in", "leaf.pem", "-noout", "-ext", "subjectAltName"],
        );
        assert_eq!(san.matches("URI:").count(), 1, "{san}");
        assert!(san.contains(&format!("URI:{}", identity(path))), "{san}");
        assert!(!san.contains("critical"), "{san}");

        let of_certificate = openssl(folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-pubkey"]);
        let of_key = openssl(folder.path(), &["pkey", "-in", "key.pem", "-pubout"]);
        assert_eq!(of_certificate, of_key);
        let text = openssl(folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-text"]);
        assert!(
            text.contains("ASN1 OID: prime256v1") && text.contains("ecdsa-with-SHA256"),
            "{text}"
        );
    }
    let hostname = format!("server.dc1.peering.{CLUSTER}.consul");
    let said = openssl(
        folder.path(),
        &[
            "verify",
            "-x509_strict",
            "-attime",
            &now,
            "-verify_hostname",
            &hostname,
            "-CAfile",
            "root.pem",
            "leaf.pem",
        ],
    );
    assert_eq!(said, "leaf.pem: OK\n");
}
