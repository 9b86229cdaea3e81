//! `Proxy` and `Upstreams`: what a sidecar stands for and what it may dial (xDS facts, section 6.5).

use crate::config::strict_tls_only;
use crate::fields::Fields;
use crate::opaque::{ConfigOf, config_from, opaque_map_to_json};
use crate::sidecar::{ExposeJson, TransparentJson, sidecar_settings_from};
use peerway_model::config::{ProxyDefaults, ServiceDefaults};
use peerway_model::instance::{GatewayMode, Opaque};
use peerway_model::name::Partition;
use peerway_model::{
    Exposed, Instance, InstanceId, Invalid, Namespace, PeerName, Proxy, ProxyMode, ServiceName,
    SidecarSettings, Tenancy, Upstream,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Where a sidecar listens for its application unless an upstream says otherwise.
pub const DEFAULT_BIND_ADDRESS: &str = "127.0.0.1";

/// What a registration says under `Proxy`, before defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyInput {
    /// The service that the sidecar stands for.
    pub destination: Option<ServiceName>,
    /// The instance that it stands for.
    pub destination_id: Option<InstanceId>,
    /// Where the application listens.
    pub local_address: Option<String>,
    /// The port that the application listens on.
    pub local_port: Option<u16>,
    /// What the application may dial.
    pub upstreams: Vec<Upstream>,
    /// How peers are reached.
    pub mesh_gateway: Option<GatewayMode>,
    /// What its service's defaults and those of all proxies may say as well.
    pub sidecar: SidecarSettings,
    /// Free-form.
    pub config: BTreeMap<String, Opaque>,
}

pub(crate) fn proxy_from(mut fields: Fields<'_>, tenancy: &Tenancy) -> Result<ProxyInput, Invalid> {
    let sidecar = own_settings(&mut fields)?;
    let input = ProxyInput {
        destination: fields.parsed("DestinationServiceName", ServiceName::new)?,
        destination_id: fields.parsed("DestinationServiceID", InstanceId::new)?,
        local_address: fields.nonempty("LocalServiceAddress")?,
        local_port: Some(fields.port("LocalServicePort")?).filter(|port| *port != 0),
        mesh_gateway: mesh_gateway_from(&mut fields)?,
        config: config_from(fields.members("Config")?, ConfigOf::Registration)?,
        upstreams: upstreams_from(&mut fields, tenancy)?,
        sidecar,
    };
    if let Some(address) = &input.local_address {
        check_host(address).map_err(|error| error.within(&fields.at("LocalServiceAddress")))?;
    }
    strict_tls_only(&mut fields)?;
    fields.refused(
        "AccessLogs",
        "is said for all sidecars of a partition: write it into proxy-defaults and remove it",
    )?;
    fields.not_offered(&["LocalServiceSocketPath", "EnvoyExtensions"])?;
    fields.finish()?;
    Ok(input)
}

/// Takes what may be said elsewhere as well. A registration has the last word, so that a setting which its own mode
/// leaves without meaning is a mistake.
fn own_settings(fields: &mut Fields<'_>) -> Result<SidecarSettings, Invalid> {
    let settings_at = fields.at("TransparentProxy");
    let own = sidecar_settings_from(fields)?;
    own.validate().map_err(|error| error.within(fields.path()))?;
    if own.mode == Some(ProxyMode::Direct) && TransparentJson::of(&own).is_some() {
        return Err(Invalid::new(
            settings_at,
            "says something that does not count in mode \"direct\": remove it, or set Mode to \"transparent\"",
        ));
    }
    Ok(own)
}

/// Takes `MeshGateway`; no mode means that a default further out counts.
pub(crate) fn mesh_gateway_from(fields: &mut Fields<'_>) -> Result<Option<GatewayMode>, Invalid> {
    let Some(mut gateway) = fields.object("MeshGateway")? else {
        return Ok(None);
    };
    let mode = gateway.parsed("Mode", |text| match text {
        "local" => Ok(GatewayMode::Local),
        "remote" => Ok(GatewayMode::Remote),
        "none" => Err(Invalid::new(
            "",
            "mode \"none\" is not offered yet, use \"local\" or \"remote\": peers are only reached through mesh gateways",
        )),
        other => Err(Invalid::new(
            "",
            format!("{other:?} is not a mode, use \"local\" or \"remote\""),
        )),
    })?;
    gateway.finish()?;
    Ok(mode)
}

fn upstreams_from(fields: &mut Fields<'_>, tenancy: &Tenancy) -> Result<Vec<Upstream>, Invalid> {
    let mut upstreams = Vec::new();
    let mut listeners = BTreeSet::new();
    let mut destinations = BTreeSet::new();
    for one in fields.objects("Upstreams")? {
        let at = one.path().to_owned();
        let upstream = upstream_from(one, tenancy)?;
        if !listeners.insert((upstream.bind_address.clone(), upstream.bind_port)) {
            return Err(Invalid::new(
                format!("{at}.LocalBindPort"),
                format!("port {} is used by another upstream", upstream.bind_port),
            ));
        }
        let destination = (
            upstream.peer.clone(),
            upstream.partition.clone(),
            upstream.namespace.clone(),
            upstream.name.clone(),
        );
        if !destinations.insert(destination) {
            return Err(Invalid::new(
                format!("{at}.DestinationName"),
                format!("{} is given more than once", upstream.name),
            ));
        }
        upstreams.push(upstream);
    }
    Ok(upstreams)
}

fn upstream_from(mut fields: Fields<'_>, tenancy: &Tenancy) -> Result<Upstream, Invalid> {
    let kind = fields.text_or_empty("DestinationType")?;
    if !matches!(kind.as_str(), "" | "service") {
        return Err(Invalid::new(
            fields.at("DestinationType"),
            format!("type {kind:?} is not offered yet, use \"service\""),
        ));
    }
    let name_at = fields.at("DestinationName");
    let name =
        ServiceName::new(&fields.required("DestinationName")?).map_err(|error| error.within(&name_at))?;
    let peer = fields.parsed("DestinationPeer", PeerName::new)?;
    let namespace = fields.parsed("DestinationNamespace", Namespace::new)?;
    let partition = fields.parsed("DestinationPartition", Partition::new)?;
    if let (Some(_), Some(partition)) = (&peer, &partition)
        && *partition != tenancy.partition
    {
        return Err(Invalid::new(
            fields.at("DestinationPartition"),
            "does not go together with DestinationPeer, remove it: a peering belongs to the partition of the proxy",
        ));
    }
    let namespace = namespace.unwrap_or_else(|| match &peer {
        // The namespace of a peer's service is the exporter's, which ours says nothing about.
        Some(_) => Namespace::default(),
        None => tenancy.namespace.clone(),
    });
    let address_at = fields.at("LocalBindAddress");
    let bind_address = fields
        .nonempty("LocalBindAddress")?
        .unwrap_or_else(|| DEFAULT_BIND_ADDRESS.to_owned());
    if bind_address.parse::<IpAddr>().is_err() {
        return Err(Invalid::new(
            address_at,
            format!("{bind_address:?} is not an IP address"),
        ));
    }
    let port_at = fields.at("LocalBindPort");
    let bind_port = fields.port("LocalBindPort")?;
    if bind_port == 0 {
        return Err(Invalid::new(
            port_at,
            "is required, give the port that the application dials",
        ));
    }
    let upstream = Upstream {
        name,
        namespace,
        partition: partition.unwrap_or_else(|| tenancy.partition.clone()),
        peer,
        bind_address,
        bind_port,
        mesh_gateway: mesh_gateway_from(&mut fields)?,
        config: config_from(fields.members("Config")?, ConfigOf::Registration)?,
    };
    fields.not_offered(&[
        "Datacenter",
        "LocalBindSocketPath",
        "LocalBindSocketMode",
        "IngressHosts",
    ])?;
    // Computed by Consul's servers; clients send back what they read.
    fields.tolerate(&["CentrallyConfigured"]);
    fields.finish()?;
    Ok(upstream)
}

/// Refuses what cannot be an IP address or a host name.
pub(crate) fn check_host(text: &str) -> Result<(), Invalid> {
    const MAX_HOST_BYTES: usize = 253;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if text.len() > MAX_HOST_BYTES || !text.bytes().all(allowed) {
        return Err(Invalid::new(
            "",
            format!("{text:?} is not an IP address or host name of at most {MAX_HOST_BYTES} bytes"),
        ));
    }
    Ok(())
}

/// `Proxy` in answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are Consul's, named as there")]
pub struct ProxyJson {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination_service_name: String,
    #[serde(rename = "DestinationServiceID", skip_serializing_if = "Option::is_none")]
    pub destination_service_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_service_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_service_port: Option<u16>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transparent_proxy: Option<TransparentJson>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<UpstreamJson>,
    pub mesh_gateway: MeshGatewayJson,
    pub expose: ExposeJson,
}

/// `MeshGateway` in answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are Consul's, named as there")]
pub struct MeshGatewayJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
}

/// One of `Upstreams` in answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are Consul's, named as there")]
pub struct UpstreamJson {
    pub destination_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_partition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_peer: Option<String>,
    pub destination_name: String,
    pub local_bind_address: String,
    pub local_bind_port: u16,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    pub mesh_gateway: MeshGatewayJson,
}

impl From<Option<GatewayMode>> for MeshGatewayJson {
    fn from(mode: Option<GatewayMode>) -> Self {
        MeshGatewayJson {
            mode: mode.map(|mode| match mode {
                GatewayMode::Local => "local",
                GatewayMode::Remote => "remote",
            }),
        }
    }
}

impl From<&Proxy> for ProxyJson {
    fn from(proxy: &Proxy) -> Self {
        ProxyJson {
            destination_service_name: proxy.destination.to_string(),
            destination_service_id: proxy.destination_id.as_ref().map(ToString::to_string),
            local_service_address: proxy.local_address.clone(),
            local_service_port: proxy.local_port,
            mode: proxy.sidecar.mode.map_or("", ProxyMode::as_str),
            transparent_proxy: TransparentJson::of(&proxy.sidecar),
            config: opaque_map_to_json(&proxy.config),
            upstreams: proxy.upstreams.iter().map(UpstreamJson::from).collect(),
            mesh_gateway: proxy.mesh_gateway.into(),
            expose: ExposeJson::of(&proxy.sidecar.exposed),
        }
    }
}

impl ProxyJson {
    /// The `Proxy` of a sidecar, `None` of anything else, with what counts of what others say as well: the defaults of the service that it stands
    /// for, and those of all proxies of its partition.
    pub fn counting(
        sidecar: &Instance,
        service: Option<&ServiceDefaults>,
        all: Option<&ProxyDefaults>,
    ) -> Option<Self> {
        let proxy = sidecar.proxy.as_ref()?;
        let settings = SidecarSettings::of_sidecar(&proxy.sidecar, service, all);
        let mesh_gateway = proxy
            .mesh_gateway
            .or_else(|| service?.mesh_gateway)
            .or_else(|| all?.mesh_gateway);
        Some(ProxyJson {
            mode: settings.mode.unwrap_or(ProxyMode::Direct).as_str(),
            transparent_proxy: TransparentJson::counting(&settings),
            mesh_gateway: mesh_gateway.into(),
            expose: ExposeJson::counting(&Exposed::of(sidecar, &settings, all)),
            ..ProxyJson::from(proxy)
        })
    }

    /// The `Proxy` of a gateway: its configuration and nothing else.
    pub fn of_gateway(config: &BTreeMap<String, Opaque>) -> Self {
        ProxyJson {
            destination_service_name: String::new(),
            destination_service_id: None,
            local_service_address: None,
            local_service_port: None,
            mode: "direct",
            transparent_proxy: None,
            config: opaque_map_to_json(config),
            upstreams: Vec::new(),
            mesh_gateway: None.into(),
            expose: ExposeJson::default(),
        }
    }
}

impl From<&Upstream> for UpstreamJson {
    fn from(upstream: &Upstream) -> Self {
        let spelt = !(upstream.namespace.is_default() && upstream.partition.is_default());
        UpstreamJson {
            destination_type: "service",
            destination_namespace: spelt.then(|| upstream.namespace.to_string()),
            destination_partition: spelt.then(|| upstream.partition.to_string()),
            destination_peer: upstream.peer.as_ref().map(ToString::to_string),
            destination_name: upstream.name.to_string(),
            local_bind_address: upstream.bind_address.clone(),
            local_bind_port: upstream.bind_port,
            config: opaque_map_to_json(&upstream.config),
            mesh_gateway: upstream.mesh_gateway.into(),
        }
    }
}
