//! The task of a peering that dials: connect, open, drive, and again (wire facts, section 3.10).

use crate::dial::{self, Target};
use crate::link::{Link, Registered};
use crate::pump::{Pump, Wish};
use crate::redial::{Plan, Redial, concerns};
use crate::stream;
use crate::wire;
use peerway_model::PeeringKey;
use peerway_peering_protocol::{Code, End, Refusal};
use peerway_store::FeedEvent;
use tokio::sync::{mpsc, watch};

/// Keeps a stream until the peering is terminated, deleted or taken over.
pub(crate) async fn run(link: &Link, key: &PeeringKey, mut registered: Registered) {
    registered.before_is_gone().await;
    let Registered { generation, wish, .. } = &mut registered;
    let stop = link.tasks().watch();
    let mut redial = Redial::default();
    loop {
        let mut feed = link.reader().feed();
        let Some(plan) = Plan::of(&link.reader().snapshot(), key) else {
            return;
        };
        let started = link.clock().monotonic();
        let end = attempt(link, key, *generation, &plan, redial.address(&plan), wish).await;
        link.disconnected(key, *generation, &end);
        let lived = link.clock().monotonic().saturating_sub(started);
        let Some(pause) = redial.after(&end, lived, fastrand::f64()) else {
            return;
        };
        if *wish.borrow() != Wish::Run {
            return;
        }
        let delay = tokio::time::sleep(pause);
        tokio::pin!(delay);
        while !redial.is_cured(&plan, &link.reader().snapshot(), key) {
            tokio::select! {
                () = &mut delay => break,
                changed = wish.changed() => {
                    if changed.is_err() || *wish.borrow() != Wish::Run {
                        return;
                    }
                }
                () = concerned(&mut feed, key) => {}
                () = stop.signaled() => return,
            }
        }
    }
}

/// Waits for a commit that concerns the attempts; for ever when the store has stopped, which ends the tasks as well.
async fn concerned(feed: &mut peerway_store::Feed, key: &PeeringKey) {
    loop {
        match feed.next().await {
            FeedEvent::Changed(changes) if !concerns(&changes, key) => {}
            FeedEvent::Changed(_) | FeedEvent::Reload => return,
            FeedEvent::Closed => std::future::pending().await,
        }
    }
}

async fn attempt(
    link: &Link,
    key: &PeeringKey,
    generation: u64,
    plan: &Plan,
    address: Option<&str>,
    wish: &mut watch::Receiver<Wish>,
) -> End {
    let (outbound, outgoing) = mpsc::channel(stream::OUTBOUND_MESSAGES);
    let now = link.clock().monotonic();
    let mut pump = Pump::dialer(key.clone(), plan.open(), &link.setup(key), now);
    while let Some(message) = pump.take() {
        // Five small messages in a channel that is empty and has room for more.
        let _ = outbound.try_send(Ok(wire::encode(&message)));
    }
    let reach = async {
        let target = Target::new(&plan.server_name, &plan.ca_pems).map_err(unavailable)?;
        let address = address
            .ok_or_else(|| unavailable("there is no address to dial, generate a new token".to_owned()))?;
        let channel = target.connect(address).await.map_err(unavailable)?;
        dial::open(channel, outgoing)
            .await
            .map_err(|status| stream::refusal(&status))
    };
    let stop = link.tasks().watch();
    let incoming = tokio::select! {
        reached = reach => match reached {
            Ok(incoming) => incoming,
            Err(refusal) => return End::Failed(refusal),
        },
        _ = wish.changed() => return End::Failed(unavailable("the attempt was given up".to_owned())),
        () = stop.signaled() => return End::Failed(unavailable("the server is stopping".to_owned())),
    };
    tracing::info!(peer = %key.name, "peering stream opened");
    link.connected(key, generation);
    stream::drive(link, pump, generation, incoming, outbound, wish.clone()).await
}

fn unavailable(message: String) -> Refusal {
    Refusal::new(Code::Unavailable, message)
}
