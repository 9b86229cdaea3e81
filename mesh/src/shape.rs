//! Shapes: which fragments a proxy needs.

mod calling;
mod edge;
mod gateway;
mod keys;
mod sidecar;
mod terminating;

use crate::fragment_key::FragmentKey;
use crate::read::Reading;
use peerway_model::{InstanceKey, ServiceKey, ServiceKind, SpiffeId};

/// Which fragments a proxy needs, and who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Whose leaf it gets.
    pub(crate) identity: SpiffeId,
    /// The DNS names that its leaf is made for besides.
    pub(crate) dns_names: Vec<String>,
    /// Whose leaves it gets besides, by the names of the secrets; sorted and distinct.
    pub(crate) leaves: Vec<(String, SpiffeId)>,
    /// Distinct. Should two fragments turn out to have the same kind and name, the first of them is in the view.
    pub(crate) keys: Vec<FragmentKey>,
}

/// What it takes to decide about the callers of a service, wherever they meet it.
fn deciding(service: &ServiceKey, reading: &mut Reading<'_>) -> Vec<FragmentKey> {
    if !reading.protocol(service).is_http() {
        return vec![
            FragmentKey::InboundRoots(service.clone()),
            FragmentKey::Admitted(service.clone()),
            FragmentKey::ConnectionPolicy(service.clone()),
        ];
    }
    let mut keys = vec![
        FragmentKey::LocalRoots,
        FragmentKey::LinePolicy(service.clone()),
        FragmentKey::RequestPolicy(service.clone()),
    ];
    let providers = reading.tokens(service);
    if !providers.is_empty() {
        keys.push(FragmentKey::TokenPolicy(service.clone()));
    }
    keys.extend(providers.iter().map(|provider| FragmentKey::KeyServer {
        partition: service.partition.clone(),
        provider: provider.clone(),
    }));
    keys
}

/// The shape of a proxy; `None` while it is not registered here or the cluster has no roots. What a peer registered
/// never has one, whatever it calls itself.
pub(crate) fn shape(key: &InstanceKey, reading: &mut Reading<'_>) -> Option<Shape> {
    if !key.node.origin.is_local() {
        return None;
    }
    let instance = reading.instance(key)?;
    match instance.kind {
        ServiceKind::ConnectProxy => sidecar::shape(instance, reading),
        ServiceKind::MeshGateway => gateway::shape(instance, reading),
        ServiceKind::TerminatingGateway => terminating::shape(instance, reading),
        ServiceKind::IngressGateway | ServiceKind::ApiGateway => edge::shape(instance, reading),
        ServiceKind::Typical => None,
    }
}
