//! How a request of an Envoy is read, without a stream around it: for the fuzz targets in `tests/fuzz`.

use crate::node::caller;
use crate::stream::parse;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use peerway_model::{InstanceKey, NodeName};
use peerway_xds_protocol::DeltaRequest;
use prost::Message;

/// The proxy that the bytes of a `DeltaDiscoveryRequest` name, if any, and the request. `default_node` is the node
/// of a proxy that names none.
///
/// # Errors
/// A clause that says what is wrong with them; a stream ends with it.
pub fn read(bytes: &[u8], default_node: &NodeName) -> Result<(Option<InstanceKey>, DeltaRequest), String> {
    let mut request = DeltaDiscoveryRequest::decode(bytes).map_err(|error| error.to_string())?;
    let node = request.node.take();
    let proxy = node
        .map(|node| caller(&node, default_node))
        .transpose()
        .map_err(|status| status.message().to_owned())?
        .map(|caller| caller.proxy);
    let request = parse(request).map_err(|status| status.message().to_owned())?;
    Ok((proxy, request))
}
