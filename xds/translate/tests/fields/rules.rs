//! The rules of Envoy's messages that entries of operators could break: those of its proto files (bounds, lengths, what
//! is required), and what it checks when it loads a resource. One breach, and a proxy refuses the resource.

use crate::policies;
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::LbConfig;
use envoy_types::pb::envoy::config::core::v3::{HeaderValueOption, TypedExtensionConfig};
use envoy_types::pb::envoy::config::core::v3::transport_socket::ConfigType as SocketConfig;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::PolicySpecifier;
use envoy_types::pb::envoy::config::route::v3::route_action::{ClusterSpecifier, HashPolicy};
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{RetryPolicy, RouteAction, RouteConfiguration, RouteMatch};
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::jwt_provider::JwksSourceSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::{JwtAuthentication, JwtProvider};
use envoy_types::pb::envoy::extensions::filters::network::connection_limit::v3::ConnectionLimit;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_filter::ConfigType as HttpConfigType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type as SecretKind;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, DownstreamTlsContext, Secret, UpstreamTlsContext,
};
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::google::protobuf::{Any, Duration};
use prost::{Message, Name};
use regex::bytes::Regex;
use std::collections::BTreeSet;

/// Longest duration of protobuf, in seconds.
const MAX_SECONDS: i64 = 315_576_000_000;
/// Largest ring.
const MAX_RING: u64 = 8 * 1024 * 1024;
/// Longest name or value of a header that a route adds, in bytes.
const MAX_HEADER_BYTES: usize = 16_384;
/// Longest name of a query parameter, in bytes.
const MAX_PARAMETER_BYTES: usize = 1024;
/// Longest server name that is asked for, in bytes.
const MAX_SNI_BYTES: usize = 255;
/// The suites that Envoy's build of BoringSSL knows of those that are offered.
const SUITES: [&str; 6] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

/// What is wrong with an encoded resource.
pub(crate) fn breaches(bytes: &[u8]) -> Vec<String> {
    let any = Any::decode(bytes).unwrap();
    let mut found = Breaches::default();
    if let Some(message) = of::<Cluster>(&any) {
        cluster(&message, &mut found);
    } else if let Some(message) = of::<ClusterLoadAssignment>(&any) {
        assignment(&message, &mut found);
    } else if let Some(message) = of::<Listener>(&any) {
        listener(&message, &mut found);
    } else if let Some(message) = of::<RouteConfiguration>(&any) {
        routes(&message, &mut found);
    } else if let Some(message) = of::<TypedExtensionConfig>(&any) {
        extension(&message, &mut found);
    } else if let Some(message) = of::<Secret>(&any) {
        secret(&message, &mut found);
    } else {
        found.expect(false, &format!("nothing is known here of {}", any.type_url));
    }
    found.0
}

fn extension(message: &TypedExtensionConfig, found: &mut Breaches) {
    found.expect(!message.name.is_empty(), "an extension has a name");
    let Some(any) = &message.typed_config else {
        return found.expect(false, "an extension has a configuration");
    };
    if let Some(tokens) = of::<JwtAuthentication>(any) {
        tokens.providers.values().for_each(|own| provider(own, found));
    } else if !policies::filter(any, found) {
        found.expect(false, &format!("nothing is known here of {}", any.type_url));
    }
}

fn secret(message: &Secret, found: &mut Breaches) {
    found.expect(!message.name.is_empty(), "a secret has a name");
    if let Some(SecretKind::ValidationContext(validation)) = &message.r#type {
        let names = &validation.match_typed_subject_alt_names;
        names.iter().for_each(|own| policies::subject(own, found));
    }
}

#[derive(Default)]
pub(crate) struct Breaches(pub(crate) Vec<String>);

impl Breaches {
    pub(crate) fn expect(&mut self, holds: bool, rule: &str) {
        if !holds {
            self.0.push(rule.to_owned());
        }
    }

    fn duration(&mut self, given: Option<&Duration>, least: i64, what: &str) {
        let Some(given) = given else { return };
        let nanos = i64::from(given.nanos);
        let holds = (0..=MAX_SECONDS).contains(&given.seconds)
            && (0..1_000_000_000).contains(&nanos)
            && (given.seconds > 0 || nanos >= least);
        self.expect(holds, what);
    }
}

pub(crate) fn of<M: Message + Name + Default>(any: &Any) -> Option<M> {
    (any.type_url == M::type_url()).then(|| M::decode(any.value.as_slice()).unwrap())
}

fn cluster(message: &Cluster, found: &mut Breaches) {
    found.expect(!message.name.is_empty(), "a cluster has a name");
    found.duration(message.connect_timeout.as_ref(), 1, "connect_timeout is above 0");
    if let Some(outliers) = &message.outlier_detection {
        found.duration(outliers.interval.as_ref(), 1, "interval is above 0");
        found.duration(
            outliers.base_ejection_time.as_ref(),
            1,
            "base_ejection_time is above 0",
        );
        found.duration(
            outliers.max_ejection_time.as_ref(),
            1,
            "max_ejection_time is above 0",
        );
        let length = |given: &Option<Duration>| given.as_ref().map(|own| (own.seconds, own.nanos));
        found.expect(
            length(&outliers.max_ejection_time) >= length(&outliers.base_ejection_time),
            "max_ejection_time is not below base_ejection_time",
        );
        for percent in [
            &outliers.max_ejection_percent,
            &outliers.enforcing_consecutive_5xx,
        ]
        .into_iter()
        .flatten()
        {
            found.expect(percent.value <= 100, "a percentage is at most 100");
        }
    }
    match &message.lb_config {
        Some(LbConfig::LeastRequestLbConfig(least)) => {
            let count = least.choice_count.as_ref();
            found.expect(
                count.is_none_or(|count| count.value >= 2),
                "choice_count is at least 2",
            );
        }
        Some(LbConfig::RingHashLbConfig(ring)) => {
            let size = |given: &Option<_>, usual| {
                given
                    .as_ref()
                    .map_or(usual, |size: &envoy_types::pb::google::protobuf::UInt64Value| {
                        size.value
                    })
            };
            let (least, most) = (
                size(&ring.minimum_ring_size, 1024),
                size(&ring.maximum_ring_size, MAX_RING),
            );
            found.expect(
                least <= most && most <= MAX_RING,
                "the sizes of a ring are in order",
            );
        }
        _ => {}
    }
    if let Some(members) = &message.load_assignment {
        assignment(members, found);
    }
    let socket = message.transport_socket.as_ref();
    if let Some(SocketConfig::TypedConfig(any)) = socket.and_then(|socket| socket.config_type.as_ref())
        && let Some(tls) = of::<UpstreamTlsContext>(any)
    {
        found.expect(tls.sni.len() <= MAX_SNI_BYTES, "an SNI is short");
        common(tls.common_tls_context.as_ref(), found);
    }
}

fn provider(own: &JwtProvider, found: &mut Breaches) {
    found.expect(!own.issuer.is_empty(), "tokens without an issuer are nobody's");
    for header in &own.from_headers {
        header_name(&header.name, found);
        let one_line = !header.value_prefix.contains(['\0', '\n', '\r']);
        found.expect(one_line, "a value is one line");
    }
    found.expect(
        !own.forward_payload_header.contains(['\0', '\n', '\r']),
        "a header has a name of one line",
    );
    match &own.jwks_source_specifier {
        Some(JwksSourceSpecifier::RemoteJwks(remote)) => {
            let uri = remote.http_uri.as_ref();
            found.expect(uri.is_some_and(|uri| !uri.uri.is_empty()), "keys are somewhere");
            found.expect(
                uri.is_some_and(|uri| uri.timeout.is_some()),
                "a request has a timeout",
            );
            found.duration(
                remote.cache_duration.as_ref(),
                1_000_000,
                "keys are good for 1 ms or more",
            );
            let backoff = remote
                .retry_policy
                .as_ref()
                .and_then(|policy| policy.retry_back_off.as_ref());
            if let Some(backoff) = backoff {
                let length = |given: &Duration| (given.seconds, given.nanos);
                let base = backoff.base_interval.as_ref();
                found.duration(base, 1_000_000, "base_interval is 1 ms or more");
                found.expect(
                    backoff
                        .max_interval
                        .as_ref()
                        .is_none_or(|max| Some(length(max)) >= base.map(length)),
                    "max_interval is not below base_interval",
                );
            }
        }
        Some(JwksSourceSpecifier::LocalJwks(_)) => {}
        None => found.expect(false, "a provider has keys"),
    }
}

fn common(context: Option<&CommonTlsContext>, found: &mut Breaches) {
    let validation = context.and_then(|context| context.validation_context_type.as_ref());
    if let Some(ValidationContextType::CombinedValidationContext(both)) = validation
        && let Some(own) = &both.default_validation_context
    {
        let names = &own.match_typed_subject_alt_names;
        names.iter().for_each(|own| policies::subject(own, found));
    }
    let Some(parameters) = context.and_then(|context| context.tls_params.as_ref()) else {
        return;
    };
    found.expect(
        parameters.tls_minimum_protocol_version <= parameters.tls_maximum_protocol_version,
        "the versions of TLS are in order",
    );
    let known = |suite: &String| SUITES.contains(&suite.as_str());
    found.expect(parameters.cipher_suites.iter().all(known), "a suite is known");
}

fn assignment(message: &ClusterLoadAssignment, found: &mut Breaches) {
    found.expect(!message.cluster_name.is_empty(), "an assignment is of a cluster");
    let members = message.endpoints.iter().flat_map(|place| &place.lb_endpoints);
    let mut sum = 0_u64;
    for member in members {
        let weight = member
            .load_balancing_weight
            .as_ref()
            .map_or(1, |weight| weight.value);
        found.expect(weight >= 1, "a weight is at least 1");
        sum += u64::from(weight);
    }
    found.expect(u32::try_from(sum).is_ok(), "weights add up to 32 bits");
    let priorities: BTreeSet<u32> = message.endpoints.iter().map(|place| place.priority).collect();
    let gapless = priorities.iter().zip(0..).all(|(priority, nth)| *priority == nth);
    found.expect(gapless, "priorities begin at 0 and leave none out");
    let mut places = BTreeSet::new();
    for place in &message.endpoints {
        let at = place.locality.as_ref().map(|at| (&at.region, &at.zone));
        found.expect(places.insert((place.priority, at)), "a locality is listed once");
    }
}

fn listener(message: &Listener, found: &mut Breaches) {
    let mut names = BTreeSet::new();
    let mut matched = BTreeSet::new();
    found.expect(!message.filter_chains.is_empty(), "a listener has chains");
    for chain in &message.filter_chains {
        found.expect(names.insert(&chain.name), "chains have names of their own");
        let text = format!("{:?}", chain.filter_chain_match);
        found.expect(matched.insert(text), "chains match different connections");
        let socket = chain.transport_socket.as_ref();
        if let Some(SocketConfig::TypedConfig(any)) = socket.and_then(|socket| socket.config_type.as_ref())
            && let Some(tls) = of::<DownstreamTlsContext>(any)
        {
            common(tls.common_tls_context.as_ref(), found);
        }
        for filter in &chain.filters {
            let any = match &filter.config_type {
                Some(ConfigType::TypedConfig(any)) => any,
                Some(ConfigType::ConfigDiscovery(source)) => {
                    policies::discovered(source, found);
                    continue;
                }
                None => {
                    found.expect(false, "a filter is something");
                    continue;
                }
            };
            policies::filter(any, found);
            if let Some(limit) = of::<ConnectionLimit>(any) {
                let most = limit.max_connections.map_or(0, |most| most.value);
                found.expect(most >= 1, "a limit of connections is at least 1");
            }
            if let Some(manager) = of::<HttpConnectionManager>(any) {
                found.expect(!manager.stat_prefix.is_empty(), "statistics have a prefix");
                let sampling = manager.tracing.and_then(|tracing| tracing.random_sampling);
                let percent = sampling.map_or(0.0, |percent| percent.value);
                found.expect((0.0..=100.0).contains(&percent), "a percentage is at most 100");
                for filter in &manager.http_filters {
                    match &filter.config_type {
                        Some(HttpConfigType::ConfigDiscovery(source)) => policies::discovered(source, found),
                        Some(HttpConfigType::TypedConfig(any)) => {
                            policies::filter(any, found);
                        }
                        _ => found.expect(false, "a filter is something"),
                    }
                }
                match manager.route_specifier {
                    Some(RouteSpecifier::RouteConfig(table)) => routes(&table, found),
                    Some(RouteSpecifier::Rds(named)) => {
                        found.expect(!named.route_config_name.is_empty(), "routes have a name");
                    }
                    _ => found.expect(false, "a connection manager has routes"),
                }
            }
        }
    }
}

fn routes(message: &RouteConfiguration, found: &mut Breaches) {
    for host in &message.virtual_hosts {
        found.expect(
            !host.name.is_empty() && !host.domains.is_empty(),
            "a host has a name and domains",
        );
        for route in &host.routes {
            match &route.r#match {
                Some(matching) => requests(matching, found),
                None => found.expect(false, "a route matches something"),
            }
            added(&route.request_headers_to_add, found);
            added(&route.response_headers_to_add, found);
            removed(&route.request_headers_to_remove, found);
            removed(&route.response_headers_to_remove, found);
            match &route.action {
                Some(Action::Route(to)) => action(to, found),
                Some(Action::DirectResponse(answer)) => {
                    found.expect((200..600).contains(&answer.status), "an answer has a status");
                }
                _ => found.expect(false, "a route leads somewhere"),
            }
        }
    }
}

fn requests(matching: &RouteMatch, found: &mut Breaches) {
    match &matching.path_specifier {
        Some(PathSpecifier::SafeRegex(regex)) => {
            found.expect(!regex.regex.is_empty(), "a regex is not empty");
            found.expect(is_regex(&regex.regex), "a regex is one");
        }
        Some(_) => {}
        None => found.expect(false, "a match has a path"),
    }
    for header in &matching.headers {
        header_name(&header.name, found);
        if let Some(HeaderMatchSpecifier::StringMatch(text)) = &header.header_match_specifier {
            string(text, found);
        }
    }
    for parameter in &matching.query_parameters {
        let length = parameter.name.len();
        found.expect(
            (1..=MAX_PARAMETER_BYTES).contains(&length),
            "a parameter has a name of at most 1024 bytes",
        );
        if let Some(QueryParameterMatchSpecifier::StringMatch(text)) =
            &parameter.query_parameter_match_specifier
        {
            string(text, found);
        }
    }
}

pub(crate) fn string(text: &StringMatcher, found: &mut Breaches) {
    let empty = match &text.match_pattern {
        Some(MatchPattern::Prefix(part) | MatchPattern::Suffix(part) | MatchPattern::Contains(part)) => {
            part.is_empty()
        }
        Some(MatchPattern::SafeRegex(regex)) => {
            found.expect(is_regex(&regex.regex), "a regex is one");
            regex.regex.is_empty()
        }
        Some(_) => false,
        None => true,
    };
    found.expect(!empty, "what is looked for is not empty");
}

/// RE2's `\C` is any byte.
fn is_regex(text: &str) -> bool {
    let text = text.replace(r"\C", "(?s-u:.)");
    Regex::new(&text).is_ok()
}

fn action(to: &RouteAction, found: &mut Breaches) {
    found.duration(to.timeout.as_ref(), 0, "timeout is a duration");
    found.duration(to.idle_timeout.as_ref(), 0, "idle_timeout is a duration");
    found.expect(
        !to.prefix_rewrite.contains(['\0', '\n', '\r']),
        "a rewrite is one line",
    );
    match &to.cluster_specifier {
        Some(ClusterSpecifier::Cluster(name)) => found.expect(!name.is_empty(), "a route names a cluster"),
        Some(ClusterSpecifier::WeightedClusters(legs)) => {
            let mut sum = 0_u64;
            for leg in &legs.clusters {
                found.expect(!leg.name.is_empty(), "a leg names a cluster");
                sum += leg.weight.as_ref().map_or(0, |weight| u64::from(weight.value));
                added(&leg.request_headers_to_add, found);
                added(&leg.response_headers_to_add, found);
                removed(&leg.request_headers_to_remove, found);
                removed(&leg.response_headers_to_remove, found);
            }
            found.expect(
                sum >= 1 && u32::try_from(sum).is_ok(),
                "the weights of legs add up to something",
            );
        }
        _ => found.expect(false, "a route names a cluster"),
    }
    to.hash_policy.iter().for_each(|policy| hash(policy, found));
    if let Some(RetryPolicy {
        retriable_status_codes,
        ..
    }) = &to.retry_policy
    {
        let status = |code: &u32| (100..600).contains(code);
        found.expect(retriable_status_codes.iter().all(status), "a status is one");
    }
}

fn hash(policy: &HashPolicy, found: &mut Breaches) {
    match &policy.policy_specifier {
        Some(PolicySpecifier::Header(header)) => header_name(&header.header_name, found),
        Some(PolicySpecifier::QueryParameter(parameter)) => {
            found.expect(!parameter.name.is_empty(), "a parameter has a name");
        }
        Some(PolicySpecifier::Cookie(cookie)) => {
            found.expect(!cookie.name.is_empty(), "a cookie has a name");
            found.duration(cookie.ttl.as_ref(), 0, "ttl is a duration");
        }
        Some(_) => {}
        None => found.expect(false, "a hash is of something"),
    }
}

pub(crate) fn header_name(name: &str, found: &mut Breaches) {
    found.expect(
        !name.is_empty() && !name.contains(['\0', '\n', '\r']),
        "a header has a name of one line",
    );
}

fn added(options: &[HeaderValueOption], found: &mut Breaches) {
    for option in options {
        let Some(header) = &option.header else {
            found.expect(false, "something is added");
            continue;
        };
        header_name(&header.key, found);
        let own = header.key.starts_with(':') || header.key.eq_ignore_ascii_case("host");
        found.expect(!own, "what makes a request is not added");
        let short = header.key.len() <= MAX_HEADER_BYTES && header.value.len() <= MAX_HEADER_BYTES;
        found.expect(short, "a header is short");
        found.expect(
            !header.value.contains(['\0', '\n', '\r', '%']),
            "a value is one line without variables",
        );
    }
}

fn removed(names: &[String], found: &mut Breaches) {
    for name in names {
        header_name(name, found);
        let own = name.starts_with(':') || name.eq_ignore_ascii_case("host");
        found.expect(!own, "what makes a request is not removed");
    }
}
