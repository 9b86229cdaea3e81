//! What an import leaves in the store, and what it never touches.

use super::*;
use crate::exporter;
use crate::fixture::{self, World};
use peerway_model::{Partition, PeerName, PeeringState, TrustDomain};
use peerway_peering_protocol::{OfferedBundle, OfferedInstance};

fn origin() -> Origin {
    Origin::Peer(PeerName::new("west").unwrap())
}

/// `us` with a peering `west`, whose cluster has the trust domain `west.consul`.
fn us() -> World {
    let mut world = World::new("us");
    world.peer("west", Some("server.west.peering.west.consul"));
    world
}

fn west() -> World {
    let mut world = World::new("west");
    world
        .service("web", "web-1")
        .service("web", "web-2")
        .service("db", "db-1");
    world.proxy("web").gateway("gw-1").export(&["*"], "us");
    world
}

fn offered(world: &World, name: &str) -> Resource {
    let exports = exporter::exports(&world.snapshot, &fixture::peering("us"), &[]);
    Resource::ExportedService {
        name: name.to_owned(),
        instances: exports.services.get(name).cloned().unwrap_or_default(),
    }
}

fn import(world: &mut World, resource: &Resource) -> Result<(), String> {
    let key = fixture::peering("west");
    let peer_id = world
        .snapshot
        .peering(&key)
        .and_then(|peering| records::introduced_as(peering).map(str::to_owned));
    let transaction = plan(&world.snapshot, &key, &peer_id.unwrap_or_default(), resource)
        .map_err(|refusal| refusal.message)?;
    world.commit(&transaction);
    Ok(())
}

fn held(world: &World) -> Vec<String> {
    let (origin, partition) = (origin(), Partition::default());
    let services = world.snapshot.service_names(&origin, &partition);
    services
        .flat_map(|service| world.snapshot.instances_of(service))
        .map(|instance| instance.key.id.to_string())
        .collect()
}

fn list(names: &[&str]) -> Resource {
    Resource::ExportedServiceList(names.iter().map(|name| (*name).to_owned()).collect())
}

fn bundle(trust_domain: &str) -> Resource {
    let pem = include_str!("../../../protocol/src/pem/root.pem").trim_end();
    Resource::TrustBundle(Arc::new(OfferedBundle {
        trust_domain: trust_domain.to_owned(),
        root_pems: vec![pem.to_owned()],
        exported_partition: String::new(),
    }))
}

#[test]
fn a_service_replaces_what_was_there_and_touches_nothing_else() {
    let (mut us, mut west) = (us(), west());
    us.service("web", "own");
    for name in ["web", "db", "web-sidecar-proxy"] {
        import(&mut us, &offered(&west, name)).unwrap();
    }
    assert_eq!(
        held(&us),
        ["db-1", "web-1", "web-2", "web-sidecar-proxy-instance-0"]
    );
    assert_eq!(
        us.snapshot
            .checks_on(&fixture::node(origin(), "west").key)
            .count(),
        3
    );

    let gone = fixture::instance(&fixture::node(Origin::Local, "west").key, "web", "web-1").key;
    west.commit(&Transaction::new().delete(RowKey::Instance(gone)));
    import(&mut us, &offered(&west, "web")).unwrap();
    assert_eq!(held(&us), ["db-1", "web-2", "web-sidecar-proxy-instance-0"]);
    // Once more changes nothing.
    let revision = us.snapshot.revision();
    import(&mut us, &offered(&west, "web")).unwrap();
    assert_eq!(us.snapshot.revision(), revision);
    let own = fixture::node(Origin::Local, "us").key;
    assert_eq!(us.snapshot.instances_on(&own).count(), 1);
}

#[test]
fn checks_follow_the_snapshot() {
    let (mut us, west) = (us(), west());
    import(&mut us, &offered(&west, "db")).unwrap();
    let Resource::ExportedService { name, instances } = offered(&west, "db") else {
        panic!("not a service");
    };
    let without: Vec<OfferedInstance> = instances
        .iter()
        .map(|instance| OfferedInstance {
            checks: Vec::new(),
            ..instance.clone()
        })
        .collect();
    import(
        &mut us,
        &Resource::ExportedService {
            name,
            instances: without.into(),
        },
    )
    .unwrap();
    assert_eq!(held(&us), ["db-1"]);
    assert_eq!(
        us.snapshot
            .checks_on(&fixture::node(origin(), "west").key)
            .count(),
        0
    );
}

#[test]
fn nodes_go_with_their_last_instance() {
    let (mut us, west) = (us(), west());
    let node = fixture::node(origin(), "west").key;
    import(&mut us, &offered(&west, "web")).unwrap();
    import(&mut us, &offered(&west, "db")).unwrap();
    let empty = |name: &str| Resource::ExportedService {
        name: name.to_owned(),
        instances: Arc::from([]),
    };
    import(&mut us, &empty("web")).unwrap();
    assert!(us.snapshot.node(&node).is_some());
    import(&mut us, &empty("db")).unwrap();
    assert!(us.snapshot.node(&node).is_none());
}

#[test]
fn a_list_removes_what_it_does_not_keep() {
    let (mut us, west) = (us(), west());
    for name in ["web", "db", "web-sidecar-proxy"] {
        import(&mut us, &offered(&west, name)).unwrap();
    }
    import(&mut us, &list(&["web", "not.a.name"])).unwrap();
    assert_eq!(held(&us), ["web-1", "web-2", "web-sidecar-proxy-instance-0"]);
    import(&mut us, &list(&[])).unwrap();
    assert!(held(&us).is_empty());
    assert_eq!(us.snapshot.nodes(&origin(), &Partition::default()).count(), 0);
}

#[test]
fn a_bundle_becomes_the_roots_of_the_peering() {
    let mut us = us();
    import(&mut us, &bundle("west.consul")).unwrap();
    let key = fixture::peering("west");
    let stored = us.snapshot.bundle(&key).unwrap();
    assert_eq!(stored.trust_domain, TrustDomain::new("west.consul").unwrap());
    let pems = &us.snapshot.peering(&key).unwrap().ca_pems;
    assert!(pems[0].ends_with("-----\n"), "{pems:?}");
}

#[test]
fn a_trust_domain_of_someone_else_is_refused_by_name() {
    let mut us = us();
    us.peer("east", Some("server.east.peering.east.consul"));
    us.peer("north", None);
    for (domain, says) in [
        ("us.consul", "us.consul is this cluster's own"),
        ("east.consul", "east.consul is the trust domain of another peer"),
        ("else.consul", "else.consul is not the trust domain"),
    ] {
        let refusal = import(&mut us, &bundle(domain)).unwrap_err();
        assert!(refusal.contains(says), "{refusal}");
    }
    // A proxy that claims to be ours.
    let mut thief = World::new("us");
    thief
        .service("web", "web-1")
        .proxy("web")
        .gateway("gw-1")
        .export(&["*"], "us");
    let refusal = import(&mut us, &offered(&thief, "web-sidecar-proxy")).unwrap_err();
    assert!(refusal.contains("this cluster's own"), "{refusal}");
    assert!(held(&us).is_empty());
}

#[test]
fn addresses_are_for_dialers_and_nothing_is_for_the_deleted() {
    let mut us = us();
    let addresses = Resource::ServerAddresses(Arc::from(["h:1".to_owned()]));
    import(&mut us, &addresses).unwrap();
    let key = fixture::peering("west");
    assert_eq!(us.snapshot.peering(&key).unwrap().server_addresses, ["h:1"]);

    let mut acceptor = World::new("us");
    acceptor.peer("west", None);
    assert!(
        import(&mut acceptor, &addresses)
            .unwrap_err()
            .contains("does not dial")
    );

    let mut record = Peering::clone(&us.snapshot.peering(&key).unwrap().row);
    record.state = PeeringState::Deleting;
    us.put([Row::Peering(Arc::new(record))]);
    assert!(
        import(&mut us, &offered(&west(), "web"))
            .unwrap_err()
            .contains("being deleted")
    );
}

#[test]
fn a_plan_does_not_fit_a_record_that_changed() {
    let (mut us, west) = (us(), west());
    let key = fixture::peering("west");
    let planned = plan(&us.snapshot, &key, "remote-id-of-west", &offered(&west, "web")).unwrap();
    let mut record = Peering::clone(&us.snapshot.peering(&key).unwrap().row);
    record.state = PeeringState::Deleting;
    us.put([Row::Peering(Arc::new(record))]);
    let revision = us.snapshot.revision() + 1;
    let refused = peerway_state::apply(&mut us.snapshot, &planned, revision).unwrap_err();
    assert!(matches!(refused, Refused::Conflict { .. }), "{refused}");
}

#[test]
fn a_stream_of_a_former_introduction_changes_nothing_any_more() {
    let (mut us, west, key) = (us(), west(), fixture::peering("west"));
    import(&mut us, &offered(&west, "web")).unwrap();
    let former = "former-id-of-west";
    let refused = plan(&us.snapshot, &key, former, &offered(&west, "db")).unwrap_err();
    assert_eq!(refused.code, Code::Aborted);
    // Its peer may say as late as it likes that it deleted that peering.
    assert!(records::terminated(&us.snapshot, &key, former).is_none());
    let transaction = records::terminated(&us.snapshot, &key, "remote-id-of-west").unwrap();
    us.commit(&transaction);
    assert_eq!(held(&us), Vec::<String>::new());
}
