//! Roots as the `openssl` program makes them.

pub(crate) mod made;

use super::*;
use crate::generate_root;
use made::{GOOD, Kind, Recipe, now};
use peerway_model::RootKey;

const DOMAIN: &str = "11111111-2222-3333-4444-555555555555.consul";

fn refusal(brought: &BroughtRoot) -> Invalid {
    match check(brought, now()) {
        Ok(_) => panic!("the root was accepted:\n{}", brought.certificate),
        Err(refusal) => refusal,
    }
}

#[test]
fn every_kind_of_key_that_is_offered_is_accepted_in_every_form() {
    for (kind, expected) in [
        (Kind::Curve("P-256"), RootKey::P256),
        (Kind::Curve("P-384"), RootKey::P384),
        (Kind::Rsa(2048), RootKey::Rsa(2048)),
        (Kind::Rsa(3072), RootKey::Rsa(3072)),
        (Kind::Rsa(4096), RootKey::Rsa(4096)),
    ] {
        let recipe = Recipe {
            kind,
            ..Recipe::default()
        };
        let made = recipe.make();
        for key in [made.brought.key.clone(), made.older_key()] {
            let brought = BroughtRoot {
                key,
                certificate: format!("# a comment\n{}", made.brought.certificate),
            };
            let Checked {
                root,
                key,
                trust_domain,
            } = check(&brought, now()).unwrap();
            assert_eq!(crate::root::key_of(&root), Some(expected));
            assert_eq!(root.name, "Example Root");
            assert_eq!(root.pem, made.brought.certificate);
            assert_eq!(root.id, sha256(&decoded::der(&root.pem).unwrap()).unwrap());
            assert_eq!(key.root_id, root.id);
            assert!(!root.active && trust_domain.is_none());
            assert!(key.pem.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
        }
    }
}

#[test]
fn the_spiffe_id_says_the_trust_domain() {
    let with = |san: &str| {
        Recipe {
            extensions: format!("{GOOD}subjectAltName = {san}\n"),
            ..Recipe::default()
        }
        .make()
        .brought
    };
    let said = check(&with(&format!("URI:spiffe://{DOMAIN}")), now()).unwrap();
    let own = TrustDomain::new(DOMAIN).unwrap();
    assert_eq!(said.trust_domain, Some(own.clone()));
    said.fits(&own, &[]).unwrap();
    let refused = said
        .fits(&TrustDomain::new("other.consul").unwrap(), &[])
        .unwrap_err();
    assert!(
        refused.problem.contains("the URI SAN spiffe://other.consul"),
        "{refused}"
    );
    for (san, problem) in [
        ("URI:spiffe://td.consul/ns/a", "without a path"),
        ("URI:spiffe://td.consul/", "without a path"),
        ("URI:https://td.consul", "without a path"),
        ("URI:spiffe://a.consul,URI:spiffe://b.consul", "several URI SANs"),
    ] {
        let refused = refusal(&with(san));
        assert_eq!(refused.path, ROOT_CERT);
        assert!(refused.problem.contains(problem), "{san}: {refused}");
    }
    // A name that is no URI says nothing about the trust domain.
    assert!(
        check(&with("DNS:ca.example.com"), now())
            .unwrap()
            .trust_domain
            .is_none()
    );
}

#[test]
fn certificates_that_would_fail_later_are_refused_by_what_is_wrong_with_them() {
    let without = |line: &str| {
        let lines = GOOD.lines().filter(|kept| !kept.starts_with(line));
        lines.map(|kept| format!("{kept}\n")).collect::<String>()
    };
    let and = |line: &str| format!("{GOOD}{line}\n");
    let instead = |line: &str| {
        let name = line.split(' ').next().unwrap();
        format!("{}{line}\n", without(name))
    };
    for (extensions, problem) in [
        (without("basicConstraints"), "basicConstraints critical,CA:TRUE"),
        (instead("basicConstraints = critical,CA:FALSE"), "CA:TRUE"),
        (instead("basicConstraints = CA:TRUE"), "not marked critical"),
        (
            instead("basicConstraints = critical,CA:TRUE,pathlen:0"),
            "path length of 0",
        ),
        (without("keyUsage"), "keyCertSign"),
        (instead("keyUsage = critical,digitalSignature"), "keyCertSign"),
        (
            instead("subjectKeyIdentifier = none"),
            "no subject key identifier",
        ),
        (and("extendedKeyUsage = serverAuth"), "serverAuth and clientAuth"),
        (and("nameConstraints = permitted;URI:.consul"), "name constraints"),
        (
            and("policyConstraints = critical,requireExplicitPolicy:0"),
            "critical extension",
        ),
        (
            and("1.2.3.4 = critical,ASN1:NULL"),
            "critical extension (1.2.3.4)",
        ),
    ] {
        let recipe = Recipe {
            extensions: extensions.clone(),
            ..Recipe::default()
        };
        let refused = refusal(&recipe.make().brought);
        assert_eq!(refused.path, ROOT_CERT, "{extensions}");
        assert!(refused.problem.contains(problem), "{extensions}: {refused}");
    }
    for allowed in [
        "extendedKeyUsage = serverAuth,clientAuth",
        "extendedKeyUsage = anyExtendedKeyUsage",
        "crlDistributionPoints = URI:http://crl.example.com",
    ] {
        let recipe = Recipe {
            extensions: and(allowed),
            ..Recipe::default()
        };
        assert!(check(&recipe.make().brought, now()).is_ok(), "{allowed}");
    }
    for (kind, digest, subject, problem) in [
        (
            Kind::Curve("P-521"),
            "sha256",
            "CN = a",
            "kind that not all proxies verify",
        ),
        (
            Kind::Rsa(1024),
            "sha256",
            "CN = a",
            "kind that not all proxies verify",
        ),
        (
            Kind::Ed25519,
            "sha256",
            "CN = a",
            "kind that not all proxies verify",
        ),
        (Kind::Rsa(2048), "sha1", "CN = a", "with SHA-256"),
        (
            Kind::Curve("P-256"),
            "sha256",
            "0.DC = com\n1.DC = example",
            "an attribute twice",
        ),
        (
            Kind::Curve("P-256"),
            "sha256",
            "CN = a\n+OU = b",
            "several attributes",
        ),
    ] {
        let recipe = Recipe {
            kind,
            digest,
            subject: subject.to_owned(),
            ..Recipe::default()
        };
        let refused = refusal(&recipe.make().brought);
        assert_eq!(refused.path, ROOT_CERT);
        assert!(refused.problem.contains(problem), "{subject}: {refused}");
    }
}

#[test]
fn validity_is_looked_at() {
    let made = Recipe {
        days: 31,
        ..Recipe::default()
    }
    .make();
    check(&made.brought, now()).unwrap();
    let day = Duration::from_secs(24 * 3600);
    let refused = check(&made.brought, now().after(day * 2)).err().unwrap();
    assert!(refused.problem.contains("30 days or more"), "{refused}");
    let refused = check(&made.brought, now().before(day)).err().unwrap();
    assert!(refused.problem.contains("is not valid before"), "{refused}");
}

#[test]
fn texts_that_are_no_single_root_or_no_key_of_it_are_refused_by_field() {
    let made = Recipe::default().make();
    let (other, curve) = (
        Recipe::default().make(),
        Recipe {
            kind: Kind::Curve("P-384"),
            ..Recipe::default()
        }
        .make(),
    );
    let good = &made.brought;
    let certificates = [
        (String::new(), "holds no certificate"),
        ("x".repeat(MAX_BROUGHT_BYTES + 1), "at most 16384"),
        (
            format!("{}{}", good.certificate, other.brought.certificate),
            "2 PEM blocks",
        ),
        (
            format!("{}{}", good.certificate, good.key.expose()),
            "holds a private key",
        ),
        (made.request(), "expected CERTIFICATE"),
        (made.signed_by(&other), "was signed by another one"),
        (decoded::pem(b"nonsense"), "is not an X.509 certificate"),
    ];
    for (certificate, problem) in certificates {
        let refused = refusal(&BroughtRoot {
            certificate: certificate.clone(),
            key: good.key.clone(),
        });
        assert_eq!(refused.path, ROOT_CERT);
        assert!(refused.problem.contains(problem), "{certificate}: {refused}");
    }
    let keys = [
        (String::new(), "holds 0 PEM blocks"),
        ("x".repeat(MAX_BROUGHT_BYTES + 1), "at most 16384"),
        (
            other.brought.key.expose().to_owned(),
            "is not the key of root_cert",
        ),
        (
            curve.brought.key.expose().to_owned(),
            "cannot be read as the ec key with 256 bits",
        ),
        (made.encrypted_key(), "is encrypted"),
        (good.certificate.clone(), "expected PRIVATE KEY"),
        (
            format!("{}{}", good.key.expose(), good.key.expose()),
            "holds 2 PEM blocks",
        ),
        (
            Recipe {
                kind: Kind::Rsa(2048),
                ..Recipe::default()
            }
            .make()
            .older_key()
            .expose()
            .to_owned(),
            "of another kind",
        ),
    ];
    for (key, problem) in keys {
        let refused = refusal(&BroughtRoot {
            certificate: good.certificate.clone(),
            key: Secret::new(key.as_str()),
        });
        assert_eq!(refused.path, PRIVATE_KEY);
        assert!(refused.problem.contains(problem), "{refused}");
        for line in key.lines().filter(|line| line.len() > 40) {
            assert!(!refused.problem.contains(line), "the key is repeated: {refused}");
        }
    }
    assert!(!format!("{good:?}").contains("PRIVATE"));
}

#[test]
fn a_root_must_differ_from_those_that_are_trusted() {
    let made = Recipe::default().make();
    let checked = check(&made.brought, now()).unwrap();
    let domain = TrustDomain::new(DOMAIN).unwrap();
    let (ours, _) = generate_root(&domain, now(), RootKey::P256).unwrap();
    checked.fits(&domain, std::slice::from_ref(&ours)).unwrap();
    let refused = checked.fits(&domain, &[ours, checked.root.clone()]).unwrap_err();
    assert!(refused.problem.contains("has the key of the root"), "{refused}");
    let namesake = check(&Recipe::default().make().brought, now()).unwrap();
    let refused = namesake.fits(&domain, &[checked.root]).unwrap_err();
    assert!(
        refused.problem.contains("has the subject of the root"),
        "{refused}"
    );
}
