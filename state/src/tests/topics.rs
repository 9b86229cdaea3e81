//! That a commit touches what it must is shown by generated histories; here, single cases and that it does not touch
//! much more.

use super::fixtures::{
    World, check, instance, instance_key, local, node, peering, peering_key, service_key, sidecar, west,
};
use crate::{ChangeSet, Row, RowKey, Topic, Transaction};
use peerway_model::{CheckStatus, Instance, Origin, Partition, PeeringState, ServiceKind};

fn world() -> World {
    World::of([
        node(&local("n1"), "10.0.0.1").into(),
        node(&local("n2"), "10.0.0.2").into(),
        instance(&local("n1"), "i1", "web").into(),
        sidecar(&local("n1"), "i2", "web").into(),
        instance(&local("n2"), "i1", "api").into(),
        check(&local("n1"), "c1", Some("i1"), CheckStatus::Passing).into(),
    ])
}

fn put(world: &mut World, row: impl Into<Row>) -> ChangeSet {
    world.commit(&Transaction::new().put(row.into())).unwrap().changes
}

fn service(name: &str) -> Topic {
    Topic::Service(service_key(&Origin::Local, &Partition::default(), name))
}

fn names() -> Topic {
    Topic::ServiceNames(Origin::Local, Partition::default())
}

fn kind(kind: ServiceKind) -> Topic {
    Topic::Kind(kind, Partition::default())
}

#[test]
fn the_list_of_names_is_touched_by_the_first_and_last_instance_only() {
    let mut world = world();
    let moved = Instance {
        port: 81,
        ..instance(&local("n1"), "i1", "web")
    };
    let changes = put(&mut world, moved);
    assert!(changes.touches(&service("web")) && !changes.touches(&names()));
    assert!(!put(&mut world, instance(&local("n2"), "i2", "web")).touches(&names()));
    assert!(put(&mut world, instance(&local("n2"), "i3", "db")).touches(&names()));
    let gone = RowKey::Instance(instance_key(&local("n2"), "i3"));
    assert!(
        world
            .commit(&Transaction::new().delete(gone))
            .unwrap()
            .changes
            .touches(&names())
    );
    let gone = RowKey::Instance(instance_key(&local("n2"), "i2"));
    assert!(
        !world
            .commit(&Transaction::new().delete(gone))
            .unwrap()
            .changes
            .touches(&names())
    );
}

#[test]
fn an_instance_that_changes_its_service_touches_both_and_moves_in_the_indexes() {
    let mut world = world();
    let changes = put(&mut world, instance(&local("n1"), "i1", "db"));
    assert!(changes.touches_any(&[service("web")]) && changes.touches(&service("db")));
    assert!(changes.touches(&names()));
    let web = service_key(&Origin::Local, &Partition::default(), "web");
    assert_eq!(world.snapshot.instances_of(&web).count(), 0);
    assert_eq!(world.snapshot.proxies_of(&web).count(), 1);
}

#[test]
fn a_proxy_that_becomes_a_gateway_leaves_its_destination() {
    let mut world = world();
    let web = service_key(&Origin::Local, &Partition::default(), "web");
    let gateway = Instance {
        kind: ServiceKind::MeshGateway,
        ..instance(&local("n1"), "i2", "gateway")
    };
    let changes = put(&mut world, gateway);
    assert!(changes.touches(&Topic::ProxiesOf(web.clone())));
    assert!(changes.touches(&kind(ServiceKind::ConnectProxy)));
    assert!(changes.touches(&kind(ServiceKind::MeshGateway)));
    assert_eq!(world.snapshot.proxies_of(&web).count(), 0);
    let partition = Partition::default();
    let of = |kind| world.snapshot.instances_of_kind(kind, &partition).count();
    assert_eq!(
        (of(ServiceKind::ConnectProxy), of(ServiceKind::MeshGateway)),
        (0, 1)
    );
}

#[test]
fn a_check_that_moves_touches_the_instance_it_leaves_and_the_one_it_joins() {
    let mut world = world();
    let changes = put(
        &mut world,
        check(&local("n1"), "c1", Some("i2"), CheckStatus::Passing),
    );
    for id in ["i1", "i2"] {
        assert!(changes.touches(&Topic::Instance(instance_key(&local("n1"), id))));
    }
    let changes = put(&mut world, check(&local("n1"), "c1", None, CheckStatus::Passing));
    for id in ["i1", "i2"] {
        assert!(changes.touches(&Topic::Instance(instance_key(&local("n1"), id))));
    }
}

#[test]
fn a_change_of_one_service_leaves_the_others_alone() {
    let mut world = world();
    let changes = put(
        &mut world,
        check(&local("n1"), "c1", Some("i1"), CheckStatus::Critical),
    );
    assert!(changes.touches(&service("web")));
    for other in [
        service("api"),
        service("web-sidecar-proxy"),
        Topic::Nodes(Origin::Local, Partition::default()),
        Topic::Instance(instance_key(&local("n2"), "i1")),
    ] {
        assert!(!changes.touches(&other), "{other:?}");
    }
    let changes = put(&mut world, node(&local("n1"), "10.0.0.9"));
    assert!(changes.touches(&service("web")) && !changes.touches(&service("api")));
}

#[test]
fn imports_touch_nothing_local() {
    let key = peering_key(&Partition::default(), "west");
    let mut world = world();
    put(&mut world, peering(&key, PeeringState::Establishing));
    put(&mut world, node(&west("n1"), "10.1.0.1"));
    let changes = put(&mut world, instance(&west("n1"), "i1", "web"));
    let origin = Origin::Peer(key.name.clone());
    assert!(changes.touches(&Topic::Service(service_key(
        &origin,
        &Partition::default(),
        "web"
    ))));
    assert!(changes.touches(&Topic::ServiceNames(origin, Partition::default())));
    for local in [service("web"), names(), kind(ServiceKind::Typical)] {
        assert!(!changes.touches(&local), "{local:?}");
    }
    let changes = world
        .commit(&Transaction::new().delete(RowKey::Peering(key.clone())))
        .unwrap()
        .changes;
    assert!(changes.touches(&Topic::Peering(key)) && !changes.touches(&service("web")));
}
