//! Certificates as an independent parser reads them.

pub(crate) mod openssl;

use crate::authority::{Authority, BuiltIn, Order};
use crate::fingerprint::{colons, sha256};
use crate::settings::DEFAULT_LEAF_TTL;
use crate::{BACKDATE, ROOT_LIFETIME, generate_root, leaf};
use peerway_model::{CaRoots, Datacenter, FailureKind, Leaf, RootKey, SpiffeId, TrustDomain};
use peerway_runtime::UnixMillis;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;

/// 2025-06-15T15:06:40.250Z: not a whole second, as real clocks are.
const NOW: UnixMillis = UnixMillis(1_750_000_000_250);
const CLUSTER: &str = "11111111-2222-3333-4444-555555555555";

fn built_in() -> (CaRoots, BuiltIn) {
    let trust_domain = TrustDomain::of_cluster(CLUSTER).unwrap();
    let (root, key) = generate_root(&trust_domain, NOW, RootKey::default()).unwrap();
    let roots = CaRoots {
        cluster_id: CLUSTER.to_owned(),
        trust_domain,
        datacenter: Datacenter::new("dc1").unwrap(),
        roots: vec![root],
        rotation: None,
    };
    let authority = BuiltIn::new(&roots, &key).unwrap();
    (roots, authority)
}

fn identity(path: &str) -> SpiffeId {
    SpiffeId::parse(&format!("spiffe://{CLUSTER}.consul/{path}")).unwrap()
}

fn issue(authority: &BuiltIn, path: &str) -> Leaf {
    leaf::issue(authority, &identity(path), DEFAULT_LEAF_TTL, NOW).unwrap()
}

fn pem(text: &str) -> Pem {
    let (rest, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap();
    assert!(
        rest.is_empty() && text.ends_with("-----\n"),
        "one block and a newline"
    );
    pem
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let san = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(!san.critical);
    san.value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::URI(uri) => format!("URI:{uri}"),
            GeneralName::DNSName(dns) => format!("DNS:{dns}"),
            other => panic!("unexpected name {other:?}"),
        })
        .collect()
}

fn subject_key_id(certificate: &X509Certificate<'_>) -> Vec<u8> {
    let found = certificate
        .extensions()
        .iter()
        .find_map(|e| match e.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
    found.unwrap()
}

fn authority_key_id(certificate: &X509Certificate<'_>) -> Vec<u8> {
    let found = certificate
        .extensions()
        .iter()
        .find_map(|e| match e.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => None,
        });
    found.unwrap()
}

fn seconds(moment: u64) -> i64 {
    i64::try_from(moment / 1000).unwrap()
}

#[test]
fn a_root_is_what_its_row_says() {
    let (roots, _) = built_in();
    let root = roots.active().unwrap();
    let pem = pem(&root.pem);
    let certificate = pem.parse_x509().unwrap();
    certificate.verify_signature(None).unwrap();

    assert_eq!(root.id, sha256(&pem.contents).unwrap());
    assert_eq!(certificate.subject().to_string(), format!("CN={}", root.name));
    let unique = format!("{:08x}", root.serial >> 32);
    assert_eq!(root.name, format!("Peerway CA 11111111 {unique}"));
    assert_eq!(certificate.issuer(), certificate.subject());
    assert_eq!(certificate.raw_serial(), root.serial.to_be_bytes());
    assert_eq!(names(&certificate), [format!("URI:spiffe://{CLUSTER}.consul")]);
    assert_eq!(colons(&subject_key_id(&certificate)), root.key_id);
    assert_eq!(authority_key_id(&certificate), subject_key_id(&certificate));

    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert!(!usage.value.digital_signature());

    assert_eq!(root.not_before, 1_749_999_940_000);
    assert_eq!(root.not_after, NOW.after(ROOT_LIFETIME).as_secs() * 1000);
    assert_eq!(
        certificate.validity().not_before.timestamp(),
        seconds(root.not_before)
    );
    assert_eq!(
        certificate.validity().not_after.timestamp(),
        seconds(root.not_after)
    );
    assert!(root.active);
}

#[test]
fn a_leaf_has_one_uri_and_chains_to_the_root() {
    let (roots, authority) = built_in();
    let root_pem = pem(&roots.active().unwrap().pem);
    let root = root_pem.parse_x509().unwrap();
    for (path, subject) in [
        ("ns/default/dc/dc1/svc/web", "CN=web.svc.default.11111111.consul"),
        ("ap/a/ns/n/dc/dc1/svc/Web_1", "CN=Web_1.svc.n.a.11111111.consul"),
        ("gateway/mesh/dc/dc1", "CN=mesh.gateway.dc1.11111111.consul"),
    ] {
        let leaf = issue(&authority, path);
        let leaf_pem = pem(&leaf.chain_pem);
        let certificate = leaf_pem.parse_x509().unwrap();
        certificate.verify_signature(Some(root.public_key())).unwrap();

        assert_eq!(leaf.identity, identity(path));
        assert_eq!(names(&certificate), [format!("URI:{}", identity(path))]);
        assert_eq!(certificate.subject().to_string(), subject);
        assert_eq!(certificate.issuer(), root.subject());
        assert_eq!(authority_key_id(&certificate), subject_key_id(&root));
        assert_ne!(subject_key_id(&certificate), subject_key_id(&root));

        let constraints = certificate.basic_constraints().unwrap().unwrap();
        assert!(!constraints.value.ca);
        let usage = certificate.key_usage().unwrap().unwrap();
        assert!(usage.critical);
        assert_eq!(usage.value.flags, 1, "digitalSignature only");
        let extended = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.server_auth && extended.client_auth);
        assert!(!extended.any && extended.other.is_empty());

        assert_eq!(leaf.not_before, NOW.before(BACKDATE).as_secs() * 1000);
        assert_eq!(leaf.not_after, NOW.after(DEFAULT_LEAF_TTL).as_secs() * 1000);
        assert_eq!(
            certificate.validity().not_before.timestamp(),
            seconds(leaf.not_before)
        );
        assert_eq!(
            certificate.validity().not_after.timestamp(),
            seconds(leaf.not_after)
        );
        assert_eq!(colons(certificate.raw_serial()), leaf.serial);
        assert_eq!(certificate.raw_serial().len(), 16);
        assert!(certificate.raw_serial()[0] < 0x80, "positive");
        assert!(
            leaf.key_pem.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"),
            "PKCS#8"
        );
    }
}

#[test]
fn a_server_has_its_peering_name_too() {
    let (_, authority) = built_in();
    let leaf = issue(&authority, "agent/server/dc/dc1");
    let pem = pem(&leaf.chain_pem);
    let expected = [
        format!("URI:spiffe://{CLUSTER}.consul/agent/server/dc/dc1"),
        format!("DNS:server.dc1.peering.{CLUSTER}.consul"),
    ];
    assert_eq!(names(&pem.parse_x509().unwrap()), expected);
}

#[test]
fn a_leaf_never_outlives_its_root() {
    let (roots, authority) = built_in();
    let end = roots.active().unwrap().not_after;
    let hour_before = UnixMillis(end - 3_600_000);
    let web = identity("ns/default/dc/dc1/svc/web");
    let leaf = leaf::issue(&authority, &web, DEFAULT_LEAF_TTL, hour_before).unwrap();
    assert_eq!(leaf.not_after, end);
    let error = leaf::issue(&authority, &web, DEFAULT_LEAF_TTL, UnixMillis(end)).unwrap_err();
    assert_eq!(error.kind, FailureKind::Unavailable);
}

#[test]
fn the_authority_refuses_another_trust_domain() {
    let (_, authority) = built_in();
    let foreign = SpiffeId::parse("spiffe://other.consul/ns/default/dc/dc1/svc/web").unwrap();
    let error = leaf::issue(&authority, &foreign, DEFAULT_LEAF_TTL, NOW).unwrap_err();
    assert_eq!(error.kind, FailureKind::Denied);
    assert!(
        error.message.contains("other.consul") && error.message.contains(CLUSTER),
        "{error}"
    );
}

#[test]
fn an_order_without_a_proper_key_is_refused() {
    let (roots, authority) = built_in();
    let web = identity("ns/default/dc/dc1/svc/web");
    let order = Order {
        identity: &web,
        dns_names: &[],
        public_key: b"not a key",
        serial: &[1],
        not_before: roots.roots[0].not_before,
        not_after: roots.roots[0].not_after,
    };
    assert_eq!(authority.sign(&order).unwrap_err().kind, FailureKind::Invalid);
}

#[test]
fn a_root_with_the_key_of_another_is_refused() {
    let (roots, _) = built_in();
    let (_, mut key) = generate_root(&roots.trust_domain, NOW, RootKey::default()).unwrap();
    key.root_id = roots.roots[0].id.clone();
    let error = BuiltIn::new(&roots, &key).unwrap_err();
    assert!(
        error.message.contains("the key of another certificate"),
        "{error}"
    );
    let inactive = CaRoots {
        roots: Vec::new(),
        ..roots
    };
    assert!(
        BuiltIn::new(&inactive, &key)
            .unwrap_err()
            .message
            .contains("no root")
    );
}

#[test]
fn keys_are_not_in_debug_output() {
    let trust_domain = TrustDomain::of_cluster(CLUSTER).unwrap();
    let (root, key) = generate_root(&trust_domain, NOW, RootKey::default()).unwrap();
    let roots = CaRoots {
        cluster_id: CLUSTER.to_owned(),
        trust_domain,
        datacenter: Datacenter::new("dc1").unwrap(),
        roots: vec![root],
        rotation: None,
    };
    let authority = BuiltIn::new(&roots, &key).unwrap();
    let leaf = issue(&authority, "ns/default/dc/dc1/svc/web");
    let shown = format!("{key:?} {leaf:?} {authority:?} {roots:?}");
    for secret in [&key.pem, &leaf.key_pem] {
        assert!(!shown.contains("PRIVATE"));
        let line = secret.expose().lines().nth(1).unwrap();
        assert!(line.len() > 40 && !shown.contains(line));
    }
}
