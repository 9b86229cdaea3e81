//! Customs: what a peer offered becomes rows of ours only if it is sound, bounded and the peer's own to give.
//!
//! Every refusal names the offending thing. A service is admitted whole or not at all; other resources are not
//! affected by its refusal.

mod instance;

pub(crate) use instance::is_uuid;
#[cfg(test)]
mod tests;

use crate::message::{Code, Refusal};
use crate::pem::{MAX_ROOTS, roots};
use crate::resource::{OfferedBundle, Resource};
use crate::token::MAX_ADDRESSES;
use peerway_model::{
    Check, Instance, Invalid, Node, Origin, Partition, PeeringKey, ServiceName, TrustBundle, TrustDomain,
};

/// Most instances of one imported service: what fits an 8 MiB message at a usual size.
pub const MAX_INSTANCES: usize = 10_000;
/// Most names in an exported service list, and so most services of one peer.
pub const MAX_SERVICES: usize = 10_000;
/// Most entries of one instance's or node's tags, tagged addresses or metadata.
pub const MAX_ENTRIES: usize = 64;
/// Longest free text of an instance or node, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;
/// Most checks that are looked at to find the one status; an exporter sends one.
pub const MAX_CHECKS: usize = 64;
/// Most SNIs or SPIFFE IDs of an imported proxy.
pub const MAX_IDENTITIES: usize = 256;

/// Who is importing from whom.
#[derive(Clone, Copy, Debug)]
pub struct ImportScope<'a> {
    /// The local peering that the stream belongs to; all rows get its name as origin and its partition.
    pub peering: &'a PeeringKey,
    /// This cluster's trust domain, which no peer may claim.
    pub own_trust_domain: &'a TrustDomain,
    /// The peer's trust domain once it is known (from the token's server name or an earlier bundle); it never
    /// changes.
    pub peer_trust_domain: Option<&'a TrustDomain>,
    /// Whether a bundle of the peer is held already.
    pub has_bundle: bool,
    /// The other peers, whose trust domains this one may not claim unless it is another partition of one of them.
    pub others: &'a [OtherPeer<'a>],
}

/// A peer beside the one that is importing.
#[derive(Clone, Copy, Debug)]
pub struct OtherPeer<'a> {
    /// The local peering.
    pub peering: &'a PeeringKey,
    /// Its trust domain.
    pub trust_domain: &'a TrustDomain,
    /// Its roots and partition, when they have come.
    pub bundle: Option<&'a TrustBundle>,
}

/// One admitted instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedInstance {
    /// Its node.
    pub node: Node,
    /// The instance; a proxy always has a `peer_meta`.
    pub instance: Instance,
    /// All its health in one check, if it has any.
    pub check: Option<Check>,
}

/// An admitted resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Import {
    /// Replaces all instances of the service.
    Service {
        /// The name.
        name: ServiceName,
        /// May be empty: all gone.
        instances: Vec<ImportedInstance>,
    },
    /// Removes every service that is not kept by it (see [`crate::resource::kept_by_list`]).
    ServiceList {
        /// The names that can be imported.
        names: Vec<ServiceName>,
        /// Names that cannot, with why. They are left out; the rest counts.
        refused: Vec<Invalid>,
    },
    /// Replaces the roots.
    Bundle(TrustBundle),
    /// Replaces the addresses.
    Addresses(Vec<String>),
}

impl ImportScope<'_> {
    /// Admits a resource or says why not.
    pub fn admit(&self, resource: &Resource) -> Result<Import, Refusal> {
        let admitted = match resource {
            Resource::ExportedService { name, instances } => instance::service(self, name, instances),
            Resource::ExportedServiceList(names) => list(names),
            Resource::TrustBundle(bundle) => self.bundle(bundle),
            Resource::ServerAddresses(addresses) => server_addresses(addresses),
        };
        admitted.map_err(|invalid| {
            Refusal::new(
                Code::InvalidArgument,
                format!(
                    "{} {:?} refused: {invalid}",
                    resource.kind().as_str(),
                    resource.id()
                ),
            )
        })
    }

    fn origin(&self) -> Origin {
        Origin::Peer(self.peering.name.clone())
    }

    /// Refuses a trust domain that is not the peer's to claim. One that the peer is known by was found to be its own
    /// when it became known.
    fn check_trust_domain(&self, claimed: &TrustDomain) -> Result<(), Invalid> {
        let problem = if claimed == self.own_trust_domain {
            "is this cluster's own trust domain, which a peer cannot claim"
        } else if self.peer_trust_domain == Some(claimed) {
            return Ok(());
        } else if self.others.iter().any(|other| other.trust_domain == claimed) {
            "is the trust domain of another peer; delete that peering first if the cluster was renamed"
        } else if self.peer_trust_domain.is_some() {
            "is not the trust domain that this peering was made with; delete the peering and make it again"
        } else {
            return Ok(());
        };
        Err(Invalid::new("TrustDomain", format!("{claimed} {problem}")))
    }

    /// Refuses a bundle of a trust domain that another peer has, unless the two are partitions of one cluster: each
    /// pair of partitions has one peering, and the first bundle has a root in common with the other's.
    ///
    /// A root in common proves little, for roots are public. What keeps a forger from speaking for the other peer's
    /// workloads is that one peering's roots alone vouch for a trust domain where callers come in: the older one's.
    fn check_others(&self, bundle: &TrustBundle) -> Result<(), Invalid> {
        let held = self
            .others
            .iter()
            .filter(|other| *other.trust_domain == bundle.trust_domain);
        for other in held {
            let (name, domain) = (&other.peering.name, &bundle.trust_domain);
            let problem = match other.bundle {
                // Of two that an operator made with tokens of one cluster, one is the first to bring its roots.
                None if self.peer_trust_domain == Some(domain) => continue,
                None => format!("{domain} is the trust domain of peer {name}, whose roots have not come yet"),
                Some(theirs)
                    if other.peering.partition == self.peering.partition
                        && theirs.exported_partition == bundle.exported_partition =>
                {
                    format!(
                        "{domain} is the trust domain of another peer: partition {} of it is peer {name} already, use \
                         that peering or delete it first",
                        bundle.exported_partition
                    )
                }
                Some(theirs)
                    if !self.has_bundle
                        && !bundle.root_pems.iter().any(|pem| theirs.root_pems.contains(pem)) =>
                {
                    format!(
                        "{domain} is the trust domain of another peer, {name}, and none of these roots is one of its"
                    )
                }
                Some(_) => continue,
            };
            return Err(Invalid::new("TrustDomain", problem));
        }
        Ok(())
    }

    fn bundle(&self, offered: &OfferedBundle) -> Result<Import, Invalid> {
        let trust_domain =
            TrustDomain::new(&offered.trust_domain).map_err(|invalid| invalid.within("TrustDomain"))?;
        if self.peer_trust_domain.is_some() || trust_domain == *self.own_trust_domain {
            self.check_trust_domain(&trust_domain)?;
        }
        bounded("RootPEMs", offered.root_pems.len(), MAX_ROOTS)?;
        if offered.root_pems.is_empty() {
            return Err(Invalid::new(
                "RootPEMs",
                "holds no root, so nothing could be verified",
            ));
        }
        let read = |(index, pem): (usize, &String)| {
            roots(pem).map_err(|problem| Invalid::new(format!("RootPEMs[{index}]"), problem))
        };
        let root_pems: Vec<String> = offered
            .root_pems
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()?;
        let exported_partition = match offered.exported_partition.as_str() {
            "" => Partition::default(),
            name => Partition::new(name).map_err(|invalid| invalid.within("ExportedPartition"))?,
        };
        let bundle = TrustBundle {
            peering: self.peering.clone(),
            trust_domain,
            exported_partition,
            root_pems,
        };
        self.check_others(&bundle)?;
        Ok(Import::Bundle(bundle))
    }
}

fn list(names: &[String]) -> Result<Import, Invalid> {
    bounded("Services", names.len(), MAX_SERVICES)?;
    let mut admitted = Vec::with_capacity(names.len());
    let mut refused = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match ServiceName::new(name) {
            Ok(name) => admitted.push(name),
            Err(invalid) => refused.push(invalid.within(&format!("Services[{index}]"))),
        }
    }
    Ok(Import::ServiceList {
        names: admitted,
        refused,
    })
}

fn server_addresses(addresses: &[String]) -> Result<Import, Invalid> {
    bounded("Addresses", addresses.len(), MAX_ADDRESSES)?;
    if addresses.is_empty() {
        return Err(Invalid::new(
            "Addresses",
            "is empty, so the peer could never be dialled again",
        ));
    }
    for (index, address) in addresses.iter().enumerate() {
        crate::address::split(address)
            .map_err(|problem| Invalid::new(format!("Addresses[{index}]"), problem))?;
    }
    Ok(Import::Addresses(addresses.to_vec()))
}

fn bounded(path: &str, count: usize, limit: usize) -> Result<(), Invalid> {
    if count > limit {
        return Err(Invalid::new(
            path,
            format!("has {count} entries, at most {limit} are allowed"),
        ));
    }
    Ok(())
}

/// The trust domain inside the server name `server.<dc>.peering.<trust domain>`, with which a dialer knows its
/// peer's before the first bundle.
pub fn trust_domain_of_server_name(server_name: &str) -> Option<TrustDomain> {
    let rest = server_name.strip_prefix("server.")?;
    let (_, trust_domain) = rest.split_once(".peering.")?;
    TrustDomain::new(trust_domain).ok()
}
