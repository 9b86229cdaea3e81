//! From JSON to a validated config entry.

mod by_locality;
mod jwt_provider;
mod resolver;
pub(super) mod routing;
mod terminating_gateway;

pub(crate) use routing::hundredths;

use self::by_locality::by_locality_from;
use super::access_logs::access_logs_from;
use super::api_gateway::{api_gateway, inline_certificate};
use super::edge_route::{http_route, tcp_route};
use super::ingress::ingress_gateway;
use super::jwt_requirement::jwt_from;
use super::mesh_tls::mesh_tls_from;
use super::permission::verdict_from;
use super::tracing::tracing_from;
use super::upstreams::{inbound_from, upstreams_from};
use crate::fields::{Asked, Fields};
use crate::opaque::{ConfigOf, UNDERSTOOD, config_from};
use crate::proxy::mesh_gateway_from;
use crate::sidecar::sidecar_settings_from;
use peerway_model::config::{
    ConfigEntry, ConfigKind, Consumer, ExportedService, ExportedServices, Mesh, Pattern, Protocol,
    ProxyDefaults, ServiceDefaults, ServiceIntentions, Source,
};
use peerway_model::name::Partition;
use peerway_model::{GroupName, Invalid, Namespace, PeerName, ServiceName, Tenancy};
use serde_json::Value;
use std::collections::BTreeSet;

/// What clients read and send back: computed by the server.
const COMPUTED: [&str; 3] = ["CreateIndex", "ModifyIndex", "Hash"];

/// Reads a config entry of any kind and validates it. `defaults` are the partition and namespace of an entry
/// that names none.
///
/// # Errors
/// What is wrong, missing, unknown or not offered yet, with its path.
pub fn config_entry_from_json(value: &Value, defaults: &Tenancy) -> Result<ConfigEntry, Invalid> {
    entry_from(Fields::new("", value)?, defaults)
}

/// Which fields the reader asks for when it reads `value`, whether they are given or not: exactly those that it accepts
/// wherever it gets to, as paths without the places in lists and without free keys, such as `Subsets.Filter`. An object
/// that is not given is one field; what it may hold shows when it is given.
///
/// # Errors
/// As [`config_entry_from_json`].
pub fn config_entry_fields(value: &Value, defaults: &Tenancy) -> Result<BTreeSet<String>, Invalid> {
    let asked = Asked::default();
    entry_from(Fields::asked(value, &asked)?, defaults)?;
    Ok(asked.names())
}

fn entry_from(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<ConfigEntry, Invalid> {
    let kind = ConfigKind::parse(&fields.required("Kind")?)?;
    fields.tolerate(&COMPUTED);
    let entry = match kind {
        ConfigKind::ExportedServices => ConfigEntry::ExportedServices(exported_services(fields, defaults)?),
        ConfigKind::ServiceIntentions => {
            ConfigEntry::ServiceIntentions(service_intentions(fields, defaults)?)
        }
        ConfigKind::Mesh => ConfigEntry::Mesh(mesh(fields, defaults)?),
        ConfigKind::ProxyDefaults => ConfigEntry::ProxyDefaults(proxy_defaults(fields, defaults)?),
        ConfigKind::ServiceDefaults => ConfigEntry::ServiceDefaults(service_defaults(fields, defaults)?),
        ConfigKind::SamenessGroup => ConfigEntry::SamenessGroup(routing::sameness_group(fields, defaults)?),
        ConfigKind::ServiceResolver => {
            ConfigEntry::ServiceResolver(Box::new(resolver::service_resolver(fields, defaults)?))
        }
        ConfigKind::ServiceRouter => ConfigEntry::ServiceRouter(routing::service_router(fields, defaults)?),
        ConfigKind::JwtProvider => {
            ConfigEntry::JwtProvider(Box::new(jwt_provider::jwt_provider(fields, defaults)?))
        }
        ConfigKind::ServiceSplitter => {
            ConfigEntry::ServiceSplitter(routing::service_splitter(fields, defaults)?)
        }
        ConfigKind::TerminatingGateway => {
            ConfigEntry::TerminatingGateway(terminating_gateway::terminating_gateway(fields, defaults)?)
        }
        ConfigKind::IngressGateway => ConfigEntry::IngressGateway(ingress_gateway(fields, defaults)?),
        ConfigKind::ApiGateway => ConfigEntry::ApiGateway(api_gateway(fields, defaults)?),
        ConfigKind::HttpRoute => ConfigEntry::HttpRoute(Box::new(http_route(fields, defaults)?)),
        ConfigKind::TcpRoute => ConfigEntry::TcpRoute(tcp_route(fields, defaults)?),
        ConfigKind::InlineCertificate => {
            ConfigEntry::InlineCertificate(inline_certificate(fields, defaults)?)
        }
    };
    entry.validate()?;
    Ok(entry)
}

/// Takes `Partition` and `Name` of a kind that exists once a partition.
fn singleton(fields: &mut Fields<'_>, kind: ConfigKind, defaults: &Tenancy) -> Result<Partition, Invalid> {
    if fields
        .nonempty("Namespace")?
        .is_some_and(|text| text != Namespace::default().as_str())
    {
        return Err(Invalid::new(
            fields.at("Namespace"),
            format!("must not be given, {kind} holds for a whole partition"),
        ));
    }
    let given = fields.parsed("Partition", Partition::new)?;
    let partition = given.unwrap_or_else(|| defaults.partition.clone());
    let fixed = match kind {
        ConfigKind::Mesh => "mesh",
        ConfigKind::ProxyDefaults => "global",
        _ => partition.as_str(),
    };
    let name_at = fields.at("Name");
    match fields.nonempty("Name")? {
        Some(name) if name == fixed => Ok(partition),
        Some(name) => Err(Invalid::new(
            name_at,
            format!("is {name:?}, must be {fixed:?} for {kind}"),
        )),
        // Consul takes a mesh entry without a name.
        None if kind == ConfigKind::Mesh => Ok(partition),
        None => Err(Invalid::new(
            name_at,
            format!("is required, {fixed:?} for {kind}"),
        )),
    }
}

fn exported_services(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<ExportedServices, Invalid> {
    let partition = singleton(&mut fields, ConfigKind::ExportedServices, defaults)?;
    let services = fields
        .objects("Services")?
        .into_iter()
        .map(|one| exported_service(one, &partition))
        .collect::<Result<_, _>>()?;
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(ExportedServices {
        partition,
        services,
        meta,
    })
}

fn exported_service(mut fields: Fields<'_>, partition: &Partition) -> Result<ExportedService, Invalid> {
    let name = required_pattern(&mut fields, "Name", ServiceName::new)?;
    let namespace = pattern(&mut fields, "Namespace", Namespace::new)?;
    let consumers = fields
        .objects("Consumers")?
        .into_iter()
        .map(|one| consumer(one, partition))
        .collect::<Result<_, _>>()?;
    fields.finish()?;
    Ok(ExportedService {
        name,
        namespace: namespace.unwrap_or_else(|| Pattern::Exact(Namespace::default())),
        consumers,
    })
}

fn consumer(mut fields: Fields<'_>, own: &Partition) -> Result<Consumer, Invalid> {
    let at = fields.path().to_owned();
    let group = fields.parsed("SamenessGroup", GroupName::new)?;
    let peer = fields.parsed("Peer", PeerName::new)?;
    let alias = fields.parsed("PeerName", PeerName::new)?;
    let partition = fields.parsed("Partition", Partition::new)?;
    fields.finish()?;
    match (peer.or(alias), partition, group) {
        (Some(peer), None, None) => Ok(Consumer::Peer(peer)),
        (None, Some(partition), None) if partition == *own => Err(Invalid::new(
            format!("{at}.Partition"),
            "is the partition of the service itself, which sees it anyway",
        )),
        (None, Some(partition), None) => Ok(Consumer::Partition(partition)),
        (None, None, Some(group)) => Ok(Consumer::Group(group)),
        (None, None, None) => Err(Invalid::new(at, "needs a Peer, a Partition or a SamenessGroup")),
        _ => Err(Invalid::new(
            at,
            "has more than one of Peer, Partition and SamenessGroup, use one consumer for each",
        )),
    }
}

fn service_intentions(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<ServiceIntentions, Invalid> {
    let name = required_pattern(&mut fields, "Name", ServiceName::new)?;
    let partition = fields
        .parsed("Partition", Partition::new)?
        .unwrap_or_else(|| defaults.partition.clone());
    let namespace = pattern(&mut fields, "Namespace", Namespace::new)?
        .unwrap_or_else(|| Pattern::Exact(defaults.namespace.clone()));
    let jwt = jwt_from(&mut fields)?;
    let sources = fields
        .objects("Sources")?
        .into_iter()
        .map(|one| source(one, &partition, &namespace))
        .collect::<Result<_, _>>()?;
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(ServiceIntentions {
        name,
        namespace,
        partition,
        sources,
        jwt,
        meta,
    })
}

fn source(
    mut fields: Fields<'_>,
    partition: &Partition,
    destination: &Pattern<Namespace>,
) -> Result<Source, Invalid> {
    let name = required_pattern(&mut fields, "Name", ServiceName::new)?;
    let group = fields.parsed("SamenessGroup", GroupName::new)?;
    let kind = fields.text_or_empty("Type")?;
    if !matches!(kind.as_str(), "" | "consul") {
        return Err(Invalid::new(
            fields.at("Type"),
            format!("is {kind:?}, \"consul\" is the only one"),
        ));
    }
    let verdict = verdict_from(&mut fields)?;
    let peer = fields.parsed("Peer", PeerName::new)?;
    let own = fields.parsed("Partition", Partition::new)?;
    if peer.is_some() && own.is_some() {
        return Err(Invalid::new(
            fields.at("Partition"),
            "does not go together with Peer, remove one of them",
        ));
    }
    if group.is_some() && (peer.is_some() || own.is_some()) {
        return Err(Invalid::new(
            fields.at("SamenessGroup"),
            "does not go together with Peer or Partition, whose members it names: remove one of them",
        ));
    }
    let namespace = match pattern(&mut fields, "Namespace", Namespace::new)? {
        Some(namespace) => namespace,
        // A local caller lives where the destination does unless said otherwise; a peer's namespaces have
        // nothing to do with ours, and "any" must be asked for.
        None if peer.is_none() && !destination.is_any() => destination.clone(),
        None => Pattern::Exact(Namespace::default()),
    };
    let description = fields.text_or_empty("Description")?;
    fields.tolerate(&["Precedence"]);
    let legacy = ["LegacyID", "LegacyMeta", "LegacyCreateTime", "LegacyUpdateTime"];
    fields.not_offered(&legacy)?;
    fields.finish()?;
    Ok(Source {
        name,
        namespace,
        partition: own.unwrap_or_else(|| partition.clone()),
        peer,
        group,
        verdict,
        description,
    })
}

fn mesh(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<Mesh, Invalid> {
    let partition = singleton(&mut fields, ConfigKind::Mesh, defaults)?;
    let mut mesh_destinations_only = false;
    if let Some(mut transparent) = fields.object("TransparentProxy")? {
        mesh_destinations_only = transparent.flag("MeshDestinationsOnly")?;
        transparent.finish()?;
    }
    fields.refused("AllowEnablingPermissiveMutualTLS", PERMISSIVE)?;
    let tls = mesh_tls_from(&mut fields)?;
    if let Some(mut http) = fields.object("HTTP")? {
        let at = http.at("SanitizeXForwardedClientCert");
        let given = http.has("SanitizeXForwardedClientCert");
        if !http.flag("SanitizeXForwardedClientCert")? && given {
            return Err(Invalid::new(
                at,
                "cannot be false: who calls is only ever told by our own gateways, write true or remove it",
            ));
        }
        http.not_offered(&["Incoming"])?;
        http.finish()?;
    }
    fields.not_offered(&["ValidateClusters"])?;
    let mut peer_through_mesh_gateways = None;
    if let Some(mut peering) = fields.object("Peering")? {
        peer_through_mesh_gateways = Some(peering.flag("PeerThroughMeshGateways")?);
        peering.finish()?;
    }
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(Mesh {
        partition,
        mesh_destinations_only,
        peer_through_mesh_gateways,
        tls,
        meta,
    })
}

fn proxy_defaults(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<ProxyDefaults, Invalid> {
    let partition = singleton(&mut fields, ConfigKind::ProxyDefaults, defaults)?;
    let mesh_gateway = mesh_gateway_from(&mut fields)?;
    let config = config_from(fields.members("Config")?, ConfigOf::AllProxies)?;
    for key in UNDERSTOOD {
        fields.ask(&format!("Config.{key}"));
    }
    let access_logs = access_logs_from(&mut fields)?;
    let tracing = tracing_from(&mut fields)?;
    let sidecar = sidecar_settings_from(&mut fields)?;
    strict_tls_only(&mut fields)?;
    fields.not_offered(&["EnvoyExtensions", "FailoverPolicy"])?;
    let by_locality = by_locality_from(&mut fields)?;
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(ProxyDefaults {
        partition,
        mesh_gateway,
        config,
        access_logs,
        tracing,
        sidecar,
        by_locality,
        meta,
    })
}

fn service_defaults(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<ServiceDefaults, Invalid> {
    let name_at = fields.at("Name");
    let name = ServiceName::new(&fields.required("Name")?).map_err(|error| error.within(&name_at))?;
    let tenancy = fields.tenancy(defaults)?;
    let protocol = fields.parsed("Protocol", |text| {
        Protocol::parse(text).ok_or_else(|| {
            let offered = Protocol::ALL.map(Protocol::as_str).join(", ");
            Invalid::new(
                "",
                format!("protocol {text:?} is not offered, use one of {offered}"),
            )
        })
    })?;
    let mesh_gateway = mesh_gateway_from(&mut fields)?;
    let sidecar = sidecar_settings_from(&mut fields)?;
    strict_tls_only(&mut fields)?;
    let inbound = inbound_from(&mut fields)?;
    let upstreams = upstreams_from(&mut fields, &tenancy)?;
    fields.refused(
        "ExternalSNI",
        "is for servers outside the mesh: services of the mesh and of peers are dialled by their own names, remove it",
    )?;
    fields.refused("Destination", OUTSIDE)?;
    fields.not_offered(&["RateLimits", "EnvoyExtensions"])?;
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(ServiceDefaults {
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name,
        protocol,
        mesh_gateway,
        inbound,
        upstreams,
        sidecar,
        meta,
    })
}

/// What to do instead of naming servers in the defaults of a service.
const OUTSIDE: &str = "is not offered: register the servers as a service with /v1/catalog/register, name it in a terminating-gateway entry, and remove this";
/// Why callers need a certificate.
const PERMISSIVE: &str = "would let callers in without a certificate, past every intention; give them a sidecar instead and remove it";

/// Takes `MutualTLSMode`.
pub(crate) fn strict_tls_only(fields: &mut Fields<'_>) -> Result<(), Invalid> {
    let at = fields.at("MutualTLSMode");
    match fields.text_or_empty("MutualTLSMode")?.as_str() {
        "" | "strict" => Ok(()),
        "permissive" => Err(Invalid::new(at, PERMISSIVE)),
        other => Err(Invalid::new(
            at,
            format!("is {other:?}, \"strict\" is the only one"),
        )),
    }
}

fn required_pattern<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<Pattern<T>, Invalid> {
    pattern(fields, key, parse)?.ok_or_else(|| fields.missing(key))
}

fn pattern<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<Option<Pattern<T>>, Invalid> {
    fields.parsed(key, |text| {
        if text == "*" {
            Ok(Pattern::Any)
        } else {
            parse(text).map(Pattern::Exact)
        }
    })
}
