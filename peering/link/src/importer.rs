//! From an admitted resource to a transaction that makes this cluster's copy equal to it (wire facts, section 6).

#[cfg(test)]
mod tests;

use crate::records;
use crate::turns::Turns;
use peerway_model::{
    Check, Instance, InstanceKey, NodeKey, Origin, Peering, PeeringGrants, PeeringKey, PeeringRole,
    ServiceKey, ServiceName, SpiffeId, TrustBundle, TrustDomain,
};
use peerway_peering_protocol::admit::{MAX_SERVICES, OtherPeer, trust_domain_of_server_name};
use peerway_peering_protocol::freshness::{MAX_REASON_BYTES, cut};
use peerway_peering_protocol::open::REVOKED;
use peerway_peering_protocol::{Code, Import, ImportScope, ImportedInstance, Listed, Refusal, Resource};
use peerway_state::{Expect, Refused, Row, RowKey, Snapshot, Transaction, Versioned};
use peerway_store::{CommitError, Reader, Writer};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most service names of one peer: its services and their mesh faces.
pub const MAX_NAMES_PER_PEER: usize = 2 * MAX_SERVICES;

/// How often an import is tried again when the peering's record changed meanwhile.
const MAX_CONFLICTS: usize = 5;

/// Validates `resource` in its turn and commits it; when this returns `Ok`, every reader sees it.
///
/// The turn ends before the commit: waiting for the disk takes nothing from others, and what several peers sent is kept
/// by one append.
///
/// # Errors
/// A refusal that goes back to the peer as a NACK. With [`Code::Unavailable`] the failure is ours and the same
/// resource may be fine later.
pub(crate) async fn import(
    turns: &Turns,
    reader: &Reader,
    writer: &Writer,
    key: &PeeringKey,
    peer_id: &str,
    resource: &Resource,
) -> Result<(), Refusal> {
    for _ in 0..MAX_CONFLICTS {
        let turn = turns.next().await;
        let transaction = plan(&reader.snapshot(), key, peer_id, resource)?;
        drop(turn);
        match writer.commit(transaction).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Refused(Refused::Conflict { .. })) => {}
            Err(error) => return Err(Refusal::new(Code::Unavailable, error.to_string())),
        }
    }
    Err(Refusal::new(
        Code::Unavailable,
        "the peering's record keeps changing, the import was given up",
    ))
}

/// The transaction that makes the stored copy equal to `resource`, which came over a stream that was opened with
/// `peer_id`. It expects the peering's record as it is in `snapshot`, so that nothing is written for a peering that is
/// deleted meanwhile.
///
/// # Errors
/// When the peering is gone or another one than the stream's, or the resource is not admitted.
pub fn plan(
    snapshot: &Snapshot,
    key: &PeeringKey,
    peer_id: &str,
    resource: &Resource,
) -> Result<Transaction, Refusal> {
    let peering = snapshot
        .peering(key)
        .filter(|peering| peering.is_live() && records::introduced_as(peering) == Some(peer_id))
        .ok_or_else(|| {
            Refusal::new(
                Code::Aborted,
                "the peering is being deleted, nothing is imported any more",
            )
        })?;
    let proof = gate(snapshot, peering, resource)?;
    let roots = snapshot
        .roots()
        .ok_or_else(|| Refusal::new(Code::Unavailable, "the certificate authority is not ready yet"))?;
    let others = other_peers(snapshot, key);
    let known = trust_domain_of(snapshot, peering);
    if known.is_none() && of_another(resource, &others) {
        return Err(Refusal::new(
            Code::FailedPrecondition,
            "its trust domain is another peer's, so nothing is imported before the trust bundle, which has to show that \
             both are partitions of one cluster",
        ));
    }
    let others: Vec<OtherPeer<'_>> = others.iter().map(Other::shown).collect();
    let scope = ImportScope {
        peering: key,
        own_trust_domain: &roots.trust_domain,
        peer_trust_domain: known.as_ref(),
        has_bundle: snapshot.bundle(key).is_some(),
        others: &others,
    };
    let import = scope.admit(resource)?;
    let transaction = Transaction::new().expect(Expect::Modified(
        RowKey::Peering(key.clone()),
        peering.modify_index,
    ));
    let mut plan = Plan {
        snapshot,
        origin: Origin::Peer(key.name.clone()),
        key,
        transaction,
    };
    match import {
        Import::Service { name, instances } => plan.service(&name, instances)?,
        Import::ServiceList { names, refused } => {
            for invalid in refused.iter().take(1) {
                tracing::warn!(peer = %key.name, count = refused.len(), first = %invalid, "services cannot be imported under their names");
            }
            plan.list(&names);
        }
        Import::Bundle(bundle) => {
            plan.bundle(peering, bundle);
            if let Some(grants) = proof {
                plan.transaction = records::tokens_unchanged(plan.transaction, snapshot, key);
                plan.put(Row::Grants(Arc::new(grants)));
            }
        }
        Import::Addresses(addresses) => plan.addresses(peering, addresses)?,
    }
    Ok(plan.transaction)
}

/// Holds the peer to the token that opened its stream: one that is bound to a trust domain lets nothing in before the
/// bundle of that trust domain. Returns what to keep when this is that bundle, and the first one.
///
/// # Errors
/// [`Code::FailedPrecondition`] for what came too early, [`Code::PermissionDenied`] for a bundle that ends the stream,
/// [`Code::Aborted`] when the token was revoked.
fn gate(
    snapshot: &Snapshot,
    peering: &Peering,
    resource: &Resource,
) -> Result<Option<PeeringGrants>, Refusal> {
    if records::is_revoked(snapshot, peering) {
        return Err(Refusal::new(Code::Aborted, REVOKED));
    }
    let Some(grants) = snapshot.grant(&peering.key) else {
        return Ok(None);
    };
    let Some((grant, bound)) = grants.active_stream.as_ref().and_then(|grant| {
        let bound = grant.bounds.trust_domain.as_ref()?;
        Some((grant, bound))
    }) else {
        return Ok(None);
    };
    match resource {
        Resource::TrustBundle(bundle) => {
            let shown = TrustDomain::new(&bundle.trust_domain);
            if shown.as_ref() != Ok(bound) {
                let shown = cut(&bundle.trust_domain, MAX_REASON_BYTES);
                return Err(Refusal::new(
                    Code::PermissionDenied,
                    format!(
                        "the peering token is for trust domain {bound:?} and the dialer's trust bundle is of {shown:?}, generate a token for it and establish again"
                    ),
                ));
            }
            Ok((!grant.proven).then(|| {
                let mut proven = PeeringGrants::clone(&grants.row);
                if let Some(grant) = &mut proven.active_stream {
                    grant.proven = true;
                }
                proven
            }))
        }
        _ if grant.is_unproven() => Err(Refusal::new(
            Code::FailedPrecondition,
            format!("nothing is imported before the trust bundle of {bound:?}, for which the token is"),
        )),
        _ => Ok(None),
    }
}

/// The trust domain that a peer is known by: from its bundle, or for a dialer from the token's server name.
pub(crate) fn trust_domain_of(snapshot: &Snapshot, peering: &Peering) -> Option<TrustDomain> {
    let stored = snapshot
        .bundle(&peering.key)
        .map(|bundle| bundle.trust_domain.clone());
    stored.or_else(|| trust_domain_of_server_name(peering.server_name.as_deref()?))
}

struct Other<'s> {
    peering: &'s PeeringKey,
    trust_domain: TrustDomain,
    bundle: Option<&'s TrustBundle>,
}

impl Other<'_> {
    fn shown(&self) -> OtherPeer<'_> {
        OtherPeer {
            peering: self.peering,
            trust_domain: &self.trust_domain,
            bundle: self.bundle,
        }
    }
}

fn other_peers<'s>(snapshot: &'s Snapshot, key: &PeeringKey) -> Vec<Other<'s>> {
    snapshot
        .peerings()
        .filter(|peering| peering.key != *key && peering.is_live())
        .filter_map(|peering| {
            Some(Other {
                peering: &peering.key,
                trust_domain: trust_domain_of(snapshot, peering)?,
                bundle: snapshot.bundle(&peering.key).map(|bundle| &**bundle),
            })
        })
        .collect()
}

/// Whether this is a service whose workloads are of the trust domain of another peer.
fn of_another(resource: &Resource, others: &[Other<'_>]) -> bool {
    let Resource::ExportedService { instances, .. } = resource else {
        return false;
    };
    let metas = instances
        .iter()
        .filter_map(|instance| instance.service.peer_meta.as_ref());
    metas.flat_map(|meta| &meta.spiffe_ids).any(|id| {
        SpiffeId::parse(id).is_ok_and(|id| {
            others
                .iter()
                .any(|other| other.trust_domain == *id.trust_domain())
        })
    })
}

struct Plan<'a> {
    snapshot: &'a Snapshot,
    origin: Origin,
    key: &'a PeeringKey,
    transaction: Transaction,
}

impl Plan<'_> {
    fn service(&mut self, name: &ServiceName, instances: Vec<ImportedInstance>) -> Result<(), Refusal> {
        let names = self.names();
        if !instances.is_empty() && !names.contains(name) && names.len() >= MAX_NAMES_PER_PEER {
            return Err(Refusal::new(
                Code::InvalidArgument,
                format!(
                    "service {name} refused: at most {MAX_NAMES_PER_PEER} names are imported from one peer"
                ),
            ));
        }
        let kept: BTreeSet<InstanceKey> = instances.iter().map(|one| one.instance.key.clone()).collect();
        let used: BTreeSet<NodeKey> = kept.iter().map(|key| key.node.clone()).collect();
        let mut ops = std::mem::take(&mut self.transaction);
        for ImportedInstance {
            node,
            instance,
            check,
        } in instances
        {
            let stale = self.stale_checks(&instance, check.as_ref());
            ops = ops
                .put(Row::Node(Arc::new(node)))
                .put(Row::Instance(Arc::new(instance)));
            if let Some(check) = check {
                ops = ops.put(Row::Check(Arc::new(check)));
            }
            for key in stale {
                ops = ops.delete(key);
            }
        }
        self.transaction = ops;
        let gone = self.stored(|own| own == name);
        self.remove(
            gone.into_iter().filter(|key| !kept.contains(key)).collect(),
            &used,
        );
        Ok(())
    }

    fn list(&mut self, names: &[ServiceName]) {
        let texts: Vec<&str> = names.iter().map(ServiceName::as_str).collect();
        let listed = Listed::new(&texts);
        let gone = self.stored(|own| !listed.keeps(own.as_str()));
        self.remove(gone, &BTreeSet::new());
    }

    fn bundle(&mut self, peering: &Versioned<Peering>, bundle: TrustBundle) {
        let mut updated = Peering::clone(&peering.row);
        updated.ca_pems = bundle.root_pems.iter().map(|pem| with_newline(pem)).collect();
        self.put(Row::Bundle(Arc::new(bundle)));
        self.put(Row::Peering(Arc::new(updated)));
    }

    fn addresses(&mut self, peering: &Versioned<Peering>, addresses: Vec<String>) -> Result<(), Refusal> {
        if peering.role == PeeringRole::Acceptor {
            return Err(Refusal::new(
                Code::InvalidArgument,
                "server addresses refused: an acceptor does not dial",
            ));
        }
        let mut updated = Peering::clone(&peering.row);
        updated.server_addresses = addresses;
        self.put(Row::Peering(Arc::new(updated)));
        Ok(())
    }

    fn put(&mut self, row: Row) {
        self.transaction = std::mem::take(&mut self.transaction).put(row);
    }

    fn delete(&mut self, key: RowKey) {
        self.transaction = std::mem::take(&mut self.transaction).delete(key);
    }

    fn services(&self) -> impl Iterator<Item = &ServiceKey> {
        self.snapshot.service_names(&self.origin, &self.key.partition)
    }

    fn names(&self) -> BTreeSet<&ServiceName> {
        self.services().map(|service| &service.name).collect()
    }

    /// What is stored of the services whose name is `meant`, in all namespaces: the wire does not tell them apart.
    fn stored(&self, meant: impl Fn(&ServiceName) -> bool) -> Vec<InstanceKey> {
        self.services()
            .filter(|service| meant(&service.name))
            .flat_map(|service| self.snapshot.instances_of(service))
            .map(|instance| instance.key.clone())
            .collect()
    }

    fn stale_checks(&self, instance: &Instance, check: Option<&Check>) -> Vec<RowKey> {
        self.snapshot
            .checks_on(&instance.key.node)
            .filter(|stored| stored.instance.as_ref() == Some(&instance.key.id))
            .filter(|stored| check.is_none_or(|check| check.key != stored.key))
            .map(|stored| RowKey::Check(stored.key.clone()))
            .collect()
    }

    /// Removes instances, and the nodes that nothing of this peer is left on. `used` nodes get new instances in
    /// this very transaction.
    fn remove(&mut self, gone: Vec<InstanceKey>, used: &BTreeSet<NodeKey>) {
        let gone: BTreeSet<InstanceKey> = gone.into_iter().collect();
        let nodes: BTreeSet<&NodeKey> = gone.iter().map(|key| &key.node).collect();
        let empty: Vec<NodeKey> = nodes
            .into_iter()
            .filter(|node| !used.contains(node))
            .filter(|node| {
                self.snapshot
                    .instances_on(node)
                    .all(|left| gone.contains(&left.key))
            })
            .cloned()
            .collect();
        for key in gone {
            self.delete(RowKey::Instance(key));
        }
        for node in empty {
            self.delete(RowKey::Node(node));
        }
    }
}

fn with_newline(pem: &str) -> String {
    if pem.ends_with('\n') {
        pem.to_owned()
    } else {
        format!("{pem}\n")
    }
}
