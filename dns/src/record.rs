//! Records and the names in them.

use crate::asked::{self, Asked};
use crate::zone::{Domain, MAX_TTL, Zone};
use domain::base::name::{Name, NameBuilder};
use domain::base::{Record, Serial, Ttl};
use domain::rdata::{A, Aaaa, Cname, Ns, Soa as SoaData, Srv, Txt, ZoneRecordData};
use peerway_model::{NodeKey, Origin};
use std::net::IpAddr;

/// A whole name.
pub type DnsName = Name<Vec<u8>>;

/// A record with its owner.
pub(crate) type Rec = Record<DnsName, ZoneRecordData<Vec<u8>, DnsName>>;

fn record(owner: &DnsName, seconds: u32, data: ZoneRecordData<Vec<u8>, DnsName>) -> Rec {
    let ttl = Ttl::from_secs(seconds.min(MAX_TTL));
    Record::new(owner.clone(), domain::base::iana::Class::IN, ttl, data)
}

/// A or AAAA.
pub(crate) fn address(owner: &DnsName, ttl: u32, address: IpAddr) -> Rec {
    let data = match address {
        IpAddr::V4(address) => ZoneRecordData::A(A::new(address)),
        IpAddr::V6(address) => ZoneRecordData::Aaaa(Aaaa::new(address)),
    };
    record(owner, ttl, data)
}

pub(crate) fn cname(owner: &DnsName, ttl: u32, target: DnsName) -> Rec {
    record(owner, ttl, ZoneRecordData::Cname(Cname::new(target)))
}

pub(crate) fn srv(owner: &DnsName, ttl: u32, weight: u16, port: u16, target: DnsName) -> Rec {
    record(
        owner,
        ttl,
        ZoneRecordData::Srv(Srv::new(PRIORITY, weight, port, target)),
    )
}

/// Priority of every SRV record, as Consul's.
const PRIORITY: u16 = 1;

/// `None` when the text is too long for a record.
pub(crate) fn text(owner: &DnsName, ttl: u32, text: &str) -> Option<Rec> {
    let data = Txt::build_from_slice(text.as_bytes()).ok()?;
    Some(record(owner, ttl, ZoneRecordData::Txt(data)))
}

pub(crate) fn ns(zone: &Zone, domain: &Domain) -> Rec {
    record(
        domain.name(),
        zone.node_ttl,
        ZoneRecordData::Ns(Ns::new(name_server(zone, domain))),
    )
}

/// What the zone says of itself; the number of the state is its serial number.
pub(crate) fn soa(zone: &Zone, domain: &Domain, revision: u64) -> Rec {
    let times = zone.soa;
    let ttl = |seconds: u32| Ttl::from_secs(seconds.min(MAX_TTL));
    let hostmaster = below(domain, &["hostmaster"]).unwrap_or_else(|| domain.name().clone());
    // The low 32 bits: serial numbers wrap around (RFC 1982).
    let serial = Serial(u32::try_from(revision & u64::from(u32::MAX)).unwrap_or_default());
    let data = SoaData::new(
        name_server(zone, domain),
        hostmaster,
        serial,
        ttl(times.refresh),
        ttl(times.retry),
        ttl(times.expire),
        ttl(times.min_ttl),
    );
    record(domain.name(), times.min_ttl, ZoneRecordData::Soa(data))
}

/// The name of this server; `ns` below the domain when its node's name cannot be in one.
pub(crate) fn name_server(zone: &Zone, domain: &Domain) -> DnsName {
    let node = NodeKey {
        origin: Origin::Local,
        partition: peerway_model::name::Partition::default(),
        name: zone.server.clone(),
    };
    node_name(zone, domain, &node)
        .or_else(|| below(domain, &["ns"]))
        .unwrap_or_else(|| domain.name().clone())
}

/// The name made of `labels` and the domain; `None` when it would be no name.
fn below(domain: &Domain, labels: &[&str]) -> Option<DnsName> {
    let mut builder = NameBuilder::new_vec();
    for label in labels {
        if label.is_empty() {
            return None;
        }
        builder.append_label(label.as_bytes()).ok()?;
    }
    builder.append_origin(domain.name()).ok()
}

/// Whether a text can be a host's name: resolvers drop other names of hosts (RFC 1123 section 2.1).
fn is_plain(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.bytes().all(plain)
}

/// The name that asks for a node; `None` when the node's own cannot be in one, or would be read as something else.
pub(crate) fn node_name(zone: &Zone, domain: &Domain, node: &NodeKey) -> Option<DnsName> {
    if !is_plain(node.name.as_str()) {
        return None;
    }
    let place = match &node.origin {
        Origin::Peer(peer) => vec![peer.as_str(), "peer"],
        Origin::Local => vec![zone.datacenter.as_str()],
    };
    let mut labels: Vec<&str> = node.name.as_str().split('.').chain(["node"]).collect();
    if !node.partition.is_default() {
        labels.extend([node.partition.as_str(), "ap"]);
    }
    labels.extend(place);
    let name = below(domain, &labels)?;
    match asked::read(&labels) {
        Asked::Node { name: read, .. } if read == node.name.as_str() => Some(name),
        _ => None,
    }
}

/// The name that spells an address.
pub(crate) fn address_name(
    zone: &Zone,
    domain: &Domain,
    origin: &Origin,
    address: IpAddr,
) -> Option<DnsName> {
    let hex = match address {
        IpAddr::V4(address) => format!("{:08x}", u32::from(address)),
        IpAddr::V6(address) => format!("{:032x}", u128::from(address)),
    };
    match origin {
        Origin::Local => below(domain, &[&hex, "addr", zone.datacenter.as_str()]),
        Origin::Peer(_) => below(domain, &[&hex, "addr"]),
    }
}

/// A host name, as a registration has it.
pub(crate) fn host_name(text: &str) -> Option<DnsName> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    if bare.is_empty() || !is_plain(bare) || bare.split('.').any(str::is_empty) {
        return None;
    }
    Name::vec_from_str(bare).ok()
}
