//! What is refused from a peer, by name, and what is let in.

use super::*;
use crate::offer::{OfferedCheck, OfferedInstance, OfferedNode, OfferedProxy, OfferedService};
use crate::pem::tests::certificate;
use peerway_model::{CheckStatus, HealthSummary, PeerMeta, PeerName};
use std::sync::Arc;

struct World {
    peering: PeeringKey,
    own: TrustDomain,
    peer: Option<TrustDomain>,
    /// Another peer.
    east: (PeeringKey, TrustDomain, Option<TrustBundle>),
    has_bundle: bool,
}

fn td(text: &str) -> TrustDomain {
    TrustDomain::new(text).unwrap()
}

fn key(partition: &str, name: &str) -> PeeringKey {
    PeeringKey {
        partition: Partition::new(partition).unwrap(),
        name: PeerName::new(name).unwrap(),
    }
}

fn world() -> World {
    World {
        peering: key("billing", "west"),
        own: td("own.consul"),
        peer: Some(td("west.consul")),
        east: (key("billing", "east"), td("east.consul"), None),
        has_bundle: false,
    }
}

impl World {
    fn admit(&self, resource: Resource) -> Result<Import, String> {
        let (peering, trust_domain, bundle) = &self.east;
        let scope = ImportScope {
            peering: &self.peering,
            own_trust_domain: &self.own,
            peer_trust_domain: self.peer.as_ref(),
            has_bundle: self.has_bundle,
            others: &[OtherPeer {
                peering,
                trust_domain,
                bundle: bundle.as_ref(),
            }],
        };
        scope.admit(&resource).map_err(|refusal| refusal.message)
    }
}

fn typical() -> OfferedInstance {
    OfferedInstance {
        node: OfferedNode {
            name: "n1".to_owned(),
            address: "10.0.0.1".to_owned(),
            datacenter: "dc2".to_owned(),
            ..OfferedNode::default()
        },
        service: OfferedService {
            id: "web-1".to_owned(),
            name: "web".to_owned(),
            port: 8080,
            ..OfferedService::default()
        },
        checks: vec![OfferedCheck {
            id: "c".to_owned(),
            status: "warning".to_owned(),
            node: "N1".to_owned(),
            service_id: "web-1".to_owned(),
            ..OfferedCheck::default()
        }],
    }
}

fn proxy() -> OfferedInstance {
    let mut proxy = typical();
    proxy.checks.clear();
    proxy.service.name = "web-sidecar-proxy".to_owned();
    proxy.service.kind = "connect-proxy".to_owned();
    proxy.service.proxy = Some(OfferedProxy {
        destination: "web".to_owned(),
        destination_id: "web-instance-0".to_owned(),
    });
    proxy.service.peer_meta = Some(PeerMeta {
        sni: vec!["web.default.default.us.external.west.consul".to_owned()],
        spiffe_ids: vec![
            "spiffe://west.consul/ns/default/dc/dc2/svc/web".to_owned(),
            "spiffe://west.consul/gateway/mesh/dc/dc2".to_owned(),
        ],
        protocol: "tcp".to_owned(),
        health: None,
    });
    proxy
}

fn service(instance: OfferedInstance) -> Resource {
    Resource::ExportedService {
        name: instance.service.name.clone(),
        instances: Arc::from([instance]),
    }
}

#[test]
fn what_is_admitted_belongs_to_the_peer() {
    let Ok(Import::Service { name, instances }) = world().admit(service(typical())) else {
        panic!("refused");
    };
    assert_eq!(name.as_str(), "web");
    let [one] = instances.as_slice() else {
        panic!("not one");
    };
    assert_eq!(one.node.key.origin.peer().unwrap().as_str(), "west");
    assert_eq!(one.node.key.partition.as_str(), "billing");
    assert_eq!(one.instance.key.node, one.node.key);
    let check = one.check.as_ref().unwrap();
    assert_eq!(check.key.node, one.node.key);
    assert_eq!(
        (check.key.id.as_str(), check.status),
        ("web-1:overall-check", CheckStatus::Warning)
    );

    let Ok(Import::Service { instances, .. }) = world().admit(service(proxy())) else {
        panic!("refused");
    };
    assert!(instances[0].instance.peer_meta.is_some());
    assert_eq!(instances[0].check, None);
}

type Break = (fn(&mut OfferedInstance), &'static str);

#[test]
fn each_unsound_instance_is_refused_by_name() {
    let typical_breaks: &[Break] = &[
        (|i| i.node.name.clear(), "Nodes[0].Node.Node: must not be empty"),
        (|i| i.node.id = "x".to_owned(), "Nodes[0].Node.ID: must be a UUID"),
        (
            |i| i.node.datacenter = "DC".to_owned(),
            "Nodes[0].Node.Datacenter",
        ),
        (
            |i| i.node.address = "a".repeat(1025),
            "Nodes[0].Node.Address: holds 1025",
        ),
        (
            |i| {
                i.node
                    .meta
                    .extend((0..65).map(|n| (n.to_string(), String::new())))
            },
            "Node.Meta: has 65",
        ),
        (|i| i.service.id.clear(), "Nodes[0].Service.ID: must not be empty"),
        (|i| i.service.id = "a".repeat(257), "Nodes[0].Service.ID: is 257"),
        (|i| i.service.port = 65_536, "Nodes[0].Service.Port: 65536"),
        (|i| i.service.port = -1, "Nodes[0].Service.Port: -1"),
        (|i| i.service.weights = Some((-1, 1)), "Nodes[0].Service.Weights"),
        (
            |i| i.service.kind = "mesh-gateway".to_owned(),
            "Nodes[0].Service.Kind: \"mesh-gateway\"",
        ),
        (
            |i| i.service.namespace = "a b".to_owned(),
            "EnterpriseMeta.Namespace",
        ),
        (
            |i| drop(i.service.meta.insert("consul-x".to_owned(), String::new())),
            "Service.Meta: key \"consul-x\"",
        ),
        (
            |i| i.service.tags = vec![String::new(); 65],
            "Service.Tags: has 65",
        ),
        (
            |i| {
                drop(
                    i.service
                        .tagged_addresses
                        .insert("wan".to_owned(), ("h".to_owned(), 70_000)),
                )
            },
            "TaggedAddresses",
        ),
        (|i| i.checks[0].id.clear(), "Checks[0].CheckID: must not be empty"),
        (|i| i.checks[0].node = "other".to_owned(), "Checks[0].Node"),
        (
            |i| i.checks[0].service_id = "other".to_owned(),
            "Checks[0].ServiceID",
        ),
        (|i| i.checks = vec![OfferedCheck::default(); 65], "Checks: has 65"),
    ];
    let proxy_breaks: &[Break] = &[
        (|i| i.service.proxy = None, "Service.Proxy: is missing"),
        (|i| i.service.peer_meta = None, "Connect.PeerMeta: is missing"),
        (
            |i| i.service.proxy.as_mut().unwrap().destination = "db".to_owned(),
            "db is not what web-sidecar-proxy",
        ),
        (|i| meta(i).sni.clear(), "PeerMeta.SNI: is empty"),
        (|i| meta(i).spiffe_ids.clear(), "PeerMeta.SpiffeID: is empty"),
        (
            |i| meta(i).sni[0] = "web.default.dc1.internal.west.consul".to_owned(),
            "SNI[0]: must end in",
        ),
        (
            |i| meta(i).sni[0] = ".external.west.consul".to_owned(),
            "SNI[0]: must end in",
        ),
        (
            |i| meta(i).sni[0] = "a b.external.west.consul".to_owned(),
            "SNI[0]: is not a DNS name",
        ),
        (|i| meta(i).spiffe_ids[0] = "https://x".to_owned(), "SpiffeID[0]"),
        (
            |i| meta(i).spiffe_ids[1] = "spiffe://own.consul/gateway/mesh/dc/dc1".to_owned(),
            "SpiffeID[1]: own.consul is this cluster's own",
        ),
        (
            |i| meta(i).spiffe_ids[1] = "spiffe://east.consul/gateway/mesh/dc/dc1".to_owned(),
            "SpiffeID[1]: east.consul is the trust domain of another peer",
        ),
        (
            |i| meta(i).spiffe_ids[1] = "spiffe://else.consul/gateway/mesh/dc/dc1".to_owned(),
            "SpiffeID[1]: else.consul is not the trust domain that this peering",
        ),
        (
            |i| meta(i).health = Some(counted(2, 1, 2, 0)),
            "PeerMeta.Health.Total: is less than",
        ),
        (
            |i| meta(i).health = Some(counted(u32::MAX, u32::MAX, u32::MAX, u32::MAX)),
            "Health.Total: is 4294967295, at most 1000000",
        ),
        (
            |i| meta(i).health = Some(counted(1, 2, 0, 0)),
            "Health.Weight: is not that of",
        ),
        (
            |i| meta(i).health = Some(counted(0, 2, 1, 0)),
            "Health.Weight: is not that of",
        ),
        (
            |i| meta(i).health = Some(counted(1, 2, 1, 2)),
            "Health.Total: is less than",
        ),
    ];
    fn counted(healthy: u32, total: u32, weight: u32, draining: u32) -> HealthSummary {
        HealthSummary {
            healthy,
            total,
            weight,
            draining,
        }
    }
    fn meta(instance: &mut OfferedInstance) -> &mut PeerMeta {
        instance.service.peer_meta.as_mut().unwrap()
    }
    let table = typical_breaks.iter().map(|row| (typical(), row));
    for (mut instance, (change, says)) in table.chain(proxy_breaks.iter().map(|row| (proxy(), row))) {
        change(&mut instance);
        let refusal = world().admit(service(instance)).unwrap_err();
        assert!(
            refusal.starts_with("exported service \"web") && refusal.contains(says),
            "{refusal}"
        );
    }
}

#[test]
fn services_are_bounded_and_consistent() {
    let refusal = |name: &str, instances: Vec<OfferedInstance>| {
        let resource = Resource::ExportedService {
            name: name.to_owned(),
            instances: instances.into(),
        };
        world().admit(resource).unwrap_err()
    };
    assert!(refusal("a.b", vec![]).contains("not a valid name"));
    assert!(refusal("db", vec![typical()]).contains("\"web\" is not the service"));
    assert!(
        refusal("web", vec![typical(), typical()]).contains("Nodes[1]: instance \"web-1\"")
            || refusal("web", vec![typical(), typical()]).contains("there twice")
    );
    assert!(refusal("web", vec![typical(); MAX_INSTANCES + 1]).contains("at most 10000"));
    let mut mixed = proxy();
    let meta = mixed.service.peer_meta.as_mut().unwrap();
    meta.spiffe_ids[1] = "spiffe://else.consul/gateway/mesh/dc/dc1".to_owned();
    let unknown = World {
        peer: None,
        ..world()
    };
    assert!(unknown.admit(service(proxy())).is_ok());
    assert!(
        unknown
            .admit(service(mixed))
            .unwrap_err()
            .contains("of another trust domain than the first")
    );
}

#[test]
fn an_unknown_status_counts_as_critical() {
    let mut instance = typical();
    instance.checks[0].status = "fine".to_owned();
    let Ok(Import::Service { instances, .. }) = world().admit(service(instance)) else {
        panic!("refused");
    };
    assert_eq!(instances[0].check.as_ref().unwrap().status, CheckStatus::Critical);
}

#[test]
fn a_list_goes_on_without_its_bad_names() {
    let names = ["web".to_owned(), "a.b".to_owned()];
    let Ok(Import::ServiceList { names, refused }) =
        world().admit(Resource::ExportedServiceList(Arc::from(names)))
    else {
        panic!("refused");
    };
    assert_eq!(names.len(), 1);
    assert!(
        refused[0].to_string().starts_with("Services[1]: \"a.b\""),
        "{}",
        refused[0]
    );
    let many = vec!["a".to_owned(); MAX_SERVICES + 1];
    assert!(world().admit(Resource::ExportedServiceList(many.into())).is_err());
}

#[test]
fn a_bundle_must_be_the_peers_own() {
    let bundle = |td: &str, pems: Vec<String>| {
        world().admit(Resource::TrustBundle(Arc::new(OfferedBundle {
            trust_domain: td.to_owned(),
            root_pems: pems,
            exported_partition: String::new(),
        })))
    };
    let Ok(Import::Bundle(admitted)) = bundle("WEST.consul", vec![certificate(1)]) else {
        panic!("refused");
    };
    assert_eq!(admitted.trust_domain, td("west.consul"));
    assert!(admitted.exported_partition.is_default());
    assert_eq!(admitted.root_pems, [certificate(1)]);
    let hollow = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
    for (domain, pems, says) in [
        ("own.consul", vec![certificate(1)], "this cluster's own"),
        ("east.consul", vec![certificate(1)], "another peer"),
        ("else.consul", vec![certificate(1)], "made with"),
        ("a/b", vec![certificate(1)], "TrustDomain"),
        ("west.consul", vec![], "RootPEMs: holds no root"),
        ("west.consul", vec!["x".to_owned()], "RootPEMs[0]"),
        (
            "west.consul",
            vec![certificate(1), certificate(1) + hollow],
            "RootPEMs[1]",
        ),
        (
            "west.consul",
            vec![certificate(1); MAX_ROOTS + 1],
            "RootPEMs: has 33",
        ),
    ] {
        let refusal = bundle(domain, pems).unwrap_err();
        assert!(refusal.contains(says), "{refusal}");
    }
}

#[test]
fn partitions_of_one_cluster_may_be_peers_side_by_side() {
    let held = |pems: Vec<String>| TrustBundle {
        peering: key("billing", "east"),
        trust_domain: td("east.consul"),
        exported_partition: Partition::default(),
        root_pems: pems,
    };
    let offer = |partition: &str, pem: u8| {
        Resource::TrustBundle(Arc::new(OfferedBundle {
            trust_domain: "east.consul".to_owned(),
            root_pems: vec![certificate(pem)],
            exported_partition: partition.to_owned(),
        }))
    };
    let mut world = world();
    world.peer = None;
    let refused = world.admit(offer("sales", 1)).unwrap_err();
    assert!(
        refused.contains("of peer east, whose roots have not come yet"),
        "{refused}"
    );
    world.east.2 = Some(held(vec![certificate(1), certificate(2)]));
    for (partition, pem, says) in [
        ("", 1, "partition default of it is peer east already"),
        ("sales", 3, "none of these roots is one of its"),
    ] {
        let refused = world.admit(offer(partition, pem)).unwrap_err();
        assert!(refused.contains(says), "{refused}");
    }
    assert!(world.admit(offer("sales", 2)).is_ok());
    // The same partition, for another one of ours.
    world.peering = key("default", "west");
    assert!(world.admit(offer("", 2)).is_ok());

    // From then on the roots may change, as the other's may, at a time of their own.
    world.peer = Some(td("east.consul"));
    world.has_bundle = true;
    assert!(world.admit(offer("sales", 3)).is_ok());
    // Whoever dials with a token of that cluster may bring the roots before the other does.
    world.has_bundle = false;
    assert!(world.admit(offer("sales", 3)).is_err());
    world.east.2 = None;
    assert!(world.admit(offer("sales", 3)).is_ok());
}

#[test]
fn addresses_must_be_dialable() {
    let admit = |list: &[&str]| {
        let list: Vec<String> = list.iter().map(|text| (*text).to_owned()).collect();
        world().admit(Resource::ServerAddresses(list.into()))
    };
    assert!(admit(&["h:1", "[::1]:2"]).is_ok());
    assert!(admit(&[]).unwrap_err().contains("never be dialled"));
    assert!(admit(&["h:1", "h"]).unwrap_err().contains("Addresses[1]"));
    assert!(admit(&["h:1"; MAX_ADDRESSES + 1]).is_err());
}

#[test]
fn a_server_name_tells_the_trust_domain() {
    assert_eq!(
        trust_domain_of_server_name("server.dc1.peering.west.consul"),
        Some(td("west.consul"))
    );
    for other in [
        "",
        "server.dc1.west.consul",
        "x.dc1.peering.west.consul",
        "server.dc1.peering.",
    ] {
        assert_eq!(trust_domain_of_server_name(other), None, "{other}");
    }
}
