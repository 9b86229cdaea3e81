//! The instances that a registration amounts to on a node.

use super::ServiceRegistration;
use crate::proxy::ProxyInput;
use peerway_model::{Exposed, Instance, InstanceId, InstanceKey, Invalid, NodeKey, Proxy, ServiceKind};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// The ports of which a sidecar without one gets the lowest free; Consul's.
pub const SIDECAR_PORTS: RangeInclusive<u16> = 21000..=21255;
/// What a sidecar's id and name have after those of its service.
pub const SIDECAR_SUFFIX: &str = "-sidecar-proxy";

/// The instance, unless it exposes a path on a port that it uses for something else. `at` stands before the path of what
/// is wrong.
fn exposing(instance: Instance, at: &str) -> Result<Instance, Invalid> {
    let Some(proxy) = &instance.proxy else {
        return Ok(instance);
    };
    let exposed = Exposed::of(&instance, &proxy.sidecar, None);
    let Some((path, what)) = exposed.shut.first() else {
        return Ok(instance);
    };
    let index = proxy.sidecar.exposed.iter().position(|own| own == path);
    Err(Invalid::new(
        format!(
            "{at}Proxy.Expose.Paths[{}].ListenerPort",
            index.unwrap_or_default()
        ),
        format!(
            "port {} is that of {what}, choose another one",
            path.listener_port
        ),
    ))
}

impl ProxyInput {
    /// The ports that it names to listen on.
    fn own_ports(&self) -> BTreeSet<u16> {
        let upstreams = self.upstreams.iter().map(|upstream| upstream.bind_port);
        let exposed = self.sidecar.exposed.iter().map(|path| path.listener_port);
        upstreams.chain(exposed).collect()
    }
}

impl ServiceRegistration {
    /// The id of the sidecar that a registration of `id` may bring along.
    ///
    /// # Errors
    /// When that id would be too long to exist.
    pub fn sidecar_id(id: &InstanceId) -> Result<InstanceId, Invalid> {
        InstanceId::new(&format!("{id}{SIDECAR_SUFFIX}"))
    }

    /// The instances to write on `node`: the service, then its sidecar. `taken` are the ports in use there,
    /// `kept` the port that this sidecar has already, which it keeps.
    ///
    /// # Errors
    /// When a sidecar needs a port and none of [`SIDECAR_PORTS`] is free, or it exposes a path on a port that it uses for
    /// something else.
    pub fn instances(
        &self,
        node: &NodeKey,
        taken: &BTreeSet<u16>,
        kept: Option<u16>,
    ) -> Result<Vec<Instance>, Invalid> {
        let mut instances = vec![exposing(self.instance(node), "")?];
        if let Some(sidecar) = &self.sidecar {
            let mut instance = sidecar.instance(node);
            if instance.port == 0 {
                let own = sidecar.proxy.own_ports();
                let free = || {
                    SIDECAR_PORTS
                        .into_iter()
                        .find(|port| !taken.contains(port) && *port != self.port && !own.contains(port))
                };
                instance.port = kept.or_else(free).ok_or_else(|| {
                    let (first, last) = (SIDECAR_PORTS.start(), SIDECAR_PORTS.end());
                    Invalid::new(
                        "Connect.SidecarService.Port",
                        format!("no port from {first} to {last} is free on this node, choose one"),
                    )
                })?;
            }
            instances.push(exposing(instance, "Connect.SidecarService.")?);
        }
        Ok(instances)
    }

    fn instance(&self, node: &NodeKey) -> Instance {
        let input = &self.proxy;
        let proxy = input
            .destination
            .clone()
            .filter(|_| self.kind == ServiceKind::ConnectProxy)
            .map(|destination| Proxy {
                destination,
                destination_id: input.destination_id.clone(),
                local_address: input.local_address.clone(),
                local_port: input.local_port,
                upstreams: input.upstreams.clone(),
                mesh_gateway: input.mesh_gateway,
                sidecar: input.sidecar.clone(),
                config: input.config.clone(),
            });
        let gateway_config = match self.kind.is_gateway() {
            true => input.config.clone(),
            false => BTreeMap::new(),
        };
        Instance {
            key: InstanceKey {
                node: node.clone(),
                id: self.id.clone(),
            },
            namespace: self.tenancy.namespace.clone(),
            service: self.name.clone(),
            kind: self.kind,
            tags: self.tags.clone(),
            address: self.address.clone(),
            port: self.port,
            tagged_addresses: self.tagged_addresses.clone(),
            meta: self.meta.clone(),
            weights: self.weights,
            enable_tag_override: self.enable_tag_override,
            proxy,
            gateway_config,
            peer_meta: None,
            locality: self.locality.clone(),
        }
    }
}
