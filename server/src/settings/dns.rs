//! `domain`, `alt_domain` and `dns_config`: which names are answered, and how.

use super::SettingsError;
use super::read::{Reading, duration};
use peerway_dns::{Domain, MAX_TTL, ServiceTtls, Soa, Zone};
use peerway_model::name::{Datacenter, NodeName};
use serde_json::Value;

/// Most records of an answer that can be asked for.
const MOST_RECORDS: i64 = 1_024;

/// The zone that the settings describe.
pub(super) fn zone(
    reading: &Reading,
    datacenter: &Datacenter,
    node_name: &NodeName,
) -> Result<Zone, SettingsError> {
    let domain = reading.parsed("domain", "consul", Domain::new)?;
    // Whoever asks this server has a reader of its own store: nothing is older than that.
    reading.flag("dns_config.allow_stale")?;
    if let Some(value) = reading.value("recursors")
        && value.as_array().is_none_or(|list| !list.is_empty())
    {
        return Err(reading.problem(
            "recursors",
            "only an empty list is offered: let your resolver forward names of the domain here, and nothing else",
        ));
    }
    let defaults = Zone::new(domain, datacenter.clone(), node_name.clone());
    let alt_domain = match reading.text("alt_domain")? {
        None => None,
        Some(text) => {
            Some(Domain::new(&text).map_err(|invalid| reading.problem("alt_domain", invalid.problem))?)
        }
    };
    Ok(Zone {
        alt_domain,
        node_ttl: seconds(reading, "dns_config.node_ttl")?,
        service_ttl: service_ttl(reading)?,
        only_passing: reading.flag("dns_config.only_passing")?.unwrap_or(false),
        a_record_limit: records(reading, "dns_config.a_record_limit", defaults.a_record_limit)?,
        udp_answer_limit: records(reading, "dns_config.udp_answer_limit", defaults.udp_answer_limit)?,
        enable_truncate: reading.flag("dns_config.enable_truncate")?.unwrap_or(false),
        soa: Soa {
            refresh: number(reading, "dns_config.soa.refresh", defaults.soa.refresh)?,
            retry: number(reading, "dns_config.soa.retry", defaults.soa.retry)?,
            expire: number(reading, "dns_config.soa.expire", defaults.soa.expire)?,
            min_ttl: number(reading, "dns_config.soa.min_ttl", defaults.soa.min_ttl)?,
        },
        ..defaults
    })
}

fn ttl(value: &Value) -> Result<u32, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("must be a duration such as \"10s\", not {value}"))?;
    let held =
        duration(text).ok_or_else(|| format!("{text:?} is not a duration, write for example \"10s\""))?;
    let whole = u32::try_from(held.as_secs())
        .ok()
        .filter(|seconds| *seconds <= MAX_TTL);
    match whole {
        Some(seconds) if held.subsec_nanos() == 0 => Ok(seconds),
        Some(_) => Err("must be whole seconds".to_owned()),
        None => Err(format!("must be at most {MAX_TTL}s")),
    }
}

fn seconds(reading: &Reading, key: &str) -> Result<u32, SettingsError> {
    let value = reading.value(key);
    value.map_or(Ok(0), |value| {
        ttl(value).map_err(|problem| reading.problem(key, problem))
    })
}

/// A number of seconds.
fn number(reading: &Reading, key: &str, default: u32) -> Result<u32, SettingsError> {
    match reading.integer(key)? {
        None => Ok(default),
        Some(given) => u32::try_from(given)
            .ok()
            .filter(|seconds| *seconds <= MAX_TTL)
            .ok_or_else(|| reading.problem(key, format!("must be seconds from 0 to {MAX_TTL}"))),
    }
}

fn records(reading: &Reading, key: &str, default: usize) -> Result<usize, SettingsError> {
    match reading.integer(key)? {
        None => Ok(default),
        Some(given) if (0..=MOST_RECORDS).contains(&given) => Ok(usize::try_from(given).unwrap_or_default()),
        Some(_) => Err(reading.problem(
            key,
            format!("must be from 0, which is as many as fit, to {MOST_RECORDS}"),
        )),
    }
}

/// A block of names, or beginnings of names followed by `*`, with durations.
fn service_ttl(reading: &Reading) -> Result<ServiceTtls, SettingsError> {
    let key = "dns_config.service_ttl";
    let problem = |problem: String| reading.problem(key, problem);
    let blocks: Vec<&Value> = match reading.value(key) {
        None => Vec::new(),
        Some(Value::Array(blocks)) => blocks.iter().collect(),
        Some(one) => vec![one],
    };
    let mut pairs = Vec::new();
    for block in blocks {
        let fields = block
            .as_object()
            .ok_or_else(|| problem(format!("must be a block of names and durations, not {block}")))?;
        for (name, value) in fields {
            let seconds = ttl(value).map_err(|why| problem(format!("{name:?}: {why}")))?;
            pairs.push((name.clone(), seconds));
        }
    }
    Ok(ServiceTtls::new(pairs))
}
