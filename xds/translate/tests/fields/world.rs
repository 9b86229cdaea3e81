//! The base world with entries in it, and what its proxies, its chains and the API say then.

use crate::base;
use peerway_api_types::chain::chain_to_json;
use peerway_api_types::{config_entry_from_json, config_entry_to_json, hcl, service_registration_from_json};
use peerway_mesh::{Fragment, Mesh};
use peerway_model::authority::{CaRoot, CaRoots};
use peerway_model::instance::TAG_WAN;
use peerway_model::name::*;
use peerway_model::peering::RemoteInfo;
use peerway_model::{
    ConfigEntry, Instance, InstanceKey, Node, NodeKey, Origin, PeerMeta, Peering, PeeringKey, PeeringRole,
    PeeringState, Proxy, ServiceAddress, ServiceKey, ServiceKind, Tenancy, TrustBundle, TrustDomain, Weights,
};
use peerway_state::{Row, Snapshot, Transaction, apply, chain_of};
use peerway_xds_translate::ResourceKind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const LOCAL: &str = "local.consul";
const THEIRS: &str = "west.consul";
const PEER: &str = "west";
/// The services of the peer and what they speak.
const IMPORTED: [(&str, &str); 2] = [("api", "http"), ("db", "tcp")];
/// The first port that is handed out.
const FIRST_PORT: u16 = 20_000;

/// The name of a resource among all that a proxy is told.
pub(crate) type Name = (ResourceKind, String);
/// What becomes the resources of each proxy, by the proxy.
pub(crate) type Told = BTreeMap<String, BTreeMap<Name, Arc<Fragment>>>;

/// What there is to see with some entries in the world.
#[derive(Debug)]
pub(crate) struct Seen {
    /// By proxies.
    pub(crate) told: Told,
    /// By those who ask for compiled chains; by service.
    pub(crate) chains: BTreeMap<String, String>,
    /// By those who ask for the entry; `None` without one.
    pub(crate) answer: Option<String>,
}

/// Reads an entry as an operator writes it.
pub(crate) fn read(text: &str) -> Result<(Value, ConfigEntry), String> {
    let value = hcl::parse(text).map_err(|error| error.to_string())?;
    let entry = config_entry_from_json(&value, &Tenancy::default()).map_err(|error| error.to_string())?;
    Ok((value, entry))
}

/// The base.
pub(crate) fn base() -> Snapshot {
    let mut snapshot = Snapshot::default();
    write(&mut snapshot, rows()).unwrap();
    for text in base::ENTRIES {
        let (_, entry) = read(text).unwrap();
        write(&mut snapshot, vec![Row::Config(Arc::new(entry))]).unwrap();
    }
    snapshot
}

/// The base with `world`, and then `entry`, if any.
pub(crate) fn with(base: &Snapshot, world: &[String], entry: Option<ConfigEntry>) -> Result<Seen, String> {
    let mut snapshot = base.clone();
    for text in world {
        write(&mut snapshot, vec![Row::Config(Arc::new(read(text)?.1))])?;
    }
    let answer = entry
        .as_ref()
        .map(|entry| pretty(&config_entry_to_json(entry, None)));
    if let Some(entry) = entry {
        write(&mut snapshot, vec![Row::Config(Arc::new(entry))])?;
    }
    Ok(Seen {
        chains: chains(&snapshot),
        told: told(snapshot),
        answer,
    })
}

fn write(snapshot: &mut Snapshot, rows: Vec<Row>) -> Result<(), String> {
    let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
    let revision = snapshot.revision() + 1;
    apply(snapshot, &transaction, revision).map_err(|refused| refused.to_string())?;
    Ok(())
}

fn chains(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let domain = TrustDomain::new(LOCAL).unwrap();
    let mut chains = BTreeMap::new();
    for (name, namespace) in base::SERVICES {
        let tenancy = Tenancy {
            partition: Partition::default(),
            namespace: Namespace::new(namespace).unwrap(),
        };
        let service = ServiceKey::local(&tenancy, ServiceName::new(name).unwrap());
        let text = match chain_of(snapshot, &service) {
            Ok(chain) => pretty(&chain_to_json(
                &chain,
                &datacenter(),
                Some(&domain),
                &BTreeMap::new(),
            )),
            Err(error) => error.to_string(),
        };
        chains.insert(base::id(name, namespace), text);
    }
    chains
}

fn told(snapshot: Snapshot) -> Told {
    let proxies: Vec<(String, InstanceKey)> = snapshot
        .local_instances()
        .map(|held| &held.row)
        .filter(|instance| instance.kind != ServiceKind::Typical)
        .map(|instance| {
            let id = instance.key.id.as_str();
            let name = match id.strip_suffix("-sidecar-proxy") {
                Some(service) => format!("sidecar of {service}"),
                None => id.replace('-', " "),
            };
            (name, instance.key.clone())
        })
        .collect();
    let mut mesh = Mesh::new(Arc::new(snapshot));
    let mut told = Told::new();
    for (name, key) in proxies {
        let view = mesh.watch(&key).unwrap();
        let named = view.fragments.iter().map(|fragment| {
            let name = (ResourceKind::of(fragment.kind()), fragment.name().to_owned());
            (name, fragment.clone())
        });
        told.insert(name, named.collect());
    }
    told
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn datacenter() -> Datacenter {
    Datacenter::new("dc1").unwrap()
}

fn node_key(origin: Origin) -> NodeKey {
    NodeKey {
        origin,
        partition: Partition::default(),
        name: NodeName::new("n1").unwrap(),
    }
}

fn node(origin: Origin) -> Row {
    Row::Node(Arc::new(Node {
        key: node_key(origin),
        id: None,
        address: "127.0.0.1".to_owned(),
        datacenter: datacenter(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        locality: None,
    }))
}

/// All but the entries.
fn rows() -> Vec<Row> {
    let mut rows = vec![roots(), node(Origin::Local)];
    let mut next = FIRST_PORT;
    let texts = base::registrations(|| {
        next += 1;
        next - 1
    });
    for text in texts {
        let value = hcl::parse(&text).unwrap();
        let read = service_registration_from_json(&value["service"], &Tenancy::default()).unwrap();
        let instances = read
            .instances(&node_key(Origin::Local), &[].into(), None)
            .unwrap();
        rows.extend(instances.into_iter().map(|own| Row::Instance(Arc::new(own))));
    }
    rows.extend(peer());
    rows
}

fn roots() -> Row {
    Row::Roots(Arc::new(CaRoots {
        cluster_id: "local".to_owned(),
        trust_domain: TrustDomain::new(LOCAL).unwrap(),
        datacenter: datacenter(),
        roots: vec![CaRoot {
            id: "id".to_owned(),
            name: "root".to_owned(),
            serial: 1,
            key_id: "key".to_owned(),
            pem: "LOCAL ROOT\n".to_owned(),
            not_before: 0,
            not_after: 1,
            active: true,
            bridges: Vec::new(),
            handed_out: false,
        }],
        rotation: None,
    }))
}

fn peer() -> Vec<Row> {
    let key = PeeringKey {
        partition: Partition::default(),
        name: PeerName::new(PEER).unwrap(),
    };
    let origin = Origin::Peer(key.name.clone());
    let mut rows = vec![
        Row::Peering(Arc::new(Peering {
            key: key.clone(),
            id: "id".to_owned(),
            role: PeeringRole::Acceptor,
            state: PeeringState::Active,
            meta: BTreeMap::new(),
            remote_id: None,
            ca_pems: Vec::new(),
            server_name: None,
            server_addresses: Vec::new(),
            manual_addresses: Vec::new(),
            external_addresses: Vec::new(),
            remote: RemoteInfo::default(),
            deleted_at: None,
        })),
        Row::Bundle(Arc::new(TrustBundle {
            peering: key,
            trust_domain: TrustDomain::new(THEIRS).unwrap(),
            exported_partition: Partition::default(),
            root_pems: vec!["THEIR ROOT\n".to_owned()],
        })),
        node(origin.clone()),
    ];
    rows.extend(IMPORTED.map(|(name, protocol)| imported(&origin, name, protocol)));
    rows
}

/// The peer's gateway as the way to a service behind it.
fn imported(origin: &Origin, service: &str, protocol: &str) -> Row {
    let face = format!("{service}-sidecar-proxy");
    let gateway = ServiceAddress {
        address: "198.51.100.1".to_owned(),
        port: 8443,
    };
    Row::Instance(Arc::new(Instance {
        key: InstanceKey {
            node: node_key(origin.clone()),
            id: InstanceId::new(&face).unwrap(),
        },
        namespace: Namespace::default(),
        service: ServiceName::new(&face).unwrap(),
        kind: ServiceKind::ConnectProxy,
        tags: Vec::new(),
        address: String::new(),
        port: 1,
        tagged_addresses: BTreeMap::from([(TAG_WAN.to_owned(), gateway)]),
        meta: BTreeMap::new(),
        weights: Weights::default(),
        enable_tag_override: false,
        proxy: Some(Proxy {
            destination: ServiceName::new(service).unwrap(),
            destination_id: None,
            local_address: None,
            local_port: None,
            upstreams: Vec::new(),
            mesh_gateway: None,
            sidecar: Default::default(),
            config: BTreeMap::new(),
        }),
        gateway_config: BTreeMap::new(),
        peer_meta: Some(PeerMeta {
            sni: vec![format!("{service}.default.default.local.external.{THEIRS}")],
            spiffe_ids: vec![
                format!("spiffe://{THEIRS}/ns/default/dc/dc2/svc/{service}"),
                format!("spiffe://{THEIRS}/gateway/mesh/dc/dc2"),
            ],
            protocol: protocol.to_owned(),
            health: None,
        }),
        locality: None,
    }))
}
