//! Names, identities, server names and addresses.

use crate::Target;
use peerway_model::{
    CheckId, ConfigKind, Datacenter, InstanceId, Namespace, NodeName, Partition, PeerName, ServiceName,
    SpiffeId, TrustDomain, sni,
};
use peerway_peering_protocol::address::{join, split};
use peerway_peering_protocol::admit::trust_domain_of_server_name;

/// One text, read as each of them.
pub const TARGET: Target = Target {
    name: "names",
    run,
    seeds,
};

fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    labels(text);
    if let Ok(id) = SpiffeId::parse(text) {
        let written = id.to_string();
        let again = SpiffeId::parse(&written).expect("its own text is refused");
        assert_eq!(again, id);
        assert!(
            written.is_ascii() && written.starts_with("spiffe://"),
            "{written:?}"
        );
        assert!(
            !written.contains(['?', '#', '@', '%', '*', ' ', '"', '\\']),
            "{written:?}"
        );
    }
    if let Ok((host, port)) = split(text) {
        assert_eq!(split(&join(host, port)), Ok((host, port)));
        assert!(
            port != 0 && !host.is_empty() && !host.contains(['/', '@', ' ', '\0', '[']),
            "{host:?}"
        );
    }
    if let Some(domain) = trust_domain_of_server_name(text) {
        assert!(text.to_ascii_lowercase().ends_with(domain.as_str()));
    }
    if let Ok(kind) = ConfigKind::parse(text) {
        assert_eq!(kind.as_str(), text);
    }
    for name in [
        CheckId::new(text).map(|n| n.to_string()),
        InstanceId::new(text).map(|n| n.to_string()),
        NodeName::new(text).map(|n| n.to_string()),
    ]
    .into_iter()
    .flatten()
    {
        assert_eq!(name, text);
        assert!(!name.is_empty() && !name.contains(char::is_control), "{name:?}");
    }
}

/// Names that become parts of SNIs and SPIFFE IDs: no part can pass for two, or for the end.
fn labels(text: &str) {
    let labels = [
        ServiceName::new(text).map(|n| n.to_string()),
        PeerName::new(text).map(|n| n.to_string()),
        Partition::new(text).map(|n| n.to_string()),
        Namespace::new(text).map(|n| n.to_string()),
        Datacenter::new(text).map(|n| n.to_string()),
    ];
    for label in labels.into_iter().flatten() {
        assert_eq!(label, text);
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        assert!(!label.is_empty() && label.bytes().all(plain), "{label:?}");
    }
    let (Ok(name), Ok(domain)) = (ServiceName::new(text), TrustDomain::new("d.consul")) else {
        return;
    };
    let (ns, dc) = (Namespace::default(), Datacenter::new("dc1").unwrap());
    let written = sni::service(&name, &ns, &Partition::default(), &dc, &domain);
    assert_eq!(written.split('.').next(), Some(text));
    let id = SpiffeId::Service {
        trust_domain: domain,
        partition: Partition::default(),
        namespace: ns,
        datacenter: dc,
        service: name,
    };
    assert_eq!(SpiffeId::parse(&id.to_string()).as_ref(), Ok(&id));
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "web",
        "a-b_c",
        "default",
        "node-1",
        "web:overall-check",
        "10.0.0.5:8503",
        "[::1]:8503",
        "h.example:1",
        "d.consul",
        "11111111-2222-3333-4444-555555555555.consul",
        "spiffe://d.consul/ns/default/dc/dc1/svc/web",
        "spiffe://d.consul/ap/billing/ns/team/dc/dc1/svc/web",
        "spiffe://d.consul/gateway/mesh/dc/dc1",
        "spiffe://d.consul/ap/billing/gateway/mesh/dc/dc1",
        "spiffe://d.consul/agent/server/dc/dc1",
        "server.dc1.peering.d.consul",
        "service-intentions",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
