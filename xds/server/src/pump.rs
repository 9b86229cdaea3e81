//! From the store to what each proxy should hold.

#[cfg(test)]
mod tests;

use crate::cache::Cache;
use crate::limits::{PUBLISH_BATCH, SWEEP_EVERY, WATCH_QUEUE};
use crate::piece::Piece;
use crate::revocation::Revocations;
use peerway_mesh::{Changed, FragmentKind, Mesh, View};
use peerway_model::config::Action;
use peerway_model::{InstanceKey, PeeringKey, SpiffeId};
use peerway_runtime::{SharedClock, Tasks};
use peerway_state::Revision;
use peerway_store::{Feed, FeedEvent, Reader};
use peerway_xds_protocol::{Holding, HoldingBuilder};
use peerway_xds_translate::{Dialect, version};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

/// What one proxy should hold.
pub(crate) struct Published {
    /// Whose leaf it gets besides.
    pub(crate) identity: SpiffeId,
    /// The DNS names that the leaf is made for besides.
    pub(crate) dns_names: Vec<String>,
    /// Whose leaves it gets besides those, by the names of the secrets.
    pub(crate) leaves: Arc<[(String, SpiffeId)]>,
    /// Everything but the leaves.
    pub(crate) holding: Holding<Piece>,
    /// The revision of the one before; 0 when it is the first.
    pub(crate) before: Revision,
    /// It came with a revision after this one.
    pub(crate) after: Revision,
    /// It has everything up to this revision.
    pub(crate) revision: Revision,
    /// It has nothing newer than this revision.
    pub(crate) shows: Revision,
    /// When it was published, on the monotonic clock.
    pub(crate) at: Duration,
}

/// The newest of what a proxy should hold; `None` while it is not registered.
pub(crate) type Publication = watch::Receiver<Option<Arc<Published>>>;

/// The peers of whom what is held is too old to count on. Time makes it so, not a commit.
type Stale = watch::Receiver<Arc<BTreeSet<PeeringKey>>>;

/// The streams' end of the pump.
pub(crate) struct Pump {
    asks: mpsc::Sender<Ask>,
    published: Arc<AtomicU64>,
}

/// What streams have to say to the pump.
enum Ask {
    Watch(Watch),
    Kept(Kept),
}

/// The listeners that a proxy has kept from an earlier stream: name and version.
struct Kept {
    proxy: InstanceKey,
    dialect: Dialect,
    listeners: Vec<(String, String)>,
}

struct Watch {
    proxy: InstanceKey,
    dialect: Dialect,
    answer: oneshot::Sender<Publication>,
}

impl Pump {
    /// Follows a proxy for as long as the receiver lives. `None` when the pump has stopped.
    pub(crate) async fn watch(&self, proxy: InstanceKey, dialect: Dialect) -> Option<Publication> {
        let (answer, publication) = oneshot::channel();
        self.asks
            .send(Ask::Watch(Watch {
                proxy,
                dialect,
                answer,
            }))
            .await
            .ok()?;
        publication.await.ok()
    }

    /// Tells which listeners a proxy that is watched has kept from an earlier stream. Should the pump be too busy to hear
    /// it, connections are drained that need not be.
    pub(crate) fn kept(&self, proxy: InstanceKey, dialect: Dialect, listeners: Vec<(String, String)>) {
        let kept = Kept {
            proxy,
            dialect,
            listeners,
        };
        let _ = self.asks.try_send(Ask::Kept(kept));
    }

    /// Whatever changed for a proxy up to this revision was published before.
    pub(crate) fn published(&self) -> Revision {
        self.published.load(Ordering::Acquire)
    }
}

/// The task that owns the mesh. All work on it is done in one place, so it needs no lock.
struct Worker {
    mesh: Mesh,
    feed: Feed,
    stale: Stale,
    cache: Cache,
    clock: SharedClock,
    proxies: HashMap<InstanceKey, Proxy>,
    revocations: Revocations,
    /// See [`Pump::published`].
    published: Arc<AtomicU64>,
}

/// A proxy that somebody follows, in each dialect that was asked for.
struct Proxy {
    view: Option<Arc<View>>,
    channels: Vec<(Dialect, watch::Sender<Option<Arc<Published>>>)>,
}

/// Starts the task, a critical one: without it no proxy hears of a change.
pub(crate) fn start(
    reader: &Reader,
    default_intention: Action,
    stale: Stale,
    tasks: &Tasks,
    clock: SharedClock,
) -> Pump {
    let (asks, queue) = mpsc::channel(WATCH_QUEUE);
    let worker = Worker::new(reader, default_intention, stale, clock);
    let published = Arc::clone(&worker.published);
    let drain = tasks.watch();
    tasks.spawn("xds-pump", async move {
        tokio::select! {
            () = drain.signaled() => Ok(()),
            result = worker.run(queue) => result,
        }
    });
    Pump { asks, published }
}

impl Worker {
    fn new(reader: &Reader, default_intention: Action, mut stale: Stale, clock: SharedClock) -> Self {
        // The feed first, so that no commit falls between it and the snapshot.
        let feed = reader.feed();
        let mut mesh = Mesh::with_default(reader.snapshot(), default_intention);
        // Nobody is watched yet, so nothing changes for anybody.
        mesh.judge(BTreeSet::clone(&stale.borrow_and_update()));
        Worker {
            mesh,
            stale,
            published: Arc::new(AtomicU64::new(feed.told())),
            feed,
            cache: Cache::default(),
            clock,
            proxies: HashMap::new(),
            revocations: Revocations::default(),
        }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Ask>) -> Result<(), &'static str> {
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Not biased: neither a crowd of reconnecting proxies nor a storm of changes may starve the other.
            tokio::select! {
                ask = queue.recv() => match ask {
                    Some(Ask::Watch(watch)) => self.watch(watch),
                    Some(Ask::Kept(kept)) => self.kept(&kept),
                    // Nobody can ask any more.
                    None => return Ok(()),
                },
                event = self.feed.next() => {
                    let changed = match event {
                        FeedEvent::Changed(changes) => self.mesh.update(self.feed.snapshot(), &changes),
                        FeedEvent::Reload => self.mesh.reload(self.feed.snapshot()),
                        FeedEvent::Closed => return Err("the store has stopped"),
                    };
                    self.publish(changed, self.feed_round()).await;
                    // After it, so that whoever sees the number sees what was published.
                    self.published.store(self.feed.told(), Ordering::Release);
                }
                // Whoever judged may be gone before this task, which does not end it.
                Ok(()) = self.stale.changed() => {
                    let stale = BTreeSet::clone(&self.stale.borrow_and_update());
                    let changed = self.mesh.judge(stale);
                    // No revision brought it.
                    let round = Round { since: 0, ..self.feed_round() };
                    self.publish(changed, round).await;
                }
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    /// A look after something came from the feed.
    fn feed_round(&self) -> Round {
        let after = self.published.load(Ordering::Relaxed);
        Round {
            // What changed is as old as the event, however long the crowd before it takes.
            at: self.clock.monotonic(),
            after,
            revision: self.feed.told(),
            shows: self.mesh.revision(),
            since: after.saturating_add(1),
        }
    }

    fn watch(
        &mut self,
        Watch {
            proxy,
            dialect,
            answer,
        }: Watch,
    ) {
        if !self.proxies.contains_key(&proxy) {
            let view = self.mesh.watch(&proxy);
            self.proxies.insert(
                proxy.clone(),
                Proxy {
                    view,
                    channels: Vec::new(),
                },
            );
        }
        let Some(entry) = self.proxies.get_mut(&proxy) else {
            return;
        };
        let known = entry.channels.iter().find(|(known, _)| *known == dialect);
        let publication = match known {
            Some((_, channel)) => channel.subscribe(),
            None => {
                let told = self.published.load(Ordering::Relaxed);
                let round = Round {
                    at: self.clock.monotonic(),
                    after: told,
                    revision: told,
                    shows: self.mesh.revision(),
                    // The view may have been like this for long.
                    since: 0,
                };
                let first = entry.view.as_ref().map(|view| {
                    compose(
                        &mut self.cache,
                        &mut self.revocations,
                        view,
                        dialect,
                        None,
                        &round,
                    )
                });
                let (channel, publication) = watch::channel(first);
                entry.channels.push((dialect, channel));
                publication
            }
        };
        // A stream that ended meanwhile is found by the sweep.
        let _ = answer.send(publication);
    }

    fn kept(&mut self, kept: &Kept) {
        let proxy = self.proxies.get(&kept.proxy);
        let Some(view) = proxy.and_then(|proxy| proxy.view.as_ref()) else {
            return;
        };
        for fragment in &view.fragments {
            let own = kept.listeners.iter().find(|(name, _)| name == fragment.name());
            if let (FragmentKind::Listener, Some((_, has))) = (fragment.kind(), own) {
                let content = version(fragment, kept.dialect);
                self.revocations.came_with(fragment, &content, has);
            }
        }
    }

    async fn publish(&mut self, changed: Vec<Changed>, round: Round) {
        for (number, (key, view)) in changed.into_iter().enumerate() {
            if number % PUBLISH_BATCH == PUBLISH_BATCH - 1 {
                tokio::task::yield_now().await;
            }
            let Some(proxy) = self.proxies.get_mut(&key) else {
                continue;
            };
            for (dialect, channel) in &proxy.channels {
                let next = view.as_ref().map(|view| {
                    let before = channel.borrow().clone();
                    compose(
                        &mut self.cache,
                        &mut self.revocations,
                        view,
                        *dialect,
                        before.as_deref(),
                        &round,
                    )
                });
                channel.send_replace(next);
            }
            proxy.view = view;
        }
    }

    /// Lets go of proxies that no stream follows any more.
    fn sweep(&mut self) {
        let mesh = &mut self.mesh;
        self.proxies.retain(|key, proxy| {
            proxy.channels.retain(|(_, channel)| !channel.is_closed());
            let followed = !proxy.channels.is_empty();
            if !followed {
                mesh.unwatch(key);
            }
            followed
        });
        self.revocations.sweep();
    }
}

/// One look at the state, which finds out what changed.
struct Round {
    /// When, on the monotonic clock.
    at: Duration,
    /// As in [`Published`].
    after: Revision,
    /// As in [`Published`].
    revision: Revision,
    /// As in [`Published`].
    shows: Revision,
    /// What is encoded in it came with this revision or a later one; 0 when that is not known.
    since: Revision,
}

/// What a proxy with this view should hold; lists that did not change are those of `before`.
fn compose(
    cache: &mut Cache,
    revocations: &mut Revocations,
    view: &View,
    dialect: Dialect,
    before: Option<&Published>,
    round: &Round,
) -> Arc<Published> {
    let mut builder: HoldingBuilder<Piece> = Holding::builder();
    for fragment in &view.fragments {
        revocations.look(fragment, round.shows);
    }
    for fragment in &view.fragments {
        let mark = revocations.mark(fragment);
        let piece = cache.piece(fragment, dialect, mark.as_ref(), round.since);
        builder.insert(piece.kind(), piece);
    }
    let mut holding = builder.build();
    if let Some(before) = before {
        holding = holding.sharing(&before.holding);
    }
    Arc::new(Published {
        identity: view.identity.clone(),
        dns_names: view.dns_names.clone(),
        leaves: Arc::clone(&view.leaves),
        before: before.map_or(0, |before| before.revision),
        holding,
        after: round.after,
        revision: round.revision,
        shows: round.shows,
        at: round.at,
    })
}
