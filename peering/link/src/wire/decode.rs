//! Messages to inner types. Nothing is judged here except what cannot be read at all; see the protocol's `admit`.

use super::messages as wire;
use peerway_model::peering::RemoteInfo;
use peerway_model::{HealthSummary, PeerMeta, Secret};
use peerway_peering_protocol::digest::Digest;
use peerway_peering_protocol::{
    Content, Message, OfferedBundle, OfferedCheck, OfferedInstance, OfferedNode, OfferedProxy,
    OfferedService, Open, Pulse, Request, Resource, ResourceType, Response,
};
use std::sync::Arc;

/// The inner form of a message; one without a known payload is [`Message::Empty`].
pub(crate) fn message(message: wire::ReplicationMessage) -> Message {
    match message.payload {
        Some(wire::Payload::Open(open)) => {
            let remote = open.remote.unwrap_or_default();
            Message::Open(Open {
                peer_id: open.peer_id,
                stream_secret: Secret::new(open.stream_secret_id),
                remote: RemoteInfo {
                    partition: remote.partition,
                    datacenter: remote.datacenter,
                },
            })
        }
        Some(wire::Payload::Request(request)) => Message::Request(Request {
            peer_id: request.peer_id,
            nonce: request.response_nonce,
            url: request.resource_url,
            error: request.error.map(|status| (status.code, status.message)),
            digests: request.digests,
            resync: request.resync,
        }),
        Some(wire::Payload::Response(response)) => {
            let content = content(&response);
            let bytes = response.resource.map_or(0, |any| any.value.len());
            Message::Response(Response {
                nonce: response.nonce,
                url: response.resource_url,
                id: response.resource_id,
                operation: response.operation,
                content,
                bytes,
            })
        }
        Some(wire::Payload::Terminated(_)) => Message::Terminated,
        Some(wire::Payload::Heartbeat(heartbeat)) => Message::Heartbeat(heartbeat.pulse.map(pulse)),
        None => Message::Empty,
    }
}

fn pulse(pulse: wire::Pulse) -> Pulse {
    let withheld = pulse.withheld.into_iter();
    Pulse {
        clock: pulse.clock,
        echo: pulse.echo,
        digest: pulse.digest.map(|digest| Digest {
            services: digest.services,
            list: digest.list,
            bundle: digest.bundle,
        }),
        withheld: withheld.map(|one| (one.id, one.reason)).collect(),
    }
}

fn content(response: &wire::Response) -> Content {
    let Some(any) = &response.resource else {
        return Content::Absent;
    };
    let Some(kind) = ResourceType::parse(&response.resource_url) else {
        // The session refuses the URL before it looks at the content.
        return Content::Absent;
    };
    if any.type_url != response.resource_url {
        return Content::Unreadable("the type of the content is not the announced one".to_owned());
    }
    match resource(kind, &response.resource_id, &any.value) {
        Ok(resource) => Content::Resource(resource),
        Err(cause) => Content::Unreadable(cause),
    }
}

fn resource(kind: ResourceType, id: &str, bytes: &[u8]) -> Result<Resource, String> {
    fn read<T: prost::Message + Default>(bytes: &[u8]) -> Result<T, String> {
        T::decode(bytes).map_err(|error| error.to_string())
    }
    Ok(match kind {
        ResourceType::ExportedService => {
            let nodes = read::<wire::ExportedService>(bytes)?
                .nodes
                .into_iter()
                .enumerate();
            Resource::ExportedService {
                name: id.to_owned(),
                instances: nodes
                    .map(|(index, node)| instance(index, node))
                    .collect::<Result<Arc<[_]>, _>>()?,
            }
        }
        ResourceType::ExportedServiceList => {
            Resource::ExportedServiceList(read::<wire::ExportedServiceList>(bytes)?.services.into())
        }
        ResourceType::TrustBundle => {
            let bundle: wire::TrustBundle = read(bytes)?;
            Resource::TrustBundle(Arc::new(OfferedBundle {
                trust_domain: bundle.trust_domain,
                root_pems: bundle.root_pems,
                exported_partition: bundle.exported_partition,
            }))
        }
        ResourceType::ServerAddresses => {
            Resource::ServerAddresses(read::<wire::ServerAddresses>(bytes)?.addresses.into())
        }
    })
}

fn instance(index: usize, node: wire::CheckServiceNode) -> Result<OfferedInstance, String> {
    let (Some(on), Some(service)) = (node.node, node.service) else {
        return Err(format!("Nodes[{index}] lacks its Node or its Service"));
    };
    Ok(OfferedInstance {
        node: OfferedNode {
            id: on.id,
            name: on.node,
            address: on.address,
            datacenter: on.datacenter,
            tagged_addresses: on.tagged_addresses,
            meta: on.meta,
        },
        service: OfferedService {
            kind: service.kind,
            id: service.id,
            name: service.service,
            namespace: service.enterprise_meta.unwrap_or_default().namespace,
            tags: service.tags,
            address: service.address,
            port: service.port,
            tagged_addresses: service
                .tagged_addresses
                .into_iter()
                .map(|(tag, at)| (tag, (at.address, at.port)))
                .collect(),
            meta: service.meta,
            weights: service.weights.map(|weights| (weights.passing, weights.warning)),
            enable_tag_override: service.enable_tag_override,
            proxy: service.proxy.map(|proxy| OfferedProxy {
                destination: proxy.destination_service_name,
                destination_id: proxy.destination_service_id,
            }),
            peer_meta: service
                .connect
                .and_then(|connect| connect.peer_meta)
                .map(|meta| PeerMeta {
                    sni: meta.sni,
                    spiffe_ids: meta.spiffe_id,
                    protocol: meta.protocol,
                    health: meta.health.map(|health| HealthSummary {
                        healthy: health.healthy,
                        total: health.total,
                        weight: health.weight,
                        draining: health.draining,
                    }),
                }),
        },
        checks: node
            .checks
            .into_iter()
            .map(|check| OfferedCheck {
                id: check.check_id,
                name: check.name,
                status: check.status,
                node: check.node,
                service_id: check.service_id,
                service_name: check.service_name,
            })
            .collect(),
    })
}
