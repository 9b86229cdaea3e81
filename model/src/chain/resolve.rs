//! From a named service to the instances that are meant: redirects, default subsets, and what stands in.

use super::{Entries, MAX_REDIRECTS, Target, refuse};
use crate::config::{
    ByLocality, ConfigEntry, ConfigKind, Destination, Failover, LoadBalancer, Member, Protocol,
    ProxyDefaults, SamenessGroup, ServiceResolver, Subset,
};
use crate::key::{Origin, ServiceKey};
use crate::{ConfigKey, Invalid};
use std::collections::BTreeSet;

/// How a target is reached and what stands in for it. Depends on the target alone, not on the way to it, so every
/// chain that ends there has the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Settings {
    /// Which instances; `None` without a subset.
    pub subset: Option<Subset>,
    /// How long making a connection may take, in milliseconds.
    pub connect_timeout_ms: Option<u64>,
    /// How long an answer may take, in milliseconds.
    pub request_timeout_ms: Option<u64>,
    /// How an instance is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Whether callers prefer instances that are near, as [`by_locality`] says.
    pub by_locality: Option<ByLocality>,
    /// What stands in when no instance is well, in order; without the target itself, distinct.
    pub failover: Vec<Target>,
}

/// What a service speaks that is registered here, or is only a name in entries.
pub fn protocol<'e>(entries: &mut dyn Entries<'e>, service: &ServiceKey) -> Protocol {
    let own = match entries.entry(of_service(ConfigKind::ServiceDefaults, service)) {
        Some(ConfigEntry::ServiceDefaults(own)) => Some(own),
        _ => None,
    };
    Protocol::of_service(own, defaults_of_all(entries, service))
}

/// What holds for all proxies of the partition of a service.
fn defaults_of_all<'e>(entries: &mut dyn Entries<'e>, service: &ServiceKey) -> Option<&'e ProxyDefaults> {
    let key = ConfigKey::singleton(ConfigKind::ProxyDefaults, &service.partition);
    match entries.entry(key) {
        Some(ConfigEntry::ProxyDefaults(all)) => Some(all),
        _ => None,
    }
}

/// Whether callers of a service prefer instances that are near: what its resolver says counts before `proxy-defaults`.
/// `None` when neither says anything, and for a peer's service: where its instances are is not known here.
pub fn by_locality<'e>(entries: &mut dyn Entries<'e>, service: &ServiceKey) -> Option<ByLocality> {
    if service.origin.peer().is_some() {
        return None;
    }
    let own = resolver(entries, service).and_then(|resolver| resolver.by_locality);
    own.or_else(|| defaults_of_all(entries, service)?.by_locality)
}

/// How a target is reached. Of a peer's service too the resolver of that name here says it, as with Consul: there is
/// no other place for a timeout of this side.
///
/// # Errors
/// When the resolver names what does not exist.
pub fn settings<'e>(entries: &mut dyn Entries<'e>, target: &Target) -> Result<Settings, Invalid> {
    let mut settings = settings_alone(entries, target);
    // What a peer does not have, the peer's own chain has to find elsewhere.
    if target.service.origin.is_local() {
        let resolver = resolver(entries, &target.service);
        settings.failover = failover(entries, resolver, target)?;
    }
    Ok(settings)
}

/// The same without what stands in for it, which may contradict itself where nobody is led to.
pub fn settings_alone<'e>(entries: &mut dyn Entries<'e>, target: &Target) -> Settings {
    let by_locality = by_locality(entries, &target.service);
    match resolver(entries, &target.service) {
        None => Settings {
            by_locality,
            ..Settings::default()
        },
        Some(resolver) => Settings {
            subset: target
                .subset
                .as_ref()
                .and_then(|name| resolver.subsets.get(name).cloned()),
            connect_timeout_ms: resolver.connect_timeout_ms.filter(|ms| *ms > 0),
            request_timeout_ms: resolver.request_timeout_ms.filter(|ms| *ms > 0),
            load_balancer: resolver.load_balancer.clone(),
            by_locality,
            failover: Vec::new(),
        },
    }
}

/// The target that is meant by `named`, after redirects and default subsets.
pub(super) fn resolve<'e>(entries: &mut dyn Entries<'e>, named: Target) -> Result<Target, Invalid> {
    let mut target = named;
    let mut seen = BTreeSet::new();
    loop {
        if !seen.insert(target.clone()) || seen.len() > MAX_REDIRECTS {
            return refuse(format!("the redirects of {target} lead in a circle"));
        }
        if target.service.origin.peer().is_some() {
            return Ok(target);
        }
        let Some(resolver) = resolver(entries, &target.service) else {
            return match &target.subset {
                None => Ok(target),
                Some(_) => unknown_subset(&target),
            };
        };
        if let Some(redirect) = &resolver.redirect {
            target = destination(redirect, &target.service);
            continue;
        }
        if target.subset.is_none() {
            target.subset.clone_from(&resolver.default_subset);
        }
        return match &target.subset {
            Some(name) if !resolver.subsets.contains_key(name) => unknown_subset(&target),
            _ => Ok(target),
        };
    }
}

fn unknown_subset<T>(target: &Target) -> Result<T, Invalid> {
    let subset = target.subset.as_ref().map_or("", |subset| subset.as_str());
    refuse(format!(
        "the service {} has no subset {subset:?}, add it to its service-resolver",
        target.service
    ))
}

/// What `to` means in an entry about `own`.
pub(super) fn destination(to: &Destination, own: &ServiceKey) -> Target {
    let service = ServiceKey {
        origin: to.peer.clone().map_or(Origin::Local, Origin::Peer),
        partition: to.partition.clone().unwrap_or_else(|| own.partition.clone()),
        namespace: to.namespace.clone().unwrap_or_else(|| own.namespace.clone()),
        name: to.service.clone().unwrap_or_else(|| own.name.clone()),
    };
    Target {
        service,
        subset: to.subset.clone(),
    }
}

fn failover<'e>(
    entries: &mut dyn Entries<'e>,
    resolver: Option<&'e ServiceResolver>,
    target: &Target,
) -> Result<Vec<Target>, Invalid> {
    let service = &target.service;
    let named: Vec<Target> = match resolver.and_then(|own| own.failover_of(target.subset.as_ref())) {
        Some(Failover::Targets(targets)) => targets.iter().map(|to| destination(to, service)).collect(),
        Some(Failover::Group(name)) => {
            let key = ConfigKey::of_group(&service.partition, name);
            match entries.entry(key) {
                Some(ConfigEntry::SamenessGroup(group)) => members(group, service),
                _ => {
                    return refuse(format!(
                        "the failover of {service} names the sameness-group {name:?}, which does not exist"
                    ));
                }
            }
        }
        None => {
            let groups = entries.groups(&service.partition);
            let default = groups.into_iter().find(|group| group.default_for_failover);
            default.map_or(Vec::new(), |group| members(group, service))
        }
    };
    let mut kept: Vec<Target> = Vec::new();
    for named in named {
        let found = resolve(entries, named)?;
        if found != *target && !kept.contains(&found) {
            kept.push(found);
        }
    }
    Ok(kept)
}

/// The service of this name in every member.
fn members(group: &SamenessGroup, service: &ServiceKey) -> Vec<Target> {
    group
        .ordered()
        .map(|member| match member {
            Member::Partition(partition) => Target::of(ServiceKey {
                partition,
                ..service.clone()
            }),
            Member::Peer(peer) => Target::of(ServiceKey {
                origin: Origin::Peer(peer),
                ..service.clone()
            }),
        })
        .collect()
}

pub(super) fn resolver<'e>(
    entries: &mut dyn Entries<'e>,
    service: &ServiceKey,
) -> Option<&'e ServiceResolver> {
    match entries.entry(of_service(ConfigKind::ServiceResolver, service)) {
        Some(ConfigEntry::ServiceResolver(resolver)) => Some(resolver),
        _ => None,
    }
}

/// The key of an entry about a service.
pub(super) fn of_service(kind: ConfigKind, service: &ServiceKey) -> ConfigKey {
    ConfigKey::of_service(kind, &service.partition, &service.namespace, &service.name)
}
