//! Inner types to messages.

use super::messages as wire;
use peerway_peering_protocol::{Content, Message, OfferedInstance, Pulse, Resource, Response};
use prost::Message as _;

/// The wire form of a message. Content that could not be read on the way in never goes out and is left out.
pub(crate) fn message(message: &Message) -> wire::ReplicationMessage {
    let payload = match message {
        Message::Open(open) => Some(wire::Payload::Open(wire::Open {
            peer_id: open.peer_id.clone(),
            stream_secret_id: open.stream_secret.expose().to_owned(),
            remote: Some(wire::RemoteInfo {
                partition: open.remote.partition.clone(),
                datacenter: open.remote.datacenter.clone(),
            }),
        })),
        Message::Request(request) => Some(wire::Payload::Request(wire::Request {
            peer_id: request.peer_id.clone(),
            response_nonce: request.nonce.clone(),
            resource_url: request.url.clone(),
            error: request.error.as_ref().map(|(code, message)| wire::Status {
                code: *code,
                message: message.clone(),
            }),
            digests: request.digests,
            resync: request.resync,
        })),
        Message::Response(response) => Some(wire::Payload::Response(encode_response(response))),
        Message::Terminated => Some(wire::Payload::Terminated(wire::Nothing {})),
        Message::Heartbeat(pulse) => Some(wire::Payload::Heartbeat(wire::Heartbeat {
            pulse: pulse.as_ref().map(encode_pulse),
        })),
        Message::Empty => None,
    };
    wire::ReplicationMessage { payload }
}

fn encode_pulse(pulse: &Pulse) -> wire::Pulse {
    let withheld = |(id, reason): &(String, String)| wire::Withheld {
        id: id.clone(),
        reason: reason.clone(),
    };
    wire::Pulse {
        clock: pulse.clock,
        echo: pulse.echo,
        digest: pulse.digest.map(|digest| wire::Digest {
            services: digest.services,
            list: digest.list,
            bundle: digest.bundle,
        }),
        withheld: pulse.withheld.iter().map(withheld).collect(),
    }
}

fn encode_response(response: &Response) -> wire::Response {
    let resource = match &response.content {
        Content::Resource(resource) => Some(wire::Any {
            type_url: resource.kind().url().to_owned(),
            value: encode_resource(resource),
        }),
        Content::Absent | Content::Unreadable(_) => None,
    };
    wire::Response {
        nonce: response.nonce.clone(),
        resource_url: response.url.clone(),
        resource_id: response.id.clone(),
        resource,
        operation: response.operation,
    }
}

fn encode_resource(resource: &Resource) -> Vec<u8> {
    match resource {
        Resource::ExportedService { instances, .. } => wire::ExportedService {
            nodes: instances.iter().map(encode_instance).collect(),
        }
        .encode_to_vec(),
        Resource::ExportedServiceList(names) => wire::ExportedServiceList {
            services: names.to_vec(),
        }
        .encode_to_vec(),
        Resource::TrustBundle(bundle) => wire::TrustBundle {
            trust_domain: bundle.trust_domain.clone(),
            root_pems: bundle.root_pems.clone(),
            exported_partition: bundle.exported_partition.clone(),
        }
        .encode_to_vec(),
        Resource::ServerAddresses(addresses) => wire::ServerAddresses {
            addresses: addresses.to_vec(),
        }
        .encode_to_vec(),
    }
}

fn encode_instance(offer: &OfferedInstance) -> wire::CheckServiceNode {
    let (node, service) = (&offer.node, &offer.service);
    // Consul sends the message even when it is empty.
    let tenancy = || {
        Some(wire::EnterpriseMeta {
            namespace: service.namespace.clone(),
            partition: String::new(),
        })
    };
    wire::CheckServiceNode {
        node: Some(wire::Node {
            id: node.id.clone(),
            node: node.name.clone(),
            address: node.address.clone(),
            datacenter: node.datacenter.clone(),
            tagged_addresses: node.tagged_addresses.clone(),
            meta: node.meta.clone(),
        }),
        service: Some(wire::NodeService {
            kind: service.kind.clone(),
            id: service.id.clone(),
            service: service.name.clone(),
            tags: service.tags.clone(),
            address: service.address.clone(),
            meta: service.meta.clone(),
            port: service.port,
            weights: service
                .weights
                .map(|(passing, warning)| wire::Weights { passing, warning }),
            enable_tag_override: service.enable_tag_override,
            proxy: service.proxy.as_ref().map(|proxy| wire::ConnectProxyConfig {
                destination_service_name: proxy.destination.clone(),
                destination_service_id: proxy.destination_id.clone(),
            }),
            connect: service.peer_meta.as_ref().map(|meta| wire::ServiceConnect {
                peer_meta: Some(wire::PeeringServiceMeta {
                    sni: meta.sni.clone(),
                    spiffe_id: meta.spiffe_ids.clone(),
                    protocol: meta.protocol.clone(),
                    health: meta.health.map(|health| wire::HealthSummary {
                        healthy: health.healthy,
                        total: health.total,
                        weight: health.weight,
                        draining: health.draining,
                    }),
                }),
            }),
            tagged_addresses: service
                .tagged_addresses
                .iter()
                .map(|(tag, (address, port))| {
                    let address = wire::ServiceAddress {
                        address: address.clone(),
                        port: *port,
                    };
                    (tag.clone(), address)
                })
                .collect(),
            enterprise_meta: tenancy(),
        }),
        checks: offer
            .checks
            .iter()
            .map(|check| wire::HealthCheck {
                node: check.node.clone(),
                check_id: check.id.clone(),
                name: check.name.clone(),
                status: check.status.clone(),
                service_id: check.service_id.clone(),
                service_name: check.service_name.clone(),
                enterprise_meta: tenancy(),
            })
            .collect(),
    }
}
