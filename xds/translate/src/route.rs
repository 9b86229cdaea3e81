//! Route configurations.

use crate::packed::{millis, number};
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::query_parameter_matcher::QueryParameterMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::retry_policy::RetryPriority;
use envoy_types::pb::envoy::config::route::v3::retry_policy::retry_priority::ConfigType;
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::hash_policy::{
    ConnectionProperties, Cookie, Header, PolicySpecifier, QueryParameter,
};
use envoy_types::pb::envoy::config::route::v3::route_action::{
    ClusterSpecifier, HashPolicy, HostRewriteSpecifier,
};
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
use envoy_types::pb::envoy::config::route::v3::{
    DirectResponseAction, HeaderMatcher, QueryParameterMatcher, RetryPolicy, Route, RouteAction,
    RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
};
use envoy_types::pb::envoy::extensions::retry::priority::previous_priorities::v3::PreviousPrioritiesConfig;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher};
use envoy_types::pb::google::protobuf::BoolValue;
use envoy_types::util::pack_any;
use peerway_mesh::{HttpRoute, Retry, RouteLeg, RouteTable, VirtualHost as Host};
use peerway_model::config::{
    HashOf, HashPolicy as Hash, HeaderEdits, HeaderTest, PathTest, QueryTest, RequestMatch, TextTest,
};

/// What is tried again: only requests of which nobody has seen anything yet.
const RETRY_ON: &str = "connect-failure,refused-stream";
/// How often. An instance that was registered a moment before it listens costs a retry and no call.
const RETRIES: u32 = 3;
/// The header by which a gateway says that a request was passed on to nobody.
pub(crate) const UNSERVED: &str = "x-peerway-unserved";
/// How often before that happens somewhere else, where something stands in: not at once, since the next gateway may do.
const TRIES_IN_ONE_PLACE: i32 = 2;
/// The answer when no way to a service is known.
const UNAVAILABLE: u32 = 503;

pub(crate) fn table(table: &RouteTable) -> RouteConfiguration {
    RouteConfiguration {
        name: table.name.clone(),
        virtual_hosts: table.hosts.iter().map(host).collect(),
        // The Envoy cluster of an import comes and goes; the listener stays and answers 503 meanwhile.
        validate_clusters: Some(BoolValue { value: false }),
        ..RouteConfiguration::default()
    }
}

fn host(host: &Host) -> VirtualHost {
    VirtualHost {
        name: host.name.clone(),
        domains: host.domains.clone(),
        routes: host.routes.iter().map(route).collect(),
        request_headers_to_add: written(&host.request_headers),
        request_headers_to_remove: removed(&host.request_headers),
        response_headers_to_add: written(&host.response_headers),
        response_headers_to_remove: removed(&host.response_headers),
        ..VirtualHost::default()
    }
}

fn route(route: &HttpRoute) -> Route {
    // What the only leg says about headers is said by the route.
    let (request, response) = match route.legs.as_slice() {
        [leg] => (
            route.request_headers.with(&leg.request_headers),
            route.response_headers.with(&leg.response_headers),
        ),
        _ => (route.request_headers.clone(), route.response_headers.clone()),
    };
    Route {
        r#match: Some(matching(&route.request)),
        request_headers_to_add: written(&request),
        request_headers_to_remove: removed(&request),
        response_headers_to_add: written(&response),
        response_headers_to_remove: removed(&response),
        action: Some(match route.legs.as_slice() {
            [] => Action::DirectResponse(DirectResponseAction {
                status: UNAVAILABLE,
                ..DirectResponseAction::default()
            }),
            legs => Action::Route(action(route, legs)),
        }),
        ..Route::default()
    }
}

fn action(route: &HttpRoute, legs: &[RouteLeg]) -> RouteAction {
    let to = match legs {
        [leg] => ClusterSpecifier::Cluster(leg.cluster.clone()),
        legs => ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: legs.iter().map(weighted).collect(),
            ..WeightedCluster::default()
        }),
    };
    RouteAction {
        // 0 is Envoy's word for none; leaving it out means 15 seconds.
        timeout: Some(millis(route.timeout_ms.unwrap_or(0))),
        idle_timeout: route.idle_timeout_ms.map(millis),
        retry_policy: Some(match route.elsewhere {
            true => elsewhere(retry(route.retry.as_ref())),
            false => retry(route.retry.as_ref()),
        }),
        prefix_rewrite: route.prefix_rewrite.clone().unwrap_or_default(),
        hash_policy: route.hash.iter().map(hash).collect(),
        cluster_specifier: Some(to),
        host_rewrite_specifier: route
            .rewrites_host
            .then_some(HostRewriteSpecifier::AutoHostRewrite(BoolValue { value: true })),
        ..RouteAction::default()
    }
}

fn weighted(leg: &RouteLeg) -> ClusterWeight {
    ClusterWeight {
        name: leg.cluster.clone(),
        weight: Some(number(leg.weight)),
        request_headers_to_add: written(&leg.request_headers),
        request_headers_to_remove: removed(&leg.request_headers),
        response_headers_to_add: written(&leg.response_headers),
        response_headers_to_remove: removed(&leg.response_headers),
        ..ClusterWeight::default()
    }
}

fn retry(asked: Option<&Retry>) -> RetryPolicy {
    match asked {
        None => RetryPolicy {
            retry_on: RETRY_ON.to_owned(),
            num_retries: Some(number(RETRIES)),
            ..RetryPolicy::default()
        },
        Some(retry) => RetryPolicy {
            retry_on: retry.reasons.join(","),
            num_retries: retry.times.map(number),
            retriable_status_codes: retry.status_codes.iter().map(|code| u32::from(*code)).collect(),
            ..RetryPolicy::default()
        },
    }
}

/// The same, but where something stands in: the clusters that have failed are left out, be they well or not as far as
/// anybody knows, and a peer's gateway that has nobody for a request has failed too.
fn elsewhere(mut policy: RetryPolicy) -> RetryPolicy {
    policy.retry_on.push_str(",retriable-headers");
    policy.retriable_headers.push(HeaderMatcher {
        name: UNSERVED.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::PresentMatch(true)),
        ..HeaderMatcher::default()
    });
    policy.retry_priority = Some(RetryPriority {
        name: "envoy.retry_priorities.previous_priorities".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack_any(PreviousPrioritiesConfig {
            update_frequency: TRIES_IN_ONE_PLACE,
        }))),
    });
    policy
}

fn matching(request: &RequestMatch) -> RouteMatch {
    let path = match &request.path {
        PathTest::Any => PathSpecifier::Prefix("/".to_owned()),
        PathTest::Exact(path) => PathSpecifier::Path(path.clone()),
        PathTest::Prefix(path) => PathSpecifier::Prefix(path.clone()),
        PathTest::Regex(path) => PathSpecifier::SafeRegex(regex(path.as_str())),
    };
    let mut headers: Vec<HeaderMatcher> = request.headers.iter().map(header).collect();
    if let Some(pattern) = match request.methods.as_slice() {
        [] => None,
        [method] => Some(MatchPattern::Exact(method.clone())),
        // Names of methods are letters, so they mean themselves.
        methods => Some(MatchPattern::SafeRegex(regex(&methods.join("|")))),
    } {
        headers.push(HeaderMatcher {
            name: ":method".to_owned(),
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(text(pattern))),
            ..HeaderMatcher::default()
        });
    }
    RouteMatch {
        path_specifier: Some(path),
        case_sensitive: request.case_insensitive.then_some(BoolValue { value: false }),
        headers,
        query_parameters: request.query.iter().map(query).collect(),
        ..RouteMatch::default()
    }
}

fn header(header: &HeaderTest) -> HeaderMatcher {
    HeaderMatcher {
        name: header.name.clone(),
        invert_match: header.invert,
        header_match_specifier: Some(match pattern(&header.test) {
            None => HeaderMatchSpecifier::PresentMatch(true),
            Some(pattern) => HeaderMatchSpecifier::StringMatch(text(pattern)),
        }),
        ..HeaderMatcher::default()
    }
}

fn query(query: &QueryTest) -> QueryParameterMatcher {
    QueryParameterMatcher {
        name: query.name.clone(),
        query_parameter_match_specifier: Some(match pattern(&query.test) {
            None => QueryParameterMatchSpecifier::PresentMatch(true),
            Some(pattern) => QueryParameterMatchSpecifier::StringMatch(text(pattern)),
        }),
    }
}

/// `None` asks only for presence.
fn pattern(test: &TextTest) -> Option<MatchPattern> {
    Some(match test {
        TextTest::Present => return None,
        TextTest::Exact(value) => MatchPattern::Exact(value.clone()),
        TextTest::Prefix(value) => MatchPattern::Prefix(value.clone()),
        TextTest::Suffix(value) => MatchPattern::Suffix(value.clone()),
        TextTest::Regex(value) => MatchPattern::SafeRegex(regex(value.as_str())),
    })
}

fn text(pattern: MatchPattern) -> StringMatcher {
    StringMatcher {
        match_pattern: Some(pattern),
        ..StringMatcher::default()
    }
}

fn regex(expression: &str) -> RegexMatcher {
    RegexMatcher {
        regex: expression.to_owned(),
        ..RegexMatcher::default()
    }
}

/// What is set and what is added, in that order.
fn written(edits: &HeaderEdits) -> Vec<HeaderValueOption> {
    let option = |(name, value): (&String, &String), how: HeaderAppendAction| HeaderValueOption {
        header: Some(HeaderValue {
            key: name.clone(),
            value: value.clone(),
            ..HeaderValue::default()
        }),
        append_action: i32::from(how),
        // An empty value is a value.
        keep_empty_value: true,
        ..HeaderValueOption::default()
    };
    let set = edits
        .set
        .iter()
        .map(|pair| option(pair, HeaderAppendAction::OverwriteIfExistsOrAdd));
    let add = edits
        .add
        .iter()
        .map(|pair| option(pair, HeaderAppendAction::AppendIfExistsOrAdd));
    set.chain(add).collect()
}

fn removed(edits: &HeaderEdits) -> Vec<String> {
    edits.remove.iter().cloned().collect()
}

fn hash(hash: &Hash) -> HashPolicy {
    let by = match &hash.by {
        HashOf::Header(name) => PolicySpecifier::Header(Header {
            header_name: name.clone(),
            ..Header::default()
        }),
        HashOf::Query(name) => PolicySpecifier::QueryParameter(QueryParameter { name: name.clone() }),
        HashOf::SourceIp => PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true }),
        HashOf::Cookie {
            name,
            ttl_ms,
            session,
            path,
        } => PolicySpecifier::Cookie(Cookie {
            name: name.clone(),
            // 0 is Envoy's word for a session; without one no cookie is made.
            ttl: if *session {
                Some(millis(0))
            } else {
                ttl_ms.map(millis)
            },
            path: path.clone().unwrap_or_default(),
            ..Cookie::default()
        }),
    };
    HashPolicy {
        terminal: hash.terminal,
        policy_specifier: Some(by),
    }
}
