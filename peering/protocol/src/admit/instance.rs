//! Admitting the instances of one service.

use super::{
    Import, ImportScope, ImportedInstance, MAX_CHECKS, MAX_ENTRIES, MAX_IDENTITIES, MAX_INSTANCES,
    MAX_TEXT_BYTES, bounded,
};
use crate::offer::{OVERALL_CHECK, OfferedCheck, OfferedInstance, OfferedNode, OfferedService};
use crate::resource::SIDECAR_SUFFIX;
use peerway_model::config::validate_meta;
use peerway_model::{
    Check, CheckId, CheckKey, CheckStatus, Datacenter, Instance, InstanceId, InstanceKey, Invalid, Namespace,
    Node, NodeKey, NodeName, PeerMeta, Proxy, ServiceAddress, ServiceKind, ServiceName, SidecarSettings,
    SpiffeId, Weights,
};
use std::collections::{BTreeMap, BTreeSet};

/// Most weight of an instance (Envoy's `load_balancing_weight` is summed as u32, so stay far below).
const MAX_WEIGHT: i32 = 65_535;
/// Longest SNI (RFC 6066 section 3 with RFC 1035 section 2.3.4), in bytes.
const MAX_SNI_BYTES: usize = 255;

pub(super) fn service(
    scope: &ImportScope<'_>,
    name: &str,
    offered: &[OfferedInstance],
) -> Result<Import, Invalid> {
    let name = ServiceName::new(name)?;
    bounded("Nodes", offered.len(), MAX_INSTANCES)?;
    let mut instances = Vec::with_capacity(offered.len());
    let mut seen = BTreeSet::new();
    for (index, offer) in offered.iter().enumerate() {
        let at = format!("Nodes[{index}]");
        let admitted = one(scope, &name, offer).map_err(|invalid| invalid.within(&at))?;
        if !seen.insert(admitted.instance.key.clone()) {
            return Err(Invalid::new(
                at,
                format!("instance {} of its node is there twice", admitted.instance.key.id),
            ));
        }
        instances.push(admitted);
    }
    Ok(Import::Service { name, instances })
}

fn one(
    scope: &ImportScope<'_>,
    name: &ServiceName,
    offer: &OfferedInstance,
) -> Result<ImportedInstance, Invalid> {
    let node = node(scope, &offer.node).map_err(|invalid| invalid.within("Node"))?;
    let instance =
        instance(scope, name, &node.key, &offer.service).map_err(|invalid| invalid.within("Service"))?;
    let check = check(&instance, &offer.checks)?;
    Ok(ImportedInstance {
        node,
        instance,
        check,
    })
}

fn node(scope: &ImportScope<'_>, offer: &OfferedNode) -> Result<Node, Invalid> {
    if !offer.id.is_empty() && !is_uuid(&offer.id) {
        return Err(Invalid::new("ID", "must be a UUID or empty"));
    }
    short("Address", &offer.address)?;
    pairs("TaggedAddresses", &offer.tagged_addresses)?;
    pairs("Meta", &offer.meta)?;
    Ok(Node {
        key: NodeKey {
            origin: scope.origin(),
            partition: scope.peering.partition.clone(),
            name: NodeName::new(&offer.name).map_err(|invalid| invalid.within("Node"))?,
        },
        id: (!offer.id.is_empty()).then(|| offer.id.to_ascii_lowercase()),
        address: offer.address.clone(),
        datacenter: Datacenter::new(&offer.datacenter).map_err(|invalid| invalid.within("Datacenter"))?,
        tagged_addresses: offer.tagged_addresses.clone(),
        meta: offer.meta.clone(),
        locality: None,
    })
}

fn instance(
    scope: &ImportScope<'_>,
    name: &ServiceName,
    node: &NodeKey,
    offer: &OfferedService,
) -> Result<Instance, Invalid> {
    if offer.name != name.as_str() {
        return Err(Invalid::new(
            "Service",
            format!("{:?} is not the service that was announced", offer.name),
        ));
    }
    short("Address", &offer.address)?;
    validate_meta(&offer.meta).map_err(|invalid| invalid.within("Meta"))?;
    bounded("Tags", offer.tags.len(), MAX_ENTRIES)?;
    for tag in &offer.tags {
        short("Tags", tag)?;
    }
    bounded("TaggedAddresses", offer.tagged_addresses.len(), MAX_ENTRIES)?;
    let mut tagged_addresses = BTreeMap::new();
    for (tag, (address, at)) in &offer.tagged_addresses {
        short("TaggedAddresses", tag)?;
        short("TaggedAddresses", address)?;
        let address = ServiceAddress {
            address: address.clone(),
            port: port("TaggedAddresses", *at)?,
        };
        tagged_addresses.insert(tag.clone(), address);
    }
    let kind = match ServiceKind::parse(&offer.kind) {
        Some(kind @ (ServiceKind::Typical | ServiceKind::ConnectProxy)) => kind,
        _ => {
            return Err(Invalid::new(
                "Kind",
                format!(
                    "{:?} is not imported, only services and their proxies are",
                    offer.kind
                ),
            ));
        }
    };
    let (proxy, peer_meta) = match kind {
        ServiceKind::ConnectProxy => {
            let (proxy, meta) = proxy(scope, name, offer)?;
            (Some(proxy), Some(meta))
        }
        _ => (None, None),
    };
    Ok(Instance {
        key: InstanceKey {
            node: node.clone(),
            id: InstanceId::new(&offer.id).map_err(|invalid| invalid.within("ID"))?,
        },
        namespace: match offer.namespace.as_str() {
            "" => Namespace::default(),
            name => Namespace::new(name).map_err(|invalid| invalid.within("EnterpriseMeta.Namespace"))?,
        },
        service: name.clone(),
        kind,
        tags: offer.tags.clone(),
        address: offer.address.clone(),
        port: port("Port", offer.port)?,
        tagged_addresses,
        meta: offer.meta.clone(),
        weights: weights(offer.weights)?,
        enable_tag_override: offer.enable_tag_override,
        proxy,
        gateway_config: BTreeMap::new(),
        peer_meta,
        // The regions of another cluster are not ours, whatever they are called.
        locality: None,
    })
}

/// A proxy is only good for dialling, so everything that dialling needs must be there.
fn proxy(
    scope: &ImportScope<'_>,
    name: &ServiceName,
    offer: &OfferedService,
) -> Result<(Proxy, PeerMeta), Invalid> {
    let offered = offer
        .proxy
        .as_ref()
        .ok_or_else(|| Invalid::new("Proxy", "is missing on a connect-proxy"))?;
    let at = "Proxy.DestinationServiceName";
    let destination = ServiceName::new(&offered.destination).map_err(|invalid| invalid.within(at))?;
    if name.as_str().strip_suffix(SIDECAR_SUFFIX) != Some(destination.as_str()) {
        return Err(Invalid::new(
            at,
            format!("{destination} is not what {name} stands for"),
        ));
    }
    let destination_id = match offered.destination_id.as_str() {
        "" => None,
        id => Some(InstanceId::new(id).map_err(|invalid| invalid.within("Proxy.DestinationServiceID"))?),
    };
    let meta = offer
        .peer_meta
        .as_ref()
        .ok_or_else(|| Invalid::new("Connect.PeerMeta", "is missing on a connect-proxy"))?;
    peer_meta(scope, meta).map_err(|invalid| invalid.within("Connect.PeerMeta"))?;
    let proxy = Proxy {
        destination,
        destination_id,
        local_address: None,
        local_port: None,
        upstreams: Vec::new(),
        mesh_gateway: None,
        sidecar: SidecarSettings::default(),
        config: BTreeMap::new(),
    };
    Ok((proxy, meta.clone()))
}

/// The identities must be the peer's own, and the SNI one that only leads out of a cluster: it is what our own
/// mesh gateway would route on.
fn peer_meta(scope: &ImportScope<'_>, meta: &PeerMeta) -> Result<(), Invalid> {
    bounded("SpiffeID", meta.spiffe_ids.len(), MAX_IDENTITIES)?;
    bounded("SNI", meta.sni.len(), MAX_IDENTITIES)?;
    short("Protocol", &meta.protocol)?;
    if let Some(health) = &meta.health {
        health.validate().map_err(|invalid| invalid.within("Health"))?;
    }
    let mut trust_domain = None;
    for (index, id) in meta.spiffe_ids.iter().enumerate() {
        let at = format!("SpiffeID[{index}]");
        let id = SpiffeId::parse(id).map_err(|invalid| invalid.within(&at))?;
        let own = id.trust_domain();
        scope
            .check_trust_domain(own)
            .map_err(|invalid| Invalid::new(&at, invalid.problem))?;
        match &trust_domain {
            None => trust_domain = Some(own.clone()),
            Some(first) if first == own => {}
            Some(_) => return Err(Invalid::new(at, "is of another trust domain than the first")),
        }
    }
    let Some(trust_domain) = trust_domain else {
        return Err(Invalid::new(
            "SpiffeID",
            "is empty, so no server could be verified",
        ));
    };
    if meta.sni.is_empty() {
        return Err(Invalid::new(
            "SNI",
            "is empty, so no gateway could route the call",
        ));
    }
    let suffix = format!(".external.{trust_domain}");
    for (index, sni) in meta.sni.iter().enumerate() {
        let at = format!("SNI[{index}]");
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if sni.len() > MAX_SNI_BYTES || !sni.bytes().all(plain) {
            return Err(Invalid::new(at, "is not a DNS name of at most 255 bytes"));
        }
        if sni.strip_suffix(&suffix).is_none_or(str::is_empty) {
            return Err(Invalid::new(at, format!("must end in {suffix}")));
        }
    }
    Ok(())
}

/// Flattens whatever came into one check. An unknown status counts as critical: better not dialled than dialled
/// while broken.
fn check(instance: &Instance, offers: &[OfferedCheck]) -> Result<Option<Check>, Invalid> {
    bounded("Checks", offers.len(), MAX_CHECKS)?;
    let mut worst = None;
    for (index, offer) in offers.iter().enumerate() {
        let at = |field: &str| format!("Checks[{index}].{field}");
        if offer.id.is_empty() {
            return Err(Invalid::new(at("CheckID"), "must not be empty"));
        }
        if !offer.node.eq_ignore_ascii_case(instance.key.node.name.as_str()) {
            return Err(Invalid::new(at("Node"), "is not the node of the instance"));
        }
        if !offer.service_id.is_empty() && offer.service_id != instance.key.id.as_str() {
            return Err(Invalid::new(
                at("ServiceID"),
                "is not the instance that it came with",
            ));
        }
        worst = worst.max(Some(
            CheckStatus::parse(&offer.status).unwrap_or(CheckStatus::Critical),
        ));
    }
    let Some(status) = worst else {
        return Ok(None);
    };
    let id = format!("{}:{OVERALL_CHECK}", instance.key.id);
    Ok(Some(Check {
        key: CheckKey {
            node: instance.key.node.clone(),
            id: CheckId::new(&id).map_err(|invalid| invalid.within("Checks[0].CheckID"))?,
        },
        name: OVERALL_CHECK.to_owned(),
        status,
        notes: String::new(),
        output: String::new(),
        instance: Some(instance.key.id.clone()),
        service: Some((instance.namespace.clone(), instance.service.clone())),
    }))
}

fn weights(offered: Option<(i32, i32)>) -> Result<Weights, Invalid> {
    let Some((passing, warning)) = offered else {
        return Ok(Weights::default());
    };
    let weight = |value: i32| {
        u32::try_from(value.clamp(0, MAX_WEIGHT))
            .ok()
            .filter(|_| (0..=MAX_WEIGHT).contains(&value))
            .ok_or_else(|| Invalid::new("Weights", format!("must be from 0 to {MAX_WEIGHT}")))
    };
    Ok(Weights {
        passing: weight(passing)?,
        warning: weight(warning)?,
    })
}

fn port(path: &str, port: i32) -> Result<u16, Invalid> {
    u16::try_from(port).map_err(|_| Invalid::new(path, format!("{port} is not a port from 0 to 65535")))
}

fn short(path: &str, text: &str) -> Result<(), Invalid> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Invalid::new(
            path,
            format!(
                "holds {} bytes in one text, at most {MAX_TEXT_BYTES} are allowed",
                text.len()
            ),
        ));
    }
    Ok(())
}

/// Unlike a service's, a node's metadata may use Consul's reserved keys: its own servers do.
fn pairs(path: &str, pairs: &BTreeMap<String, String>) -> Result<(), Invalid> {
    bounded(path, pairs.len(), MAX_ENTRIES)?;
    for (key, value) in pairs {
        short(path, key)?;
        short(path, value)?;
    }
    Ok(())
}

/// Whether `text` is a UUID in its usual 36 characters, in any case.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
