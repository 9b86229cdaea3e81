//! The running authority: one leaf for each identity that somebody uses, renewed in the background.

mod keep;

use crate::authority::{Authority, BuiltIn};
use crate::bearer::Bearer;
use crate::establish::{StartError, establish};
use crate::issuer::keep::Keep;
use crate::metrics;
use crate::settings::Settings;
use peerway_model::{BroughtRoot, CaRoots, Datacenter, Failure, FailureKind, Leaf, SpiffeId, TrustDomain};
use peerway_runtime::{DrainWatch, SharedClock, Tasks};
use peerway_state::{Snapshot, Topic};
use peerway_store::{Feed, FeedEvent, Reader, Writer};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// How many identities have a leaf at the same time; some 2 KiB each. Identities are services and gateways, not
/// their instances.
pub const MAX_IDENTITIES: usize = 65_536;
/// How often leaves are looked through.
pub const TICK: Duration = Duration::from_secs(1);
/// How many leaves are issued in the background in one [`TICK`]: some 300 ms of one core, so that 10,000 identities
/// have new leaves within seconds and everything else goes on meanwhile.
pub const MAX_LEAVES_PER_TICK: usize = 2_500;
/// How long issuing in the background may take in one [`TICK`], whatever the number: leaves of a root with a long RSA
/// key take some milliseconds each. The rest waits for the next one.
pub const MAX_TIME_PER_TICK: Duration = Duration::from_millis(400);
/// How long a leaf is kept when nobody subscribes to it any more: a proxy that reconnects gets the same one.
pub const IDLE_KEPT: Duration = Duration::from_secs(10 * 60);
/// How long after a failure issuing a leaf in the background is tried again.
pub const RETRY: Duration = Duration::from_secs(10);

/// Where a leaf can be followed; `None` until the first one is issued.
type Followed = watch::Receiver<Option<Arc<Leaf>>>;

/// Hands out leaves. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Certs {
    keep: Arc<Keep>,
    datacenter: Datacenter,
    trust_domain: TrustDomain,
}

impl fmt::Debug for Certs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certs({}, {:?})", self.trust_domain, self.keep)
    }
}

impl Certs {
    /// Finds the cluster's identity and root in the store, or makes them on the first start, and spawns the
    /// critical task `certs` that renews leaves until the drain. The writer is not kept. With `brought` the first root
    /// is that one.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        writer: &Writer,
        reader: &Reader,
        clock: SharedClock,
        datacenter: &Datacenter,
        settings: Settings,
        brought: Option<&BroughtRoot>,
        tasks: &Tasks,
    ) -> Result<Certs, StartError> {
        // The feed comes first, so that no change of the roots is missed.
        let feed = reader.feed();
        let snapshot = establish(writer, reader, clock.now(), datacenter, brought).await?;
        let authority = BuiltIn::of(&snapshot)?;
        let trust_domain = trust_domain(&snapshot)?;
        let certs = Certs {
            keep: Arc::new(Keep::new(clock, settings, Arc::new(authority))),
            datacenter: datacenter.clone(),
            trust_domain,
        };
        tasks.spawn("certs", upkeep(certs.keep.clone(), feed, tasks.watch()));
        Ok(certs)
    }

    /// The trust domain of this cluster.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// How long leaves live.
    pub fn leaf_ttl(&self) -> Duration {
        self.keep.leaf_ttl()
    }

    /// How many leaves of this root are kept for somebody who follows them.
    pub(crate) fn kept_of(&self, root_id: &str) -> usize {
        self.keep.kept_of(root_id)
    }

    /// Follows the leaf of a workload or gateway, which the caller has authenticated. The first leaf is issued
    /// before this returns; should that fail, the value is `None` and one follows when issuing works again.
    ///
    /// The channel of an identity that is refused (another trust domain or datacenter, this server's own identity,
    /// or more than [`MAX_IDENTITIES`] in use) is closed and stays `None`; asking again later may help only in the
    /// last case.
    pub fn leaf(&self, identity: &SpiffeId) -> Followed {
        self.leaf_named(identity, &[])
    }

    /// The same, but the leaf also has these DNS names, which are the server's own choice and never that of whoever
    /// asks for it. One identity may have leaves with several lists of names.
    pub fn leaf_named(&self, identity: &SpiffeId, dns_names: &[String]) -> Followed {
        let bearer = Bearer {
            identity: identity.clone(),
            dns_names: dns_names.into(),
        };
        let (followed, failure) = match self.admit(identity) {
            Ok(()) => self.keep.follow(&bearer),
            Err(refused) => (closed(), Some(refused)),
        };
        if let Some(failure) = failure {
            tracing::warn!(%identity, %failure, "no leaf certificate was issued");
        }
        followed
    }

    /// Returns the leaf of a workload or gateway, which the caller has authenticated: the one that is kept, or a new
    /// one when there is none or it is time to renew it. Takes about 100 microseconds in the latter case.
    ///
    /// # Errors
    /// `Denied` for an identity that this cluster does not issue for, `Unavailable` when more than
    /// [`MAX_IDENTITIES`] are in use or the root has expired, `Internal` when signing fails.
    pub fn issue_now(&self, identity: &SpiffeId) -> Result<Arc<Leaf>, Failure> {
        self.admit(identity)?;
        self.keep.current(&identity.into())
    }

    /// Follows the leaf of this server's peering endpoint: URI `spiffe://TD/agent/server/dc/DC` and DNS name
    /// `server.DC.peering.TD` (wire facts, section 2.2). As [`Certs::leaf`] otherwise.
    pub fn server_certificate(&self) -> Followed {
        let identity = SpiffeId::Server {
            trust_domain: self.trust_domain.clone(),
            datacenter: self.datacenter.clone(),
        };
        let (followed, failure) = self.keep.follow(&(&identity).into());
        if let Some(failure) = failure {
            tracing::warn!(%identity, %failure, "no certificate was issued for this server");
        }
        followed
    }

    /// Whether this cluster issues for `identity` at the request of others.
    fn admit(&self, identity: &SpiffeId) -> Result<(), Failure> {
        let denied = |reason: &str| {
            metrics::REFUSED.with_label_values(&["identity"]).inc();
            Err(Failure::new(FailureKind::Denied, format!("{identity} {reason}")))
        };
        let datacenter = match identity {
            SpiffeId::Service { datacenter, .. } | SpiffeId::MeshGateway { datacenter, .. } => datacenter,
            // With it one could pose as this server towards its peers.
            SpiffeId::Server { .. } => return denied("is a server's identity, which is not given to others"),
        };
        if identity.trust_domain() != &self.trust_domain {
            let domain = &self.trust_domain;
            return denied(&format!(
                "is not of the trust domain {domain}, ask its own cluster for a certificate"
            ));
        }
        if *datacenter != self.datacenter {
            let own = &self.datacenter;
            return denied(&format!(
                "is not of the datacenter {own}, use that in the identity"
            ));
        }
        Ok(())
    }
}

/// A channel that never had a leaf and never will.
fn closed() -> Followed {
    watch::channel(None).1
}

fn trust_domain(snapshot: &Snapshot) -> Result<TrustDomain, Failure> {
    let roots: Option<&CaRoots> = snapshot.roots().map(|roots| &**roots);
    roots.map(|roots| roots.trust_domain.clone()).ok_or_else(|| {
        Failure::new(
            FailureKind::Internal,
            "the cluster has no trust domain, restore the store",
        )
    })
}

/// Follows the roots and renews leaves until the drain.
async fn upkeep(keep: Arc<Keep>, mut feed: Feed, drain: DrainWatch) -> Result<(), &'static str> {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = drain.signaled() => return Ok(()),
            event = feed.next() => match event {
                FeedEvent::Changed(changes) if !changes.touches(&Topic::Roots) => {}
                FeedEvent::Changed(_) | FeedEvent::Reload => adopt(&keep, &feed.snapshot()),
                FeedEvent::Closed => return Err("the store's feed ended"),
            },
            _ = tick.tick() => renew(&keep).await,
        }
    }
}

/// Signs with the root that is active in `snapshot` from now on.
fn adopt(keep: &Keep, snapshot: &Snapshot) {
    match BuiltIn::of(snapshot) {
        Ok(authority) if authority.root().id == keep.authority().root().id => {}
        Ok(authority) => {
            tracing::info!(root = %authority.root().id, "another root certificate signs from now on");
            keep.adopt(Arc::new(authority));
        }
        // The former root goes on: workloads with leaves of a root on its way out are better than none.
        Err(failure) => tracing::error!(%failure, "the active root certificate cannot be used"),
    }
}

/// Renews what is due, one leaf at a time, so that other tasks of the thread get their turn in between.
async fn renew(keep: &Keep) {
    let (mut renewed, mut failures, mut last) = (0_usize, 0_usize, None);
    let mut spent = Duration::ZERO;
    for bearer in keep.due() {
        if spent >= MAX_TIME_PER_TICK {
            break;
        }
        let begun = keep.monotonic();
        match keep.renew(&bearer) {
            Ok(()) => renewed += 1,
            Err(failure) => {
                failures += 1;
                last = Some(failure);
            }
        }
        // Only what issuing took, not what other tasks did in between.
        spent += keep.monotonic().saturating_sub(begun);
        tokio::task::yield_now().await;
    }
    if renewed > 0 {
        tracing::debug!(renewed, "renewed leaf certificates");
    }
    if let Some(failure) = last {
        tracing::error!(failures, %failure, "leaf certificates could not be renewed and will be tried again");
    }
}

#[cfg(test)]
mod tests;
