//! From names as they were asked to keys of rows. Names in DNS have no case, names of rows have: the name as asked comes
//! first, then the same in lower case, then any that differs by case only.

use crate::answer::Known;
use crate::asked::Place;
use peerway_model::name::{Namespace, NodeName, Partition, PeerName, ServiceName};
use peerway_model::{NodeKey, Origin, PeeringKey, ServiceKey};
use peerway_state::Snapshot;

/// A place with names that can be rows'.
pub(crate) struct Where {
    pub(crate) origin: Origin,
    pub(crate) partition: Partition,
    pub(crate) namespace: Namespace,
}

/// Where a place is; `None` when it is not in this cluster and no peer's.
pub(crate) fn locate(known: &Known<'_>, place: &Place) -> Option<Where> {
    if let Some(asked) = &place.datacenter
        && !asked.eq_ignore_ascii_case(known.zone.datacenter.as_str())
    {
        return None;
    }
    let partition = match &place.partition {
        Some(text) => partition(known.snapshot, text)?,
        None => Partition::default(),
    };
    let origin = match &place.peer {
        Some(text) => {
            // Names of peers have no upper case.
            let name = PeerName::new(&text.to_ascii_lowercase()).ok()?;
            let key = PeeringKey {
                partition: partition.clone(),
                name: name.clone(),
            };
            known.snapshot.peering(&key)?;
            Origin::Peer(name)
        }
        None => Origin::Local,
    };
    let namespace = match &place.namespace {
        Some(text) => Namespace::new(text).ok()?,
        None => Namespace::default(),
    };
    Some(Where {
        origin,
        partition,
        namespace,
    })
}

/// The partition of this name. There is no list of them: one whose name has upper case is found as it is spelt.
fn partition(snapshot: &Snapshot, text: &str) -> Option<Partition> {
    let asked = Partition::new(text).ok()?;
    if snapshot.nodes(&Origin::Local, &asked).next().is_some() {
        return Some(asked);
    }
    Partition::new(&text.to_ascii_lowercase()).ok()
}

fn key(at: &Where, name: &str) -> Option<ServiceKey> {
    Some(ServiceKey {
        origin: at.origin.clone(),
        partition: at.partition.clone(),
        namespace: at.namespace.clone(),
        name: ServiceName::new(name).ok()?,
    })
}

/// Whether two keys are the same when names have no case.
fn alike(one: &ServiceKey, other: &ServiceKey) -> bool {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    // The name first: it alone is different for almost all.
    same(one.name.as_str(), other.name.as_str())
        && one.origin == other.origin
        && one.partition == other.partition
        && same(one.namespace.as_str(), other.namespace.as_str())
}

/// The service of this name that `exists`, or the first in `all` that is called so in another case.
fn in_any_case<'a>(
    at: &Where,
    name: &str,
    exists: impl Fn(&ServiceKey) -> bool,
    mut all: impl Iterator<Item = &'a ServiceKey>,
) -> Option<ServiceKey> {
    let asked = key(at, name)?;
    if exists(&asked) {
        return Some(asked);
    }
    let lower = ServiceKey {
        namespace: Namespace::new(&at.namespace.as_str().to_ascii_lowercase()).ok()?,
        name: ServiceName::new(&name.to_ascii_lowercase()).ok()?,
        ..asked
    };
    if exists(&lower) {
        return Some(lower);
    }
    all.find(|key| alike(key, &lower)).cloned()
}

/// A service that has instances.
pub(crate) fn service(snapshot: &Snapshot, at: &Where, name: &str) -> Option<ServiceKey> {
    let exists = |key: &ServiceKey| snapshot.instances_of(key).next().is_some();
    in_any_case(
        at,
        name,
        exists,
        snapshot.service_names(&at.origin, &at.partition),
    )
}

/// A service by a name that gateways may know it by, whether or not there is an instance of its own.
pub(crate) fn any_service(snapshot: &Snapshot, at: &Where, name: &str) -> Option<ServiceKey> {
    service(snapshot, at, name)
        .or_else(|| virtual_service(snapshot, at, name))
        .or_else(|| key(at, name))
}

/// A service that has a virtual address.
pub(crate) fn virtual_service(snapshot: &Snapshot, at: &Where, name: &str) -> Option<ServiceKey> {
    let exists = |key: &ServiceKey| snapshot.virtual_address(key).is_some();
    let all = snapshot.virtual_addresses().map(|own| &own.row.service);
    in_any_case(at, name, exists, all)
}

/// A node.
pub(crate) fn node(snapshot: &Snapshot, at: &Where, name: &str) -> Option<NodeKey> {
    let asked = NodeKey {
        origin: at.origin.clone(),
        partition: at.partition.clone(),
        name: NodeName::new(name).ok()?,
    };
    if snapshot.node(&asked).is_some() {
        return Some(asked);
    }
    let mut all = snapshot.nodes(&at.origin, &at.partition);
    all.find(|node| node.key.name.as_str().eq_ignore_ascii_case(name))
        .map(|node| node.key.clone())
}
