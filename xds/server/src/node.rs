//! Who a stream belongs to.

use crate::limits::MAX_NODE_ID_BYTES;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::google::protobuf::value::Kind as ValueKind;
use peerway_model::{InstanceId, InstanceKey, Invalid, NodeKey, NodeName, Origin, Partition};
use peerway_xds_translate::Dialect;
use tonic::Status;

/// A proxy that has said who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) proxy: InstanceKey,
    pub(crate) dialect: Dialect,
    /// Major, minor and patch of its Envoy.
    pub(crate) version: (u32, u32, u32),
}

/// Reads a node as Consul's bootstrap writes it (xDS facts, section 7.2): `id` is the id of the proxy's instance,
/// `metadata.node_name` its node, `default_node` unless given, and `metadata.partition` its partition.
pub(crate) fn caller(node: &Node, default_node: &NodeName) -> Result<Caller, Status> {
    let version = version(node)?;
    let dialect =
        Dialect::of(version.0, version.1).map_err(|old| Status::invalid_argument(old.to_string()))?;
    let id = InstanceId::new(bounded("id", &node.id)?).map_err(|error| invalid("id", &error))?;
    let name = match metadata(node, "node_name")? {
        Some(text) => NodeName::new(text).map_err(|error| invalid("metadata.node_name", &error))?,
        None => default_node.clone(),
    };
    let partition = match metadata(node, "partition")? {
        Some(text) => Partition::new(text).map_err(|error| invalid("metadata.partition", &error))?,
        None => Partition::default(),
    };
    let node = NodeKey {
        origin: Origin::Local,
        partition,
        name,
    };
    Ok(Caller {
        proxy: InstanceKey { node, id },
        dialect,
        version,
    })
}

fn version(node: &Node) -> Result<(u32, u32, u32), Status> {
    let version = match &node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => build.version.as_ref(),
        Some(UserAgentVersionType::UserAgentVersion(_)) | None => None,
    };
    let version = version.ok_or_else(|| {
        Status::invalid_argument("node.user_agent_build_version is missing, connect with an envoy or set it")
    })?;
    Ok((version.major_number, version.minor_number, version.patch))
}

/// A text of the metadata; empty counts as not given.
fn metadata<'a>(node: &'a Node, key: &'static str) -> Result<Option<&'a str>, Status> {
    let value = node
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.fields.get(key));
    match value.and_then(|value| value.kind.as_ref()) {
        None | Some(ValueKind::NullValue(_)) => Ok(None),
        Some(ValueKind::StringValue(text)) if text.is_empty() => Ok(None),
        Some(ValueKind::StringValue(text)) => bounded(key, text).map(Some),
        Some(_) => Err(Status::invalid_argument(format!(
            "node.metadata.{key} is not a string, write it as one"
        ))),
    }
}

fn bounded<'a>(field: &str, text: &'a str) -> Result<&'a str, Status> {
    let bytes = text.len();
    if bytes > MAX_NODE_ID_BYTES {
        return Err(Status::resource_exhausted(format!(
            "node {field} has {bytes} bytes, at most {MAX_NODE_ID_BYTES} are allowed; shorten it"
        )));
    }
    Ok(text)
}

fn invalid(field: &str, error: &Invalid) -> Status {
    Status::invalid_argument(format!("node.{field}: {error}"))
}
