//! The bodies of `PUT /v1/catalog/register` and `/v1/catalog/deregister`: nodes that no agent speaks for, with what is on
//! them.

use super::{ServiceRegistration, locality_from, registration_from};
use crate::fields::Fields;
use crate::proxy::check_host;
use peerway_model::config::validate_meta;
use peerway_model::{
    CheckId, CheckStatus, Datacenter, InstanceId, Invalid, Locality, Namespace, NodeName, Partition, Tenancy,
};
use std::collections::BTreeMap;

/// What is computed, and comes back from clients that send what they were shown.
const COMPUTED: [&str; 2] = ["CreateIndex", "ModifyIndex"];
/// Longest text of a check, in bytes.
const MAX_TEXT_BYTES: usize = 4096;

/// A node with what is registered on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogRegistration {
    /// The partition of the node, and the namespace of what names none.
    pub tenancy: Tenancy,
    /// The node.
    pub node: NodeRegistration,
    /// An instance on it.
    pub service: Option<ServiceRegistration>,
    /// Checks of the node and of instances on it.
    pub checks: Vec<CheckRegistration>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRegistration {
    /// The name.
    pub name: NodeName,
    /// A UUID.
    pub id: Option<String>,
    /// IP address or host name.
    pub address: String,
    /// `lan`, `wan` and others.
    pub tagged_addresses: BTreeMap<String, String>,
    /// Free-form pairs.
    pub meta: BTreeMap<String, String>,
    /// Where it is.
    pub locality: Option<Locality>,
    /// Whether a node that is there stays as it is.
    pub skip_update: bool,
}

/// The result of a check, which somebody else carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRegistration {
    /// Unique on the node.
    pub id: CheckId,
    /// For people.
    pub name: String,
    /// The result.
    pub status: CheckStatus,
    /// For people.
    pub notes: String,
    /// What the check said.
    pub output: String,
    /// The instance that it is about; `None` is the node.
    pub instance: Option<InstanceId>,
}

/// What is taken off the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogDeregistration {
    /// The partition of the node.
    pub partition: Partition,
    /// The node.
    pub node: NodeName,
    /// What of it.
    pub what: Deregistered,
}

/// A node or something on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deregistered {
    /// The node with all that is on it.
    Node,
    /// An instance with its checks.
    Instance(InstanceId),
    /// A check.
    Check(CheckId),
}

/// Reads the body of `PUT /v1/catalog/register`. `defaults` are the partition and namespace of a body that names none, `own`
/// is this cluster.
///
/// # Errors
/// What is wrong, missing, unknown or not offered, with its path.
pub fn catalog_registration_from_json(
    value: &serde_json::Value,
    defaults: &Tenancy,
    own: &Datacenter,
) -> Result<CatalogRegistration, Invalid> {
    let mut fields = Fields::new("", value)?;
    let tenancy = fields.tenancy(defaults)?;
    own_datacenter(&mut fields, own)?;
    let node = node_from(&mut fields)?;
    let service = match fields.object("Service")? {
        None => None,
        Some(service) => Some(service_from(service, &tenancy)?),
    };
    let mut checks = Vec::new();
    if let Some(check) = fields.object("Check")? {
        checks.push(check_from(check, &node.name, &tenancy)?);
    }
    for check in fields.objects("Checks")? {
        checks.push(check_from(check, &node.name, &tenancy)?);
    }
    fields.refused(
        "PeerName",
        "is set on imported nodes only, they are written by their peering",
    )?;
    fields.tolerate(&COMPUTED);
    fields.finish()?;
    for (index, check) in checks.iter().enumerate() {
        if checks.iter().take(index).any(|other| other.id == check.id) {
            return Err(Invalid::new(
                "Checks",
                format!(
                    "has the check id {:?} twice, give each its own CheckID",
                    check.id.as_str()
                ),
            ));
        }
    }
    Ok(CatalogRegistration {
        tenancy,
        node,
        service,
        checks,
    })
}

/// Reads the body of `PUT /v1/catalog/deregister`.
///
/// # Errors
/// As [`catalog_registration_from_json`].
pub fn catalog_deregistration_from_json(
    value: &serde_json::Value,
    defaults: &Tenancy,
    own: &Datacenter,
) -> Result<CatalogDeregistration, Invalid> {
    let mut fields = Fields::new("", value)?;
    let tenancy = fields.tenancy(defaults)?;
    own_datacenter(&mut fields, own)?;
    let node = node_name(&mut fields)?;
    let check = fields.parsed("CheckID", CheckId::new)?;
    let instance = fields.parsed("ServiceID", InstanceId::new)?;
    // The older way of saying where the node is; it never meant anything.
    fields.tolerate(&["Address"]);
    fields.refused(
        "PeerName",
        "is set on imported nodes only, they go with their peering",
    )?;
    fields.finish()?;
    Ok(CatalogDeregistration {
        partition: tenancy.partition,
        node,
        what: match (check, instance) {
            (Some(check), _) => Deregistered::Check(check),
            (None, Some(instance)) => Deregistered::Instance(instance),
            (None, None) => Deregistered::Node,
        },
    })
}

fn own_datacenter(fields: &mut Fields<'_>, own: &Datacenter) -> Result<(), Invalid> {
    let at = fields.at("Datacenter");
    match fields.nonempty("Datacenter")? {
        Some(other) if other != own.as_str() => Err(Invalid::new(
            at,
            format!("is {other:?}, this cluster is {own}: write to that one"),
        )),
        _ => Ok(()),
    }
}

fn node_name(fields: &mut Fields<'_>) -> Result<NodeName, Invalid> {
    let at = fields.at("Node");
    NodeName::new(&fields.required("Node")?).map_err(|error| error.within(&at))
}

fn node_from(fields: &mut Fields<'_>) -> Result<NodeRegistration, Invalid> {
    let name = node_name(fields)?;
    let id = fields.parsed("ID", |text| match is_uuid(text) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(Invalid::new("", "is not a UUID")),
    })?;
    let at = fields.at("Address");
    let address = fields.required("Address")?;
    check_host(&address).map_err(|error| error.within(&at))?;
    let at = fields.at("TaggedAddresses");
    let tagged_addresses = fields.pairs("TaggedAddresses")?;
    for (tag, address) in &tagged_addresses {
        check_host(address).map_err(|error| error.within(&format!("{at}.{tag}")))?;
    }
    let at = fields.at("NodeMeta");
    let meta = fields.pairs("NodeMeta")?;
    validate_meta(&meta).map_err(|error| error.within(&at))?;
    Ok(NodeRegistration {
        name,
        id,
        address,
        tagged_addresses,
        meta,
        locality: locality_from(fields)?,
        skip_update: fields.flag("SkipNodeUpdate")?,
    })
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// An instance of any kind. A sidecar is an instance of its own in a catalog.
fn service_from(mut fields: Fields<'_>, node: &Tenancy) -> Result<ServiceRegistration, Invalid> {
    let at = fields.path().to_owned();
    fields.tolerate(&COMPUTED);
    fields.tolerate(&["Datacenter"]);
    let service = registration_from(fields, node, "Service")?;
    if service.tenancy.partition != node.partition {
        return Err(Invalid::new(
            format!("{at}.Partition"),
            "is not that of the node, remove it",
        ));
    }
    if service.sidecar.is_some() {
        return Err(Invalid::new(
            format!("{at}.Connect.SidecarService"),
            "is for /v1/agent/service/register, register the sidecar as a service of its own",
        ));
    }
    Ok(service)
}

fn check_from(
    mut fields: Fields<'_>,
    node: &NodeName,
    tenancy: &Tenancy,
) -> Result<CheckRegistration, Invalid> {
    let at = fields.at("Node");
    if fields.nonempty("Node")?.is_some_and(|own| own != node.as_str()) {
        return Err(Invalid::new(at, "is not the node that is registered, remove it"));
    }
    let name = short(&mut fields, "Name")?;
    let at = fields.at("CheckID");
    let id = match fields.parsed("CheckID", CheckId::new)? {
        Some(id) => id,
        // As in Consul.
        None => CheckId::new(&name).map_err(|error| error.within(&at))?,
    };
    let status = fields.parsed("Status", |text| match CheckStatus::parse(text) {
        Some(CheckStatus::Maintenance) | None => Err(Invalid::new(
            "",
            format!("is {text:?}, expected \"passing\", \"warning\" or \"critical\""),
        )),
        Some(status) => Ok(status),
    })?;
    let at = fields.at("Partition");
    let own = fields.parsed("Partition", Partition::new)?;
    if own.is_some_and(|own| own != tenancy.partition) {
        return Err(Invalid::new(at, "is not that of the node, remove it"));
    }
    fields.parsed("Namespace", Namespace::new)?;
    let check = CheckRegistration {
        id,
        name,
        status: status.unwrap_or(CheckStatus::Critical),
        notes: short(&mut fields, "Notes")?,
        output: short(&mut fields, "Output")?,
        instance: fields.parsed("ServiceID", InstanceId::new)?,
    };
    let why = "would have to be carried out by somebody, which is not offered yet: remove it and write the Status of the check";
    for key in ["Definition", "Interval", "Timeout"] {
        fields.refused(key, why)?;
    }
    fields.refused("PeerName", "is set on imported checks only")?;
    // What answers show of the instance, and how a check is carried out by others.
    fields.tolerate(&["ServiceName", "ServiceTags", "Type", "ExposedPort"]);
    fields.tolerate(&COMPUTED);
    fields.finish()?;
    Ok(check)
}

fn short(fields: &mut Fields<'_>, key: &'static str) -> Result<String, Invalid> {
    let at = fields.at(key);
    let text = fields.text_or_empty(key)?;
    if text.len() > MAX_TEXT_BYTES {
        let problem = format!("has {} bytes, at most {MAX_TEXT_BYTES} are allowed", text.len());
        return Err(Invalid::new(at, problem));
    }
    Ok(text)
}
