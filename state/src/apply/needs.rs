//! What a row must satisfy before it is written.

use super::Work;
use crate::row::{Row, RowKey};
use crate::transaction::Refused;
use peerway_model::instance::Opaque;
use peerway_model::{ConfigEntry, Instance, InstanceKey, Invalid, NodeKey, PeeringKey};
use std::collections::BTreeMap;

/// Deepest nesting of free-form configuration, in lists and objects around the innermost value. Every storage can
/// keep that much and give it back; a deeper value would be accepted and then be unreadable at the next start.
pub const MAX_OPAQUE_DEPTH: usize = 64;

impl Work {
    /// Refuses what a writer must not put. Not asked of rows that a storage gives back: what was once accepted is
    /// loaded even when its peering is being deleted by now.
    pub(super) fn admits(&self, row: &Row) -> Result<(), Refused> {
        match row {
            Row::Config(entry) => {
                entry.validate().map_err(Refused::Invalid)?;
                if let ConfigEntry::ProxyDefaults(defaults) = &**entry {
                    shallow(&defaults.config, "Config")?;
                }
                Ok(())
            }
            Row::Bundle(bundle) => self.peering_is_live(&bundle.peering),
            Row::Node(node) => self.import_is_wanted(&node.key),
            Row::Instance(instance) => {
                self.import_is_wanted(&instance.key.node)?;
                instance_is_shallow(instance)
            }
            Row::Check(check) => self.import_is_wanted(&check.key.node),
            Row::VirtualAddress(own) => self.address_is_free(own),
            Row::Roots(_)
            | Row::CaKey(_)
            | Row::Peering(_)
            | Row::Secrets(..)
            | Row::Grants(_)
            | Row::Audit(_) => Ok(()),
        }
    }

    /// Refuses rows without what they hang on, and imported nodes without a peering.
    pub(super) fn needs(&self, row: &Row) -> Result<(), Refused> {
        let dangling = |needs: RowKey| {
            Err(Refused::Dangling {
                key: Box::new(row.key()),
                needs: Box::new(needs),
            })
        };
        match row {
            Row::Secrets(key, _) if !self.next.peerings.contains_key(key) => {
                dangling(RowKey::Peering(key.clone()))
            }
            Row::Grants(grants) if !self.next.peerings.contains_key(&grants.peering) => {
                dangling(RowKey::Peering(grants.peering.clone()))
            }
            Row::Bundle(bundle) if !self.next.peerings.contains_key(&bundle.peering) => {
                dangling(RowKey::Peering(bundle.peering.clone()))
            }
            Row::Node(node) => self.peering_is_there(&node.key),
            Row::Instance(instance) if !self.next.nodes.contains_key(&instance.key.node) => {
                dangling(RowKey::Node(instance.key.node.clone()))
            }
            Row::Check(check) => {
                let node = &check.key.node;
                if !self.next.nodes.contains_key(node) {
                    return dangling(RowKey::Node(node.clone()));
                }
                match &check.instance {
                    Some(id) => {
                        let key = InstanceKey {
                            node: node.clone(),
                            id: id.clone(),
                        };
                        if self.next.instances.contains_key(&key) {
                            Ok(())
                        } else {
                            dangling(RowKey::Instance(key))
                        }
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn peering_is_there(&self, node: &NodeKey) -> Result<(), Refused> {
        match peering_of(node) {
            Some(key) if !self.next.peerings.contains_key(&key) => Err(gone(&key)),
            _ => Ok(()),
        }
    }

    fn import_is_wanted(&self, node: &NodeKey) -> Result<(), Refused> {
        match peering_of(node) {
            Some(peering) => self.peering_is_live(&peering),
            None => Ok(()),
        }
    }

    fn peering_is_live(&self, key: &PeeringKey) -> Result<(), Refused> {
        match self.next.peerings.get(key) {
            Some(peering) if peering.is_live() => Ok(()),
            _ => Err(gone(key)),
        }
    }
}

/// The peering that the rows of a node were imported over.
fn peering_of(node: &NodeKey) -> Option<PeeringKey> {
    node.origin.peer().map(|peer| PeeringKey {
        partition: node.partition.clone(),
        name: peer.clone(),
    })
}

fn gone(key: &PeeringKey) -> Refused {
    Refused::PeeringGone {
        peer: key.name.to_string(),
    }
}

fn instance_is_shallow(instance: &Instance) -> Result<(), Refused> {
    shallow(&instance.gateway_config, "Proxy.Config")?;
    let Some(proxy) = &instance.proxy else {
        return Ok(());
    };
    shallow(&proxy.config, "Proxy.Config")?;
    for (index, upstream) in proxy.upstreams.iter().enumerate() {
        shallow(&upstream.config, &format!("Proxy.Upstreams[{index}].Config"))?;
    }
    Ok(())
}

fn shallow(config: &BTreeMap<String, Opaque>, path: &str) -> Result<(), Refused> {
    // The map itself is one level.
    match config
        .iter()
        .find(|(_, value)| !fits(value, MAX_OPAQUE_DEPTH - 1))
    {
        None => Ok(()),
        Some((key, _)) => Err(Refused::Invalid(Invalid::new(
            format!("{path}.{key}"),
            format!("is nested too deeply, at most {MAX_OPAQUE_DEPTH} levels are allowed"),
        ))),
    }
}

/// Whether `value` has at most `levels` levels. Goes no deeper than that, so any value may be asked about.
fn fits(value: &Opaque, levels: usize) -> bool {
    let inner = |value: &Opaque| levels > 0 && fits(value, levels - 1);
    match value {
        Opaque::List(values) => levels > 0 && values.iter().all(inner),
        Opaque::Map(values) => levels > 0 && values.values().all(inner),
        Opaque::Null | Opaque::Bool(_) | Opaque::Number(_) | Opaque::Text(_) => true,
    }
}
