//! Generated entries of gateways at the edge, with every field in use.

use super::chain_rows::{edits, request_match, route_destination};
use super::rows::{any_text, namespace, pairs, partition, peer_name, service_name};
use super::setting_rows::{bounds, limits, passive_health_check};
use peerway_model::ConfigEntry;
use peerway_model::config::{
    ApiGateway, ApiListener, ApiTls, EdgeTerms, EdgeTls, HttpRoute, HttpRule, IngressGateway,
    IngressListener, IngressService, InlineCertificate, Pattern, Protocol, RouteParent, RouteService,
    TcpRoute,
};
use peerway_model::{Namespace, Partition, Secret, ServiceName};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn tls() -> impl Strategy<Value = EdgeTls> {
    (any::<bool>(), bounds()).prop_map(|(enabled, bounds)| EdgeTls { enabled, bounds })
}

fn terms() -> impl Strategy<Value = EdgeTerms> {
    (limits(), option::of(passive_health_check())).prop_map(|(limits, passive_health_check)| EdgeTerms {
        limits,
        passive_health_check,
    })
}

fn service() -> impl Strategy<Value = IngressService> {
    let name = prop_oneof![
        3 => service_name().prop_map(Pattern::Exact),
        1 => Just(Pattern::Any),
    ];
    (
        (name, namespace(), partition(), option::of(peer_name())),
        vec(any_text(), 0..3),
        (edits(), edits()),
        terms(),
    )
        .prop_map(
            |((name, namespace, partition, peer), hosts, (request_headers, response_headers), terms)| {
                IngressService {
                    name,
                    namespace,
                    partition,
                    peer,
                    hosts,
                    request_headers,
                    response_headers,
                    terms,
                }
            },
        )
}

fn listener() -> impl Strategy<Value = IngressListener> {
    (
        any::<u16>(),
        select(Protocol::ALL.to_vec()),
        option::of(tls()),
        vec(service(), 0..3),
    )
        .prop_map(|(port, protocol, tls, services)| IngressListener {
            port,
            protocol,
            tls,
            services,
        })
}

pub(super) fn entry() -> impl Strategy<Value = ConfigEntry> {
    (
        (partition(), namespace(), service_name()),
        tls(),
        vec(listener(), 0..3),
        terms(),
        pairs(),
    )
        .prop_map(|((partition, namespace, name), tls, listeners, defaults, meta)| {
            ConfigEntry::IngressGateway(IngressGateway {
                partition,
                namespace,
                name,
                tls,
                listeners,
                defaults,
                meta,
            })
        })
}

fn api_listener() -> impl Strategy<Value = ApiListener> {
    let tls = (vec(service_name(), 0..3), bounds())
        .prop_map(|(certificates, bounds)| ApiTls { certificates, bounds });
    (
        any_text(),
        option::of(any_text()),
        any::<u16>(),
        select(Protocol::ALL.to_vec()),
        option::of(tls),
    )
        .prop_map(|(name, hostname, port, protocol, tls)| ApiListener {
            name,
            hostname,
            port,
            protocol,
            tls,
        })
}

fn parent() -> impl Strategy<Value = RouteParent> {
    (service_name(), option::of(any_text())).prop_map(|(gateway, listener)| RouteParent { gateway, listener })
}

fn route_service() -> impl Strategy<Value = RouteService> {
    (
        (service_name(), namespace(), partition(), option::of(peer_name())),
        any::<u32>(),
        (edits(), edits()),
    )
        .prop_map(
            |((name, namespace, partition, peer), weight, (request_headers, response_headers))| {
                RouteService {
                    name,
                    namespace,
                    partition,
                    peer,
                    weight,
                    request_headers,
                    response_headers,
                }
            },
        )
}

fn rule() -> impl Strategy<Value = HttpRule> {
    (
        vec(request_match(), 0..3),
        route_destination(),
        vec(route_service(), 0..3),
    )
        .prop_map(|(matches, how, services)| HttpRule {
            matches,
            how,
            services,
        })
}

fn place() -> impl Strategy<Value = (Partition, Namespace, ServiceName)> {
    (partition(), namespace(), service_name())
}

/// API gateways and what attaches itself to them.
pub(super) fn api_entry() -> impl Strategy<Value = ConfigEntry> {
    prop_oneof![
        (place(), vec(api_listener(), 0..3), pairs()).prop_map(
            |((partition, namespace, name), listeners, meta)| {
                ConfigEntry::ApiGateway(ApiGateway {
                    partition,
                    namespace,
                    name,
                    listeners,
                    meta,
                })
            }
        ),
        (
            place(),
            vec(parent(), 0..3),
            vec(any_text(), 0..3),
            vec(rule(), 0..3),
            pairs()
        )
            .prop_map(
                |((partition, namespace, name), parents, hostnames, rules, meta)| {
                    ConfigEntry::HttpRoute(Box::new(HttpRoute {
                        partition,
                        namespace,
                        name,
                        parents,
                        hostnames,
                        rules,
                        meta,
                    }))
                }
            ),
        (place(), vec(parent(), 0..3), route_service(), pairs()).prop_map(
            |((partition, namespace, name), parents, service, meta)| {
                ConfigEntry::TcpRoute(TcpRoute {
                    partition,
                    namespace,
                    name,
                    parents,
                    service,
                    meta,
                })
            }
        ),
        (place(), any_text(), any_text(), pairs()).prop_map(
            |((partition, namespace, name), certificate, key, meta)| {
                ConfigEntry::InlineCertificate(InlineCertificate {
                    partition,
                    namespace,
                    name,
                    certificate,
                    key: Secret::new(key),
                    meta,
                })
            }
        ),
    ]
}
