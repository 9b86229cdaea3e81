//! From JSON to a resolver.

use super::by_locality::by_locality_from;
use super::routing::{destination, named, timeout};
use crate::fields::Fields;
use peerway_model::config::{
    Balance, Destination, Failover, HashOf, HashPolicy, LoadBalancer, ServiceResolver, Subset,
};
use peerway_model::filter::Filter;
use peerway_model::name::{GroupName, Partition, SubsetName};
use peerway_model::{Invalid, Namespace, PeerName, ServiceName, Tenancy};
use std::collections::BTreeMap;

pub(super) fn service_resolver(
    mut fields: Fields<'_>,
    defaults: &Tenancy,
) -> Result<ServiceResolver, Invalid> {
    let (name, tenancy) = named(&mut fields, defaults)?;
    let default_subset = fields.parsed("DefaultSubset", SubsetName::new)?;
    let mut subsets = BTreeMap::new();
    for (key, one) in fields.named_objects("Subsets")? {
        let name = SubsetName::new(key).map_err(|error| error.within(one.path()))?;
        subsets.insert(name, subset(one)?);
    }
    let redirect = fields.object("Redirect")?.map(redirect).transpose()?;
    let mut failover = BTreeMap::new();
    for (key, one) in fields.named_objects("Failover")? {
        failover.insert(key.to_owned(), failover_of(one)?);
    }
    let connect_timeout_ms = timeout(&mut fields, "ConnectTimeout")?;
    let request_timeout_ms = timeout(&mut fields, "RequestTimeout")?;
    let load_balancer = fields.object("LoadBalancer")?.map(load_balancer).transpose()?;
    let by_locality = by_locality_from(&mut fields)?;
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(ServiceResolver {
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name,
        default_subset,
        subsets,
        redirect,
        failover,
        connect_timeout_ms,
        request_timeout_ms,
        load_balancer,
        by_locality,
        meta,
    })
}

fn subset(mut fields: Fields<'_>) -> Result<Subset, Invalid> {
    let filter = fields.parsed("Filter", Filter::parse)?;
    let only_passing = fields.flag("OnlyPassing")?;
    fields.finish()?;
    Ok(Subset { filter, only_passing })
}

fn redirect(mut fields: Fields<'_>) -> Result<Destination, Invalid> {
    let to = destination(&mut fields)?;
    fields.not_offered(&["Datacenter", "SamenessGroup"])?;
    fields.finish()?;
    Ok(to)
}

fn failover_of(mut fields: Fields<'_>) -> Result<Failover, Invalid> {
    let at = fields.path().to_owned();
    fields.not_offered(&["Datacenters", "Policy"])?;
    let single = Destination {
        service: fields.parsed("Service", ServiceName::new)?,
        subset: fields.parsed("ServiceSubset", SubsetName::new)?,
        namespace: fields.parsed("Namespace", Namespace::new)?,
        ..Destination::default()
    };
    let group = fields.parsed("SamenessGroup", GroupName::new)?;
    let targets: Vec<Destination> = fields
        .objects("Targets")?
        .into_iter()
        .map(target)
        .collect::<Result<_, _>>()?;
    fields.finish()?;
    match (single.is_empty(), targets.is_empty(), group) {
        (true, false, None) => Ok(Failover::Targets(targets)),
        (false, true, None) => Ok(Failover::Targets(vec![single])),
        (true, true, Some(group)) => Ok(Failover::Group(group)),
        (true, true, None) => Err(Invalid::new(
            at,
            "is empty, name Targets, a SamenessGroup, or a Service, ServiceSubset or Namespace",
        )),
        _ => Err(Invalid::new(
            at,
            "has more than one of Targets, SamenessGroup, and Service, ServiceSubset or Namespace",
        )),
    }
}

fn target(mut fields: Fields<'_>) -> Result<Destination, Invalid> {
    fields.not_offered(&["Datacenter"])?;
    let to = Destination {
        service: fields.parsed("Service", ServiceName::new)?,
        subset: fields.parsed("ServiceSubset", SubsetName::new)?,
        namespace: fields.parsed("Namespace", Namespace::new)?,
        partition: fields.parsed("Partition", Partition::new)?,
        peer: fields.parsed("Peer", PeerName::new)?,
    };
    fields.finish()?;
    Ok(to)
}

fn load_balancer(mut fields: Fields<'_>) -> Result<LoadBalancer, Invalid> {
    let at = fields.at("Policy");
    let policy = fields.text_or_empty("Policy")?;
    let ring = fields.object("RingHashConfig")?;
    let least = fields.object("LeastRequestConfig")?;
    for (config, needs) in [(&ring, "ring_hash"), (&least, "least_request")] {
        if let Some(config) = config
            && policy != needs
        {
            return Err(Invalid::new(
                config.path(),
                format!("needs the Policy {needs:?}, which is {policy:?}"),
            ));
        }
    }
    let balance = match policy.as_str() {
        "" => None,
        "random" => Some(Balance::Random),
        "round_robin" => Some(Balance::RoundRobin),
        "maglev" => Some(Balance::Maglev),
        "least_request" => {
            let mut choices = None;
            if let Some(mut config) = least {
                choices = config.number("ChoiceCount", u64::from(u32::MAX))?;
                config.finish()?;
            }
            Some(Balance::LeastRequest {
                choices: choices
                    .filter(|count| *count > 0)
                    .and_then(|count| u32::try_from(count).ok()),
            })
        }
        "ring_hash" => {
            let (mut minimum, mut maximum) = (None, None);
            if let Some(mut config) = ring {
                minimum = config
                    .number("MinimumRingSize", u64::MAX)?
                    .filter(|size| *size > 0);
                maximum = config
                    .number("MaximumRingSize", u64::MAX)?
                    .filter(|size| *size > 0);
                config.finish()?;
            }
            Some(Balance::RingHash { minimum, maximum })
        }
        other => {
            return Err(Invalid::new(
                at,
                format!("is {other:?}, use random, round_robin, least_request, ring_hash or maglev"),
            ));
        }
    };
    let hash = fields
        .objects("HashPolicies")?
        .into_iter()
        .map(hash_policy)
        .collect::<Result<_, _>>()?;
    fields.finish()?;
    Ok(LoadBalancer { balance, hash })
}

fn hash_policy(mut fields: Fields<'_>) -> Result<HashPolicy, Invalid> {
    let at = fields.path().to_owned();
    let field = fields.text_or_empty("Field")?;
    let value = fields.text_or_empty("FieldValue")?;
    let source_ip = fields.flag("SourceIP")?;
    let terminal = fields.flag("Terminal")?;
    let (mut session, mut ttl_ms, mut path) = (false, None, None);
    if let Some(mut cookie) = fields.object("CookieConfig")? {
        if field != "cookie" {
            return Err(Invalid::new(cookie.path(), "needs the Field \"cookie\""));
        }
        session = cookie.flag("Session")?;
        ttl_ms = timeout(&mut cookie, "TTL")?;
        path = cookie.nonempty("Path")?;
        cookie.finish()?;
    }
    fields.finish()?;
    let by = match (source_ip, field.as_str()) {
        (true, "") if value.is_empty() => HashOf::SourceIp,
        (true, _) => {
            return Err(Invalid::new(
                at,
                "has SourceIP and Field or FieldValue, use one policy for each",
            ));
        }
        (false, "header") => HashOf::Header(value),
        (false, "query_parameter") => HashOf::Query(value),
        (false, "cookie") => HashOf::Cookie {
            name: value,
            ttl_ms,
            session,
            path,
        },
        (false, other) => {
            return Err(Invalid::new(
                format!("{at}.Field"),
                format!("is {other:?}, use header, cookie or query_parameter, or SourceIP"),
            ));
        }
    };
    Ok(HashPolicy { by, terminal })
}
