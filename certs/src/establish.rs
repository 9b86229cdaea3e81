//! The first start makes the cluster's identity and root; every later one finds them.

use crate::brought::{self, ROOT_CERT};
use crate::root::generate_root;
use peerway_model::{BroughtRoot, CaRoots, Datacenter, Failure, FailureKind, Invalid, RootKey, TrustDomain};
use peerway_runtime::UnixMillis;
use peerway_state::{Expect, Refused, Row, RowKey, Snapshot, Transaction};
use peerway_store::{CommitError, Reader, Writer};
use std::sync::Arc;
use thiserror::Error;

/// Why the authority could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The store is that of a cluster with another name.
    #[error(
        "datacenter is {configured:?} in the configuration, but this store belongs to the cluster {stored:?}, and the name of a cluster never changes: set datacenter to {stored:?}, or give the new cluster a data_dir of its own"
    )]
    Datacenter {
        /// What the configuration says.
        configured: Datacenter,
        /// What the store says.
        stored: Datacenter,
    },
    /// The root that the configuration brings cannot be used.
    #[error("connect.ca_config.{0}")]
    Brought(Invalid),
    /// The new root could not be written.
    #[error("the cluster's root could not be written: {0}")]
    Commit(#[from] CommitError),
    /// The root could not be made, or the stored one cannot be used.
    #[error("{0}")]
    Authority(#[from] Failure),
}

/// Returns a snapshot that holds the cluster's roots; makes identity, root and key in one transaction when there
/// are none. Another server over the same store may do the same at the same time: the first one wins.
pub(crate) async fn establish(
    writer: &Writer,
    reader: &Reader,
    now: UnixMillis,
    datacenter: &Datacenter,
    brought: Option<&BroughtRoot>,
) -> Result<Arc<Snapshot>, StartError> {
    if reader.snapshot().roots().is_none() {
        let transaction = first_roots(now, datacenter, brought)?;
        match writer.commit(transaction).await {
            Ok(_) => {
                tracing::info!(%datacenter, "made the identity and the root certificate of a new cluster")
            }
            Err(CommitError::Refused(Refused::Conflict { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let snapshot = reader.snapshot();
    let stored = snapshot
        .roots()
        .map(|roots| roots.datacenter.clone())
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Internal,
                "the roots of the cluster were written but cannot be read, start again",
            )
        })?;
    if stored != *datacenter {
        return Err(StartError::Datacenter {
            configured: datacenter.clone(),
            stored,
        });
    }
    if let Some(brought) = brought
        && let Ok(checked) = brought::check(brought, now)
        && snapshot
            .roots()
            .is_some_and(|roots| roots.root(&checked.root.id).is_none())
    {
        tracing::warn!(
            root = %checked.root.id,
            "connect.ca_config.root_cert is for the first start only and this cluster has another root by now: rotate with peerway connect ca rotate, or remove the setting"
        );
    }
    Ok(snapshot)
}

fn first_roots(
    now: UnixMillis,
    datacenter: &Datacenter,
    brought: Option<&BroughtRoot>,
) -> Result<Transaction, StartError> {
    let (cluster_id, brought) = match brought {
        Some(brought) => {
            let checked = brought::check(brought, now).map_err(StartError::Brought)?;
            (cluster_of(checked.trust_domain.as_ref())?, Some(checked))
        }
        None => (None, None),
    };
    let cluster_id = cluster_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let trust_domain = TrustDomain::of_cluster(&cluster_id)
        .map_err(|invalid| Failure::new(FailureKind::Internal, invalid.to_string()))?;
    let (mut root, key) = match brought {
        Some(checked) => (checked.root, checked.key),
        None => generate_root(&trust_domain, now, RootKey::default())?,
    };
    root.active = true;
    let roots = CaRoots {
        cluster_id,
        trust_domain,
        datacenter: datacenter.clone(),
        roots: vec![root],
        rotation: None,
    };
    Ok(Transaction::new()
        .expect(Expect::Absent(RowKey::Roots))
        .put(Row::Roots(Arc::new(roots)))
        .put(Row::CaKey(Arc::new(key))))
}

/// The id of the cluster that a brought root signs for, if it says one: trust domains are `<uuid>.consul`.
fn cluster_of(trust_domain: Option<&TrustDomain>) -> Result<Option<String>, StartError> {
    let Some(trust_domain) = trust_domain else {
        return Ok(None);
    };
    let id = trust_domain.as_str().strip_suffix(".consul");
    match id.filter(|id| id.len() == 36 && uuid::Uuid::parse_str(id).is_ok()) {
        Some(id) => Ok(Some(id.to_owned())),
        None => Err(StartError::Brought(Invalid::new(
            ROOT_CERT,
            format!(
                "signs for the trust domain {trust_domain}, that of a cluster is a UUID and .consul: make it with such a URI SAN, or without one"
            ),
        ))),
    }
}
