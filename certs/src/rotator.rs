//! Rotating the built-in root: begins, goes on by itself, and is forced by operators. Everything that decides is in
//! the store, so that a restart goes on where the rotation was.

use crate::authority::BuiltIn;
use crate::brought::{PRIVATE_KEY, ROOT_CERT};
use crate::issuer::Certs;
use crate::root::{generate_root, key_of};
use crate::rotation::{Decision, Facts, confirmed_peers, decide, forced, has_switched, missing};
use crate::{bridge, brought, metrics};
use peerway_model::{
    CaRoots, Failure, FailureKind, Invalid, Missing, NewRoot, Rotation, RotationPhase, RotationStatus,
    Witness,
};
use peerway_runtime::{DrainWatch, SharedClock, Tasks, UnixMillis};
use peerway_state::{Expect, Refused, Row, RowKey, Snapshot, Transaction, Versioned};
use peerway_store::{CommitError, Feed, FeedEvent, Reader, Writer};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often a rotation that is under way is looked at.
pub const LOOK: Duration = Duration::from_millis(500);
/// How often a write is tried when the roots have changed meanwhile.
const ATTEMPTS: usize = 5;

/// Tells what every proxy and every peer has confirmed of a rotation.
pub trait Witnesses: Send + Sync + 'static {
    /// Everybody who matters to the rotation of `roots`, whether or not they can be reached.
    fn witnesses(&self, roots: &CaRoots, rotation: &Rotation) -> Vec<Witness>;
}

/// Rotates roots. Clones share everything.
#[derive(Clone)]
pub struct Rotator {
    shared: Arc<Shared>,
}

struct Shared {
    certs: Certs,
    writer: Writer,
    reader: Reader,
    clock: SharedClock,
    witnesses: Arc<dyn Witnesses>,
}

impl fmt::Debug for Rotator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rotator({:?})", self.shared.certs)
    }
}

impl Rotator {
    /// Spawns the critical task `ca rotation`, which takes a rotation that is under way further.
    pub fn start(
        certs: Certs,
        writer: Writer,
        reader: Reader,
        clock: SharedClock,
        witnesses: Arc<dyn Witnesses>,
        tasks: &Tasks,
    ) -> Rotator {
        let rotator = Rotator {
            shared: Arc::new(Shared {
                certs,
                writer,
                reader,
                clock,
                witnesses,
            }),
        };
        let (feed, drain) = (rotator.shared.reader.feed(), tasks.watch());
        tasks.spawn("ca rotation", rotator.clone().follow(feed, drain));
        rotator
    }

    /// Announces a new root, which is made or brought. It signs when everybody has confirmed it. Bringing the root that
    /// signs or is announced already changes nothing.
    ///
    /// # Errors
    /// `Conflict` when a rotation is under way, `Invalid` with the field when a brought root cannot be used or none can
    /// be made of this kind, `Unavailable` when it cannot be written.
    pub async fn begin(&self, new: NewRoot) -> Result<(), Failure> {
        let now = self.shared.clock.now();
        self.write(|snapshot, stored| {
            let (mut root, key) = match &new {
                NewRoot::Made(kind) => {
                    idle(stored)?;
                    generate_root(&stored.trust_domain, now, *kind)?
                }
                NewRoot::Brought(brought) => {
                    let checked = brought::check(brought, now).map_err(field)?;
                    if is_wanted(stored, &checked.root.id) {
                        return Ok(None);
                    }
                    idle(stored)?;
                    checked.fits(&stored.trust_domain, &stored.roots).map_err(field)?;
                    (checked.root, checked.key)
                }
            };
            let old = stored.active().ok_or_else(no_root)?;
            root.active = false;
            let built = BuiltIn::of(snapshot)
                .and_then(|signs| bridge::build(&signs, &root, &key, &stored.trust_domain, now));
            match built {
                Ok(bridges) => root.bridges = bridges,
                // Such an old root has to go all the more.
                Err(failure) => tracing::warn!(
                    %failure,
                    "the old root certificate does not vouch for the new one: whoever misses the rotation is cut off"
                ),
            }
            let rotation = Rotation {
                phase: RotationPhase::Announced,
                old_root: old.id.clone(),
                new_root: root.id.clone(),
                started: now.as_millis(),
                since: now.as_millis(),
                switched: None,
                confirmed_peers: Default::default(),
            };
            let mut roots = CaRoots::clone(stored);
            roots.roots.push(root);
            tracing::info!(old = %rotation.old_root, new = %rotation.new_root, "a new root certificate is announced");
            roots.rotation = Some(rotation);
            Ok(Some(
                Transaction::new()
                    .put(Row::Roots(Arc::new(roots)))
                    .put(Row::CaKey(Arc::new(key))),
            ))
        })
        .await
    }

    /// Calls the rotation that is under way off: the new root and its key are gone, and whoever trusts it loses it.
    ///
    /// # Errors
    /// `Conflict` when none is under way or the new root signs already, `Unavailable` when it cannot be written.
    pub async fn cancel(&self) -> Result<(), Failure> {
        self.write(|_, stored| {
            let refuse = |message: String| Err(Failure::new(FailureKind::Conflict, message));
            let Some(rotation) = &stored.rotation else {
                return refuse("no rotation is under way, there is nothing to cancel".to_owned());
            };
            if has_switched(rotation.phase) {
                return refuse(format!(
                    "the new root signs already (phase {}) and its leaves are in use, let the rotation end and begin another one",
                    rotation.phase.as_str()
                ));
            }
            let mut roots = CaRoots::clone(stored);
            roots.roots.retain(|root| root.id != rotation.new_root);
            roots.rotation = None;
            tracing::info!(root = %rotation.new_root, "the rotation is cancelled and the new root certificate is gone");
            Ok(Some(
                Transaction::new()
                    .put(Row::Roots(Arc::new(roots)))
                    .delete(RowKey::CaKey(rotation.new_root.clone())),
            ))
        })
        .await
    }

    /// Takes the rotation that is under way to its next step without those who are missing, and names them.
    ///
    /// # Errors
    /// `Conflict` when none is under way, `Unavailable` when it cannot be written.
    pub async fn force(&self) -> Result<Vec<Missing>, Failure> {
        let now = self.shared.clock.now();
        let mut left_behind = Vec::new();
        self.write(|_, stored| {
            let Some(rotation) = &stored.rotation else {
                return Err(Failure::new(
                    FailureKind::Conflict,
                    "no rotation is under way, begin one before its steps are forced",
                ));
            };
            let facts = self.facts(stored, rotation);
            left_behind = missing(rotation, &facts, now);
            for missing in &left_behind {
                tracing::warn!(
                    name = missing.name,
                    reason = missing.reason,
                    "a forced rotation leaves somebody behind"
                );
            }
            Ok(Some(carry_out(
                stored,
                rotation,
                &facts,
                forced(rotation.phase),
                now,
            )?))
        })
        .await?;
        Ok(left_behind)
    }

    /// Where the authority stands.
    ///
    /// # Errors
    /// `Unavailable` before the roots are made.
    pub fn status(&self) -> Result<RotationStatus, Failure> {
        let snapshot = self.shared.reader.snapshot();
        let stored = snapshot.roots().ok_or_else(no_root)?;
        let active = stored.active().ok_or_else(no_root)?;
        let now = self.shared.clock.now();
        let missing = stored.rotation.as_ref().map(|rotation| {
            let facts = self.facts(stored, rotation);
            missing(rotation, &facts, now)
        });
        Ok(RotationStatus {
            active_root: active.id.clone(),
            key: key_of(active),
            leaf_ttl: self.shared.certs.leaf_ttl(),
            rotation: stored.rotation.clone(),
            missing: missing.unwrap_or_default(),
        })
    }

    /// Writes down that a leaf of this root leaves to where nobody can see it. Must have returned before it does.
    /// Costs a write for the first leaf of a root, and a look-up afterwards.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written.
    pub async fn hand_out(&self, root_id: &str) -> Result<(), Failure> {
        self.write(|_, stored| {
            let mut roots = CaRoots::clone(stored);
            match roots.roots.iter_mut().find(|root| root.id == root_id) {
                Some(root) if !root.handed_out => root.handed_out = true,
                _ => return Ok(None),
            }
            Ok(Some(Transaction::new().put(Row::Roots(Arc::new(roots)))))
        })
        .await
    }

    async fn follow(self, mut feed: Feed, drain: DrainWatch) -> Result<(), &'static str> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = drain.signaled() => return Ok(()),
                // Nothing is decided by a change as such; reading keeps the feed from piling up.
                event = feed.next() => if matches!(event, FeedEvent::Closed) {
                    return Err("the store's feed ended");
                },
                _ = look.tick() => if let Err(failure) = self.step().await {
                    tracing::warn!(%failure, "the rotation of the root certificate could not go on and will be tried again");
                },
            }
        }
    }

    /// Goes one step further if nothing is in the way.
    async fn step(&self) -> Result<(), Failure> {
        let snapshot = self.shared.reader.snapshot();
        let Some(rotation) = snapshot.roots().and_then(|roots| roots.rotation.as_ref()) else {
            show(None, 0);
            return Ok(());
        };
        let now = self.shared.clock.now();
        let mut seen = (rotation.phase, 0);
        self.write(|_, stored| {
            let Some(rotation) = &stored.rotation else {
                return Ok(None);
            };
            let facts = self.facts(stored, rotation);
            let missing = missing(rotation, &facts, now);
            seen = (rotation.phase, missing.len());
            match decide(rotation, !missing.is_empty(), now) {
                Decision::Stay if confirmed_peers(rotation, &facts) == rotation.confirmed_peers => Ok(None),
                decision => carry_out(stored, rotation, &facts, decision, now).map(Some),
            }
        })
        .await?;
        show(Some(seen.0), seen.1);
        Ok(())
    }

    fn facts(&self, roots: &CaRoots, rotation: &Rotation) -> Facts {
        let handed_out = roots.root(&rotation.old_root).is_some_and(|root| root.handed_out);
        Facts {
            witnesses: self.shared.witnesses.witnesses(roots, rotation),
            old_leaves: self.shared.certs.kept_of(&rotation.old_root),
            handed_out_until: rotation
                .switched
                .filter(|_| handed_out)
                .map(|switched| UnixMillis(switched).after(self.shared.certs.leaf_ttl())),
        }
    }

    /// Commits what `change` makes of the roots, and asks it again when they have changed meanwhile.
    async fn write(
        &self,
        mut change: impl FnMut(&Snapshot, &Versioned<CaRoots>) -> Result<Option<Transaction>, Failure> + Send,
    ) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.shared.reader.snapshot();
            let stored = snapshot.roots().ok_or_else(no_root)?;
            let Some(transaction) = change(&snapshot, stored)? else {
                return Ok(());
            };
            let transaction = transaction.expect(Expect::Modified(RowKey::Roots, stored.modify_index));
            match self.shared.writer.commit(transaction).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Refused(Refused::Conflict { .. })) => {}
                Err(error) => return Err(Failure::new(FailureKind::Unavailable, error.to_string())),
            }
        }
        Err(Failure::new(
            FailureKind::Unavailable,
            "the roots keep changing, try again",
        ))
    }
}

/// The transaction of a decision.
fn carry_out(
    stored: &CaRoots,
    rotation: &Rotation,
    facts: &Facts,
    decision: Decision,
    now: UnixMillis,
) -> Result<Transaction, Failure> {
    let mut roots = stored.clone();
    let mut next = rotation.clone();
    next.confirmed_peers = confirmed_peers(rotation, facts);
    match decision {
        Decision::Stay => {}
        Decision::Enter(phase) => {
            if phase == RotationPhase::Switched {
                if roots.root(&rotation.new_root).is_none() {
                    return Err(Failure::new(
                        FailureKind::Internal,
                        "the new root is not in the store, restore it from a backup",
                    ));
                }
                for root in &mut roots.roots {
                    root.active = root.id == rotation.new_root;
                }
                // Not again when the phase is entered a second time: the old root signs nothing since the first.
                next.switched.get_or_insert(now.as_millis());
            }
            tracing::info!(
                from = rotation.phase.as_str(),
                to = phase.as_str(),
                "the rotation of the root certificate goes on"
            );
            next.phase = phase;
            next.since = now.as_millis();
        }
        Decision::Finish => {
            tracing::info!(root = %rotation.old_root, "the old root certificate is retired");
            roots.roots.retain(|root| root.id != rotation.old_root);
            roots.rotation = None;
            metrics::ROTATIONS.inc();
            return Ok(Transaction::new()
                .put(Row::Roots(Arc::new(roots)))
                .delete(RowKey::CaKey(rotation.old_root.clone())));
        }
    }
    roots.rotation = Some(next);
    Ok(Transaction::new().put(Row::Roots(Arc::new(roots))))
}

/// Refuses to begin while another rotation is under way.
fn idle(stored: &CaRoots) -> Result<(), Failure> {
    match &stored.rotation {
        None => Ok(()),
        Some(rotation) => Err(Failure::new(
            FailureKind::Conflict,
            format!(
                "a rotation is under way (phase {}), wait for its end, force its next step, or cancel it before it has switched",
                rotation.phase.as_str()
            ),
        )),
    }
}

/// Whether a root is already the one that signs or will.
fn is_wanted(stored: &CaRoots, id: &str) -> bool {
    match &stored.rotation {
        Some(rotation) => rotation.new_root == id,
        None => stored.active().is_some_and(|root| root.id == id),
    }
}

/// A refusal with the field as requests call it.
fn field(invalid: Invalid) -> Failure {
    let field = match invalid.path.as_str() {
        ROOT_CERT => "Config.RootCert",
        PRIVATE_KEY => "Config.PrivateKey",
        other => other,
    };
    let problem = invalid.problem.replace(ROOT_CERT, "Config.RootCert");
    Failure::new(FailureKind::Invalid, format!("{field}: {problem}"))
}

fn show(phase: Option<RotationPhase>, missing: usize) {
    for known in RotationPhase::ALL {
        metrics::ROTATION_PHASE
            .with_label_values(&[known.as_str()])
            .set(i64::from(phase == Some(known)));
    }
    metrics::ROTATION_MISSING.set(i64::try_from(missing).unwrap_or(i64::MAX));
}

fn no_root() -> Failure {
    Failure::new(
        FailureKind::Unavailable,
        "the certificate authority is not set up yet, retry in a moment",
    )
}

#[cfg(test)]
mod tests;
