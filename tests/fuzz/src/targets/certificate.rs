//! Certificates and keys from outside: a peer's roots, a token's, and those of a store.

use crate::Target;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use peerway_certs::{BuiltIn, generate_root};
use peerway_model::{CaKey, CaRoot, CaRoots, Datacenter, RootKey, Secret, TrustDomain};
use peerway_peering_link::parts::Target as Dialled;
use peerway_peering_protocol::pem::{MAX_PEM_BYTES, check_certificates, roots as read_roots};
use peerway_runtime::UnixMillis;
use std::sync::LazyLock;

/// One certificate or key. The first byte says in which form: its DER, its PEM text, or as a private key.
pub const TARGET: Target = Target {
    name: "certificate",
    run,
    seeds,
};

/// A root and its key, made anew in each process.
static OWN: LazyLock<(CaRoot, CaKey)> = LazyLock::new(|| {
    let trust_domain = TrustDomain::new("own.consul").unwrap();
    generate_root(&trust_domain, UnixMillis(1_700_000_000_000), RootKey::P256).unwrap()
});

fn roots(root: CaRoot) -> CaRoots {
    CaRoots {
        cluster_id: "own".to_owned(),
        trust_domain: TrustDomain::new("own.consul").unwrap(),
        datacenter: Datacenter::new("dc1").unwrap(),
        roots: vec![root],
        rotation: None,
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

fn run(data: &[u8]) {
    let Some((form, rest)) = data.split_first() else {
        return;
    };
    let (root, key) = &*OWN;
    if form % 4 == 3 {
        let key = CaKey {
            root_id: root.id.clone(),
            pem: Secret::new(pem("PRIVATE KEY", rest)),
        };
        let _ = BuiltIn::new(&roots(root.clone()), &key);
        return;
    }
    let text = match form % 4 {
        0 => pem("CERTIFICATE", rest),
        1 => String::from_utf8_lossy(rest).into_owned(),
        _ => format!("{}{}", root.pem, String::from_utf8_lossy(rest)),
    };
    let checked = check_certificates(&text);
    assert!(checked.is_err() || text.len() <= MAX_PEM_BYTES);
    if let Ok(written) = read_roots(&text) {
        assert_eq!(checked, Ok(()));
        assert_eq!(
            read_roots(&written),
            Ok(written.clone()),
            "written anew, it is another"
        );
    }
    let _ = Dialled::new("server.dc1.peering.d.consul", std::slice::from_ref(&text));
    let _ = Dialled::new(&String::from_utf8_lossy(rest), std::slice::from_ref(&root.pem));
    let other = CaRoot {
        pem: text,
        ..root.clone()
    };
    let _ = BuiltIn::new(&roots(other), key);
}

fn seeds() -> Vec<Vec<u8>> {
    let (root, key) = &*OWN;
    let der = |text: &str| {
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(body).unwrap()
    };
    let p384 = generate_root(
        &TrustDomain::new("d.consul").unwrap(),
        UnixMillis(0),
        RootKey::P384,
    )
    .unwrap();
    let tagged = |tag: u8, bytes: &[u8]| [&[tag], bytes].concat();
    vec![
        tagged(0, &der(&root.pem)),
        tagged(0, &der(&p384.0.pem)),
        tagged(1, root.pem.as_bytes()),
        tagged(1, p384.0.pem.as_bytes()),
        tagged(2, p384.0.pem.as_bytes()),
        tagged(3, &der(key.pem.expose())),
        tagged(3, &der(p384.1.pem.expose())),
    ]
}
