//! `ingress-gateway`.

use super::mesh_tls::{bounds_in, put_bounds};
use super::read::routing::{header_edits, named};
use super::upstreams::{limits_in, passive_in, put_limits, put_passive, usual_namespace};
use super::write::routing::edits;
use crate::fields::Fields;
use peerway_model::config::{
    EdgeTerms, EdgeTls, HeaderEdits, IngressGateway, IngressListener, IngressService, Pattern, Protocol,
};
use peerway_model::name::Partition;
use peerway_model::{Invalid, Namespace, PeerName, ServiceName, Tenancy};
use serde_json::{Map, Value, json};

/// What to do instead of naming a server of secrets.
const SDS: &str = "is not offered: certificates come from the mesh for the Hosts of listeners with TLS.Enabled, remove it; for a \
    certificate of your own use an api-gateway with an inline-certificate";

pub(super) fn ingress_gateway(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<IngressGateway, Invalid> {
    let (name, tenancy) = named(&mut fields, defaults)?;
    let tls = edge_tls(&mut fields)?.unwrap_or_default();
    let listeners = fields
        .objects("Listeners")?
        .into_iter()
        .map(|one| listener(one, &tenancy))
        .collect::<Result<_, _>>()?;
    let mut terms = EdgeTerms::default();
    if let Some(mut given) = fields.object("Defaults")? {
        terms = edge_terms(&mut given)?;
        given.finish()?;
    }
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(IngressGateway {
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name,
        tls,
        listeners,
        defaults: terms,
        meta,
    })
}

/// Takes the field `TLS`.
fn edge_tls(fields: &mut Fields<'_>) -> Result<Option<EdgeTls>, Invalid> {
    let Some(mut tls) = fields.object("TLS")? else {
        return Ok(None);
    };
    let enabled = tls.flag("Enabled")?;
    let bounds = bounds_in(&mut tls)?;
    tls.refused("SDS", SDS)?;
    tls.finish()?;
    Ok(Some(EdgeTls { enabled, bounds }))
}

fn edge_terms(fields: &mut Fields<'_>) -> Result<EdgeTerms, Invalid> {
    Ok(EdgeTerms {
        limits: limits_in(fields)?,
        passive_health_check: passive_in(fields)?,
    })
}

fn listener(mut fields: Fields<'_>, tenancy: &Tenancy) -> Result<IngressListener, Invalid> {
    let port = fields.port("Port")?;
    let protocol = edge_protocol(&mut fields)?;
    let tls = edge_tls(&mut fields)?;
    let services = fields
        .objects("Services")?
        .into_iter()
        .map(|one| service(one, tenancy))
        .collect::<Result<_, _>>()?;
    fields.finish()?;
    Ok(IngressListener {
        port,
        protocol,
        tls,
        services,
    })
}

/// Takes the field `Protocol`; TCP when it is not given.
fn edge_protocol(fields: &mut Fields<'_>) -> Result<Protocol, Invalid> {
    let given = fields.parsed("Protocol", |text| {
        Protocol::parse(text).ok_or_else(|| {
            let offered = Protocol::ALL.map(Protocol::as_str).join(", ");
            Invalid::new(
                "",
                format!("protocol {text:?} is not offered, use one of {offered}"),
            )
        })
    })?;
    Ok(given.unwrap_or(Protocol::Tcp))
}

fn service(mut fields: Fields<'_>, tenancy: &Tenancy) -> Result<IngressService, Invalid> {
    let name_at = fields.at("Name");
    let name = match fields.required("Name")?.as_str() {
        "*" => Pattern::Any,
        name => Pattern::Exact(ServiceName::new(name).map_err(|error| error.within(&name_at))?),
    };
    let peer = fields.parsed("Peer", PeerName::new)?;
    let namespace = fields.parsed("Namespace", Namespace::new)?;
    let partition = fields.parsed("Partition", Partition::new)?;
    if peer.is_some() && partition.is_some() {
        return Err(Invalid::new(
            fields.at("Partition"),
            "does not go together with Peer, a peering belongs to the partition of the gateway",
        ));
    }
    let hosts = fields.texts("Hosts")?;
    let request_headers = header_edits(&mut fields, "RequestHeaders")?;
    let response_headers = header_edits(&mut fields, "ResponseHeaders")?;
    let terms = edge_terms(&mut fields)?;
    fields.refused("TLS", SDS)?;
    fields.finish()?;
    let usual = usual_namespace(peer.as_ref(), tenancy);
    Ok(IngressService {
        name,
        namespace: namespace.unwrap_or(usual),
        partition: partition.unwrap_or_else(|| tenancy.partition.clone()),
        peer,
        hosts,
        request_headers,
        response_headers,
        terms,
    })
}

pub(super) fn put_ingress(out: &mut Map<String, Value>, entry: &IngressGateway) {
    let tls = put_tls(&entry.tls);
    if !tls.is_empty() {
        out.insert("TLS".to_owned(), Value::Object(tls));
    }
    let mut defaults = Map::new();
    put_terms(&mut defaults, &entry.defaults);
    if !defaults.is_empty() {
        out.insert("Defaults".to_owned(), Value::Object(defaults));
    }
    let tenancy = entry.tenancy();
    let listener = |listener: &IngressListener| {
        let mut out = Map::new();
        out.insert("Port".to_owned(), json!(listener.port));
        out.insert("Protocol".to_owned(), json!(listener.protocol.as_str()));
        if let Some(tls) = &listener.tls {
            let mut shown = put_tls(tls);
            // Also without: it is not the same as no TLS at all.
            shown.insert("Enabled".to_owned(), json!(tls.enabled));
            out.insert("TLS".to_owned(), Value::Object(shown));
        }
        let services = listener.services.iter().map(|one| put_service(one, &tenancy));
        out.insert("Services".to_owned(), services.collect());
        Value::Object(out)
    };
    let listeners = entry.listeners.iter().map(listener).collect();
    out.insert("Listeners".to_owned(), listeners);
}

fn put_tls(tls: &EdgeTls) -> Map<String, Value> {
    let EdgeTls { enabled, bounds } = tls;
    let mut out = put_bounds(bounds);
    if *enabled {
        out.insert("Enabled".to_owned(), json!(true));
    }
    out
}

fn put_terms(out: &mut Map<String, Value>, terms: &EdgeTerms) {
    let EdgeTerms {
        limits,
        passive_health_check,
    } = terms;
    put_limits(out, limits);
    if let Some(check) = passive_health_check {
        out.insert("PassiveHealthCheck".to_owned(), put_passive(check));
    }
}

fn put_service(service: &IngressService, tenancy: &Tenancy) -> Value {
    let IngressService {
        name,
        namespace,
        partition,
        peer,
        hosts,
        request_headers,
        response_headers,
        terms,
    } = service;
    let mut out = Map::new();
    out.insert("Name".to_owned(), json!(name.to_string()));
    if let Some(peer) = peer {
        out.insert("Peer".to_owned(), json!(peer.as_str()));
    }
    if *namespace != usual_namespace(peer.as_ref(), tenancy) {
        out.insert("Namespace".to_owned(), json!(namespace.as_str()));
    }
    if *partition != tenancy.partition {
        out.insert("Partition".to_owned(), json!(partition.as_str()));
    }
    if !hosts.is_empty() {
        out.insert("Hosts".to_owned(), json!(hosts));
    }
    let all: [(&str, &HeaderEdits); 2] = [
        ("RequestHeaders", request_headers),
        ("ResponseHeaders", response_headers),
    ];
    for (field, headers) in all {
        edits(&mut out, field, headers);
    }
    put_terms(&mut out, terms);
    Value::Object(out)
}
