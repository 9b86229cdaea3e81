//! Instances of a service as records.

use crate::answer::{Answer, Asking, Known};
use crate::find::{self, Where};
use crate::record::{self, DnsName, Rec};
use domain::base::iana::Rtype;
use peerway_model::{CheckStatus, Origin, PeeringKey, ServiceAddress, ServiceKey, ServiceKind};
use peerway_state::{InstanceHealth, health_of, ingress_gateways_before, met_at};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Most instances that an answer is made of; of more, some are drawn.
const MAX_INSTANCES: usize = 1_024;

/// The instances of a service, all or those with a tag.
pub(crate) fn instances(asking: &Asking<'_>, at: &Where, name: &str, tag: Option<&str>) -> Option<Answer> {
    let snapshot = asking.known.snapshot;
    let key = find::service(snapshot, at, name)?;
    let mut found = health_of(snapshot, snapshot.instances_of(&key));
    if let Some(tag) = tag {
        let has = |held: &InstanceHealth| held.instance.tags.iter().any(|own| own.eq_ignore_ascii_case(tag));
        found.retain(has);
    }
    records(asking, &key, found)
}

/// What answers with the identity of a service: its sidecars, and the terminating gateways before it.
pub(crate) fn meshed(asking: &Asking<'_>, at: &Where, name: &str) -> Option<Answer> {
    let snapshot = asking.known.snapshot;
    let key = find::any_service(snapshot, at, name)?;
    records(asking, &key, met_at(snapshot, &key))
}

/// The ingress gateways that let a service in. They are where callers from outside go, on the ports of their listeners
/// and not on the one that they are registered with: there are no SRV records.
pub(crate) fn let_in(asking: &Asking<'_>, at: &Where, name: &str) -> Option<Answer> {
    let snapshot = asking.known.snapshot;
    let key = find::any_service(snapshot, at, name)?;
    let gateways = ingress_gateways_before(snapshot, &key);
    let instances = gateways
        .iter()
        .flat_map(|gateway| snapshot.instances_of(gateway))
        .filter(|instance| instance.kind == ServiceKind::IngressGateway);
    let found = health_of(snapshot, instances);
    let answer = records(asking, &key, found)?;
    Some(match asking.rtype {
        Rtype::SRV => Answer::default(),
        _ => answer,
    })
}

/// Seconds that an answer about a service may be kept. What is held of a peer that is too old is answered all the same,
/// but not kept: it may be put right any moment.
fn ttl(known: &Known<'_>, key: &ServiceKey) -> u32 {
    let too_old = key.origin.peer().is_some_and(|peer| {
        known.stale.contains(&PeeringKey {
            partition: key.partition.clone(),
            name: peer.clone(),
        })
    });
    if too_old {
        0
    } else {
        known.zone.service_ttl.of(key.name.as_str())
    }
}

/// `None` when none of them serves, which is as if there were no such name.
fn records(asking: &Asking<'_>, key: &ServiceKey, mut found: Vec<InstanceHealth>) -> Option<Answer> {
    let zone = asking.known.zone;
    found.retain(|held| match zone.only_passing {
        true => held.status() == CheckStatus::Passing,
        false => held.is_serving(),
    });
    let mut rng = fastrand::Rng::with_seed(asking.seed);
    rng.shuffle(&mut found);
    found.truncate(MAX_INSTANCES);
    let hosts: Vec<Host> = found.iter().filter_map(|held| Host::of(asking, held)).collect();
    if hosts.is_empty() {
        return None;
    }
    let ttl = ttl(&asking.known, key);
    Some(match asking.rtype {
        Rtype::SRV => services(asking, &hosts, ttl),
        _ => addresses(asking, &hosts, ttl),
    })
}

/// Where an instance is.
struct Host {
    at: At,
    /// The name of it in SRV records.
    target: DnsName,
    port: u16,
    weight: u16,
}

enum At {
    Ip(IpAddr),
    Name,
}

impl Host {
    /// `None` for an instance whose address is neither an IP address nor a host name.
    fn of(asking: &Asking<'_>, held: &InstanceHealth) -> Option<Host> {
        let (instance, node) = (&held.instance, &held.node);
        let ServiceAddress { address, port } = instance.lan_address(node);
        let (at, target) = match address.parse() {
            Ok(ip) => (At::Ip(ip), target(asking, held, &address, ip)?),
            Err(_) => (At::Name, record::host_name(&address)?),
        };
        Some(Host {
            at,
            target,
            port,
            weight: u16::try_from(held.weight()).unwrap_or(u16::MAX),
        })
    }
}

/// An instance at its node's address is found by the node, any other by its address.
fn target(asking: &Asking<'_>, held: &InstanceHealth, address: &str, ip: IpAddr) -> Option<DnsName> {
    let (zone, domain, node) = (asking.known.zone, asking.domain, &held.node);
    let at_node = held.instance.address.is_empty() && node.address == address;
    let by_node = || record::node_name(zone, domain, &node.key);
    let by_address = || record::address_name(zone, domain, &node.key.origin, ip);
    at_node.then(by_node).flatten().or_else(by_address)
}

fn addresses(asking: &Asking<'_>, hosts: &[Host], ttl: u32) -> Answer {
    let mut seen = BTreeSet::new();
    let ips = hosts.iter().filter_map(|host| match host.at {
        At::Ip(ip) => Some(ip),
        At::Name => None,
    });
    let ips: Vec<IpAddr> = ips.filter(|ip| seen.insert(*ip)).collect();
    // A name has either addresses or another name, not both (RFC 1034 section 3.6.2).
    if ips.is_empty() {
        let other = hosts.first().map(|host| host.target.clone());
        return Answer::of(other.map(|name| record::cname(asking.name, ttl, name)));
    }
    let limit = match asking.known.zone.a_record_limit {
        0 => usize::MAX,
        limit => limit,
    };
    let wanted = ips.into_iter().filter(|ip| is_wanted(asking.rtype, *ip));
    Answer::of(wanted.take(limit).map(|ip| record::address(asking.name, ttl, ip)))
}

/// Whether an address is of the type that was asked for.
pub(crate) fn is_wanted(rtype: Rtype, ip: IpAddr) -> bool {
    match rtype {
        Rtype::A => ip.is_ipv4(),
        Rtype::AAAA => ip.is_ipv6(),
        Rtype::ANY => true,
        _ => false,
    }
}

fn services(asking: &Asking<'_>, hosts: &[Host], ttl: u32) -> Answer {
    let mut seen = BTreeSet::new();
    let mut targets = BTreeSet::new();
    let mut answer = Answer::default();
    for host in hosts {
        if !seen.insert((host.target.clone(), host.port)) {
            continue;
        }
        let (weight, port) = (host.weight, host.port);
        answer
            .answers
            .push(record::srv(asking.name, ttl, weight, port, host.target.clone()));
        if let At::Ip(ip) = host.at
            && targets.insert(host.target.clone())
        {
            // As when it is asked for itself.
            let ttl = asking.known.zone.node_ttl;
            answer.additional.push(record::address(&host.target, ttl, ip));
        }
    }
    answer
}

/// A node as records: where it is, or what is said of it.
pub(crate) fn node(asking: &Asking<'_>, at: &Where, name: &str) -> Option<Answer> {
    let (snapshot, zone) = (asking.known.snapshot, asking.known.zone);
    let key = find::node(snapshot, at, name)?;
    let node = snapshot.node(&key)?;
    if asking.rtype == Rtype::TXT {
        let pairs = node.meta.iter().take(MAX_INSTANCES);
        let texts = pairs.map(|(name, value)| format!("{name}={value}"));
        let records: Vec<Rec> = texts
            .filter_map(|text| record::text(asking.name, zone.node_ttl, &text))
            .collect();
        return Some(Answer::of(records));
    }
    Some(match node.address.parse() {
        Ok(ip) => {
            let wanted = is_wanted(asking.rtype, ip);
            Answer::of(wanted.then(|| record::address(asking.name, zone.node_ttl, ip)))
        }
        Err(_) => {
            let other = record::host_name(&node.address)?;
            Answer::of([record::cname(asking.name, zone.node_ttl, other)])
        }
    })
}

/// The address that stands for a service. It is the service's own for as long as it is in the mesh, whether or not an
/// instance serves now: who dials it is led to wherever calls go then.
pub(crate) fn virtual_address(asking: &Asking<'_>, at: &Where, name: &str) -> Option<Answer> {
    let snapshot = asking.known.snapshot;
    let key = find::virtual_service(snapshot, at, name)?;
    let own = snapshot.virtual_address(&key)?;
    let ip = IpAddr::V4(own.address);
    let wanted = is_wanted(asking.rtype, ip);
    let ttl = asking.known.zone.node_ttl;
    Some(Answer::of(wanted.then(|| record::address(asking.name, ttl, ip))))
}

/// The address of the server's own node, for whoever asks who answers.
pub(crate) fn glue(asking: &Asking<'_>) -> Option<Rec> {
    let zone = asking.known.zone;
    let key = peerway_model::NodeKey {
        origin: Origin::Local,
        partition: peerway_model::name::Partition::default(),
        name: zone.server.clone(),
    };
    let ip = asking.known.snapshot.node(&key)?.address.parse().ok()?;
    let name = record::name_server(zone, asking.domain);
    Some(record::address(&name, zone.node_ttl, ip))
}
