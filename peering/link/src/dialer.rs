//! The task of a peering that dials: connect, open, drive, and again (wire facts, section 3.10).

use crate::dial::{self, Target};
use crate::link::Link;
use crate::stream::{self, Wish};
use crate::wire;
use peerway_model::peering::RemoteInfo;
use peerway_model::{Peering, PeeringKey, PeeringRole, Secret};
use peerway_peering_protocol::{Code, Effect, End, Failure, Open, Refusal, Session, reconnect_delay};
use peerway_state::{Snapshot, Topic};
use peerway_store::FeedEvent;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long a stream must have lived for the next failure to count as the first. Consul never forgets.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// Whether the peering can and should dial.
pub(crate) fn is_ready(snapshot: &Snapshot, peering: &Peering) -> bool {
    Plan::of(snapshot, &peering.key).is_some()
}

/// Everything that an attempt is made with. Read anew for each: unlike Consul, a new root, address or secret counts
/// from the next attempt on.
struct Plan {
    peer_id: String,
    server_name: String,
    ca_pems: Vec<String>,
    addresses: Vec<String>,
    secret: Secret,
    remote: RemoteInfo,
}

impl Plan {
    fn of(snapshot: &Snapshot, key: &PeeringKey) -> Option<Self> {
        let peering = snapshot.peering(key)?;
        if peering.role != PeeringRole::Dialer || !peering.is_live() {
            return None;
        }
        let roots = snapshot.roots()?;
        Some(Plan {
            peer_id: peering.remote_id.clone()?,
            server_name: peering.server_name.clone()?,
            ca_pems: peering.ca_pems.clone(),
            addresses: if peering.manual_addresses.is_empty() {
                peering.server_addresses.clone()
            } else {
                peering.manual_addresses.clone()
            },
            secret: snapshot.secrets(key)?.active_stream.clone()?,
            remote: RemoteInfo {
                partition: if key.partition.is_default() {
                    String::new()
                } else {
                    key.partition.to_string()
                },
                datacenter: roots.datacenter.to_string(),
            },
        })
    }
}

/// Keeps a stream until the peering is terminated, deleted or taken over.
pub(crate) async fn run(link: &Link, key: &PeeringKey, generation: u64, mut wish: watch::Receiver<Wish>) {
    let stop = link.tasks().watch();
    let mut failures = 0_u32;
    let mut turn = 0_usize;
    loop {
        let mut feed = link.reader().feed();
        let Some(plan) = Plan::of(&link.reader().snapshot(), key) else {
            return;
        };
        let started = link.clock().monotonic();
        let end = attempt(link, key, generation, &plan, turn, &mut wish).await;
        turn = turn.wrapping_add(1);
        link.disconnected(key, generation, &end);
        let End::Failed(refusal) = end else {
            return;
        };
        if *wish.borrow() != Wish::Run {
            return;
        }
        let lived = link.clock().monotonic().saturating_sub(started);
        failures = if lived >= HEALTHY_AFTER {
            1
        } else {
            failures.saturating_add(1)
        };
        let failure = match refusal.code {
            Code::FailedPrecondition => Failure::WrongServer,
            Code::ResourceExhausted => Failure::Busy,
            _ => Failure::Other,
        };
        let delay = tokio::time::sleep(reconnect_delay(failure, failures, fastrand::f64()));
        tokio::pin!(delay);
        loop {
            tokio::select! {
                () = &mut delay => break,
                changed = wish.changed() => {
                    if changed.is_err() || *wish.borrow() != Wish::Run {
                        return;
                    }
                }
                event = feed.next() => match event {
                    // A new secret, root or address may be the cure.
                    FeedEvent::Changed(changes)
                        if changes.touches(&Topic::Peering(key.clone()))
                            || changes.touches(&Topic::Secrets(key.clone())) =>
                    {
                        failures = 0;
                        break;
                    }
                    FeedEvent::Changed(_) | FeedEvent::Reload => {}
                    FeedEvent::Closed => return,
                },
                () = stop.signaled() => return,
            }
        }
    }
}

async fn attempt(
    link: &Link,
    key: &PeeringKey,
    generation: u64,
    plan: &Plan,
    turn: usize,
    wish: &mut watch::Receiver<Wish>,
) -> End {
    let open = Open {
        peer_id: plan.peer_id.clone(),
        stream_secret: plan.secret.clone(),
        remote: plan.remote.clone(),
    };
    let (outbound, outgoing) = mpsc::channel(stream::OUTBOUND_MESSAGES);
    let (session, effects) = Session::dialer(open, link.clock().monotonic());
    for effect in effects {
        // Five small messages in a channel that is empty and has room for more.
        if let Effect::Send(message) = effect {
            let _ = outbound.try_send(Ok(wire::encode(&message)));
        }
    }
    let reach = async {
        let target = Target::new(&plan.server_name, &plan.ca_pems).map_err(unavailable)?;
        let addresses = &plan.addresses;
        let address = addresses
            .get(turn.checked_rem(addresses.len()).unwrap_or(0))
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
    stream::drive(
        stream::Context {
            link,
            key,
            generation,
        },
        session,
        Vec::new(),
        incoming,
        outbound,
        wish.clone(),
    )
    .await
}

fn unavailable(message: String) -> Refusal {
    Refusal::new(Code::Unavailable, message)
}
