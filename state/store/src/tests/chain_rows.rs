//! Generated entries of the kinds that chains are made of, with every field in use.

use super::rows::{any_text, by_locality, namespace, pairs, partition, peer_name, service_name};
use peerway_model::Regular;
use peerway_model::config::{
    Balance, ConfigEntry, Destination, Failover, HashOf, HashPolicy, HeaderEdits, HeaderTest, LoadBalancer,
    Member, PathTest, QueryTest, RequestMatch, RouteDestination, SamenessGroup, ServiceResolver,
    ServiceRoute, ServiceRouter, ServiceSplitter, Split, Subset, TextTest,
};
use peerway_model::filter::Filter;
use peerway_model::name::{GroupName, SubsetName};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn subset_name() -> impl Strategy<Value = SubsetName> {
    "[a-z][a-z0-9]{0,3}".prop_map(|text| SubsetName::new(&text).unwrap())
}

pub(super) fn group_name() -> impl Strategy<Value = GroupName> {
    "[a-z][a-z0-9]{0,3}".prop_map(|text| GroupName::new(&text).unwrap())
}

fn regular() -> impl Strategy<Value = Regular> {
    select(vec!["a+", "/v[0-9]/.*", "(x|y)"]).prop_map(|text| Regular::new(text).unwrap())
}

fn destination() -> impl Strategy<Value = Destination> {
    (
        option::of(service_name()),
        option::of(subset_name()),
        option::of(namespace()),
        option::of(partition()),
        option::of(peer_name()),
    )
        .prop_map(|(service, subset, namespace, partition, peer)| Destination {
            service,
            subset,
            namespace,
            partition,
            peer,
        })
}

pub(super) fn edits() -> impl Strategy<Value = HeaderEdits> {
    (pairs(), pairs(), btree_set(any_text(), 0..3)).prop_map(|(add, set, remove)| HeaderEdits {
        add,
        set,
        remove,
    })
}

fn text_test() -> impl Strategy<Value = TextTest> {
    prop_oneof![
        Just(TextTest::Present),
        any_text().prop_map(TextTest::Exact),
        any_text().prop_map(TextTest::Prefix),
        any_text().prop_map(TextTest::Suffix),
        regular().prop_map(TextTest::Regex),
    ]
}

pub(super) fn request_match() -> impl Strategy<Value = RequestMatch> {
    let path = prop_oneof![
        Just(PathTest::Any),
        any_text().prop_map(PathTest::Exact),
        any_text().prop_map(PathTest::Prefix),
        regular().prop_map(PathTest::Regex),
    ];
    let header = (any_text(), text_test(), any::<bool>()).prop_map(|(name, test, invert)| HeaderTest {
        name,
        test,
        invert,
    });
    let query = (any_text(), text_test()).prop_map(|(name, test)| QueryTest { name, test });
    (
        path,
        any::<bool>(),
        vec(header, 0..3),
        vec(query, 0..3),
        vec(any_text(), 0..3),
    )
        .prop_map(|(path, case_insensitive, headers, query, methods)| RequestMatch {
            path,
            case_insensitive,
            headers,
            query,
            methods,
        })
}

pub(super) fn route_destination() -> impl Strategy<Value = RouteDestination> {
    let number = || option::of(any::<u64>());
    (
        (destination(), option::of(any_text()), number(), number()),
        (
            option::of(any::<u32>()),
            any::<bool>(),
            vec(any_text(), 0..3),
            vec(any::<u16>(), 0..3),
        ),
        (edits(), edits()),
    )
        .prop_map(
            |(
                (to, prefix_rewrite, request_timeout_ms, idle_timeout_ms),
                (num_retries, retry_on_connect_failure, retry_on, retry_on_status_codes),
                (request_headers, response_headers),
            )| RouteDestination {
                to,
                prefix_rewrite,
                request_timeout_ms,
                idle_timeout_ms,
                num_retries,
                retry_on_connect_failure,
                retry_on,
                retry_on_status_codes,
                request_headers,
                response_headers,
            },
        )
}

fn balancer() -> impl Strategy<Value = LoadBalancer> {
    let balance = prop_oneof![
        Just(Balance::Random),
        Just(Balance::RoundRobin),
        Just(Balance::Maglev),
        option::of(any::<u32>()).prop_map(|choices| Balance::LeastRequest { choices }),
        (option::of(any::<u64>()), option::of(any::<u64>()))
            .prop_map(|(minimum, maximum)| Balance::RingHash { minimum, maximum }),
    ];
    let by = prop_oneof![
        any_text().prop_map(HashOf::Header),
        any_text().prop_map(HashOf::Query),
        Just(HashOf::SourceIp),
        (
            any_text(),
            option::of(any::<u64>()),
            any::<bool>(),
            option::of(any_text())
        )
            .prop_map(|(name, ttl_ms, session, path)| HashOf::Cookie {
                name,
                ttl_ms,
                session,
                path
            }),
    ];
    let policy = (by, any::<bool>()).prop_map(|(by, terminal)| HashPolicy { by, terminal });
    (option::of(balance), vec(policy, 0..3)).prop_map(|(balance, hash)| LoadBalancer { balance, hash })
}

fn resolver() -> impl Strategy<Value = ServiceResolver> {
    let filter = option::of(select(vec!["Service.Port == 1", "x in Service.Tags"]))
        .prop_map(|text| text.map(|text| Filter::parse(text).unwrap()));
    let subset = (filter, any::<bool>()).prop_map(|(filter, only_passing)| Subset { filter, only_passing });
    let failover = prop_oneof![
        vec(destination(), 0..3).prop_map(Failover::Targets),
        group_name().prop_map(Failover::Group),
    ];
    (
        (
            partition(),
            namespace(),
            service_name(),
            option::of(subset_name()),
        ),
        (
            btree_map(subset_name(), subset, 0..3),
            option::of(destination()),
            btree_map(any_text(), failover, 0..3),
        ),
        (
            option::of(any::<u64>()),
            option::of(any::<u64>()),
            option::of(balancer()),
            by_locality(),
            pairs(),
        ),
    )
        .prop_map(
            |(
                (partition, namespace, name, default_subset),
                (subsets, redirect, failover),
                (connect_timeout_ms, request_timeout_ms, load_balancer, by_locality, meta),
            )| ServiceResolver {
                partition,
                namespace,
                name,
                default_subset,
                subsets,
                redirect,
                failover,
                connect_timeout_ms,
                request_timeout_ms,
                load_balancer,
                by_locality,
                meta,
            },
        )
}

pub(super) fn entry() -> impl Strategy<Value = ConfigEntry> {
    let route = (request_match(), option::of(route_destination()))
        .prop_map(|(request, destination)| ServiceRoute { request, destination });
    let split = (any::<u32>(), destination(), edits(), edits()).prop_map(
        |(weight, to, request_headers, response_headers)| Split {
            weight,
            to,
            request_headers,
            response_headers,
        },
    );
    let member = prop_oneof![
        partition().prop_map(Member::Partition),
        peer_name().prop_map(Member::Peer),
    ];
    prop_oneof![
        (
            partition(),
            namespace(),
            service_name(),
            vec(route, 0..3),
            pairs()
        )
            .prop_map(
                |(partition, namespace, name, routes, meta)| ConfigEntry::ServiceRouter(ServiceRouter {
                    partition,
                    namespace,
                    name,
                    routes,
                    meta,
                })
            ),
        (
            partition(),
            namespace(),
            service_name(),
            vec(split, 0..3),
            pairs()
        )
            .prop_map(
                |(partition, namespace, name, splits, meta)| ConfigEntry::ServiceSplitter(ServiceSplitter {
                    partition,
                    namespace,
                    name,
                    splits,
                    meta,
                })
            ),
        resolver().prop_map(|resolver| ConfigEntry::ServiceResolver(Box::new(resolver))),
        (
            (partition(), group_name(), any::<bool>(), any::<bool>()),
            vec(member, 0..3),
            pairs()
        )
            .prop_map(
                |((partition, name, default_for_failover, include_local), members, meta)| {
                    ConfigEntry::SamenessGroup(SamenessGroup {
                        partition,
                        name,
                        default_for_failover,
                        include_local,
                        members,
                        meta,
                    })
                }
            ),
    ]
}
