//! What is known about the stream of a peering, for operators.

use peerway_model::{Peering, PeeringState};
use peerway_peering_protocol::{End, Freshness, Judgement, SentBundle, State};
use peerway_runtime::UnixMillis;
use std::time::Duration;

/// The stream of one peering, as it is now. All moments are wall-clock times computed from ages.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StreamStatus {
    /// Whether a stream is connected.
    pub connected: bool,
    /// Since when it is connected, or since when it is not; `None` before the first stream or attempt.
    pub since: Option<UnixMillis>,
    /// Whether the last stream ended with an error and none has been connected since.
    pub failed: bool,
    /// Why the last stream or attempt failed; kept until a stream is connected again.
    pub last_error: Option<String>,
    /// Last heartbeat received.
    pub last_heartbeat: Option<UnixMillis>,
    /// Last message received.
    pub last_received: Option<UnixMillis>,
    /// Last resource applied.
    pub last_applied: Option<UnixMillis>,
    /// Last resource sent.
    pub last_sent: Option<UnixMillis>,
    /// How long ago a resource was last applied.
    pub applied_age: Option<Duration>,
    /// Names that the peer exports to us: the last list that was applied.
    pub imported_services: Vec<String>,
    /// Names that we export to the peer: the last list that was sent.
    pub exported_services: Vec<String>,
    /// What we refused to import and why, by resource.
    pub refused: Vec<(String, String)>,
    /// The last refusal by the peer, if any.
    pub last_nack: Option<String>,
    /// Whether what is held is what the peer exports; `None` before the first stream or attempt.
    pub judgement: Option<Judgement>,
    /// All that is known of the stream, or was of the last one. Moments are on the monotonic clock.
    pub freshness: Freshness,
    /// The moment of this status on that clock.
    pub monotonic: Duration,
    /// The trust bundle that was sent on the last stream, and the peer's answer to it.
    pub sent_bundle: Option<SentBundle>,
}

impl StreamStatus {
    /// The state that an operator sees (wire facts, section 6.7), in Consul's words: a stream that broke makes it
    /// failing, whatever is stored. Unlike Consul's, a connected stream makes it active only while what is held is what
    /// the peer exports; [`StreamStatus::judgement`] says more.
    pub fn state(&self, peering: &Peering) -> PeeringState {
        let judged = self.judgement.as_ref().map(|judgement| judgement.state);
        if self.connected {
            match judged {
                Some(State::Active) => PeeringState::Active,
                Some(State::Stale) | None if !self.freshness.synced => PeeringState::Establishing,
                _ => PeeringState::Failing,
            }
        } else if self.failed && peering.is_live() {
            PeeringState::Failing
        } else {
            peering.state
        }
    }
}

/// What is kept between two looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracked {
    pub(crate) connected: bool,
    pub(crate) since: Option<UnixMillis>,
    pub(crate) failed: bool,
    pub(crate) last_error: Option<String>,
    pub(crate) freshness: Freshness,
}

impl Tracked {
    /// Takes note of the end of a stream or an attempt.
    pub(crate) fn disconnected(&mut self, end: &End, now: UnixMillis) {
        let was_connected = std::mem::take(&mut self.connected);
        if was_connected || self.since.is_none() {
            self.since = Some(now);
        }
        match end {
            End::Graceful => {
                self.failed = false;
                self.last_error = None;
                self.freshness = Freshness::default();
            }
            End::Failed(refusal) => {
                self.failed |= was_connected;
                self.last_error = Some(refusal.message.clone());
            }
        }
    }

    /// Whether what is held is what the peer exports.
    pub(crate) fn judge(&self, monotonic: Duration) -> Option<Judgement> {
        self.since?;
        let failure = match (self.connected, &self.last_error) {
            (true, _) => None,
            (false, Some(error)) => Some(error.as_str()),
            (false, None) => Some("there is no stream"),
        };
        Some(self.freshness.judge(failure, monotonic))
    }

    /// The status at `now`, which is `monotonic` on the clock of the freshness.
    pub(crate) fn at(&self, now: UnixMillis, monotonic: Duration) -> StreamStatus {
        let freshness = &self.freshness;
        let wall = |at: Option<Duration>| at.map(|at| now.before(monotonic.saturating_sub(at)));
        StreamStatus {
            connected: self.connected,
            since: self.since,
            failed: self.failed,
            last_error: self.last_error.clone(),
            last_heartbeat: wall(freshness.last_heartbeat),
            last_received: wall(freshness.last_received),
            last_applied: wall(freshness.last_applied),
            last_sent: wall(freshness.last_sent),
            applied_age: freshness.age(monotonic),
            imported_services: freshness.imported.to_vec(),
            exported_services: freshness.exported.to_vec(),
            refused: freshness
                .refused
                .iter()
                .map(|(what, why)| (what.clone(), why.clone()))
                .collect(),
            last_nack: freshness
                .last_nack
                .as_ref()
                .map(|nack| format!("{}: {}", nack.resource, nack.reason)),
            judgement: self.judge(monotonic),
            freshness: freshness.clone(),
            monotonic,
            sent_bundle: freshness.bundle.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{World, peering};

    #[test]
    fn a_stream_speaks_louder_than_the_record() {
        let mut world = World::new("us");
        world.peer("west", None);
        let mut record = Peering::clone(&world.snapshot.peering(&peering("west")).unwrap().row);
        let never = StreamStatus::default();
        let judged = |state, synced| StreamStatus {
            connected: true,
            judgement: Some(Judgement {
                state,
                reason: String::new(),
                age: None,
            }),
            freshness: Freshness {
                synced,
                ..Freshness::default()
            },
            ..StreamStatus::default()
        };
        let broken = StreamStatus {
            failed: true,
            ..StreamStatus::default()
        };
        for (stored, without, after_a_break) in [
            (
                PeeringState::Pending,
                PeeringState::Pending,
                PeeringState::Failing,
            ),
            (
                PeeringState::Terminated,
                PeeringState::Terminated,
                PeeringState::Terminated,
            ),
            (
                PeeringState::Deleting,
                PeeringState::Deleting,
                PeeringState::Deleting,
            ),
        ] {
            record.state = stored;
            assert_eq!(never.state(&record), without);
            for (state, synced, shown) in [
                (State::Active, true, PeeringState::Active),
                (State::Stale, false, PeeringState::Establishing),
                (State::Stale, true, PeeringState::Failing),
                (State::Diverged, true, PeeringState::Failing),
                (State::Diverged, false, PeeringState::Failing),
            ] {
                assert_eq!(judged(state, synced).state(&record), shown, "{state:?}");
            }
            assert_eq!(broken.state(&record), after_a_break);
        }
    }

    #[test]
    fn moments_are_told_in_wall_time() {
        let tracked = Tracked {
            freshness: Freshness {
                last_heartbeat: Some(Duration::from_secs(5)),
                last_applied: Some(Duration::from_secs(8)),
                ..Freshness::default()
            },
            ..Tracked::default()
        };
        let status = tracked.at(UnixMillis(100_000), Duration::from_secs(10));
        assert_eq!(status.last_heartbeat, Some(UnixMillis(95_000)));
        assert_eq!(status.last_applied, Some(UnixMillis(98_000)));
        assert_eq!(status.applied_age, Some(Duration::from_secs(2)));
        assert_eq!(status.last_sent, None);
    }
}
