//! [`Link`]: all peerings of this cluster, kept as their records say.
//!
//! A supervisor watches the store. For each peering that dials it keeps one task; dialers of peerings that accept
//! come in through the gRPC service; a deleted peering is told to its peer and then removed. There is at most one
//! stream a peering and the newest wins: a dialer that comes again knows better than we do that its old stream is
//! dead. After a restart everything follows from the stored records and secrets.

use crate::status::{StreamStatus, Tracked};
use crate::stream::Wish;
use crate::{dialer, metrics, records};
use parking_lot::Mutex;
use peerway_model::{Peering, PeeringKey, PeeringRole, PeeringState};
use peerway_peering_protocol::{Code, End, Freshness, Refusal};
use peerway_runtime::{SharedClock, Tasks};
use peerway_state::{Snapshot, Topic};
use peerway_store::{FeedEvent, Reader, Writer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How often ages in the metrics are brought up to date.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);

/// What the composition root decides.
#[derive(Clone, Debug, Default)]
pub struct LinkConfig {
    /// Where peers reach this cluster's peering endpoint, `host:port`: put into tokens and told to dialers. May be
    /// empty as long as nobody dials in.
    pub server_addresses: Vec<String>,
}

/// All peerings of this cluster. Clones share it.
#[derive(Clone)]
pub struct Link {
    shared: Arc<Shared>,
}

struct Shared {
    config: LinkConfig,
    reader: Reader,
    writer: Writer,
    clock: SharedClock,
    tasks: Tasks,
    table: Mutex<BTreeMap<PeeringKey, Entry>>,
    /// Something ended: the supervisor has to look again.
    wake: Notify,
    /// Numbers tasks, so that the last words of an old one do not overwrite the status of a newer one.
    generations: AtomicU64,
}

#[derive(Default)]
struct Entry {
    /// Of the newest task.
    generation: u64,
    running: Option<watch::Sender<Wish>>,
    tracked: Tracked,
}

impl Entry {
    /// The newest task, unless it has ended, be it by a panic.
    fn task(&self) -> Option<&watch::Sender<Wish>> {
        self.running.as_ref().filter(|running| !running.is_closed())
    }
}

impl Link {
    /// A link over this store. Call [`Link::start`] to set it going, and drain `tasks` to stop it.
    pub fn new(config: LinkConfig, reader: Reader, writer: Writer, clock: SharedClock, tasks: Tasks) -> Self {
        Link {
            shared: Arc::new(Shared {
                config,
                reader,
                writer,
                clock,
                tasks,
                table: Mutex::default(),
                wake: Notify::new(),
                generations: AtomicU64::new(0),
            }),
        }
    }

    /// Starts the supervisor on the link's tasks. Call it once, inside a tokio runtime.
    pub fn start(&self) {
        let link = self.clone();
        self.tasks()
            .spawn("peering supervisor", async move { link.supervise().await });
    }

    /// What is known about the stream of a peering; the default for one that never had any.
    pub fn status(&self, key: &PeeringKey) -> StreamStatus {
        let clock = self.clock();
        let (now, monotonic) = (clock.now(), clock.monotonic());
        let table = self.shared.table.lock();
        table
            .get(key)
            .map(|entry| entry.tracked.at(now, monotonic))
            .unwrap_or_default()
    }

    /// The state that an operator sees.
    pub fn state(&self, peering: &Peering) -> PeeringState {
        self.status(&peering.key).state(peering)
    }

    async fn supervise(&self) -> Result<(), String> {
        let stop = self.tasks().watch();
        let mut feed = self.reader().feed();
        loop {
            self.reconcile(&self.reader().snapshot()).await;
            let relevant =
                |topic: &Topic| matches!(topic, Topic::Peerings | Topic::Secrets(_) | Topic::Roots);
            loop {
                tokio::select! {
                    event = feed.next() => match event {
                        FeedEvent::Changed(changes) if !changes.iter().any(relevant) => {}
                        FeedEvent::Changed(_) | FeedEvent::Reload => break,
                        FeedEvent::Closed => return Err("the store has stopped".to_owned()),
                    },
                    () = self.shared.wake.notified() => break,
                    () = tokio::time::sleep(METRICS_INTERVAL) => self.measure(&self.reader().snapshot()),
                    () = stop.signaled() => return Ok(()),
                }
            }
        }
    }

    /// Makes what runs equal to what the records say.
    async fn reconcile(&self, snapshot: &Snapshot) {
        for peering in snapshot.peerings() {
            let key = &peering.key;
            match (peering.state, peering.role) {
                // The peer is told first if it can be; the end of its stream wakes us again.
                (PeeringState::Deleting, _) if self.tell(key, Wish::Terminate) => {}
                (PeeringState::Deleting, _) => self.remove(key).await,
                // Its stream is draining, or gone.
                (PeeringState::Terminated, _) => {}
                (_, PeeringRole::Dialer) if dialer::is_ready(snapshot, peering) => self.dial(key),
                _ => {}
            }
        }
        let gone: Vec<PeeringKey> = {
            let table = self.shared.table.lock();
            let known = table.keys().filter(|key| snapshot.peering(key).is_none());
            known.cloned().collect()
        };
        for key in gone {
            let reason = Refusal::new(Code::Aborted, "the peering was deleted");
            if !self.tell(&key, Wish::Close(reason)) {
                self.shared.table.lock().remove(&key);
                metrics::forget(&key);
            }
        }
        self.measure(snapshot);
    }

    async fn remove(&self, key: &PeeringKey) {
        match records::remove_deleted(self.reader(), self.writer(), key).await {
            Ok(()) => tracing::info!(peer = %key.name, "peering deleted"),
            Err(error) => tracing::error!(peer = %key.name, %error, "a deleted peering could not be removed"),
        }
    }

    /// Tells the running task of a peering; returns whether there is one.
    fn tell(&self, key: &PeeringKey, wish: Wish) -> bool {
        let table = self.shared.table.lock();
        let Some(running) = table.get(key).and_then(Entry::task) else {
            return false;
        };
        running.send_if_modified(|current| {
            let changed = *current != wish;
            *current = wish;
            changed
        });
        true
    }

    /// Starts the dialling task unless it runs.
    fn dial(&self, key: &PeeringKey) {
        if self
            .shared
            .table
            .lock()
            .get(key)
            .is_some_and(|entry| entry.task().is_some())
        {
            return;
        }
        let (generation, wish) = self.register(key);
        let (link, key) = (self.clone(), key.clone());
        self.tasks().spawn_background("peering dialer", async move {
            dialer::run(&link, &key, generation, wish).await;
            link.ended(&key, generation);
        });
    }

    /// Makes a new task the one of this peering; the one before, if any, is closed.
    pub(crate) fn register(&self, key: &PeeringKey) -> (u64, watch::Receiver<Wish>) {
        let (sender, receiver) = watch::channel(Wish::Run);
        let generation = self.shared.generations.fetch_add(1, Ordering::Relaxed) + 1;
        let mut table = self.shared.table.lock();
        let entry = table.entry(key.clone()).or_default();
        entry.generation = generation;
        if let Some(before) = entry.running.replace(sender) {
            let reason = Refusal::new(Code::Aborted, "a newer stream of this peering took over");
            before.send_replace(Wish::Close(reason));
        }
        (generation, receiver)
    }

    /// Says that a stream is connected.
    pub(crate) fn connected(&self, key: &PeeringKey, generation: u64) {
        let now = self.clock().now();
        self.track(key, generation, |tracked| {
            *tracked = Tracked {
                connected: true,
                since: Some(now),
                ..Tracked::default()
            };
        });
        self.shared.wake.notify_one();
    }

    /// Says how fresh a stream is.
    pub(crate) fn publish(&self, key: &PeeringKey, generation: u64, freshness: &Freshness) {
        self.track(key, generation, |tracked| tracked.freshness = freshness.clone());
    }

    /// Says that a stream or an attempt is over.
    pub(crate) fn disconnected(&self, key: &PeeringKey, generation: u64, end: &End) {
        let now = self.clock().now();
        self.track(key, generation, |tracked| {
            let was_connected = std::mem::take(&mut tracked.connected);
            if was_connected || tracked.since.is_none() {
                tracked.since = Some(now);
            }
            match end {
                End::Graceful => {
                    tracked.failed = false;
                    tracked.last_error = None;
                    tracked.freshness = Freshness::default();
                }
                End::Failed(refusal) => {
                    tracked.failed |= was_connected;
                    tracked.last_error = Some(refusal.message.clone());
                }
            }
        });
        match end {
            End::Graceful => tracing::info!(peer = %key.name, "peering stream ended"),
            End::Failed(refusal) => {
                tracing::warn!(peer = %key.name, reason = %refusal, "no peering stream")
            }
        }
        self.shared.wake.notify_one();
    }

    /// Says that an accepted stream and its task are over.
    pub(crate) fn finished(&self, key: &PeeringKey, generation: u64, end: &End) {
        self.disconnected(key, generation, end);
        self.ended(key, generation);
    }

    fn ended(&self, key: &PeeringKey, generation: u64) {
        let mut table = self.shared.table.lock();
        if let Some(entry) = table.get_mut(key)
            && entry.generation == generation
        {
            entry.running = None;
        }
        drop(table);
        self.shared.wake.notify_one();
    }

    fn track(&self, key: &PeeringKey, generation: u64, change: impl FnOnce(&mut Tracked)) {
        let mut table = self.shared.table.lock();
        if let Some(entry) = table.get_mut(key)
            && entry.generation == generation
        {
            change(&mut entry.tracked);
        }
    }

    fn measure(&self, snapshot: &Snapshot) {
        let mut counts: BTreeMap<&'static str, i64> = BTreeMap::new();
        for peering in snapshot.peerings() {
            let status = self.status(&peering.key);
            metrics::peer(&peering.key, status.connected, status.applied_age);
            *counts.entry(status.state(peering).as_str()).or_default() += 1;
        }
        metrics::states(&counts);
    }

    pub(crate) fn server_addresses(&self) -> &[String] {
        &self.shared.config.server_addresses
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.shared.reader
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.shared.writer
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.shared.clock
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.shared.tasks
    }
}
