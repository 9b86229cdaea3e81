//! What config entries amount to together is looked at before they count.

use super::fixtures::{World, entries};
use crate::{Refused, RowKey, Transaction, chain_of};
use peerway_model::config::{
    Destination, Failover, HeaderEdits, Member, Meta, Protocol, SamenessGroup, ServiceDefaults,
    ServiceResolver, ServiceRouter, ServiceSplitter, Split,
};
use peerway_model::name::GroupName;
use peerway_model::{ConfigEntry, Namespace, Partition, PeerName, ServiceKey, ServiceName, Tenancy};
use std::collections::BTreeMap;

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn to(service: &str, peer: Option<&str>) -> Destination {
    Destination {
        service: Some(name(service)),
        peer: peer.map(|text| PeerName::new(text).unwrap()),
        ..Destination::default()
    }
}

fn splitter(service: &str, to: Destination) -> ConfigEntry {
    ConfigEntry::ServiceSplitter(ServiceSplitter {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: name(service),
        splits: vec![Split {
            weight: 10_000,
            to,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
        }],
        meta: Meta::new(),
    })
}

fn resolver(service: &str) -> ServiceResolver {
    ServiceResolver {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: name(service),
        default_subset: None,
        subsets: BTreeMap::new(),
        redirect: None,
        failover: BTreeMap::new(),
        connect_timeout_ms: None,
        request_timeout_ms: None,
        load_balancer: None,
        by_locality: None,
        meta: Meta::new(),
    }
}

fn redirect(service: &str, to: Destination) -> ConfigEntry {
    ConfigEntry::ServiceResolver(Box::new(ServiceResolver {
        redirect: Some(to),
        ..resolver(service)
    }))
}

fn speaks(service: &str, protocol: Protocol) -> ConfigEntry {
    ConfigEntry::ServiceDefaults(ServiceDefaults {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: name(service),
        protocol: Some(protocol),
        mesh_gateway: None,
        inbound: Default::default(),
        upstreams: Default::default(),
        sidecar: Default::default(),
        meta: Meta::new(),
    })
}

fn router(service: &str) -> ConfigEntry {
    ConfigEntry::ServiceRouter(ServiceRouter {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: name(service),
        routes: Vec::new(),
        meta: Meta::new(),
    })
}

fn group(text: &str, default: bool) -> ConfigEntry {
    ConfigEntry::SamenessGroup(SamenessGroup {
        partition: Partition::default(),
        name: GroupName::new(text).unwrap(),
        default_for_failover: default,
        include_local: true,
        members: vec![Member::Peer(PeerName::new("west").unwrap())],
        meta: Meta::new(),
    })
}

fn put(entry: ConfigEntry) -> Transaction {
    Transaction::new().put(entry.into())
}

fn refusal(world: &mut World, transaction: &Transaction) -> String {
    let before = world.snapshot.revision();
    let Err(Refused::Invalid(invalid)) = world.commit(transaction) else {
        panic!("{transaction:?} was not refused");
    };
    assert_eq!(world.snapshot.revision(), before);
    invalid.to_string()
}

#[test]
fn a_circle_is_refused_by_the_entry_that_would_close_it() {
    let mut world = World::of([
        redirect("a", to("b", None)).into(),
        speaks("c", Protocol::Http).into(),
        speaks("d", Protocol::Http).into(),
        splitter("c", to("d", None)).into(),
    ]);
    let error = refusal(&mut world, &put(redirect("b", to("a", None))));
    assert!(error.contains("lead in a circle"), "{error}");
    let error = refusal(&mut world, &put(splitter("d", to("c", None))));
    assert!(error.contains("lead in a circle"), "{error}");
}

#[test]
fn what_a_router_needs_cannot_be_taken_away() {
    let mut world = World::of([speaks("web", Protocol::Http).into(), router("web").into()]);
    let key = RowKey::Config(speaks("web", Protocol::Http).key());
    let error = refusal(&mut world, &Transaction::new().delete(key.clone()));
    assert!(error.contains("needs a protocol of requests"), "{error}");
    let error = refusal(&mut world, &put(speaks("web", Protocol::Tcp)));
    assert!(error.contains("needs a protocol of requests"), "{error}");
    // In one transaction, what counts is the end.
    let both = Transaction::new()
        .delete(key)
        .delete(RowKey::Config(router("web").key()));
    world.commit(&both).unwrap();
}

#[test]
fn a_splitter_needs_requests_too() {
    let mut world = World::default();
    let error = refusal(&mut world, &put(splitter("web", to("api", Some("east")))));
    assert!(
        error.contains("the service-splitter of default/default/web needs a protocol of requests"),
        "{error}"
    );
    world.commit(&put(speaks("web", Protocol::Http))).unwrap();
    world
        .commit(&put(splitter("web", to("api", Some("east")))))
        .unwrap();
    let error = refusal(&mut world, &put(speaks("web", Protocol::Tcp)));
    assert!(error.contains("needs a protocol of requests"), "{error}");
}

#[test]
fn a_change_far_down_a_chain_is_held_against_its_head() {
    let mut world = World::of([redirect("a", to("b", None)).into()]);
    let error = refusal(&mut world, &put(speaks("b", Protocol::Grpc)));
    assert!(
        error.contains("the chain of default/default/a leads to default/default/b"),
        "{error}"
    );
    // Nobody leads to c.
    world.commit(&put(speaks("c", Protocol::Grpc))).unwrap();
}

#[test]
fn an_exported_service_stays_in_its_partition_whichever_is_written_first() {
    let [exports, ..] = entries(&Partition::default(), 0);
    let away = || put(redirect("web", to("web", Some("east"))));
    let mut world = World::of([exports.clone().into()]);
    let error = refusal(&mut world, &away());
    assert!(error.contains("web is exported to a peer"), "{error}");
    let mut world = World::default();
    world.commit(&away()).unwrap();
    let error = refusal(&mut world, &put(exports.clone()));
    assert!(error.contains("web is exported to a peer"), "{error}");
    // What stands in for it may be elsewhere.
    let mut world = World::of([exports.into()]);
    let stand_in = ConfigEntry::ServiceResolver(Box::new(ServiceResolver {
        failover: [("*".to_owned(), Failover::Targets(vec![to("web", Some("east"))]))].into(),
        ..resolver("web")
    }));
    world.commit(&put(stand_in)).unwrap();
}

#[test]
fn one_group_of_a_partition_stands_in_for_everything() {
    let mut world = World::of([group("a", true).into(), group("b", false).into()]);
    let error = refusal(&mut world, &put(group("b", true)));
    assert!(
        error.starts_with("DefaultForFailover: the sameness-groups a and b"),
        "{error}"
    );
    let web = ServiceKey::local(&Tenancy::default(), name("web"));
    let targets = chain_of(&world.snapshot, &web).unwrap().targets();
    assert_eq!(targets.len(), 2, "{targets:?}");
}
