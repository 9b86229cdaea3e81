//! What a dialer needs for an attempt, and what it makes of its end (wire facts, section 3.10). Pure.

use crate::reach::{self, Ways};
use peerway_model::peering::RemoteInfo;
use peerway_model::{Peering, PeeringKey, PeeringRole, Secret};
use peerway_peering_protocol::{Code, End, Failure, Open, reconnect_delay};
use peerway_state::{ChangeSet, Snapshot, Topic};
use std::time::Duration;

/// How long a stream must have lived for the next failure to count as the first. Consul never forgets.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// Whether the peering can and should dial.
pub(crate) fn is_ready(snapshot: &Snapshot, peering: &Peering) -> bool {
    Plan::of(snapshot, &peering.key).is_some()
}

/// Everything that an attempt is made with. Read anew for each: unlike Consul, a new root, address or secret counts
/// from the next attempt on.
pub struct Plan {
    peer_id: String,
    pub(crate) server_name: String,
    pub(crate) ca_pems: Vec<String>,
    ways: Ways,
    secret: Secret,
    remote: RemoteInfo,
}

impl Plan {
    /// The plan for the next attempt; `None` when the peering does not dial or cannot.
    pub fn of(snapshot: &Snapshot, key: &PeeringKey) -> Option<Self> {
        let peering = snapshot.peering(key)?;
        if peering.role != PeeringRole::Dialer || !peering.is_live() {
            return None;
        }
        let roots = snapshot.roots()?;
        Some(Plan {
            peer_id: peering.remote_id.clone()?,
            server_name: peering.server_name.clone()?,
            ca_pems: peering.ca_pems.clone(),
            ways: Ways::of(snapshot, peering),
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

    /// The first message.
    pub fn open(&self) -> Open {
        Open {
            peer_id: self.peer_id.clone(),
            stream_secret: self.secret.clone(),
            remote: self.remote.clone(),
        }
    }

    /// Whether an operator has established the peering anew since, or our own gateways have changed that it is dialled
    /// through: worth an attempt at once. Roots and the peer's addresses do not count, they come over the stream, and a
    /// peer must not make us dial without pause by changing them.
    fn is_stale(&self, newer: &Plan) -> bool {
        self.peer_id != newer.peer_id
            || self.ways.gateways != newer.ways.gateways
            || self.server_name != newer.server_name
            || !self.secret.matches(newer.secret.expose())
    }
}

/// Whether a commit may be a reason to look at [`Redial::is_cured`].
pub fn concerns(changes: &ChangeSet, key: &PeeringKey) -> bool {
    changes.touches(&Topic::Peering(key.clone()))
        || changes.touches(&Topic::Secrets(key.clone()))
        || changes.iter().any(reach::concerns)
}

/// The attempts of one dialer, one after the other.
#[derive(Debug, Default)]
pub struct Redial {
    failures: u32,
    turn: usize,
    /// The addresses of the attempt before.
    ways: Ways,
}

impl Redial {
    /// The address for this attempt: each takes the next one, and begins with the first when they have changed.
    pub fn address<'a>(&mut self, plan: &'a Plan) -> Option<&'a str> {
        if self.ways != plan.ways {
            self.ways = plan.ways.clone();
            self.turn = 0;
        }
        let turn = self.turn.checked_rem(plan.ways.all().count())?;
        plan.ways.all().nth(turn).map(String::as_str)
    }

    /// How long to wait after an attempt that ended like this and had lived for so long; `None` when there is
    /// nothing to dial for any more. `jitter` as for [`reconnect_delay`].
    pub fn after(&mut self, end: &End, lived: Duration, jitter: f64) -> Option<Duration> {
        self.turn = self.turn.wrapping_add(1);
        if lived >= HEALTHY_AFTER && !self.ways.gateways.is_empty() {
            // Gateways stand for all servers of the peer, which may not be reachable otherwise.
            self.turn = 0;
        }
        let End::Failed(refusal) = end else {
            return None;
        };
        self.failures = if lived >= HEALTHY_AFTER {
            1
        } else {
            self.failures.saturating_add(1)
        };
        let failure = match refusal.code {
            Code::FailedPrecondition => Failure::WrongServer,
            Code::ResourceExhausted => Failure::Busy,
            _ => Failure::Other,
        };
        Some(reconnect_delay(failure, self.failures, jitter))
    }

    /// Whether to try at once instead of waiting, because the peering was established anew since `tried` was made.
    /// The failures are forgotten then.
    pub fn is_cured(&mut self, tried: &Plan, snapshot: &Snapshot, key: &PeeringKey) -> bool {
        let cured = Plan::of(snapshot, key).is_some_and(|newer| tried.is_stale(&newer));
        if cured {
            self.failures = 0;
        }
        cured
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, mesh_gateway, node, peering, roots, through_mesh_gateways};
    use peerway_model::Origin;
    use peerway_model::PeeringSecrets;
    use peerway_peering_protocol::Refusal;
    use peerway_state::Row;
    use std::sync::Arc;

    fn secret(world: &mut World, text: &str) {
        let secrets = PeeringSecrets {
            active_stream: Some(Secret::new(text)),
            ..PeeringSecrets::default()
        };
        world.put([Row::Secrets(peering("west"), Arc::new(secrets))]);
    }

    #[test]
    fn only_establishing_anew_skips_the_pause() {
        let (mut us, key) = (World::new("us"), peering("west"));
        us.put([Row::Roots(Arc::new(roots("us", "pem\n")))])
            .peer("west", Some("server.west.peering.west.consul"));
        secret(&mut us, "first");
        let tried = Plan::of(&us.snapshot, &key).unwrap();
        let mut redial = Redial::default();
        let failed = End::Failed(Refusal::new(Code::Unavailable, "gone"));
        for seconds in [2, 4, 8] {
            let pause = redial.after(&failed, Duration::ZERO, 0.0);
            assert_eq!(pause, Some(Duration::from_secs(seconds)));
        }
        // What came over the stream: a peer that changes it each time must not be dialled without pause.
        let mut record = Peering::clone(&us.snapshot.peering(&key).unwrap().row);
        record.ca_pems.push("another root\n".to_owned());
        record.server_addresses.push("west:8503".to_owned());
        us.put([Row::Peering(Arc::new(record))]);
        assert!(!redial.is_cured(&tried, &us.snapshot, &key));
        let pause = redial.after(&failed, Duration::ZERO, 0.0);
        assert_eq!(pause, Some(Duration::from_secs(16)));

        secret(&mut us, "second");
        assert!(redial.is_cured(&tried, &us.snapshot, &key));
        let pause = redial.after(&failed, Duration::ZERO, 0.0);
        assert_eq!(pause, Some(Duration::from_secs(2)));
        assert_eq!(redial.after(&End::Graceful, Duration::ZERO, 0.0), None);
    }

    #[test]
    fn own_gateways_come_first_and_their_change_is_tried_at_once() {
        let (mut us, key) = (World::new("us"), peering("west"));
        us.put([
            Row::Roots(Arc::new(roots("us", "pem\n"))),
            Row::Node(Arc::new(node(Origin::Local, "us"))),
        ])
        .peer("west", Some("server.west.peering.west.consul"));
        let mut record = Peering::clone(&us.snapshot.peering(&key).unwrap().row);
        record.server_addresses = vec!["west-1:8503".to_owned(), "west-2:8503".to_owned()];
        us.put([Row::Peering(Arc::new(record))]);
        secret(&mut us, "first");
        let mut redial = Redial::default();
        let failed = End::Failed(Refusal::new(Code::Unavailable, "gone"));
        let mut next = |us: &World, lived: Duration| {
            let plan = Plan::of(&us.snapshot, &key).unwrap();
            let address = redial.address(&plan).map(str::to_owned);
            redial.after(&failed, lived, 0.0);
            (plan, redial.failures, address.unwrap())
        };
        for expected in ["west-1:8503", "west-2:8503", "west-1:8503"] {
            assert_eq!(next(&us, Duration::ZERO).2, expected);
        }
        us.put([through_mesh_gateways(true)]);
        let (tried, ..) = next(&us, Duration::ZERO);
        let on = node(Origin::Local, "us").key;
        let changes = us.changes(|us| {
            us.put([Row::Instance(Arc::new(mesh_gateway(&on, "g1")))]);
        });
        assert!(concerns(&changes, &key));
        assert!(Redial::default().is_cured(&tried, &us.snapshot, &key));
        for expected in ["10.0.0.1:8443", "west-1:8503", "west-2:8503", "10.0.0.1:8443"] {
            assert_eq!(next(&us, Duration::ZERO).2, expected);
        }
        // Not west-1, which would be next: a gateway carried the stream for long.
        assert_eq!(next(&us, HEALTHY_AFTER).2, "west-1:8503");
        assert_eq!(next(&us, Duration::ZERO).2, "10.0.0.1:8443");
        let (tried, ..) = next(&us, Duration::ZERO);
        us.put([through_mesh_gateways(false)]);
        assert!(Redial::default().is_cured(&tried, &us.snapshot, &key));
        assert_eq!(next(&us, Duration::ZERO).2, "west-1:8503");
    }
}
