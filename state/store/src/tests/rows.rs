//! Generated rows of every kind, with every field in use.

use super::chain_rows::group_name;
use super::grants::{audit, bundle, grants, peering, secrets};
use super::setting_rows::{inbound, mesh_tls, upstreams};
use super::token_rows::{jwt, provider};
use peerway_model::config::{
    AccessLogs, Action, ByLocality, ConfigEntry, Consumer, ExportedService, ExportedServices, HeaderCheck,
    HeaderCondition, HeaderName, LinkedService, LogFormat, LogSink, Mesh, Method, Outward, PathCondition,
    Pattern, Permission, Protocol, ProxyDefaults, RequestCondition, ServiceDefaults, ServiceIntentions,
    Source, TerminatingGateway, Tracing, ValuePart, Verdict,
};
use peerway_model::instance::{GatewayMode, Opaque};
use peerway_model::regular::Regular;
use peerway_model::{
    CaKey, CaRoot, CaRoots, Check, CheckId, CheckKey, CheckStatus, ConfigKey, ConfigKind, Datacenter,
    ExposedPath, HealthSummary, Instance, InstanceId, InstanceKey, Locality, Namespace, Node, NodeKey,
    NodeName, Origin, Partition, PeerMeta, PeerName, PeeringKey, Proxy, ProxyMode, Rotation, RotationPhase,
    Secret, ServiceAddress, ServiceKey, ServiceKind, ServiceName, SidecarSettings, TrustDomain, Upstream,
    VirtualAddress, Weights,
};
use peerway_state::{Row, RowKey, StoredRow};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;
use std::sync::Arc;

macro_rules! named {
    ($($function:ident $type:ident $pattern:literal),*) => {
        $(pub(super) fn $function() -> impl Strategy<Value = $type> {
            $pattern.prop_map(|text| $type::new(&text).unwrap())
        })*
    };
}
named!(
    service_name ServiceName "[A-Za-z0-9]([A-Za-z0-9_-]{0,5}[A-Za-z0-9])?",
    peer_name PeerName "[a-z0-9]([a-z0-9-]{0,4}[a-z0-9])?",
    partition Partition "[A-Za-z0-9]([A-Za-z0-9_-]{0,4}[A-Za-z0-9])?",
    namespace Namespace "[A-Za-z0-9]([A-Za-z0-9_-]{0,4}[A-Za-z0-9])?",
    datacenter Datacenter "[a-z0-9]([a-z0-9_-]{0,4}[a-z0-9])?",
    trust_domain TrustDomain "[a-z0-9._-]{1,8}",
    node_name NodeName "[ -.0-~\u{a1}-\u{17f}]{1,6}",
    instance_id InstanceId "[ -.0-~\u{a1}-\u{17f}]{1,6}",
    check_id CheckId "[ -.0-~\u{a1}-\u{17f}]{1,6}"
);

/// Any text, control characters and quotes included.
pub(super) fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect()),
        1 => select(vec!["", "null", "*", "\"", "\\", "\u{0}", "t", "n1"]).prop_map(str::to_owned),
    ]
}

pub(super) fn pairs() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(any_text(), any_text(), 0..3)
}

pub(super) fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(any_text(), 0..3)
}

fn opaque() -> impl Strategy<Value = Opaque> {
    let leaf = prop_oneof![
        Just(Opaque::Null),
        any::<bool>().prop_map(Opaque::Bool),
        select(vec!["0", "1.0", "1", "-1e400", "18446744073709551616"])
            .prop_map(|text| Opaque::Number(text.to_owned())),
        any_text().prop_map(Opaque::Text),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Opaque::List),
            btree_map(any_text(), inner, 0..3).prop_map(Opaque::Map),
        ]
    })
}

fn opaque_map() -> impl Strategy<Value = BTreeMap<String, Opaque>> {
    btree_map(any_text(), opaque(), 0..3)
}

pub(super) fn gateway_mode() -> impl Strategy<Value = GatewayMode> {
    select(vec![GatewayMode::Local, GatewayMode::Remote])
}

fn pattern<T: Clone + std::fmt::Debug>(exact: impl Strategy<Value = T>) -> impl Strategy<Value = Pattern<T>> {
    option::of(exact).prop_map(|exact| exact.map_or(Pattern::Any, Pattern::Exact))
}

fn origin() -> impl Strategy<Value = Origin> {
    option::of(peer_name()).prop_map(|peer| peer.map_or(Origin::Local, Origin::Peer))
}

pub(super) fn peering_key() -> impl Strategy<Value = PeeringKey> {
    (partition(), peer_name()).prop_map(|(partition, name)| PeeringKey { partition, name })
}

pub(super) fn node_key() -> impl Strategy<Value = NodeKey> {
    (origin(), partition(), node_name()).prop_map(|(origin, partition, name)| NodeKey {
        origin,
        partition,
        name,
    })
}

fn service_key() -> impl Strategy<Value = ServiceKey> {
    (origin(), partition(), namespace(), service_name()).prop_map(|(origin, partition, namespace, name)| {
        ServiceKey {
            origin,
            partition,
            namespace,
            name,
        }
    })
}

fn virtual_address() -> impl Strategy<Value = VirtualAddress> {
    (service_key(), any::<u32>()).prop_map(|(service, address)| VirtualAddress {
        service,
        address: address.into(),
    })
}

fn roots() -> impl Strategy<Value = CaRoots> {
    let root = (
        (any_text(), any_text(), any::<u64>(), any_text()),
        (
            any_text(),
            any::<u64>(),
            any::<u64>(),
            any::<bool>(),
            any::<bool>(),
            vec(any_text(), 0..3),
        ),
    )
        .prop_map(
            |((id, name, serial, key_id), (pem, not_before, not_after, active, handed_out, bridges))| {
                CaRoot {
                    id,
                    name,
                    serial,
                    key_id,
                    pem,
                    not_before,
                    not_after,
                    active,
                    handed_out,
                    bridges,
                }
            },
        );
    let rotation = (
        select(RotationPhase::ALL.to_vec()),
        (
            any_text(),
            any_text(),
            any::<u64>(),
            any::<u64>(),
            option::of(any::<u64>()),
        ),
        btree_set(any_text(), 0..3),
    )
        .prop_map(
            |(phase, (old_root, new_root, started, since, switched), confirmed_peers)| Rotation {
                phase,
                old_root,
                new_root,
                started,
                since,
                switched,
                confirmed_peers,
            },
        );
    (
        any_text(),
        trust_domain(),
        datacenter(),
        vec(root, 0..3),
        option::of(rotation),
    )
        .prop_map(
            |(cluster_id, trust_domain, datacenter, roots, rotation)| CaRoots {
                cluster_id,
                trust_domain,
                datacenter,
                roots,
                rotation,
            },
        )
}

fn ca_key() -> impl Strategy<Value = CaKey> {
    (any_text(), any_text()).prop_map(|(root_id, pem)| CaKey {
        root_id,
        pem: Secret::new(pem),
    })
}

fn exports() -> impl Strategy<Value = ExportedServices> {
    let consumer = prop_oneof![
        peer_name().prop_map(Consumer::Peer),
        partition().prop_map(Consumer::Partition),
        group_name().prop_map(Consumer::Group),
    ];
    let service = (pattern(service_name()), pattern(namespace()), vec(consumer, 0..3)).prop_map(
        |(name, namespace, consumers)| ExportedService {
            name,
            namespace,
            consumers,
        },
    );
    (partition(), vec(service, 0..3), pairs()).prop_map(|(partition, services, meta)| ExportedServices {
        partition,
        services,
        meta,
    })
}

fn intentions() -> impl Strategy<Value = ServiceIntentions> {
    let source = (
        pattern(service_name()),
        pattern(namespace()),
        partition(),
        option::of(peer_name()),
        option::of(group_name()),
        verdict(),
        any_text(),
    )
        .prop_map(
            |(name, namespace, partition, peer, group, verdict, description)| Source {
                name,
                namespace,
                partition,
                peer,
                group,
                verdict,
                description,
            },
        );
    (
        pattern(service_name()),
        pattern(namespace()),
        partition(),
        vec(source, 0..3),
        jwt(),
        pairs(),
    )
        .prop_map(
            |(name, namespace, partition, sources, jwt, meta)| ServiceIntentions {
                name,
                namespace,
                partition,
                sources,
                jwt,
                meta,
            },
        )
}

/// Boxed: strategies within strategies would not fit on the stack of a test.
fn access_logs() -> BoxedStrategy<AccessLogs> {
    let sink = prop_oneof![
        Just(LogSink::Stdout),
        Just(LogSink::Stderr),
        "/[a-z]{0,4}".prop_map(LogSink::File),
    ];
    let format = prop_oneof![
        Just(LogFormat::Usual),
        "[a-z]{0,4}".prop_map(LogFormat::Json),
        "[a-z]{0,4}".prop_map(LogFormat::Text),
    ];
    (any::<bool>(), any::<bool>(), sink, format)
        .prop_map(|(enabled, disable_listener_logs, sink, format)| AccessLogs {
            enabled,
            disable_listener_logs,
            sink,
            format,
        })
        .boxed()
}

fn action() -> impl Strategy<Value = Action> {
    select(vec![Action::Allow, Action::Deny])
}

fn regular() -> impl Strategy<Value = Regular> {
    select(vec!["a|b", "/v[0-9]+/.*", "(?i)x{1,3}"]).prop_map(|text| Regular::new(text).unwrap())
}

/// Boxed: see `access_logs`.
fn verdict() -> BoxedStrategy<Verdict> {
    let path = prop_oneof![
        any_text().prop_map(PathCondition::Exact),
        any_text().prop_map(PathCondition::Prefix),
        regular().prop_map(PathCondition::Regex),
    ];
    let parts = vec![
        ValuePart::Whole,
        ValuePart::Start,
        ValuePart::End,
        ValuePart::Anywhere,
    ];
    let test = prop_oneof![
        Just(HeaderCheck::Present),
        regular().prop_map(HeaderCheck::Regex),
        (select(parts), any_text(), any::<bool>()).prop_map(|(part, text, ignore_case)| HeaderCheck::Value {
            part,
            text,
            ignore_case
        }),
    ];
    let name = select(vec!["x-a", "X-B"]).prop_map(|name| HeaderName::new(name).unwrap());
    let header =
        (name, test, any::<bool>()).prop_map(|(name, test, invert)| HeaderCondition { name, test, invert });
    let http = (
        option::of(path),
        vec(header, 0..3),
        btree_set(select(Method::ALL.to_vec()), 0..3),
    )
        .prop_map(|(path, headers, methods)| RequestCondition {
            path,
            headers,
            methods,
        });
    let permission = (action(), http, jwt()).prop_map(|(action, http, jwt)| Permission { action, http, jwt });
    prop_oneof![
        action().prop_map(Verdict::Always),
        vec(permission, 1..4).prop_map(Verdict::ByRequest),
    ]
    .boxed()
}

fn tracing() -> BoxedStrategy<Option<Tracing>> {
    let one = ("[a-z]{1,4}", any::<u16>(), any::<u32>()).prop_map(|(address, port, sampling)| Tracing {
        collector: ServiceAddress { address, port },
        sampling,
    });
    option::of(one).boxed()
}

fn settings() -> impl Strategy<Value = ConfigEntry> {
    let mode = || option::of(gateway_mode());
    prop_oneof![
        (
            partition(),
            option::of(any::<bool>()),
            any::<bool>(),
            mesh_tls(),
            pairs()
        )
            .prop_map(
                |(partition, peer_through_mesh_gateways, mesh_destinations_only, tls, meta)| {
                    ConfigEntry::Mesh(Mesh {
                        partition,
                        peer_through_mesh_gateways,
                        mesh_destinations_only,
                        tls,
                        meta,
                    })
                }
            ),
        (
            partition(),
            mode(),
            opaque_map(),
            access_logs(),
            tracing(),
            sidecar(),
            by_locality(),
            pairs()
        )
            .prop_map(
                |(partition, mesh_gateway, config, access_logs, tracing, sidecar, by_locality, meta)| {
                    ConfigEntry::ProxyDefaults(ProxyDefaults {
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
            ),
        (
            partition(),
            namespace(),
            service_name(),
            option::of(select(Protocol::ALL.to_vec())),
            mode(),
            inbound(),
            upstreams(),
            sidecar(),
            pairs()
        )
            .prop_map(
                |(partition, namespace, name, protocol, mesh_gateway, inbound, upstreams, sidecar, meta)| {
                    ConfigEntry::ServiceDefaults(ServiceDefaults {
                        partition,
                        namespace,
                        name,
                        protocol,
                        mesh_gateway,
                        inbound,
                        upstreams,
                        sidecar,
                        meta,
                    })
                }
            ),
    ]
}

fn terminating_gateway() -> impl Strategy<Value = TerminatingGateway> {
    let text = || option::of(any_text());
    let outward = (text(), text(), text(), text(), any::<bool>()).prop_map(
        |(ca_file, cert_file, key_file, sni, keeps_host)| Outward {
            ca_file,
            cert_file,
            key_file,
            sni,
            keeps_host,
        },
    );
    let link = (pattern(service_name()), namespace(), outward).prop_map(|(name, namespace, outward)| {
        LinkedService {
            name,
            namespace,
            outward,
        }
    });
    (partition(), namespace(), service_name(), vec(link, 0..3), pairs()).prop_map(
        |(partition, namespace, name, services, meta)| TerminatingGateway {
            partition,
            namespace,
            name,
            services,
            meta,
        },
    )
}

fn entry() -> impl Strategy<Value = ConfigEntry> {
    prop_oneof![
        exports().prop_map(ConfigEntry::ExportedServices).boxed(),
        intentions().prop_map(ConfigEntry::ServiceIntentions).boxed(),
        settings().boxed(),
        terminating_gateway()
            .prop_map(ConfigEntry::TerminatingGateway)
            .boxed(),
        super::chain_rows::entry().boxed(),
        super::edge_rows::entry().boxed(),
        super::edge_rows::api_entry().boxed(),
        provider()
            .prop_map(|own| ConfigEntry::JwtProvider(Box::new(own)))
            .boxed(),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    (
        node_key(),
        option::of(any_text()),
        any_text(),
        datacenter(),
        pairs(),
        pairs(),
        locality(),
    )
        .prop_map(
            |(key, id, address, datacenter, tagged_addresses, meta, locality)| Node {
                key,
                id,
                address,
                datacenter,
                tagged_addresses,
                meta,
                locality,
            },
        )
}

fn locality() -> impl Strategy<Value = Option<Locality>> {
    select(vec![("", ""), ("eu-1", ""), ("eu-1", "a")])
        .prop_map(|(region, zone)| Locality::of(region, zone).unwrap())
}

pub(super) fn by_locality() -> impl Strategy<Value = Option<ByLocality>> {
    option::of(select(ByLocality::ALL.to_vec()))
}

fn upstream() -> impl Strategy<Value = Upstream> {
    (
        (service_name(), namespace(), partition(), option::of(peer_name())),
        (any_text(), any::<u16>(), option::of(gateway_mode()), opaque_map()),
    )
        .prop_map(
            |((name, namespace, partition, peer), (bind_address, bind_port, mesh_gateway, config))| {
                Upstream {
                    name,
                    namespace,
                    partition,
                    peer,
                    bind_address,
                    bind_port,
                    mesh_gateway,
                    config,
                }
            },
        )
}

/// Boxed: see `access_logs`.
fn sidecar() -> BoxedStrategy<SidecarSettings> {
    let mode = option::of(select(ProxyMode::ALL.to_vec()));
    let protocol = select(Protocol::ALL.to_vec());
    let exposed = (any_text(), any::<u16>(), any::<u16>(), protocol).prop_map(
        |(path, local_port, listener_port, protocol)| ExposedPath {
            path,
            local_port,
            listener_port,
            protocol,
        },
    );
    (mode, option::of(any::<u16>()), any::<bool>(), vec(exposed, 0..3))
        .prop_map(
            |(mode, outbound_port, dialed_directly, exposed)| SidecarSettings {
                mode,
                outbound_port,
                dialed_directly,
                exposed,
            },
        )
        .boxed()
}

fn proxy() -> impl Strategy<Value = Proxy> {
    (
        (service_name(), option::of(instance_id()), option::of(any_text())),
        (
            option::of(any::<u16>()),
            vec(upstream(), 0..3),
            option::of(gateway_mode()),
            sidecar(),
            opaque_map(),
        ),
    )
        .prop_map(
            |(
                (destination, destination_id, local_address),
                (local_port, upstreams, mesh_gateway, sidecar, config),
            )| Proxy {
                destination,
                destination_id,
                local_address,
                local_port,
                upstreams,
                mesh_gateway,
                sidecar,
                config,
            },
        )
}

fn instance() -> impl Strategy<Value = Instance> {
    let kind = select(ServiceKind::ALL.to_vec());
    let address = (any_text(), any::<u16>()).prop_map(|(address, port)| ServiceAddress { address, port });
    let weights = (any::<u32>(), any::<u32>()).prop_map(|(passing, warning)| Weights { passing, warning });
    let health = any::<(u32, u32, u32, u32)>().prop_map(|(healthy, total, weight, draining)| HealthSummary {
        healthy,
        total,
        weight,
        draining,
    });
    let peer_meta =
        (texts(), texts(), any_text(), option::of(health)).prop_map(|(sni, spiffe_ids, protocol, health)| {
            PeerMeta {
                sni,
                spiffe_ids,
                protocol,
                health,
            }
        });
    (
        (node_key(), instance_id(), namespace(), service_name(), kind),
        (
            texts(),
            any_text(),
            any::<u16>(),
            btree_map(any_text(), address, 0..3),
            pairs(),
        ),
        (
            weights,
            any::<bool>(),
            option::of(proxy()),
            opaque_map(),
            option::of(peer_meta),
            locality(),
        ),
    )
        .prop_map(
            |(
                (node, id, namespace, service, kind),
                (tags, address, port, tagged_addresses, meta),
                (weights, enable_tag_override, proxy, gateway_config, peer_meta, locality),
            )| Instance {
                key: InstanceKey { node, id },
                namespace,
                service,
                kind,
                tags,
                address,
                port,
                tagged_addresses,
                meta,
                weights,
                enable_tag_override,
                proxy,
                gateway_config,
                peer_meta,
                locality,
            },
        )
}

fn check() -> impl Strategy<Value = Check> {
    let status = select(vec![
        CheckStatus::Passing,
        CheckStatus::Warning,
        CheckStatus::Critical,
        CheckStatus::Maintenance,
    ]);
    (
        (node_key(), check_id(), any_text(), status),
        (any_text(), any_text(), option::of(instance_id())),
        option::of((namespace(), service_name())),
    )
        .prop_map(
            |((node, id, name, status), (notes, output, instance), service)| Check {
                key: CheckKey { node, id },
                name,
                status,
                notes,
                output,
                instance,
                service,
            },
        )
}

pub(super) fn row() -> impl Strategy<Value = Row> {
    // Boxed: together they would be too large for the stack of a test.
    prop_oneof![
        roots().prop_map(|roots| Row::Roots(Arc::new(roots))).boxed(),
        ca_key().prop_map(|key| Row::CaKey(Arc::new(key))).boxed(),
        entry().prop_map(|entry| Row::Config(Arc::new(entry))).boxed(),
        peering()
            .prop_map(|peering| Row::Peering(Arc::new(peering)))
            .boxed(),
        (peering_key(), secrets())
            .prop_map(|(key, secrets)| Row::Secrets(key, Arc::new(secrets)))
            .boxed(),
        virtual_address()
            .prop_map(|own| Row::VirtualAddress(Arc::new(own)))
            .boxed(),
        bundle().prop_map(|bundle| Row::Bundle(Arc::new(bundle))).boxed(),
        node().prop_map(|node| Row::Node(Arc::new(node))).boxed(),
        instance()
            .prop_map(|instance| Row::Instance(Arc::new(instance)))
            .boxed(),
        check().prop_map(|check| Row::Check(Arc::new(check))).boxed(),
        grants().prop_map(|grants| Row::Grants(Arc::new(grants))).boxed(),
        audit().prop_map(|record| Row::Audit(Arc::new(record))).boxed(),
    ]
}

pub(super) fn stored() -> impl Strategy<Value = StoredRow> {
    (row(), any::<u64>(), any::<u64>()).prop_map(|(row, create_index, modify_index)| StoredRow {
        row,
        create_index,
        modify_index,
    })
}

/// Keys of every kind; texts that are not names may hold anything.
pub(super) fn key() -> impl Strategy<Value = RowKey> {
    prop_oneof![
        Just(RowKey::Roots),
        any_text().prop_map(RowKey::CaKey),
        (
            select(ConfigKind::ALL.to_vec()),
            partition(),
            any_text(),
            any_text()
        )
            .prop_map(|(kind, partition, namespace, name)| RowKey::Config(ConfigKey {
                kind,
                partition,
                namespace,
                name
            })),
        peering_key().prop_map(RowKey::Peering),
        peering_key().prop_map(RowKey::Secrets),
        service_key().prop_map(RowKey::VirtualAddress),
        peering_key().prop_map(RowKey::Grants),
        any::<u64>().prop_map(RowKey::Audit),
        peering_key().prop_map(RowKey::Bundle),
        node_key().prop_map(RowKey::Node),
        (node_key(), instance_id()).prop_map(|(node, id)| RowKey::Instance(InstanceKey { node, id })),
        (node_key(), check_id()).prop_map(|(node, id)| RowKey::Check(CheckKey { node, id })),
    ]
}
