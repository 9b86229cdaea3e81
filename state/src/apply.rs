//! The one door: a snapshot and a transaction in, the next snapshot out.

use crate::change::{ChangeSet, Topic};
use crate::row::{Row, RowChange, RowKey, StoredRow};
use crate::snapshot::{Revision, Snapshot, Versioned};
use crate::transaction::{Expect, Op, Refused, Transaction};
use imbl::OrdMap;
use peerway_model::{
    AuditEvent, AuditRecord, CheckKey, NodeKey, Origin, PeeringKey, PeeringSecrets, Secret, ServiceKey,
};
use std::collections::BTreeSet;
use std::sync::Arc;

mod chains;
mod edge;
mod index;
mod needs;
mod sameness;
mod tokens;
mod virtual_address;

pub use chains::chain_of;
pub use needs::MAX_OPAQUE_DEPTH;

/// Most audit records that are kept; the oldest goes first.
pub const MAX_AUDIT_RECORDS: usize = 2_000;

/// What a transaction led to.
#[derive(Debug)]
pub struct Applied {
    /// What readers may care about; empty when nothing changed.
    pub changes: ChangeSet,
    /// What a storage must keep, in order.
    pub rows: Vec<RowChange>,
}

/// Applies `transaction` to `snapshot` as `revision`, all or nothing. A transaction that changes nothing leaves
/// the snapshot's revision as it is and returns no row changes.
///
/// # Errors
/// [`Refused`], with `snapshot` unchanged.
pub fn apply(
    snapshot: &mut Snapshot,
    transaction: &Transaction,
    revision: Revision,
) -> Result<Applied, Refused> {
    for expect in &transaction.expects {
        check(snapshot, expect)?;
    }
    let mut work = Work {
        next: snapshot.clone(),
        revision,
        changes: ChangeSet::default(),
        rows: Vec::new(),
        addressed: BTreeSet::new(),
    };
    for op in &transaction.ops {
        match op {
            Op::Put(row) => work.put(row)?,
            Op::Delete(key) => work.delete(key),
            Op::ForgetImports(peering) => work.forget_imports(peering),
            Op::Record(event) => work.record(event)?,
        }
    }
    chains::check(&work.next, &work.changes)?;
    edge::check(&work.next, &work.changes)?;
    tokens::check(&work.next, &work.changes)?;
    sameness::check(&work.next, &work.changes)?;
    work.settle_virtual_addresses()?;
    if !work.rows.is_empty() {
        work.next.revision = revision;
        *snapshot = work.next;
    }
    Ok(Applied {
        changes: work.changes,
        rows: work.rows,
    })
}

/// A snapshot of `rows` as a storage kept them, at `revision`. Rows may come in any order.
///
/// # Errors
/// [`Refused::Dangling`] when rows are missing: the storage has lost something.
pub fn load(rows: impl IntoIterator<Item = StoredRow>, revision: Revision) -> Result<Snapshot, Refused> {
    let mut rows: Vec<StoredRow> = rows.into_iter().collect();
    rows.sort_by_cached_key(|stored| stored.row.key());
    let mut work = Work {
        next: Snapshot::default(),
        revision,
        changes: ChangeSet::default(),
        rows: Vec::new(),
        addressed: BTreeSet::new(),
    };
    for stored in rows {
        work.needs(&stored.row)?;
        work.insert(&stored.row, stored.create_index, stored.modify_index);
    }
    work.next.revision = revision;
    Ok(work.next)
}

fn check(snapshot: &Snapshot, expect: &Expect) -> Result<(), Refused> {
    let (key, holds) = match expect {
        Expect::Modified(key, index) => (key, modify_index(snapshot, key) == Some(*index)),
        Expect::Absent(key) => (key, modify_index(snapshot, key).is_none()),
        Expect::Present(key) => (key, modify_index(snapshot, key).is_some()),
    };
    if holds {
        Ok(())
    } else {
        Err(Refused::Conflict {
            key: Box::new(key.clone()),
            found: modify_index(snapshot, key),
        })
    }
}

fn modify_index(snapshot: &Snapshot, key: &RowKey) -> Option<u64> {
    match key {
        RowKey::Roots => snapshot.roots.as_ref().map(|row| row.modify_index),
        RowKey::CaKey(id) => snapshot.ca_keys.get(id).map(|row| row.modify_index),
        RowKey::Config(key) => snapshot.configs.get(key).map(|row| row.modify_index),
        RowKey::Peering(key) => snapshot.peerings.get(key).map(|row| row.modify_index),
        RowKey::Secrets(key) => snapshot.secrets.get(key).map(|row| row.modify_index),
        RowKey::Grants(key) => snapshot.grants.get(key).map(|row| row.modify_index),
        RowKey::Bundle(key) => snapshot.bundles.get(key).map(|row| row.modify_index),
        RowKey::Node(key) => snapshot.nodes.get(key).map(|row| row.modify_index),
        RowKey::Instance(key) => snapshot.instances.get(key).map(|row| row.modify_index),
        RowKey::Check(key) => snapshot.checks.get(key).map(|row| row.modify_index),
        RowKey::VirtualAddress(key) => snapshot.virtual_addresses.get(key).map(|row| row.modify_index),
        RowKey::Audit(number) => snapshot.audit.get(number).map(|row| row.modify_index),
    }
}

/// A transaction being applied to a copy.
struct Work {
    next: Snapshot,
    revision: Revision,
    changes: ChangeSet,
    rows: Vec<RowChange>,
    /// Services whose virtual address has to be looked at before the end.
    addressed: BTreeSet<ServiceKey>,
}

impl Work {
    fn put(&mut self, row: &Row) -> Result<(), Refused> {
        self.needs(row)?;
        self.admits(row)?;
        if self.is_same(row) {
            return Ok(());
        }
        let created = created_index(&self.next, &row.key()).unwrap_or(self.revision);
        self.insert(row, created, self.revision);
        self.rows.push(RowChange::Put(StoredRow {
            row: row.clone(),
            create_index: created,
            modify_index: self.revision,
        }));
        Ok(())
    }

    fn is_same(&self, row: &Row) -> bool {
        fn same<K: Ord + Clone, T: PartialEq>(map: &OrdMap<K, Versioned<T>>, key: &K, row: &Arc<T>) -> bool {
            map.get(key).is_some_and(|held| held.row == *row)
        }
        match row {
            Row::Roots(roots) => self.next.roots.as_ref().is_some_and(|held| held.row == *roots),
            Row::CaKey(key) => self
                .next
                .ca_keys
                .get(&key.root_id)
                .is_some_and(|held| same_secret(&held.pem, &key.pem)),
            Row::Secrets(key, secrets) => self
                .next
                .secrets
                .get(key)
                .is_some_and(|held| same_secrets(held, secrets)),
            Row::Config(entry) => same(&self.next.configs, &entry.key(), entry),
            Row::Peering(peering) => same(&self.next.peerings, &peering.key, peering),
            Row::Grants(grants) => same(&self.next.grants, &grants.peering, grants),
            Row::Bundle(bundle) => same(&self.next.bundles, &bundle.peering, bundle),
            Row::Node(node) => same(&self.next.nodes, &node.key, node),
            Row::Instance(instance) => same(&self.next.instances, &instance.key, instance),
            Row::Check(check) => same(&self.next.checks, &check.key, check),
            Row::VirtualAddress(own) => same(&self.next.virtual_addresses, &own.service, own),
            Row::Audit(record) => same(&self.next.audit, &record.number, record),
        }
    }

    fn insert(&mut self, row: &Row, create_index: u64, modify_index: u64) {
        fn versioned<T>(row: &Arc<T>, create_index: u64, modify_index: u64) -> Versioned<T> {
            Versioned {
                row: row.clone(),
                create_index,
                modify_index,
            }
        }
        let (created, modified) = (create_index, modify_index);
        match row {
            Row::Roots(roots) => {
                self.next.roots = Some(versioned(roots, created, modified));
                self.changes.touch(Topic::Roots);
            }
            Row::CaKey(key) => {
                self.next
                    .ca_keys
                    .insert(key.root_id.clone(), versioned(key, created, modified));
            }
            Row::Config(entry) => {
                let key = entry.key();
                self.touch_config(&key);
                let before = self.next.configs.insert(key, versioned(entry, created, modified));
                self.was_linked(before.as_ref().map(|held| &*held.row));
                self.was_linked(Some(entry));
            }
            Row::Peering(peering) => {
                self.touch_peering(&peering.key);
                self.next
                    .peerings
                    .insert(peering.key.clone(), versioned(peering, created, modified));
            }
            Row::Secrets(key, secrets) => {
                self.changes.touch(Topic::Secrets(key.clone()));
                self.next
                    .secrets
                    .insert(key.clone(), versioned(secrets, created, modified));
            }
            Row::Grants(grants) => {
                self.touch_grant(&grants.peering);
                self.next
                    .grants
                    .insert(grants.peering.clone(), versioned(grants, created, modified));
            }
            Row::Bundle(bundle) => {
                self.touch_bundle(&bundle.peering);
                self.next
                    .bundles
                    .insert(bundle.peering.clone(), versioned(bundle, created, modified));
            }
            Row::Node(node) => {
                self.next
                    .nodes
                    .insert(node.key.clone(), versioned(node, created, modified));
                self.touch_node(&node.key);
            }
            Row::Instance(instance) => {
                let before = self
                    .next
                    .instances
                    .insert(instance.key.clone(), versioned(instance, created, modified));
                self.reindex(before.as_ref().map(|held| &*held.row), Some(instance));
            }
            Row::Check(check) => {
                let before = self
                    .next
                    .checks
                    .insert(check.key.clone(), versioned(check, created, modified));
                if let Some(before) = before {
                    self.touch_checked(&before.key, before.instance.as_ref());
                }
                self.touch_checked(&check.key, check.instance.as_ref());
            }
            Row::VirtualAddress(own) => {
                let before = self
                    .next
                    .virtual_addresses
                    .insert(own.service.clone(), versioned(own, created, modified));
                self.move_virtual_address(before.as_ref().map(|held| &*held.row), Some(own));
            }
            Row::Audit(record) => {
                self.changes.touch(Topic::Audit);
                self.next
                    .audit
                    .insert(record.number, versioned(record, created, modified));
            }
        }
    }

    fn delete(&mut self, key: &RowKey) {
        if modify_index(&self.next, key).is_none() {
            return;
        }
        match key {
            RowKey::Roots => {
                self.next.roots = None;
                self.changes.touch(Topic::Roots);
            }
            RowKey::CaKey(id) => {
                self.next.ca_keys.remove(id);
            }
            RowKey::Config(config) => {
                let before = self.next.configs.remove(config);
                self.touch_config(config);
                self.was_linked(before.as_ref().map(|held| &*held.row));
            }
            RowKey::Peering(peering) => {
                self.forget_imports(peering);
                self.delete(&RowKey::Secrets(peering.clone()));
                self.delete(&RowKey::Grants(peering.clone()));
                self.next.peerings.remove(peering);
                self.touch_peering(peering);
            }
            RowKey::Secrets(peering) => {
                self.next.secrets.remove(peering);
                self.changes.touch(Topic::Secrets(peering.clone()));
            }
            RowKey::Grants(peering) => {
                self.next.grants.remove(peering);
                self.touch_grant(peering);
            }
            RowKey::Bundle(peering) => {
                self.next.bundles.remove(peering);
                self.touch_bundle(peering);
            }
            RowKey::Node(node) => {
                let instances: Vec<_> = self.next.instances_on(node).map(|row| row.key.clone()).collect();
                for instance in instances {
                    self.delete(&RowKey::Instance(instance));
                }
                let checks: Vec<_> = self.next.checks_on(node).map(|row| row.key.clone()).collect();
                for check in checks {
                    self.delete(&RowKey::Check(check));
                }
                self.next.nodes.remove(node);
                self.changes
                    .touch(Topic::Nodes(node.origin.clone(), node.partition.clone()));
            }
            RowKey::Instance(instance) => {
                let checks: Vec<CheckKey> = self
                    .next
                    .checks_on(&instance.node)
                    .filter(|check| check.instance.as_ref() == Some(&instance.id))
                    .map(|check| check.key.clone())
                    .collect();
                for check in checks {
                    self.delete(&RowKey::Check(check));
                }
                let before = self.next.instances.remove(instance);
                self.reindex(before.as_ref().map(|held| &*held.row), None);
            }
            RowKey::Check(check) => {
                if let Some(before) = self.next.checks.remove(check) {
                    self.touch_checked(check, before.instance.as_ref());
                }
            }
            RowKey::VirtualAddress(service) => {
                let before = self.next.virtual_addresses.remove(service);
                self.move_virtual_address(before.as_ref().map(|held| &*held.row), None);
            }
            RowKey::Audit(number) => {
                self.next.audit.remove(number);
                self.changes.touch(Topic::Audit);
            }
        }
        self.rows.push(RowChange::Delete(key.clone()));
    }

    fn record(&mut self, event: &AuditEvent) -> Result<(), Refused> {
        let last = self.next.audit.get_max().map_or(0, |(number, _)| *number);
        let record = AuditRecord {
            number: last.saturating_add(1),
            event: event.clone(),
        };
        self.put(&Row::Audit(Arc::new(record)))?;
        while self.next.audit.len() > MAX_AUDIT_RECORDS {
            let Some(oldest) = self.next.audit.get_min().map(|(number, _)| *number) else {
                break;
            };
            self.delete(&RowKey::Audit(oldest));
        }
        Ok(())
    }

    fn forget_imports(&mut self, peering: &PeeringKey) {
        let origin = Origin::Peer(peering.name.clone());
        let nodes: Vec<NodeKey> = self
            .next
            .nodes(&origin, &peering.partition)
            .map(|node| node.key.clone())
            .collect();
        for node in nodes {
            self.delete(&RowKey::Node(node));
        }
        self.delete(&RowKey::Bundle(peering.clone()));
    }
}

fn created_index(snapshot: &Snapshot, key: &RowKey) -> Option<u64> {
    match key {
        RowKey::Roots => snapshot.roots.as_ref().map(|row| row.create_index),
        RowKey::CaKey(id) => snapshot.ca_keys.get(id).map(|row| row.create_index),
        RowKey::Config(key) => snapshot.configs.get(key).map(|row| row.create_index),
        RowKey::Peering(key) => snapshot.peerings.get(key).map(|row| row.create_index),
        RowKey::Secrets(key) => snapshot.secrets.get(key).map(|row| row.create_index),
        RowKey::Grants(key) => snapshot.grants.get(key).map(|row| row.create_index),
        RowKey::Bundle(key) => snapshot.bundles.get(key).map(|row| row.create_index),
        RowKey::Node(key) => snapshot.nodes.get(key).map(|row| row.create_index),
        RowKey::Instance(key) => snapshot.instances.get(key).map(|row| row.create_index),
        RowKey::Check(key) => snapshot.checks.get(key).map(|row| row.create_index),
        RowKey::VirtualAddress(key) => snapshot.virtual_addresses.get(key).map(|row| row.create_index),
        RowKey::Audit(number) => snapshot.audit.get(number).map(|row| row.create_index),
    }
}

/// Whether both are the same; in constant time, so that a put tells nobody how much of a secret was right.
fn same_secret(held: &Secret, put: &Secret) -> bool {
    held.matches(put.expose())
}

fn same_secrets(held: &PeeringSecrets, put: &PeeringSecrets) -> bool {
    let same = |held: &Option<Secret>, put: &Option<Secret>| match (held, put) {
        (Some(held), Some(put)) => same_secret(held, put),
        (None, None) => true,
        _ => false,
    };
    same(&held.establishment, &put.establishment)
        & same(&held.pending_stream, &put.pending_stream)
        & same(&held.active_stream, &put.active_stream)
        & (held.revoked.len() == put.revoked.len())
        & held
            .revoked
            .iter()
            .zip(&put.revoked)
            .fold(true, |all, (held, put)| {
                all & (held.accessor == put.accessor) & same_secret(&held.secret, &put.secret)
            })
}
