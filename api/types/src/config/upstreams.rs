//! How the proxies of a service take calls and call others: fields of `service-defaults`.

use crate::duration::duration_text;
use crate::fields::Fields;
use crate::proxy::{MeshGatewayJson, mesh_gateway_from};
use peerway_model::config::{
    Inbound, Limits, PassiveHealthCheck, ServiceDefaults, UpstreamOverride, UpstreamSettings, Upstreams,
};
use peerway_model::name::Partition;
use peerway_model::{Invalid, Namespace, PeerName, ServiceName, Tenancy};
use serde_json::{Map, Value, json};

/// The one way of spreading connections that can be asked for.
const EXACT: &str = "exact_balance";

/// Takes the fields about calls for the service.
pub(super) fn inbound_from(fields: &mut Fields<'_>) -> Result<Inbound, Invalid> {
    Ok(Inbound {
        max_connections: count(fields, "MaxInboundConnections")?.filter(|count| *count > 0),
        connect_timeout_ms: millis(fields, "LocalConnectTimeoutMs")?,
        request_timeout_ms: millis(fields, "LocalRequestTimeoutMs")?,
        exact_balance: balance(fields, "BalanceInboundConnections")?,
    })
}

/// Takes the field `UpstreamConfig` of an entry in `tenancy`.
pub(super) fn upstreams_from(fields: &mut Fields<'_>, tenancy: &Tenancy) -> Result<Upstreams, Invalid> {
    let Some(mut config) = fields.object("UpstreamConfig")? else {
        return Ok(Upstreams::default());
    };
    let mut defaults = UpstreamSettings::default();
    if let Some(mut all) = config.object("Defaults")? {
        for key in ["Name", "Namespace", "Partition", "Peer"] {
            all.refused(key, "is for Overrides, what Defaults say holds for all upstreams")?;
        }
        defaults = settings(&mut all)?;
        all.finish()?;
    }
    let overrides = config
        .objects("Overrides")?
        .into_iter()
        .map(|one| upstream_override(one, tenancy))
        .collect::<Result<_, _>>()?;
    config.finish()?;
    Ok(Upstreams { defaults, overrides })
}

fn upstream_override(mut fields: Fields<'_>, tenancy: &Tenancy) -> Result<UpstreamOverride, Invalid> {
    let name_at = fields.at("Name");
    let name = ServiceName::new(&fields.required("Name")?).map_err(|error| error.within(&name_at))?;
    let peer = fields.parsed("Peer", PeerName::new)?;
    let namespace = fields.parsed("Namespace", Namespace::new)?;
    let partition = fields.parsed("Partition", Partition::new)?;
    if peer.is_some() && partition.is_some() {
        return Err(Invalid::new(
            fields.at("Partition"),
            "does not go together with Peer, a peering belongs to the partition of the entry",
        ));
    }
    let usual = usual_namespace(peer.as_ref(), tenancy);
    let settings = settings(&mut fields)?;
    fields.finish()?;
    Ok(UpstreamOverride {
        name,
        namespace: namespace.unwrap_or(usual),
        partition: partition.unwrap_or_else(|| tenancy.partition.clone()),
        peer,
        settings,
    })
}

/// Where an upstream is that names no namespace: with whoever calls it, and at a peer in its default one.
pub(super) fn usual_namespace(peer: Option<&PeerName>, tenancy: &Tenancy) -> Namespace {
    match peer {
        Some(_) => Namespace::default(),
        None => tenancy.namespace.clone(),
    }
}

fn settings(fields: &mut Fields<'_>) -> Result<UpstreamSettings, Invalid> {
    fields.refused(
        "Protocol",
        "is said by the service that is called, write it into its own service-defaults",
    )?;
    fields.not_offered(&["EnvoyListenerJSON", "EnvoyClusterJSON"])?;
    let mut limits = None;
    if let Some(mut given) = fields.object("Limits")? {
        limits = Some(limits_in(&mut given)?);
        given.finish()?;
    }
    let check = passive_in(fields)?;
    Ok(UpstreamSettings {
        connect_timeout_ms: millis(fields, "ConnectTimeoutMs")?,
        limits: limits.filter(|limits| *limits != Limits::default()),
        passive_health_check: check,
        mesh_gateway: mesh_gateway_from(fields)?,
        exact_balance: balance(fields, "BalanceOutboundConnections")?,
    })
}

/// Takes the fields that say how much is asked at a time.
pub(super) fn limits_in(fields: &mut Fields<'_>) -> Result<Limits, Invalid> {
    Ok(Limits {
        max_connections: count(fields, "MaxConnections")?,
        max_pending_requests: count(fields, "MaxPendingRequests")?,
        max_concurrent_requests: count(fields, "MaxConcurrentRequests")?,
    })
}

/// Takes the field `PassiveHealthCheck`; `None` also when it says nothing.
pub(super) fn passive_in(fields: &mut Fields<'_>) -> Result<Option<PassiveHealthCheck>, Invalid> {
    let Some(mut given) = fields.object("PassiveHealthCheck")? else {
        return Ok(None);
    };
    let check = PassiveHealthCheck {
        interval_ms: given.duration_ms("Interval")?.filter(|ms| *ms > 0),
        max_failures: count(&mut given, "MaxFailures")?.filter(|count| *count > 0),
        enforcing_consecutive_5xx: count(&mut given, "EnforcingConsecutive5xx")?,
        max_ejection_percent: count(&mut given, "MaxEjectionPercent")?,
        base_ejection_ms: given.duration_ms("BaseEjectionTime")?.filter(|ms| *ms > 0),
    };
    given.finish()?;
    Ok(Some(check).filter(|check| *check != PassiveHealthCheck::default()))
}

fn count(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<u32>, Invalid> {
    let number = fields.number(key, u64::from(u32::MAX))?;
    Ok(number.and_then(|number| u32::try_from(number).ok()))
}

/// Takes a number of milliseconds; 0 counts as not given, as with Consul.
fn millis(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<u64>, Invalid> {
    Ok(fields.number(key, u64::MAX)?.filter(|ms| *ms > 0))
}

fn balance(fields: &mut Fields<'_>, key: &'static str) -> Result<bool, Invalid> {
    let at = fields.at(key);
    match fields.text_or_empty(key)?.as_str() {
        "" => Ok(false),
        EXACT => Ok(true),
        other => Err(Invalid::new(
            at,
            format!("is {other:?}, {EXACT:?} is the only one"),
        )),
    }
}

/// Adds the fields about calls for the service, those that say anything.
pub(super) fn put_inbound(out: &mut Map<String, Value>, inbound: &Inbound) {
    let Inbound {
        max_connections,
        connect_timeout_ms,
        request_timeout_ms,
        exact_balance,
    } = inbound;
    put(out, "MaxInboundConnections", max_connections.map(Value::from));
    put(out, "LocalConnectTimeoutMs", connect_timeout_ms.map(Value::from));
    put(out, "LocalRequestTimeoutMs", request_timeout_ms.map(Value::from));
    let exact = exact_balance.then(|| json!(EXACT));
    put(out, "BalanceInboundConnections", exact);
}

/// Adds the field `UpstreamConfig`, if it says anything.
pub(super) fn put_upstreams(out: &mut Map<String, Value>, entry: &ServiceDefaults) {
    let Upstreams { defaults, overrides } = &entry.upstreams;
    let mut config = Map::new();
    if !defaults.is_empty() {
        let mut all = Map::new();
        put_settings(&mut all, defaults);
        config.insert("Defaults".to_owned(), Value::Object(all));
    }
    if !overrides.is_empty() {
        let overrides = overrides.iter().map(|own| upstream_json(own, entry)).collect();
        config.insert("Overrides".to_owned(), Value::Array(overrides));
    }
    if !config.is_empty() {
        out.insert("UpstreamConfig".to_owned(), Value::Object(config));
    }
}

fn upstream_json(own: &UpstreamOverride, entry: &ServiceDefaults) -> Value {
    let UpstreamOverride {
        name,
        namespace,
        partition,
        peer,
        settings,
    } = own;
    let tenancy = Tenancy {
        partition: entry.partition.clone(),
        namespace: entry.namespace.clone(),
    };
    let mut out = Map::new();
    put(&mut out, "Name", Some(json!(name.as_str())));
    put(&mut out, "Peer", peer.as_ref().map(|peer| json!(peer.as_str())));
    let elsewhere = *namespace != usual_namespace(peer.as_ref(), &tenancy);
    put(
        &mut out,
        "Namespace",
        elsewhere.then(|| json!(namespace.as_str())),
    );
    let elsewhere = *partition != tenancy.partition && peer.is_none();
    put(
        &mut out,
        "Partition",
        elsewhere.then(|| json!(partition.as_str())),
    );
    put_settings(&mut out, settings);
    Value::Object(out)
}

fn put_settings(out: &mut Map<String, Value>, settings: &UpstreamSettings) {
    let UpstreamSettings {
        connect_timeout_ms,
        limits,
        passive_health_check,
        mesh_gateway,
        exact_balance,
    } = settings;
    put(out, "ConnectTimeoutMs", connect_timeout_ms.map(Value::from));
    if let Some(limits) = limits {
        let mut shown = Map::new();
        put_limits(&mut shown, limits);
        out.insert("Limits".to_owned(), Value::Object(shown));
    }
    if let Some(check) = passive_health_check {
        out.insert("PassiveHealthCheck".to_owned(), put_passive(check));
    }
    if let Some(mode) = mesh_gateway {
        put(
            out,
            "MeshGateway",
            Some(json!(MeshGatewayJson::from(Some(*mode)))),
        );
    }
    put(
        out,
        "BalanceOutboundConnections",
        exact_balance.then(|| json!(EXACT)),
    );
}

fn put(out: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        out.insert(key.to_owned(), value);
    }
}

/// Adds the fields that say how much is asked at a time, those that say anything.
pub(super) fn put_limits(out: &mut Map<String, Value>, limits: &Limits) {
    let Limits {
        max_connections,
        max_pending_requests,
        max_concurrent_requests,
    } = *limits;
    put(out, "MaxConnections", max_connections.map(Value::from));
    put(out, "MaxPendingRequests", max_pending_requests.map(Value::from));
    put(
        out,
        "MaxConcurrentRequests",
        max_concurrent_requests.map(Value::from),
    );
}

/// When an instance is left out.
pub(super) fn put_passive(check: &PassiveHealthCheck) -> Value {
    let PassiveHealthCheck {
        interval_ms,
        max_failures,
        enforcing_consecutive_5xx,
        max_ejection_percent,
        base_ejection_ms,
    } = *check;
    let duration = |ms: u64| json!(duration_text(ms));
    let mut shown = Map::new();
    put(&mut shown, "Interval", interval_ms.map(duration));
    put(&mut shown, "MaxFailures", max_failures.map(Value::from));
    put(
        &mut shown,
        "EnforcingConsecutive5xx",
        enforcing_consecutive_5xx.map(Value::from),
    );
    put(
        &mut shown,
        "MaxEjectionPercent",
        max_ejection_percent.map(Value::from),
    );
    put(&mut shown, "BaseEjectionTime", base_ejection_ms.map(duration));
    Value::Object(shown)
}
