//! A small cluster with something to lose: local rows, a peer that is attacked from, and another peer.

use peerway_api_types::{config_entry_from_json, service_registration_from_json};
use peerway_model::grant::{AllowedService, EndedToken, RefusalCause, RefusedUse, TokenEnd};
use peerway_model::peering::RemoteInfo;
use peerway_model::{
    AuditAction, AuditEvent, AuditRecord, CaRoot, CaRoots, Check, CheckId, CheckKey, CheckStatus, ConfigKind,
    Datacenter, Node, NodeKey, NodeName, Origin, Partition, PeerName, Peering, PeeringGrants, PeeringKey,
    PeeringRole, PeeringSecrets, PeeringState, Requester, Secret, SpiffeId, Tenancy, TokenBounds, TokenGrant,
    TrustBundle, TrustDomain,
};
use peerway_peering_link::parts::import;
use peerway_peering_protocol::{Refusal, Resource};
use peerway_state::{Row, Snapshot, Transaction, Versioned, apply};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

/// The name of the peer that is attacked from.
pub const ATTACKER: &str = "them";
/// The id that its stream was opened with.
pub const PEER_ID: &str = "00000000-0000-4000-8000-000000000001";
/// Its trust domain, as the byte vectors of `tests/foreign` spell it.
pub const ITS_TRUST_DOMAIN: &str = "d.consul";
/// This cluster's trust domain.
pub const OWN_TRUST_DOMAIN: &str = "own.consul";
/// A root of somebody.
pub const ROOT: &str = include_str!("../../../peering/protocol/src/pem/root.pem");

/// The cluster. It dials the attacker, so that everything that a peer can send is taken.
pub static WORLD: LazyLock<Snapshot> = LazyLock::new(make);

/// The peering with `peer`.
pub fn peering(peer: &str) -> PeeringKey {
    PeeringKey {
        partition: Partition::default(),
        name: PeerName::new(peer).unwrap(),
    }
}

fn node_of(origin: Origin, name: &str) -> Node {
    Node {
        key: NodeKey {
            origin,
            partition: Partition::default(),
            name: NodeName::new(name).unwrap(),
        },
        id: None,
        address: "10.0.0.1".to_owned(),
        datacenter: Datacenter::new("dc1").unwrap(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        locality: None,
    }
}

/// With every field in use.
fn grants() -> PeeringGrants {
    let grant = TokenGrant {
        accessor: "accessor".to_owned(),
        made_at: 1,
        expires_at: Some(2),
        request_id: Some("request".to_owned()),
        bounds: TokenBounds {
            datacenter: Some("dc2".to_owned()),
            trust_domain: TrustDomain::new("other.consul").ok(),
            services: AllowedService::parse("team/web")
                .ok()
                .map(|service| BTreeSet::from([service])),
        },
        proven: true,
    };
    PeeringGrants {
        establishment: Some(grant.clone()),
        ended: vec![EndedToken {
            grant,
            at: 3,
            end: TokenEnd::Revoked,
        }],
        refused: vec![RefusedUse {
            accessor: "accessor".to_owned(),
            cause: RefusalCause::Revoked,
            reason: "revoked".to_owned(),
            at: 4,
        }],
        ..PeeringGrants::new(peering("other"))
    }
}

fn make() -> Snapshot {
    let other = Origin::Peer(PeerName::new("other").unwrap());
    let root = CaRoot {
        id: "aa".to_owned(),
        name: "root".to_owned(),
        serial: 1,
        key_id: "bb".to_owned(),
        pem: ROOT.to_owned(),
        not_before: 0,
        not_after: u64::MAX,
        active: true,
        handed_out: false,
        bridges: Vec::new(),
    };
    let mut rows = vec![Row::Roots(Arc::new(CaRoots {
        cluster_id: "own".to_owned(),
        trust_domain: TrustDomain::new(OWN_TRUST_DOMAIN).unwrap(),
        datacenter: Datacenter::new("dc1").unwrap(),
        roots: vec![root],
        rotation: None,
    }))];
    for (peer, trust_domain) in [(ATTACKER, ITS_TRUST_DOMAIN), ("other", "other.consul")] {
        let id = format!("00000000-0000-4000-8000-{peer:0>12}");
        rows.push(Row::Peering(Arc::new(Peering {
            key: peering(peer),
            id,
            role: PeeringRole::Dialer,
            state: PeeringState::Establishing,
            meta: BTreeMap::new(),
            remote_id: Some(PEER_ID.to_owned()),
            ca_pems: vec![ROOT.to_owned()],
            server_name: Some(format!("server.dc1.peering.{trust_domain}")),
            server_addresses: vec!["h:1".to_owned()],
            manual_addresses: Vec::new(),
            external_addresses: Vec::new(),
            remote: RemoteInfo::default(),
            deleted_at: None,
        })));
        let secrets = PeeringSecrets {
            active_stream: Some(Secret::new("secret".to_owned())),
            ..PeeringSecrets::default()
        };
        rows.push(Row::Secrets(peering(peer), Arc::new(secrets)));
    }
    rows.push(Row::Grants(Arc::new(grants())));
    rows.push(Row::Audit(Arc::new(AuditRecord {
        number: 1,
        event: AuditEvent {
            at: 1,
            action: AuditAction::Made,
            peering: peering("other"),
            accessor: "accessor".to_owned(),
            by: Requester::default(),
            detail: "detail".to_owned(),
        },
    })));
    rows.push(Row::Bundle(Arc::new(TrustBundle {
        peering: peering("other"),
        trust_domain: TrustDomain::new("other.consul").unwrap(),
        exported_partition: Partition::default(),
        root_pems: vec![ROOT.to_owned()],
    })));
    let entry = json!({"Kind": "service-intentions", "Name": "web", "Sources": [
        {"Name": "*", "Action": "deny"}, {"Name": "api", "Peer": ATTACKER, "Action": "allow"}]});
    let entry = config_entry_from_json(&entry, &Tenancy::default()).unwrap();
    rows.push(Row::Config(Arc::new(entry)));
    // The same node and the same service here and at the other peer, named as the attacker names its own.
    let registration = json!({"Name": "web", "ID": "web-1", "Port": 8080,
        "Connect": {"SidecarService": {"Port": 21000}}});
    let registration = service_registration_from_json(&registration, &Tenancy::default()).unwrap();
    for origin in [Origin::Local, other] {
        let node = node_of(origin, "node-1");
        let key = node.key.clone();
        rows.push(Row::Node(Arc::new(node)));
        for mut instance in registration.instances(&key, &BTreeSet::new(), None).unwrap() {
            if !key.origin.is_local() {
                instance.proxy = None;
                instance.kind = peerway_model::ServiceKind::Typical;
            }
            rows.push(Row::Instance(Arc::new(instance.clone())));
            rows.push(Row::Check(Arc::new(Check {
                key: CheckKey {
                    node: key.clone(),
                    id: CheckId::new(&format!("{}:overall-check", instance.key.id)).unwrap(),
                },
                name: String::new(),
                status: CheckStatus::Passing,
                notes: String::new(),
                output: String::new(),
                instance: Some(instance.key.id.clone()),
                service: Some((instance.namespace.clone(), instance.service.clone())),
            })));
        }
    }
    let mut snapshot = Snapshot::default();
    let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
    apply(&mut snapshot, &transaction, 1).unwrap();
    snapshot
}

/// Does what the importer does with a resource of the attacker, and checks that it hurt nobody else.
///
/// # Errors
/// The refusal that the attacker would get.
pub fn attack(snapshot: &mut Snapshot, resource: &Resource) -> Result<(), Refusal> {
    let key = peering(ATTACKER);
    let transaction = import(snapshot, &key, PEER_ID, resource)?;
    let (before, own_before) = (
        untouchable(snapshot),
        Arc::clone(&snapshot.peering(&key).unwrap().row),
    );
    let revision = snapshot.revision() + 1;
    // A plan is made for this very snapshot.
    apply(snapshot, &transaction, revision).expect("the importer planned what the state refuses");
    assert_eq!(
        before,
        untouchable(snapshot),
        "rows that are not the peer's changed"
    );
    let own = &snapshot.peering(&key).unwrap().row;
    let fixed = |peering: &Peering| {
        let Peering {
            id,
            role,
            state,
            remote_id,
            server_name,
            manual_addresses,
            ..
        } = peering.clone();
        (id, role, state, remote_id, server_name, manual_addresses)
    };
    assert_eq!(
        fixed(&own_before),
        fixed(own),
        "what only an operator may change did"
    );
    check_imports(snapshot, &key);
    Ok(())
}

/// A row by its key and the revision that last changed it.
type Seen = (String, u64);

/// Everything that a peer has no business with.
fn untouchable(snapshot: &Snapshot) -> Vec<Seen> {
    let mut seen: Vec<Seen> = vec![(
        "roots".to_owned(),
        snapshot.roots().map_or(0, |roots| roots.modify_index),
    )];
    for kind in ConfigKind::ALL {
        seen.extend(
            snapshot
                .configs(kind)
                .map(|row| (format!("{:?}", row.key()), row.modify_index)),
        );
    }
    for row in snapshot.peerings() {
        if row.key.name.as_str() != ATTACKER {
            seen.push((format!("{:?}", row.key), row.modify_index));
            seen.extend(
                snapshot
                    .bundle(&row.key)
                    .map(|row| ("bundle".to_owned(), row.modify_index)),
            );
        }
        seen.extend(
            snapshot
                .secrets(&row.key)
                .map(|row| ("secrets".to_owned(), row.modify_index)),
        );
    }
    let other = Origin::Peer(PeerName::new("other").unwrap());
    for origin in [Origin::Local, other] {
        for node in snapshot.nodes(&origin, &Partition::default()) {
            seen.push((format!("{:?}", node.key), node.modify_index));
            seen.extend(
                snapshot
                    .instances_on(&node.key)
                    .map(|row| (format!("{:?}", row.key), row.modify_index)),
            );
            seen.extend(
                snapshot
                    .checks_on(&node.key)
                    .map(|row| (format!("{:?}", row.key), row.modify_index)),
            );
        }
        for service in snapshot.service_names(&origin, &Partition::default()) {
            let count = snapshot.instances_of(service).count() + snapshot.proxies_of(service).count();
            seen.push((format!("{service:?}"), count as u64));
        }
    }
    seen
}

/// What was imported speaks for the peer alone.
fn check_imports(snapshot: &Snapshot, key: &PeeringKey) {
    if let Some(bundle) = snapshot.bundle(key) {
        assert_eq!(
            bundle.trust_domain.as_str(),
            ITS_TRUST_DOMAIN,
            "a forged trust domain"
        );
    }
    let origin = Origin::Peer(key.name.clone());
    for node in snapshot.nodes(&origin, &key.partition) {
        for instance in snapshot.instances_on(&node.key) {
            for id in instance.peer_meta.iter().flat_map(|meta| &meta.spiffe_ids) {
                let id = SpiffeId::parse(id).expect("an identity that is none was imported");
                assert_eq!(id.trust_domain().as_str(), ITS_TRUST_DOMAIN, "a forged identity");
            }
        }
        for check in snapshot.checks_on(&node.key) {
            check_origin(check, &origin);
        }
    }
}

fn check_origin(check: &Versioned<Check>, origin: &Origin) {
    assert_eq!(&check.key.node.origin, origin);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_local_row_is_seen() {
        let mut snapshot = WORLD.clone();
        let before = untouchable(&snapshot);
        assert!(before.len() > 12, "{before:?}");
        let row = Row::Node(Arc::new(Node {
            address: "10.0.0.2".to_owned(),
            ..node_of(Origin::Local, "node-1")
        }));
        apply(&mut snapshot, &Transaction::new().put(row), 2).unwrap();
        assert_ne!(before, untouchable(&snapshot));
    }

    #[test]
    fn the_attackers_own_service_is_imported() {
        let seeds = (crate::targets::message::TARGET.seeds)();
        let origin = Origin::Peer(PeerName::new(ATTACKER).unwrap());
        let (mut taken, mut imported) = (0, 0);
        for resource in seeds
            .iter()
            .filter_map(|seed| crate::targets::message::resource(seed))
        {
            let mut snapshot = WORLD.clone();
            taken += usize::from(attack(&mut snapshot, &resource).is_ok());
            imported += snapshot.service_names(&origin, &Partition::default()).count();
        }
        assert!(taken > 8, "only {taken} resources of the seeds are taken");
        assert!(imported > 3, "only {imported} services of the seeds are imported");
    }
}
