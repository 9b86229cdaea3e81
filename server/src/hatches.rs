//! What rooms ask of one another without knowing one another: each hatch filled with the room that has the answer.

use peerway_api_server::{
    EstablishRequest, Introductions, Leaves, Revocation, Rotations, TokenIssue, TokenRequest,
};
use peerway_certs::{Certs, Rotator};
use peerway_model::freshness::Standing;
use peerway_model::{
    Datacenter, Failure, FailureKind, InstanceKey, Invalid, Leaf, Missing, NewRoot, PeeringKey, Requester,
    RotationStatus, Secret, ServiceKey, SpiffeId, StreamStatus,
};
use peerway_peering_link::{IntroductionError, Link, Selection, TokenOrder};
use peerway_state::may_show;
use peerway_store::Reader;
use peerway_xds_server::SecretSource;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Leaves for proxies, from the authority.
pub(crate) struct Secrets {
    pub(crate) certs: Certs,
    pub(crate) reader: Reader,
}

impl SecretSource for Secrets {
    /// Looks at the newest state, whatever the stream was told: what is not linked any more is not given.
    fn subscribe(
        &self,
        proxy: &InstanceKey,
        identity: &SpiffeId,
        dns_names: &[String],
    ) -> Option<watch::Receiver<Option<Arc<Leaf>>>> {
        may_show(&self.reader.snapshot(), proxy, identity).then(|| self.certs.leaf_named(identity, dns_names))
    }
}

/// Leaves and rotations for the API, from the authority.
pub(crate) struct Authority {
    pub(crate) certs: Certs,
    pub(crate) rotator: Rotator,
    pub(crate) datacenter: Datacenter,
}

impl Leaves for Authority {
    fn leaf(&self, service: &ServiceKey) -> Answer<'_, Arc<Leaf>> {
        let identity = SpiffeId::Service {
            trust_domain: self.certs.trust_domain().clone(),
            partition: service.partition.clone(),
            namespace: service.namespace.clone(),
            datacenter: self.datacenter.clone(),
            service: service.name.clone(),
        };
        Box::pin(async move {
            let leaf = self.certs.issue_now(&identity)?;
            // Nobody sees what becomes of it; the root must outlive it.
            self.rotator.hand_out(&leaf.root_id).await?;
            Ok(leaf)
        })
    }

    fn check(&self, certificate: &str, key: &Secret) -> Result<(), Invalid> {
        peerway_certs::check_certificate(certificate, key)
    }
}

impl Rotations for Authority {
    fn begin(&self, new: NewRoot) -> Answer<'_, ()> {
        Box::pin(self.rotator.begin(new))
    }

    fn cancel(&self) -> Answer<'_, ()> {
        Box::pin(self.rotator.cancel())
    }

    fn force(&self) -> Answer<'_, Vec<Missing>> {
        Box::pin(self.rotator.force())
    }

    fn status(&self) -> Result<RotationStatus, Failure> {
        self.rotator.status()
    }
}

/// Peerings for the API, from the link.
pub(crate) struct Peerings {
    pub(crate) link: Link,
    pub(crate) reader: Reader,
    /// Whether peerings are offered at all.
    pub(crate) enabled: bool,
}

impl Peerings {
    fn offered(&self) -> Result<(), Failure> {
        if self.enabled {
            return Ok(());
        }
        let text = "peering is switched off on this server, set peering { enabled = true }";
        Err(Failure::new(FailureKind::Unavailable, text))
    }
}

impl Introductions for Peerings {
    fn generate_token(&self, request: TokenRequest) -> Answer<'_, TokenIssue> {
        Box::pin(async move {
            self.offered()?;
            let TokenRequest {
                peer,
                partition,
                meta,
                external_addresses,
                ttl,
                request_id,
                bounds,
                by,
            } = request;
            let order = TokenOrder {
                meta,
                external_addresses,
                ttl,
                request_id,
                bounds,
            };
            let made = self
                .link
                .generate_token(peer.as_str(), &partition, order, by)
                .await;
            let issued = made.map_err(failure)?;
            Ok(TokenIssue {
                token: issued.token.encode(),
                accessor: issued.grant.accessor,
                expires_at: issued.grant.expires_at,
            })
        })
    }

    fn establish(&self, request: EstablishRequest) -> Answer<'_, ()> {
        Box::pin(async move {
            self.offered()?;
            let EstablishRequest {
                peer,
                partition,
                meta,
                token,
                by,
            } = request;
            self.link
                .establish(peer.as_str(), &partition, &token, meta, by)
                .await
                .map_err(failure)
        })
    }

    fn delete(&self, key: PeeringKey, by: Requester) -> Answer<'_, ()> {
        Box::pin(async move {
            self.offered()?;
            self.link
                .delete(key.name.as_str(), &key.partition, by)
                .await
                .map_err(failure)
        })
    }

    fn revoke_token(&self, key: PeeringKey, which: Revocation, by: Requester) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            self.offered()?;
            let selection = match which {
                Revocation::Only => Selection::Only,
                Revocation::All => Selection::All,
                Revocation::Accessor(accessor) => Selection::Accessor(accessor),
            };
            self.link
                .revoke_token(key.name.as_str(), &key.partition, selection, by)
                .await
                .map_err(failure)
        })
    }

    fn withheld(&self, key: &PeeringKey) -> Vec<String> {
        self.link.withheld(key)
    }

    fn status(&self, key: &PeeringKey) -> Option<StreamStatus> {
        let snapshot = self.reader.snapshot();
        let peering = snapshot.peering(key)?;
        let status = self.link.status(key);
        let freshness = status.report();
        let millis = |moment: Option<peerway_runtime::UnixMillis>| moment.map(|at| at.as_millis());
        Some(StreamStatus {
            state: status.state(peering),
            last_heartbeat: millis(status.last_heartbeat),
            last_receive: millis(status.last_received),
            last_send: millis(status.last_sent),
            last_applied: millis(status.last_applied),
            last_error: status.last_error,
            imported: status.imported_services,
            exported: status.exported_services,
            freshness,
        })
    }

    fn standing(&self, key: &PeeringKey, service: Option<&str>) -> Option<Standing> {
        self.link.standing(key, service)
    }

    fn is_stale(&self, key: &PeeringKey) -> bool {
        self.link.stale().borrow().contains(key)
    }
}

fn failure(error: IntroductionError) -> Failure {
    let kind = match &error {
        IntroductionError::Invalid(_) => FailureKind::Invalid,
        IntroductionError::Conflict(_) => FailureKind::Conflict,
        IntroductionError::NotFound(_) => FailureKind::NotFound,
        IntroductionError::PermissionDenied(_) => FailureKind::Denied,
        IntroductionError::Unavailable(_) => FailureKind::Unavailable,
        IntroductionError::Internal(_) => FailureKind::Internal,
    };
    Failure::new(kind, error.to_string())
}
