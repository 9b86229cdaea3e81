//! The body of `PUT /v1/agent/service/register`, and the instances that it amounts to.

mod catalog;
mod instances;

pub use catalog::{
    CatalogDeregistration, CatalogRegistration, CheckRegistration, Deregistered, NodeRegistration,
    catalog_deregistration_from_json, catalog_registration_from_json,
};
pub use instances::{SIDECAR_PORTS, SIDECAR_SUFFIX};

use crate::fields::{Fields, says_something};
use crate::proxy::{ProxyInput, check_host, proxy_from};
use peerway_model::config::Meta;
use peerway_model::server::SERVER_SERVICE;
use peerway_model::{
    InstanceId, Invalid, Locality, ProxyMode, ServiceAddress, ServiceKind, ServiceName, SidecarSettings,
    Tenancy, Weights,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Largest weight.
const MAX_WEIGHT: u64 = 65_535;

/// A registration as it was written, with validated parts and without defaults that need a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRegistration {
    /// Where the service lives.
    pub tenancy: Tenancy,
    /// Unique on the node; the name unless given.
    pub id: InstanceId,
    /// The service.
    pub name: ServiceName,
    /// What the instance is.
    pub kind: ServiceKind,
    /// Labels.
    pub tags: Vec<String>,
    /// IP address or host name; empty means the node's.
    pub address: String,
    /// 0 means none; for a sidecar the lowest free of [`SIDECAR_PORTS`].
    pub port: u16,
    /// `lan`, `wan` and others.
    pub tagged_addresses: BTreeMap<String, ServiceAddress>,
    /// Free-form pairs.
    pub meta: Meta,
    /// By health.
    pub weights: Weights,
    /// Kept for Consul's clients.
    pub enable_tag_override: bool,
    /// Where the instance runs; `None` is where its node is.
    pub locality: Option<Locality>,
    /// `Proxy`.
    pub proxy: ProxyInput,
    /// `Connect.SidecarService`, already filled from this registration.
    pub sidecar: Option<Box<ServiceRegistration>>,
}

/// Reads a registration. `defaults` are the partition and namespace of a body that names none.
///
/// # Errors
/// What is wrong, missing, unknown or not offered yet, with its path.
pub fn service_registration_from_json(
    value: &serde_json::Value,
    defaults: &Tenancy,
) -> Result<ServiceRegistration, Invalid> {
    registration_from(Fields::new("", value)?, defaults, "Name")
}

/// Reads a registration whose service is named by the field `named`.
fn registration_from(
    mut fields: Fields<'_>,
    defaults: &Tenancy,
    named: &'static str,
) -> Result<ServiceRegistration, Invalid> {
    let path = fields.path().to_owned();
    let tenancy = fields.tenancy(defaults)?;
    let name_at = fields.at(named);
    let name = ServiceName::new(&fields.required(named)?).map_err(|error| error.within(&name_at))?;
    let id = match fields.parsed("ID", InstanceId::new)? {
        Some(id) => id,
        None => InstanceId::new(name.as_str()).map_err(|error| error.within(&fields.at("ID")))?,
    };
    for (at, text) in [(named, name.as_str()), ("ID", id.as_str())] {
        if text == SERVER_SERVICE {
            return Err(Invalid::new(
                fields.at(at),
                format!("is {SERVER_SERVICE:?}, which is what servers call themselves: choose another one"),
            ));
        }
    }
    let mut service = body(&mut fields, tenancy, name, id, ServiceKind::Typical)?;
    if let Some(mut connect) = fields.object("Connect")? {
        connect.not_offered(&["Native"])?;
        let sidecar = connect.object("SidecarService")?;
        connect.finish()?;
        if let Some(sidecar) = sidecar {
            service.sidecar = Some(Box::new(sidecar_from(sidecar, &service)?));
        }
    }
    fields.finish()?;
    service.check(&path, false)?;
    Ok(service)
}

fn sidecar_from(
    mut fields: Fields<'_>,
    parent: &ServiceRegistration,
) -> Result<ServiceRegistration, Invalid> {
    let at = fields.path().to_owned();
    if parent.kind != ServiceKind::Typical {
        return Err(Invalid::new(
            at,
            "is for services, a proxy has no sidecar of its own",
        ));
    }
    let own = fields.tenancy(&parent.tenancy)?;
    if own != parent.tenancy {
        return Err(Invalid::new(
            at,
            "lives in the partition and namespace of its service, remove Partition and Namespace",
        ));
    }
    if fields.nonempty("ID")?.is_some() {
        return Err(Invalid::new(
            fields.at("ID"),
            format!("cannot be chosen, it is {}{SIDECAR_SUFFIX}", parent.id),
        ));
    }
    let id = ServiceRegistration::sidecar_id(&parent.id).map_err(|error| error.within(&fields.at("ID")))?;
    let name = match fields.parsed("Name", ServiceName::new)? {
        Some(name) => name,
        None => ServiceName::new(&format!("{}{SIDECAR_SUFFIX}", parent.name))
            .map_err(|error| error.within(&fields.at("Name")))?,
    };
    let mut sidecar = body(&mut fields, own, name, id, ServiceKind::ConnectProxy)?;
    if sidecar.kind != ServiceKind::ConnectProxy {
        return Err(Invalid::new(
            fields.at("Kind"),
            "must be \"connect-proxy\" for a sidecar",
        ));
    }
    if fields.take("Connect").is_some_and(says_something) {
        return Err(Invalid::new(
            fields.at("Connect"),
            "must not be given, a sidecar has no sidecar of its own",
        ));
    }
    fields.finish()?;
    sidecar.inherit(parent);
    sidecar.check(&at, true)?;
    Ok(sidecar)
}

/// The fields that a service and a sidecar have in common.
fn body(
    fields: &mut Fields<'_>,
    tenancy: Tenancy,
    name: ServiceName,
    id: InstanceId,
    default_kind: ServiceKind,
) -> Result<ServiceRegistration, Invalid> {
    let kind = fields.parsed("Kind", |text| {
        ServiceKind::parse(text).ok_or_else(|| {
            Invalid::new(
                "",
                format!(
                    "kind {text:?} is not offered yet, use {} or none",
                    offered_kinds()
                ),
            )
        })
    })?;
    let address_at = fields.at("Address");
    let address = fields.text_or_empty("Address")?;
    check_address(&address).map_err(|error| error.within(&address_at))?;
    let registration = ServiceRegistration {
        kind: kind.unwrap_or(default_kind),
        tags: fields.texts("Tags")?,
        address,
        port: fields.port("Port")?,
        tagged_addresses: tagged_addresses_from(fields)?,
        meta: fields.meta()?,
        weights: weights_from(fields)?,
        enable_tag_override: fields.flag("EnableTagOverride")?,
        locality: locality_from(fields)?,
        proxy: match fields.object("Proxy")? {
            Some(proxy) => proxy_from(proxy, &tenancy)?,
            None => ProxyInput::default(),
        },
        sidecar: None,
        tenancy,
        name,
        id,
    };
    refuse_checks(fields)?;
    if fields.nonempty("PeerName")?.is_some() {
        return Err(Invalid::new(
            fields.at("PeerName"),
            "is set on imported services only, they are written by their peering",
        ));
    }
    fields.not_offered(&["SocketPath"])?;
    // There is no access control yet that a token could be for.
    fields.tolerate(&["Token"]);
    Ok(registration)
}

fn refuse_checks(fields: &mut Fields<'_>) -> Result<(), Invalid> {
    let refuse = |at: String| {
        Err(Invalid::new(
            at,
            "a check that the agent runs is not offered yet, remove it: instances without checks count as passing",
        ))
    };
    if fields.take("Check").is_some_and(says_something) {
        return refuse(fields.at("Check"));
    }
    match fields.list("Checks")?.into_iter().next() {
        Some((at, _)) => refuse(at),
        None => Ok(()),
    }
}

fn tagged_addresses_from(fields: &mut Fields<'_>) -> Result<BTreeMap<String, ServiceAddress>, Invalid> {
    fields
        .members("TaggedAddresses")?
        .into_iter()
        .map(|(tag, at, value)| {
            let mut one = Fields::new(at, value)?;
            let address_at = one.at("Address");
            let address = one.required("Address")?;
            check_address(&address).map_err(|error| error.within(&address_at))?;
            let port = one.port("Port")?;
            one.finish()?;
            Ok((tag.to_owned(), ServiceAddress { address, port }))
        })
        .collect()
}

/// Takes `Locality`.
fn locality_from(fields: &mut Fields<'_>) -> Result<Option<Locality>, Invalid> {
    let Some(mut one) = fields.object("Locality")? else {
        return Ok(None);
    };
    let region = one.text_or_empty("Region")?;
    let zone = one.text_or_empty("Zone")?;
    let locality = Locality::of(&region, &zone).map_err(|error| error.within(one.path()))?;
    one.finish()?;
    Ok(locality)
}

fn weights_from(fields: &mut Fields<'_>) -> Result<Weights, Invalid> {
    let Some(mut one) = fields.object("Weights")? else {
        return Ok(Weights::default());
    };
    let passing_at = one.at("Passing");
    let passing = one.number("Passing", MAX_WEIGHT)?;
    let warning = one.number("Warning", MAX_WEIGHT)?;
    one.finish()?;
    if passing.is_none() && warning.is_none() {
        return Ok(Weights::default());
    }
    if passing.unwrap_or(0) == 0 {
        return Err(Invalid::new(passing_at, "must be at least 1"));
    }
    let narrow = |weight: Option<u64>| u32::try_from(weight.unwrap_or(0)).unwrap_or(u32::MAX);
    Ok(Weights {
        passing: narrow(passing),
        warning: narrow(warning),
    })
}

/// The kinds that a registration may have, for people.
fn offered_kinds() -> String {
    let kinds = ServiceKind::ALL.into_iter().filter(|kind| kind.is_proxy());
    let texts: Vec<String> = kinds.map(|kind| format!("{:?}", kind.as_str())).collect();
    texts.join(", ")
}

/// An address that others dial: it cannot be "any address".
fn check_address(text: &str) -> Result<(), Invalid> {
    check_host(text)?;
    if text
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_unspecified())
    {
        return Err(Invalid::new(
            "",
            format!("{text} means any address, give the one that others dial"),
        ));
    }
    Ok(())
}

impl ServiceRegistration {
    /// Fills what a sidecar takes from its service.
    fn inherit(&mut self, parent: &ServiceRegistration) {
        if self.tags.is_empty() {
            self.tags.clone_from(&parent.tags);
        }
        if self.meta.is_empty() {
            self.meta.clone_from(&parent.meta);
        }
        if self.locality.is_none() {
            self.locality.clone_from(&parent.locality);
        }
        let proxy = &mut self.proxy;
        proxy.destination.get_or_insert_with(|| parent.name.clone());
        proxy.destination_id.get_or_insert_with(|| parent.id.clone());
        proxy
            .local_address
            .get_or_insert_with(|| crate::proxy::DEFAULT_BIND_ADDRESS.to_owned());
        if proxy.local_port.is_none() {
            proxy.local_port = Some(parent.port).filter(|port| *port != 0);
        }
    }

    /// Refuses what only shows when all parts are together.
    fn check(&self, at: &str, comes_along: bool) -> Result<(), Invalid> {
        let refuse = |path: &str, problem: &str| {
            let invalid = Invalid::new(path, problem);
            Err(if at.is_empty() {
                invalid
            } else {
                invalid.within(at)
            })
        };
        let proxy = &self.proxy;
        match self.kind {
            ServiceKind::Typical if *proxy != ProxyInput::default() => refuse(
                "Proxy",
                "is for sidecars and gateways, put it into Connect.SidecarService",
            ),
            ServiceKind::ConnectProxy if proxy.destination.is_none() => {
                refuse("Proxy.DestinationServiceName", "is required for a connect-proxy")
            }
            // A sidecar that came with its service gets a port when it is registered.
            ServiceKind::ConnectProxy if self.port == 0 && !comes_along => {
                refuse("Port", "is required for a connect-proxy")
            }
            kind if kind.is_gateway() => self.check_gateway(&refuse),
            _ => Ok(()),
        }
    }

    /// The same for a gateway.
    fn check_gateway(&self, refuse: &impl Fn(&str, &str) -> Result<(), Invalid>) -> Result<(), Invalid> {
        let proxy = &self.proxy;
        let kind = self.kind.as_str();
        // One at the edge has the ports that its entry says.
        if self.port == 0 && !self.kind.is_edge() {
            return refuse("Port", &format!("is required for a {kind}"));
        }
        if !proxy.upstreams.is_empty() {
            return refuse("Proxy.Upstreams", &format!("is for sidecars, a {kind} has none"));
        }
        if proxy.destination.is_some() || proxy.destination_id.is_some() {
            let problem = format!("is for sidecars, a {kind} stands for no service");
            return refuse("Proxy.DestinationServiceName", &problem);
        }
        if proxy.local_address.is_some() || proxy.local_port.is_some() {
            let problem = format!("is for sidecars, a {kind} has no application");
            return refuse("Proxy.LocalServicePort", &problem);
        }
        if !proxy.sidecar.exposed.is_empty() {
            let problem = format!("is for sidecars, a {kind} has no application");
            return refuse("Proxy.Expose", &problem);
        }
        let direct = SidecarSettings {
            mode: Some(ProxyMode::Direct),
            ..SidecarSettings::default()
        };
        if proxy.sidecar != SidecarSettings::default() && proxy.sidecar != direct {
            return refuse(
                "Proxy.Mode",
                &format!("is for sidecars, nothing is redirected to a {kind}"),
            );
        }
        if proxy.mesh_gateway.is_some() && self.kind.is_edge() {
            return refuse(
                "Proxy.MeshGateway",
                "is for sidecars, write MeshGateway into the service-defaults of the gateway's name",
            );
        }
        if proxy.mesh_gateway.is_some() {
            let problem = format!("is for sidecars and not offered yet on a {kind}, remove it");
            return refuse("Proxy.MeshGateway", &problem);
        }
        Ok(())
    }
}
