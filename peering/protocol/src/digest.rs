//! Digests: one number for all that an importer should hold of a service, computed from rows, so that what one side
//! has sent can be compared with what the other side has stored.
//!
//! Both sides must compute the same number for the same rows, whatever their version, so nothing here depends on the
//! standard library's hashing or on the layout of a type; a change of what goes in needs a new [`VERSION`]. Digests
//! find mistakes. They are no defence against a peer that lies: it could as well send the lie.

use crate::admit::{Import, ImportScope};
use crate::offer::OfferedInstance;
use crate::resource::Resource;
use peerway_model::{Check, Instance, Node, Partition, PeerName, PeeringKey, TrustDomain};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What digests are made of; those of another version are not compared.
pub const VERSION: u32 = 2;

/// The digest of everything that one side exports to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Digest {
    /// The sum of the digests of all services; see [`of_rows`].
    pub services: u64,
    /// Of the list of names.
    pub list: u64,
    /// Of the trust bundle; 0 for none.
    pub bundle: u64,
}

/// FNV-1a over 64 bits, then mixed so that sums of digests keep their entropy.
struct Hasher(u64);

impl Hasher {
    fn new() -> Self {
        Hasher(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a String>) {
        self.number(texts.len() as u64);
        texts.for_each(|text| self.text(text));
    }

    fn pairs(&mut self, pairs: &BTreeMap<String, String>) {
        self.number(pairs.len() as u64);
        for (key, value) in pairs {
            self.text(key);
            self.text(value);
        }
    }

    fn optional(&mut self, text: Option<&str>) {
        self.number(u64::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    fn finish(self) -> u64 {
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The digest of the rows of one service: each instance with its node and its one check, in any order. 0 without rows.
/// Origin and partition are left out, they differ between the sides.
pub fn of_rows<'a>(
    service: &str,
    rows: impl IntoIterator<Item = (&'a Node, &'a Instance, Option<&'a Check>)>,
) -> u64 {
    rows.into_iter()
        .map(|(node, instance, check)| of_row(service, node, instance, check))
        .fold(0, u64::wrapping_add)
}

fn of_row(service: &str, node: &Node, instance: &Instance, check: Option<&Check>) -> u64 {
    let mut hasher = Hasher::new();
    hasher.text(service);
    hasher.text(node.key.name.as_str());
    hasher.optional(node.id.as_deref());
    hasher.text(&node.address);
    hasher.text(node.datacenter.as_str());
    hasher.pairs(&node.tagged_addresses);
    hasher.pairs(&node.meta);
    hasher.text(instance.key.id.as_str());
    hasher.text(instance.namespace.as_str());
    hasher.text(instance.kind.as_str());
    hasher.texts(instance.tags.iter());
    hasher.text(&instance.address);
    hasher.number(u64::from(instance.port));
    hasher.number(instance.tagged_addresses.len() as u64);
    for (tag, at) in &instance.tagged_addresses {
        hasher.text(tag);
        hasher.text(&at.address);
        hasher.number(u64::from(at.port));
    }
    hasher.pairs(&instance.meta);
    hasher.number(u64::from(instance.weights.passing));
    hasher.number(u64::from(instance.weights.warning));
    hasher.number(u64::from(instance.enable_tag_override));
    let proxy = instance.proxy.as_ref();
    hasher.optional(proxy.map(|proxy| proxy.destination.as_str()));
    hasher.optional(
        proxy
            .and_then(|proxy| proxy.destination_id.as_ref())
            .map(|id| id.as_str()),
    );
    hasher.number(u64::from(instance.peer_meta.is_some()));
    if let Some(meta) = &instance.peer_meta {
        hasher.texts(meta.sni.iter());
        hasher.texts(meta.spiffe_ids.iter());
        hasher.text(&meta.protocol);
        hasher.number(u64::from(meta.health.is_some()));
        if let Some(health) = &meta.health {
            for count in [health.healthy, health.total, health.weight, health.draining] {
                hasher.number(u64::from(count));
            }
        }
    }
    hasher.optional(check.map(|check| check.status.as_str()));
    hasher.finish()
}

/// The digest of the rows that an importer makes of this offer, or one that stands for an offer that no importer
/// admits.
pub fn of_offer(service: &str, offered: &Arc<[OfferedInstance]>) -> u64 {
    match rehearse(service, offered) {
        Ok(Import::Service { instances, .. }) => of_rows(
            service,
            instances
                .iter()
                .map(|one| (&one.node, &one.instance, one.check.as_ref())),
        ),
        Ok(_) | Err(_) => {
            let mut hasher = Hasher::new();
            hasher.text("refused");
            hasher.text(service);
            hasher.finish()
        }
    }
}

/// Why no importer would take this offer, be it of ours or, as far as our rules are not stricter, of Consul's: an
/// exporter does not send it. Consul refuses some of these, and some make it crash (wire facts, section 6.3).
///
/// # Errors
/// What is wrong with it.
pub fn check_offer(service: &str, offered: &Arc<[OfferedInstance]>) -> Result<(), String> {
    rehearse(service, offered).map(|_| ())
}

/// Passes an offer through customs for nobody in particular.
fn rehearse(service: &str, offered: &Arc<[OfferedInstance]>) -> Result<Import, String> {
    let peering = PeeringKey {
        partition: Partition::default(),
        name: PeerName::new("rehearsal").map_err(|invalid| invalid.to_string())?,
    };
    let nobody = TrustDomain::of_cluster("rehearsal").map_err(|invalid| invalid.to_string())?;
    let scope = ImportScope {
        peering: &peering,
        own_trust_domain: &nobody,
        peer_trust_domain: None,
        has_bundle: false,
        others: &[],
    };
    let resource = Resource::ExportedService {
        name: service.to_owned(),
        instances: Arc::clone(offered),
    };
    scope.admit(&resource).map_err(|refusal| refusal.message)
}

/// The digest of a list of names, in its order.
pub fn of_list(names: &[String]) -> u64 {
    let mut hasher = Hasher::new();
    hasher.texts(names.iter());
    hasher.finish()
}

/// The digest of a trust bundle. An empty partition is the default one.
pub fn of_bundle(trust_domain: &str, exported_partition: &str, root_pems: &[String]) -> u64 {
    let mut hasher = Hasher::new();
    hasher.text(&trust_domain.to_ascii_lowercase());
    hasher.text(if exported_partition.is_empty() {
        peerway_model::name::DEFAULT
    } else {
        exported_partition
    });
    hasher.texts(root_pems.iter());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::{OfferedCheck, OfferedNode, OfferedService};
    use std::collections::BTreeSet;

    fn offer(id: &str) -> OfferedInstance {
        OfferedInstance {
            node: OfferedNode {
                name: "n".to_owned(),
                address: "10.0.0.1".to_owned(),
                datacenter: "dc1".to_owned(),
                ..OfferedNode::default()
            },
            service: OfferedService {
                id: id.to_owned(),
                name: "web".to_owned(),
                port: 80,
                ..OfferedService::default()
            },
            checks: Vec::new(),
        }
    }

    fn of(offers: &[OfferedInstance]) -> u64 {
        of_offer("web", &offers.into())
    }

    #[test]
    fn a_digest_never_changes() {
        // Another version computes this one too: a difference needs a new VERSION.
        assert_eq!(of(&[offer("a")]), 0xcf8f_3d6d_fe9c_045b);
        assert_eq!(
            of_list(&["api".to_owned(), "web".to_owned()]),
            0x84bf_00e2_a17b_2794
        );
        assert_eq!(
            of_bundle("A.consul", "", &["pem".to_owned()]),
            0x90ef_fcd7_12be_d3df
        );
    }

    #[test]
    fn order_and_spelling_do_not_matter_and_everything_else_does() {
        let (a, b) = (offer("a"), offer("b"));
        assert_eq!(of(&[a.clone(), b.clone()]), of(&[b.clone(), a.clone()]));
        assert_eq!(of(&[]), 0);
        let mut spelt = a.clone();
        spelt.service.namespace = "default".to_owned();
        spelt.service.weights = Some((1, 1));
        assert_eq!(of(&[spelt]), of(std::slice::from_ref(&a)));
        let changes: [fn(&mut OfferedInstance); 9] = [
            |one| one.node.address = "10.0.0.2".to_owned(),
            |one| one.node.meta = BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            |one| one.service.port = 81,
            |one| one.service.tags = vec!["t".to_owned()],
            |one| one.service.weights = Some((2, 1)),
            |one| one.service.namespace = "other".to_owned(),
            |one| one.service.tagged_addresses = BTreeMap::from([("wan".to_owned(), ("h".to_owned(), 1))]),
            |one| one.service.enable_tag_override = true,
            |one| {
                one.checks = vec![OfferedCheck {
                    id: "c".to_owned(),
                    node: "n".to_owned(),
                    status: "critical".to_owned(),
                    ..OfferedCheck::default()
                }];
            },
        ];
        let mut seen = BTreeSet::from([of(std::slice::from_ref(&a)), of(&[b])]);
        for (index, change) in changes.iter().enumerate() {
            let mut changed = a.clone();
            change(&mut changed);
            assert!(seen.insert(of(&[changed])), "change {index} is not seen");
        }
        assert!(check_offer("web", &Arc::from([OfferedInstance::default()])).is_err());
        assert_eq!(
            of(&[OfferedInstance::default()]),
            of(&[OfferedInstance::default()])
        );
    }
}
