//! Which streams there are: at most one a peering, and the newest wins.

use crate::pump::Wish;
use crate::redial;
use crate::report;
use crate::status::{StreamStatus, Tracked};
use peerway_model::freshness::Standing;
use peerway_model::{Peering, PeeringKey, PeeringRole, PeeringState};
use peerway_peering_protocol::{Code, End, Freshness, Judgement, Refusal};
use peerway_runtime::UnixMillis;
use peerway_state::Snapshot;
use std::collections::BTreeMap;
use std::time::Duration;

/// How the task of a stream is told what to do.
pub trait Handle {
    /// Whether the task is gone, be it by a panic.
    fn is_gone(&self) -> bool;
    /// Leaves a wish for the task; the newest counts.
    fn tell(&self, wish: Wish);
}

/// What should run for a peering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing is started; what runs goes on.
    AsIs,
    /// A task that dials.
    Dialer,
    /// The peer is told, then the record goes.
    Removal,
}

/// What should run for this peering.
pub fn wanted(snapshot: &Snapshot, peering: &Peering) -> Wanted {
    match (peering.state, peering.role) {
        (PeeringState::Deleting, _) => Wanted::Removal,
        // Its stream is draining, or gone.
        (PeeringState::Terminated, _) => Wanted::AsIs,
        (_, PeeringRole::Dialer) if redial::is_ready(snapshot, peering) => Wanted::Dialer,
        _ => Wanted::AsIs,
    }
}

/// The newest task of each peering and what is known of its stream.
pub struct Table<H> {
    entries: BTreeMap<PeeringKey, Entry<H>>,
    /// Numbers tasks, so that the last words of an old one do not overwrite the status of a newer one.
    generations: u64,
}

struct Entry<H> {
    /// Of the newest task.
    generation: u64,
    running: Option<H>,
    tracked: Tracked,
}

impl<H> Default for Table<H> {
    fn default() -> Self {
        Table {
            entries: BTreeMap::new(),
            generations: 0,
        }
    }
}

impl<H: Handle> Table<H> {
    /// Makes a new task the one of this peering; returns its generation and the task before, which was told to
    /// close. The new one must not touch the store until that one is gone: what it still has in hand is older.
    pub fn register(&mut self, key: &PeeringKey, handle: H) -> (u64, Option<H>) {
        self.generations += 1;
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry {
            generation: 0,
            running: None,
            tracked: Tracked::default(),
        });
        entry.generation = self.generations;
        let before = entry.running.replace(handle);
        if let Some(before) = &before {
            let reason = Refusal::new(Code::Aborted, "a newer stream of this peering took over");
            before.tell(Wish::Close(reason));
        }
        (self.generations, before)
    }

    /// Whether a task runs.
    pub fn has_task(&self, key: &PeeringKey) -> bool {
        self.task(key).is_some()
    }

    fn task(&self, key: &PeeringKey) -> Option<&H> {
        let entry = self.entries.get(key)?;
        entry.running.as_ref().filter(|running| !running.is_gone())
    }

    /// Tells the running task of a peering; returns whether there is one.
    pub fn tell(&self, key: &PeeringKey, wish: Wish) -> bool {
        let task = self.task(key);
        if let Some(task) = task {
            task.tell(wish);
        }
        task.is_some()
    }

    /// Closes the tasks of peerings that are gone from `snapshot`, and forgets those whose task is gone as well;
    /// returns the forgotten.
    pub fn retire(&mut self, snapshot: &Snapshot) -> Vec<PeeringKey> {
        let known = self.entries.keys().filter(|key| snapshot.peering(key).is_none());
        let gone: Vec<PeeringKey> = known.cloned().collect();
        let reason = Refusal::new(Code::Aborted, "the peering was deleted");
        gone.into_iter()
            .filter(|key| {
                let running = self.tell(key, Wish::Close(reason.clone()));
                if !running {
                    self.entries.remove(key);
                }
                !running
            })
            .collect()
    }

    /// Says that a task is over.
    pub fn ended(&mut self, key: &PeeringKey, generation: u64) {
        if let Some(entry) = self.current(key, generation) {
            entry.running = None;
        }
    }

    /// Says that a stream is connected.
    pub fn connected(&mut self, key: &PeeringKey, generation: u64, now: UnixMillis) {
        if let Some(entry) = self.current(key, generation) {
            entry.tracked = Tracked {
                connected: true,
                since: Some(now),
                // Until the stream has something to say of itself.
                freshness: entry.tracked.freshness.legacy(),
                ..Tracked::default()
            };
        }
    }

    /// What a new stream of this peering goes on from.
    pub fn before(&self, key: &PeeringKey) -> Freshness {
        let entry = self.entries.get(key);
        entry
            .map(|entry| entry.tracked.freshness.legacy())
            .unwrap_or_default()
    }

    /// Whether what is held of a peer, or of one of its services, is what it exports; `None` when there never was a
    /// stream. Cheap, unlike [`Table::status`].
    pub fn standing(&self, key: &PeeringKey, service: Option<&str>, monotonic: Duration) -> Option<Standing> {
        let tracked = &self.entries.get(key)?.tracked;
        let judgement = tracked.judge(monotonic)?;
        Some(match service {
            Some(service) => report::of_service(&judgement, &tracked.freshness, service, monotonic),
            None => report::of_peer(&judgement),
        })
    }

    /// Whether what is held of a peer is what it exports; `None` when there never was a stream.
    pub(crate) fn judge(&self, key: &PeeringKey, monotonic: Duration) -> Option<Judgement> {
        self.entries.get(key)?.tracked.judge(monotonic)
    }

    /// Says how fresh a stream is.
    pub fn publish(&mut self, key: &PeeringKey, generation: u64, freshness: &Freshness) {
        if let Some(entry) = self.current(key, generation) {
            entry.tracked.freshness = freshness.clone();
        }
    }

    /// Says that a stream or an attempt is over.
    pub fn disconnected(&mut self, key: &PeeringKey, generation: u64, end: &End, now: UnixMillis) {
        if let Some(entry) = self.current(key, generation) {
            entry.tracked.disconnected(end, now);
        }
    }

    /// What is known about the stream of a peering; the default for one that never had any.
    pub fn status(&self, key: &PeeringKey, now: UnixMillis, monotonic: Duration) -> StreamStatus {
        let entry = self.entries.get(key);
        entry
            .map(|entry| entry.tracked.at(now, monotonic))
            .unwrap_or_default()
    }

    fn current(&mut self, key: &PeeringKey, generation: u64) -> Option<&mut Entry<H>> {
        self.entries
            .get_mut(key)
            .filter(|entry| entry.generation == generation)
    }
}
