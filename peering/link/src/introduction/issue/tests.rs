//! What is written for a token, from the rows that are there.

use super::*;
use crate::fixture::{World, peering, roots};
use peerway_model::{PeeringState, Requester, TokenBounds, TrustDomain};

fn world() -> World {
    let mut world = World::new("us");
    world.put([Row::Roots(Arc::new(roots("us", "pem\n")))]);
    world
}

fn occasion(at: u64, address: &str) -> Occasion {
    Occasion {
        at,
        by: Requester {
            address: address.to_owned(),
            program: String::new(),
        },
    }
}

/// Makes a token and commits it.
fn make(world: &mut World, order: &TokenOrder, occasion: &Occasion) -> Result<Issued, IntroductionError> {
    let own = ["us:8503".to_owned()];
    let fresh = || uuid::Uuid::new_v4().to_string();
    let (transaction, issued) = token(&world.snapshot, &peering("west"), order, &own, occasion, fresh)?;
    if let Some(transaction) = transaction {
        world.commit(&transaction);
    }
    Ok(issued)
}

fn named(id: &str) -> TokenOrder {
    TokenOrder {
        ttl: Some(Duration::from_secs(1)),
        request_id: Some(id.to_owned()),
        ..TokenOrder::default()
    }
}

fn recorded(world: &World) -> Vec<(&str, &str)> {
    let records = world.snapshot.audit();
    records
        .map(|record| {
            (
                record.row.event.action.as_str(),
                record.row.event.by.address.as_str(),
            )
        })
        .collect()
}

#[test]
fn who_asks_again_is_recorded_once_for_each_host() {
    let mut world = world();
    let first = make(&mut world, &named("a"), &occasion(0, "10.0.0.1:1000")).unwrap();
    for (at, from) in [
        (1, "10.0.0.1:1001"),
        (2, "10.0.0.2:1000"),
        (3, "10.0.0.2:1001"),
        (4, "[::1]:1"),
        (5, "[::1]:2"),
    ] {
        let again = make(&mut world, &named("a"), &occasion(at, from)).unwrap();
        assert_eq!(again.token.encode(), first.token.encode());
    }
    assert_eq!(
        recorded(&world),
        [
            ("reissued", "[::1]:1"),
            ("reissued", "10.0.0.2:1000"),
            ("made", "10.0.0.1:1000")
        ]
    );
}

#[test]
fn a_request_whose_token_has_expired_gets_a_new_one() {
    let mut world = world();
    let first = make(&mut world, &named("a"), &occasion(0, "")).unwrap();
    let again = make(&mut world, &named("a"), &occasion(999, "")).unwrap();
    assert_eq!(again.grant.expires_at, Some(1_000));
    let second = make(&mut world, &named("a"), &occasion(1_000, "")).unwrap();
    assert_ne!(second.token.encode(), first.token.encode());
    assert_eq!(second.grant.expires_at, Some(2_000));
    let third = make(&mut world, &named("a"), &occasion(1_500, "")).unwrap();
    assert_eq!(third.grant, second.grant);
}

#[test]
fn a_token_that_is_given_again_says_what_is_true_now() {
    let mut world = world();
    let first = make(&mut world, &named("a"), &occasion(0, "")).unwrap().token;
    world.put([Row::Roots(Arc::new(roots("us", "newer\n")))]);
    let again = make(&mut world, &named("a"), &occasion(1, "")).unwrap().token;
    assert_eq!(again.ca_pems, ["newer\n"]);
    assert!(
        again
            .establishment_secret
            .matches(first.establishment_secret.expose())
    );
}

#[test]
fn a_revocation_is_not_undone_by_asking_again() {
    let mut world = world();
    make(&mut world, &named("a"), &occasion(0, "")).unwrap();
    let (transaction, revoked) = revocation(
        &world.snapshot,
        &peering("west"),
        &Selection::Only,
        &occasion(1, ""),
    )
    .unwrap();
    assert_eq!(revoked.len(), 1);
    world.commit(&transaction.unwrap());
    let error = make(&mut world, &named("a"), &occasion(2, "")).err().unwrap();
    assert!(
        error.to_string().contains("was revoked: give another request id"),
        "{error}"
    );
    make(&mut world, &named("b"), &occasion(2, "")).unwrap();
}

#[test]
fn a_peering_that_the_peer_ended_is_made_anew() {
    let mut world = world();
    let first = make(&mut world, &named("a"), &occasion(0, "")).unwrap();
    let record = Peering::clone(&world.snapshot.peering(&peering("west")).unwrap().row);
    let ended = Peering {
        state: PeeringState::Terminated,
        external_addresses: vec!["old:1".to_owned()],
        ..record.clone()
    };
    world.put([Row::Peering(Arc::new(ended))]);
    // Also the request id is of the former one.
    let second = make(&mut world, &named("a"), &occasion(1, "")).unwrap();
    assert_ne!(second.token.peer_id, first.token.peer_id);
    let now = world.snapshot.peering(&peering("west")).unwrap();
    assert_eq!(now.state, PeeringState::Pending);
    assert!(now.external_addresses.is_empty() && now.create_index == now.modify_index);
    let grants = world.snapshot.grant(&peering("west")).unwrap();
    assert_eq!(grants.all().count(), 1);
    // One that is being deleted is not.
    let going = Peering {
        state: PeeringState::Deleting,
        ..record
    };
    world.put([Row::Peering(Arc::new(going))]);
    let error = make(&mut world, &named("a"), &occasion(2, "")).err().unwrap();
    assert!(
        error.to_string().contains("is being deleted, try again"),
        "{error}"
    );
}

#[test]
fn a_bound_trust_domain_is_not_ours_and_not_against_what_is_known() {
    let to = |cluster: &str| TokenOrder {
        bounds: TokenBounds {
            trust_domain: Some(TrustDomain::of_cluster(cluster).unwrap()),
            ..TokenBounds::default()
        },
        ..TokenOrder::default()
    };
    let mut world = world();
    let error = make(&mut world, &to("us"), &occasion(0, "")).err().unwrap();
    assert!(
        error
            .to_string()
            .starts_with("RemoteTrustDomain: is this cluster's own"),
        "{error}"
    );
    assert_eq!(world.snapshot.peerings().count(), 0);
    make(&mut world, &to("west"), &occasion(0, "")).unwrap();
    make(&mut world, &to("north"), &occasion(0, "")).unwrap();
}
