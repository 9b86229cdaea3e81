//! What stands in the way of using a token.

use super::*;
use crate::fixture::{World, peering, roots};

fn world() -> World {
    let mut world = World::new("us");
    world.put([Row::Roots(Arc::new(roots("us", "pem\n")))]);
    world
}

fn token(cluster: &str, partition: &str) -> Token {
    let roots = roots(cluster, "pem\n");
    Token {
        ca_pems: vec!["pem\n".to_owned()],
        manual_server_addresses: Vec::new(),
        server_addresses: vec!["them:8503".to_owned()],
        server_name: sni::peering_server(&roots.datacenter, &roots.trust_domain),
        peer_id: "6b2fbc1e-0000-4000-8000-000000000001".to_owned(),
        establishment_secret: Secret::new("s"),
        remote: RemoteInfo {
            partition: partition.to_owned(),
            datacenter: cluster.to_owned(),
        },
    }
}

fn refusal(world: &World, name: &str, token: &Token) -> String {
    let error = check(&world.snapshot, &peering(name), token).unwrap_err();
    assert!(matches!(error, IntroductionError::Conflict(_)), "{error:?}");
    error.to_string()
}

fn end(world: &mut World, name: &str) {
    let mut record = Peering::clone(&world.snapshot.peering(&peering(name)).unwrap().row);
    record.state = PeeringState::Terminated;
    world.put([Row::Peering(Arc::new(record))]);
}

#[test]
fn partitions_of_one_datacenter_are_told_to_export_directly() {
    let world = world();
    let text = refusal(&world, "other", &token("us", "billing"));
    assert!(
        text.contains("partition \"billing\" of this very cluster"),
        "{text}"
    );
    assert!(text.contains("exported-services"), "{text}");
    let text = refusal(&world, "other", &token("us", ""));
    assert!(
        text.contains("use it on the cluster that is to be the peer"),
        "{text}"
    );
    assert!(check(&world.snapshot, &peering("other"), &token("west", "billing")).is_ok());
}

#[test]
fn only_a_live_record_stands_in_the_way() {
    let mut world = world();
    world.peer("west", Some("server.west.peering.west.consul"));
    let (same, other) = (token("west", ""), token("north", ""));
    assert!(check(&world.snapshot, &peering("west"), &same).is_ok());
    assert!(refusal(&world, "west", &other).contains("of another cluster"));
    assert!(refusal(&world, "second", &same).contains("already the peer west"));
    let partition = token("west", "billing");
    assert!(check(&world.snapshot, &peering("second"), &partition).is_ok());
    end(&mut world, "west");
    for token in [&same, &other] {
        assert!(check(&world.snapshot, &peering("west"), token).is_ok());
        assert!(check(&world.snapshot, &peering("second"), token).is_ok());
    }

    world.peer("east", None);
    assert!(refusal(&world, "east", &other).contains("waits to be dialled"));
    end(&mut world, "east");
    assert!(check(&world.snapshot, &peering("east"), &other).is_ok());
    let (occasion, stream) = (Occasion::default(), Secret::new("stream"));
    let written = established(
        &world.snapshot,
        &peering("east"),
        &other,
        &Meta::new(),
        &stream,
        &occasion,
        || "fresh".to_owned(),
    );
    world.commit(&written.unwrap());
    let record = world.snapshot.peering(&peering("east")).unwrap();
    assert_eq!(
        (record.role, record.state),
        (PeeringRole::Dialer, PeeringState::Establishing)
    );
    assert_eq!(record.id, "fresh");
}
