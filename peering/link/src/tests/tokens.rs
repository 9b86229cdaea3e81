//! Tokens with a past and with bounds, over real connections.

use super::{Cluster, delete, establish, has_state, imported, introduce, order, peered, token};
use crate::{IntroductionError, Issued, Selection, TokenOrder};
use peerway_model::grant::{AllowedService, RefusalCause};
use peerway_model::{AuditAction, Partition, PeeringRole, PeeringState, Requester, TokenBounds, TrustDomain};
use peerway_runtime::SystemClock;
use peerway_state::Snapshot;
use std::time::Duration;

fn bound(bounds: TokenBounds) -> TokenOrder {
    TokenOrder {
        bounds,
        ..TokenOrder::default()
    }
}

async fn revoke(
    cluster: &Cluster,
    peer: &str,
    selection: Selection,
) -> Result<Vec<String>, IntroductionError> {
    let (link, partition) = (cluster.link(), Partition::default());
    link.revoke_token(peer, &partition, selection, Requester::default())
        .await
}

fn says<T>(result: Result<T, IntroductionError>, text: &str) {
    match result {
        Ok(_) => panic!("no error, expected {text:?}"),
        Err(error) => assert!(error.to_string().contains(text), "{error}"),
    }
}

/// What was refused, as the acceptor's operator sees it.
fn refusals(snapshot: &Snapshot) -> Vec<RefusalCause> {
    let grants = snapshot.grants().flat_map(|grants| &grants.refused);
    grants.map(|refused| refused.cause).collect()
}

fn actions(snapshot: &Snapshot) -> Vec<AuditAction> {
    let mut actions: Vec<AuditAction> = snapshot.audit().map(|record| record.event.action).collect();
    actions.reverse();
    actions
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_came_too_late_is_refused_and_the_operator_sees_it() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    let short = TokenOrder {
        ttl: Some(Duration::from_millis(1)),
        ..TokenOrder::default()
    };
    let Issued { token, grant } = order(&east, "west", short).await.unwrap();
    let clock = SystemClock::shared();
    while !grant.is_expired(clock.now().as_millis()) {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        says(
            establish(&west, "east", &token.encode()).await,
            "a new peering token must be generated: the peering token has expired",
        );
    }
    assert_eq!(west.peering(), None);
    assert_eq!(refusals(&east.snapshot()), [RefusalCause::Expired]);
    // Trying again is not written down again.
    assert_eq!(
        actions(&east.snapshot()),
        [AuditAction::Made, AuditAction::Refused]
    );
    introduce(&east, &west).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_gets_its_token_again_until_that_is_used() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    let named = |id: &str| TokenOrder {
        request_id: Some(id.to_owned()),
        ..TokenOrder::default()
    };
    let first = order(&east, "west", named("a")).await.unwrap();
    let again = order(&east, "west", named("a")).await.unwrap();
    assert_eq!(first.token.encode(), again.token.encode());
    assert_eq!(first.grant, again.grant);
    assert_eq!(actions(&east.snapshot()), [AuditAction::Made]);
    let other = TokenOrder {
        ttl: Some(Duration::from_secs(60)),
        ..named("a")
    };
    says(order(&east, "west", other).await, "other settings");

    establish(&west, "east", &again.token.encode()).await.unwrap();
    says(
        order(&east, "west", named("a")).await,
        "was used already: give another request id",
    );
    let second = order(&east, "west", named("b")).await.unwrap();
    assert_ne!(second.token.encode(), first.token.encode());
    // No request id replaces it, and asking for it by name does not bring it back.
    token(&east, "west").await.unwrap();
    says(order(&east, "west", named("b")).await, "replaced by a newer one");
    says(
        establish(&west, "east", &second.token.encode()).await,
        "a new peering token must be generated",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_opens_nothing_and_its_holder_is_told() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    says(revoke(&east, "west", Selection::All).await, "does not exist");
    let unused = token(&east, "west").await.unwrap();
    assert_eq!(revoke(&east, "west", Selection::Only).await.unwrap().len(), 1);
    assert!(revoke(&east, "west", Selection::Only).await.unwrap().is_empty());
    says(
        establish(&west, "east", &unused).await,
        "a new peering token must be generated: the peering token was revoked",
    );

    introduce(&east, &west).await;
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    west.until_imported(&super::WEB).await;
    says(
        revoke(&west, "east", Selection::All).await,
        "revoke that where it was made",
    );
    says(
        revoke(&east, "west", Selection::Accessor("unknown".to_owned())).await,
        "no token with the accessor",
    );
    let next = token(&east, "west").await.unwrap();
    says(
        revoke(&east, "west", Selection::Only).await,
        "say which by its accessor",
    );
    let key = east.peering().unwrap().key;
    let used = east
        .snapshot()
        .grant(&key)
        .unwrap()
        .active_stream
        .clone()
        .unwrap();
    let revoked = revoke(&east, "west", Selection::Accessor(used.accessor.clone())).await;
    assert_eq!(revoked.unwrap(), [used.accessor]);

    // The dialer is told, by the end of the stream or when it comes again; what it imported stays as it was.
    let told = |cluster: &Cluster, peer: &str| {
        let status = cluster.link().status(&crate::fixture::peering(peer));
        let text = status.last_error.clone().unwrap_or_default();
        !status.connected && text.contains("was revoked")
    };
    west.until_true("the reason at the dialer", || told(&west, "east"))
        .await;
    east.until_true("the reason at the acceptor", || told(&east, "west"))
        .await;
    east.register("web", "web-2").await;
    assert_eq!(imported(&west.snapshot()), super::WEB);

    establish(&west, "east", &next).await.unwrap();
    west.until("web-2", |snapshot| imported(snapshot).len() == 3)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_datacenter_opens_no_stream() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    let to = |datacenter: &str| {
        bound(TokenBounds {
            datacenter: Some(datacenter.to_owned()),
            ..TokenBounds::default()
        })
    };
    let wrong = order(&east, "west", to("north")).await.unwrap().token.encode();
    // The exchange does not say who it is.
    establish(&west, "east", &wrong).await.unwrap();
    east.until("the refusal", |snapshot| {
        refusals(snapshot) == [RefusalCause::Datacenter]
    })
    .await;
    let told = || {
        let status = west.link().status(&crate::fixture::peering("east"));
        let text = status.last_error.clone().unwrap_or_default();
        text.contains("\"north\"") && text.contains("\"west\"")
    };
    west.until_true("the reason at the dialer", told).await;
    assert!(imported(&west.snapshot()).is_empty());
    assert_eq!(east.peering().unwrap().remote.datacenter, "");

    let right = order(&east, "west", to("west")).await.unwrap().token.encode();
    establish(&west, "east", &right).await.unwrap();
    west.until_imported(&super::WEB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_crosses_before_the_trust_domain_of_a_token_is_shown() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    for (cluster, service, peer) in [(&east, "web", "west"), (&west, "db", "east")] {
        cluster.register(service, &format!("{service}-1")).await;
        cluster.export(&[service], peer).await;
    }
    let to = |cluster: &str| {
        bound(TokenBounds {
            trust_domain: Some(TrustDomain::of_cluster(cluster).unwrap()),
            ..TokenBounds::default()
        })
    };
    says(order(&east, "west", to("east")).await, "is this cluster's own");
    let wrong = order(&east, "west", to("north")).await.unwrap().token.encode();
    establish(&west, "east", &wrong).await.unwrap();
    east.until("the refusal", |snapshot| {
        refusals(snapshot) == [RefusalCause::TrustDomain]
    })
    .await;
    let told = || {
        let status = west.link().status(&crate::fixture::peering("east"));
        let text = status.last_error.clone().unwrap_or_default();
        text.contains("trust domain")
    };
    west.until_true("the reason at the dialer", told).await;
    for cluster in [&east, &west] {
        assert!(imported(&cluster.snapshot()).is_empty());
    }
    assert_eq!(east.snapshot().bundles().count(), 0);

    let right = order(&east, "west", to("west")).await.unwrap().token.encode();
    establish(&west, "east", &right).await.unwrap();
    west.until_imported(&super::WEB).await;
    east.until("db", |snapshot| imported(snapshot).len() == 2).await;
    // Renewing it under the same bounds takes nothing back meanwhile.
    let renewed = order(&east, "west", to("west")).await.unwrap();
    establish(&west, "east", &renewed.token.encode()).await.unwrap();
    let key = east.peering().unwrap().key;
    let used = east
        .snapshot()
        .grant(&key)
        .unwrap()
        .active_stream
        .clone()
        .unwrap();
    revoke(&east, "west", Selection::Accessor(used.accessor))
        .await
        .unwrap();
    east.until("proof", |snapshot| {
        let used = snapshot
            .grant(&key)
            .and_then(|grants| grants.active_stream.clone());
        used.is_some_and(|used| used.accessor == renewed.grant.accessor && used.proven)
    })
    .await;
    assert_eq!(imported(&west.snapshot()), super::WEB);
    says(
        order(&east, "west", to("north")).await,
        "delete that peering first",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_sees_only_what_its_token_lists() {
    let (east, west) = (Cluster::new("east").await, Cluster::new("west").await);
    let list = bound(TokenBounds {
        services: Some([AllowedService::parse("web").unwrap()].into()),
        ..TokenBounds::default()
    });
    let given = order(&east, "west", list).await.unwrap().token.encode();
    establish(&west, "east", &given).await.unwrap();
    east.register("db", "db-1").await;
    east.register("web", "web-1").await;
    east.export(&["*"], "west").await;
    west.until_imported(&super::WEB).await;
    let key = east.peering().unwrap().key;
    assert_eq!(east.link().withheld(&key), ["db"]);
    // A token without a list lifts it, from its first stream on.
    introduce(&east, &west).await;
    let used = east
        .snapshot()
        .grant(&key)
        .unwrap()
        .active_stream
        .clone()
        .unwrap();
    revoke(&east, "west", Selection::Accessor(used.accessor))
        .await
        .unwrap();
    west.until("db", |snapshot| imported(snapshot).len() == 4).await;
    assert!(east.link().withheld(&key).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peering_that_the_peer_ended_does_not_stand_in_the_way() {
    let (east, west) = peered().await;
    let first = (east.peering().unwrap().id, west.peering().unwrap().id);
    // Both ways round: the record that is left dials, then it accepts.
    delete(&east, "west").await;
    west.until("termination", has_state(PeeringState::Terminated))
        .await;
    east.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    introduce(&east, &west).await;
    assert_ne!((east.peering().unwrap().id, west.peering().unwrap().id), first);

    let second = east.peering().unwrap().id;
    delete(&west, "east").await;
    east.until("termination", has_state(PeeringState::Terminated))
        .await;
    west.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    introduce(&east, &west).await;
    assert_ne!(east.peering().unwrap().id, second);

    // And with the roles exchanged.
    delete(&east, "west").await;
    west.until("termination", has_state(PeeringState::Terminated))
        .await;
    east.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    introduce_as(&west, "east", &east, "west").await;
    assert_eq!(west.peering().unwrap().role, PeeringRole::Acceptor);
    // Under another name, while a dead record has the old one.
    delete(&west, "east").await;
    east.until("termination", has_state(PeeringState::Terminated))
        .await;
    west.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    let token = token(&west, "east").await.unwrap();
    establish(&east, "renamed", &token).await.unwrap();
    east.until("the bundle", |snapshot| snapshot.bundles().count() == 1)
        .await;
}

async fn introduce_as(acceptor: &Cluster, dialer_name: &str, dialer: &Cluster, acceptor_name: &str) {
    let token = token(acceptor, dialer_name).await.unwrap();
    establish(dialer, acceptor_name, &token).await.unwrap();
    for cluster in [acceptor, dialer] {
        cluster
            .until("the bundle", |snapshot| snapshot.bundles().count() == 1)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_while_cut_off_need_no_repair() {
    let (mut east, mut west) = peered().await;
    // The acceptor forgets it while the dialer is away, and the other way round.
    west.stop().await;
    delete(&east, "west").await;
    delete(&east, "west").await;
    east.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    west.start();
    let told = |cluster: &Cluster| {
        let status = cluster.link().status(&crate::fixture::peering("east"));
        status
            .last_error
            .unwrap_or_default()
            .contains("it was deleted here")
    };
    west.until_true("what to do", || told(&west)).await;
    introduce(&east, &west).await;

    east.stop().await;
    delete(&west, "east").await;
    delete(&west, "east").await;
    west.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    east.start();
    introduce(&east, &west).await;

    // Both at once.
    tokio::join!(delete(&east, "west"), delete(&west, "east"));
    for cluster in [&east, &west] {
        cluster
            .until("its end", |snapshot| {
                snapshot
                    .peerings()
                    .all(|peering| peering.state == PeeringState::Terminated)
            })
            .await;
    }
    introduce(&east, &west).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_on_record_at_both_sides() {
    let (east, west) = peered().await;
    revoke(&east, "west", Selection::All).await.unwrap();
    delete(&east, "west").await;
    east.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    use AuditAction::{Deleted, Established, Exchanged, Made, Opened, Revoked};
    let done = actions(&east.snapshot());
    // The dialer may have come again, and been refused.
    let done: Vec<AuditAction> = done
        .into_iter()
        .filter(|action| *action != AuditAction::Refused)
        .collect();
    assert_eq!(done, [Made, Exchanged, Opened, Revoked, Deleted]);
    assert_eq!(actions(&west.snapshot()), [Established]);
    let snapshot = east.snapshot();
    let accessors: Vec<&str> = snapshot
        .audit()
        .filter(|record| record.event.action != Deleted)
        .map(|record| record.event.accessor.as_str())
        .collect();
    assert!(
        accessors
            .iter()
            .all(|accessor| accessor.len() == 36 && *accessor == accessors[0])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_may_be_of_the_sixth_version() {
    let (east, west) = (Cluster::on("[::1]:0", "east").await, Cluster::new("west").await);
    let given = token(&east, "west").await.unwrap();
    let addresses = peerway_peering_protocol::Token::decode(&given)
        .unwrap()
        .server_addresses;
    assert!(addresses[0].starts_with("[::1]:"), "{addresses:?}");
    establish(&west, "east", &given).await.unwrap();
    east.register("web", "web-1").await;
    east.export(&["web"], "west").await;
    west.until_imported(&super::WEB).await;
    assert_eq!(west.peering().unwrap().server_addresses, addresses);
}
