//! Chains over bridges as the `openssl` program and the TLS library verify them.

use super::*;
use crate::brought::{self, tests::made};
use crate::tests::openssl::openssl;
use crate::{generate_root, leaf};
use made::{Kind, Recipe, now};
use peerway_model::{FailureKind, RootKey, SpiffeId};

const CLUSTER: &str = "11111111-2222-3333-4444-555555555555";

fn domain() -> TrustDomain {
    TrustDomain::of_cluster(CLUSTER).unwrap()
}

/// A root of this kind: RSA as an operator brings it.
fn root(kind: RootKey, name: &str) -> (CaRoot, CaKey) {
    let RootKey::Rsa(bits) = kind else {
        return generate_root(&domain(), now(), kind).unwrap();
    };
    let recipe = Recipe {
        kind: Kind::Rsa(bits),
        subject: format!("CN = {name}"),
        ..Recipe::default()
    };
    let checked = brought::check(&recipe.make().brought, now()).unwrap();
    (checked.root, checked.key)
}

fn issue(authority: &BuiltIn, path: &str) -> String {
    let identity = SpiffeId::parse(&format!("spiffe://{CLUSTER}.consul/{path}")).unwrap();
    leaf::issue(authority, &identity, Duration::from_secs(3600), now())
        .unwrap()
        .chain_pem
}

/// What openssl says about `chain` when `anchor` alone is trusted.
fn verified(anchor: &CaRoot, chain: &str, purpose: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (leaf, between) = chain.split_once("-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(at("leaf.pem"), format!("{leaf}-----END CERTIFICATE-----\n")).unwrap();
    std::fs::write(at("between.pem"), between).unwrap();
    std::fs::write(at("anchor.pem"), &anchor.pem).unwrap();
    let mut arguments = vec![
        "verify",
        "-x509_strict",
        "-purpose",
        purpose,
        "-CAfile",
        "anchor.pem",
    ];
    if !between.is_empty() {
        arguments.extend(["-untrusted", "between.pem"]);
    }
    arguments.push("leaf.pem");
    let output = std::process::Command::new("openssl")
        .current_dir(folder.path())
        .args(arguments)
        .output()
        .unwrap();
    output.status.success()
}

#[test]
fn who_knows_a_former_root_only_verifies_leaves_of_the_newest() {
    let kinds = [
        RootKey::P256,
        RootKey::Rsa(2048),
        RootKey::P384,
        RootKey::Rsa(3072),
        RootKey::P256,
    ];
    let mut roots: Vec<CaRoot> = Vec::new();
    let mut signs: Option<BuiltIn> = None;
    for (number, kind) in kinds.into_iter().enumerate() {
        let (mut new, key) = root(kind, &format!("root {number}"));
        if let Some(old) = &signs {
            new.bridges = build(old, &new, &key, &domain(), now()).unwrap();
        }
        let authority = BuiltIn::of_root(&new, &key, &domain()).unwrap();
        let server = issue(&authority, "agent/server/dc/dc1");
        let web = issue(&authority, "ns/default/dc/dc1/svc/web");
        roots.push(new);
        for (age, anchor) in roots.iter().rev().enumerate() {
            for purpose in ["sslserver", "sslclient"] {
                assert_eq!(
                    verified(anchor, &server, purpose),
                    age <= MAX_BRIDGES,
                    "{age} rotations ago"
                );
                assert_eq!(verified(anchor, &web, purpose), age <= 1, "{age} rotations ago");
            }
            let tls = trial::verify(&decoded::der(&anchor.pem).unwrap(), &server, now());
            assert_eq!(tls.is_ok(), age <= MAX_BRIDGES, "{tls:?}");
        }
        let count = |chain: &str| chain.matches("BEGIN CERTIFICATE").count();
        assert_eq!(count(&server), 1 + number.min(MAX_BRIDGES));
        assert_eq!(count(&web), 1 + number.min(1));
        signs = Some(authority);
    }
    // A strange root is not bridged.
    let (strange, _) = root(RootKey::P256, "");
    let newest = issue(signs.as_ref().unwrap(), "agent/server/dc/dc1");
    assert!(!verified(&strange, &newest, "sslserver"));
    let text = x509(roots.last().unwrap().bridges.first().unwrap());
    for said in [
        "CA:TRUE",
        "Certificate Sign, CRL Sign",
        &format!("URI:spiffe://{CLUSTER}.consul"),
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

fn x509(pem: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bridge.pem"), pem).unwrap();
    openssl(folder.path(), &["x509", "-in", "bridge.pem", "-noout", "-text"])
}

#[test]
fn a_bridge_ends_with_the_older_root_and_is_then_left_away() {
    let (old, old_key) = root(RootKey::P256, "");
    let year = Duration::from_secs(365 * 24 * 3600);
    let later = now().after(year);
    let (new, key) = generate_root(&domain(), later, RootKey::P256).unwrap();
    let signs = BuiltIn::of_root(&old, &old_key, &domain()).unwrap();
    let bridges = build(&signs, &new, &key, &domain(), later).unwrap();
    assert!(old.not_after < new.not_after);
    assert_eq!(alive(&bridges, old.not_after - 1000).count(), 1);
    assert_eq!(alive(&bridges, old.not_after).count(), 0);
    let after = UnixMillis(old.not_after);
    let refused = build(&signs, &new, &key, &domain(), after).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Unavailable);
}
