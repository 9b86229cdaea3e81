//! [`Link`]: all peerings of this cluster, kept as their records say.
//!
//! A supervisor watches the store. For each peering that dials it keeps one task; dialers of peerings that accept
//! come in through the gRPC service; a deleted peering is told to its peer and then removed. There is at most one
//! stream a peering and the newest wins: a dialer that comes again knows better than we do that its old stream is
//! dead. After a restart everything follows from the stored records and secrets.

use crate::age::{STALE_AFTER, Stale};
use crate::introduction::claim::Claims;
use crate::pump::{Setup, Wish};
use crate::status::StreamStatus;
use crate::table::{Handle, Table, Wanted, wanted};
use crate::turns::Turns;
use crate::{dialer, metrics, records};
use parking_lot::Mutex;
use peerway_model::freshness::Standing;
use peerway_model::{Peering, PeeringKey, PeeringState};
use peerway_peering_protocol::{End, Freshness, ImportLimits, Judgement, Terms};
use peerway_runtime::{SharedClock, Tasks};
use peerway_state::{Snapshot, Topic};
use peerway_store::{FeedEvent, Reader, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
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
    /// How long a token can be used that is ordered without a limit; `None` is for ever, as Consul's.
    pub token_ttl: Option<Duration>,
    /// How much is imported from whom.
    pub imports: ImportPolicy,
    /// How old what is held of a peer may be before others stand in for it; `None` is [`STALE_AFTER`].
    pub stale_after: Option<Duration>,
}

/// How much is imported from each peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportPolicy {
    /// From those that are not named below.
    pub all: ImportLimits,
    /// From single peers.
    pub peers: BTreeMap<PeeringKey, ImportLimits>,
}

impl ImportPolicy {
    /// What counts for this peer.
    pub fn of(&self, key: &PeeringKey) -> &ImportLimits {
        self.peers.get(key).unwrap_or(&self.all)
    }
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
    table: Mutex<Table<Owner>>,
    establishing: Claims,
    turns: Turns,
    stale: watch::Sender<Arc<BTreeSet<PeeringKey>>>,
    /// Something ended: the supervisor has to look again.
    wake: Notify,
}

/// A task's place in the table.
pub(crate) struct Registered {
    pub(crate) generation: u64,
    pub(crate) wish: watch::Receiver<Wish>,
    before: Option<Owner>,
}

impl Registered {
    /// Waits until the task before has ended. It was told to, and what it was just importing is older than anything
    /// that the new stream brings.
    pub(crate) async fn before_is_gone(&self) {
        if let Some(Owner(before)) = &self.before {
            before.closed().await;
        }
    }
}

/// The table's end of a task.
struct Owner(watch::Sender<Wish>);

impl Handle for Owner {
    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    fn tell(&self, wish: Wish) {
        self.0.send_if_modified(|current| {
            let changed = *current != wish;
            *current = wish;
            changed
        });
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
                establishing: Claims::default(),
                turns: Turns::default(),
                stale: watch::Sender::default(),
                wake: Notify::new(),
            }),
        }
    }

    /// Starts the supervisor on the link's tasks. Call it once, inside a tokio runtime.
    pub fn start(&self) {
        let link = self.clone();
        self.tasks()
            .spawn("peering supervisor", async move { link.supervise().await });
        let link = self.clone();
        self.tasks().spawn("peering ages", async move {
            link.age(&link.shared.stale).await;
            Ok::<(), String>(())
        });
    }

    /// The peers of whom what is held is too old to count on, as it changes; none before [`Link::start`].
    pub fn stale(&self) -> Stale {
        self.shared.stale.subscribe()
    }

    /// What is known about the stream of a peering; the default for one that never had any.
    pub fn status(&self, key: &PeeringKey) -> StreamStatus {
        let clock = self.clock();
        let (now, monotonic) = (clock.now(), clock.monotonic());
        self.shared.table.lock().status(key, now, monotonic)
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
            match wanted(snapshot, peering) {
                // The peer is told first if it can be; the end of its stream wakes us again.
                Wanted::Removal if self.shared.table.lock().tell(key, Wish::Terminate) => {}
                Wanted::Removal => self.remove(key).await,
                Wanted::Dialer => self.dial(key),
                Wanted::AsIs => {}
            }
        }
        let forgotten = self.shared.table.lock().retire(snapshot);
        forgotten.iter().for_each(metrics::forget);
        self.measure(snapshot);
    }

    async fn remove(&self, key: &PeeringKey) {
        match records::remove_deleted(self.reader(), self.writer(), key).await {
            Ok(()) => tracing::info!(peer = %key.name, "peering deleted"),
            Err(error) => tracing::error!(peer = %key.name, %error, "a deleted peering could not be removed"),
        }
    }

    /// Starts the dialling task unless it runs.
    fn dial(&self, key: &PeeringKey) {
        if self.shared.table.lock().has_task(key) {
            return;
        }
        let registered = self.register(key);
        let (link, key) = (self.clone(), key.clone());
        self.tasks().spawn_background("peering dialer", async move {
            let generation = registered.generation;
            dialer::run(&link, &key, registered).await;
            link.ended(&key, generation);
        });
    }

    /// Makes a new task the one of this peering; the one before, if any, is closed.
    pub(crate) fn register(&self, key: &PeeringKey) -> Registered {
        let (sender, wish) = watch::channel(Wish::Run);
        let (generation, before) = self.shared.table.lock().register(key, Owner(sender));
        Registered {
            generation,
            wish,
            before,
        }
    }

    /// Says that a stream is connected.
    pub(crate) fn connected(&self, key: &PeeringKey, generation: u64) {
        let now = self.clock().now();
        self.shared.table.lock().connected(key, generation, now);
        self.shared.wake.notify_one();
    }

    /// Says how fresh a stream is.
    pub(crate) fn publish(&self, key: &PeeringKey, generation: u64, freshness: &Freshness) {
        self.shared.table.lock().publish(key, generation, freshness);
    }

    /// Says that a stream or an attempt is over.
    pub(crate) fn disconnected(&self, key: &PeeringKey, generation: u64, end: &End) {
        let now = self.clock().now();
        self.shared.table.lock().disconnected(key, generation, end, now);
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
        self.shared.table.lock().ended(key, generation);
        self.shared.wake.notify_one();
    }

    fn measure(&self, snapshot: &Snapshot) {
        let mut counts: BTreeMap<&'static str, i64> = BTreeMap::new();
        for peering in snapshot.peerings() {
            let status = self.status(&peering.key);
            metrics::peer(&peering.key, &status);
            *counts.entry(status.state(peering).as_str()).or_default() += 1;
        }
        metrics::states(&counts);
    }

    /// Whether what is held of a peer, or of one of its services, is what it exports; `None` when there never was a
    /// stream.
    pub fn standing(&self, key: &PeeringKey, service: Option<&str>) -> Option<Standing> {
        let monotonic = self.clock().monotonic();
        self.shared.table.lock().standing(key, service, monotonic)
    }

    /// Whether what is held of a peer is what it exports; `None` when there never was a stream.
    pub(crate) fn judge(&self, key: &PeeringKey, monotonic: Duration) -> Option<Judgement> {
        self.shared.table.lock().judge(key, monotonic)
    }

    /// What a stream of this peering is made with.
    pub(crate) fn setup(&self, key: &PeeringKey) -> Setup {
        Setup {
            addresses: self.shared.config.server_addresses.clone(),
            terms: Terms {
                limits: self.shared.config.imports.of(key).clone(),
                plain: false,
            },
            before: self.shared.table.lock().before(key),
            ..Setup::default()
        }
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.shared.turns
    }

    pub(crate) fn server_addresses(&self) -> &[String] {
        &self.shared.config.server_addresses
    }

    pub(crate) fn token_ttl(&self) -> Option<Duration> {
        self.shared.config.token_ttl
    }

    pub(crate) fn stale_after(&self) -> Duration {
        self.shared.config.stale_after.unwrap_or(STALE_AFTER)
    }

    pub(crate) fn establishing(&self) -> &Claims {
        &self.shared.establishing
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
