//! Generated entries of gateways at the edge, with every field in use.

use super::chain_rows::edits;
use super::rows::{any_text, namespace, pairs, partition, peer_name, service_name};
use super::setting_rows::{bounds, limits, passive_health_check};
use peerway_model::ConfigEntry;
use peerway_model::config::{
    EdgeTerms, EdgeTls, IngressGateway, IngressListener, IngressService, Pattern, Protocol,
};
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
