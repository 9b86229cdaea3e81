//! Route configurations.

use crate::packed::{millis, number};
use envoy_types::pb::envoy::config::route::v3::route::Action;
use envoy_types::pb::envoy::config::route::v3::route_action::ClusterSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::config::route::v3::{
    RetryPolicy, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
};
use envoy_types::pb::google::protobuf::BoolValue;
use peerway_mesh::RouteTable;

/// What is tried again: only requests of which nobody has seen anything yet.
const RETRY_ON: &str = "connect-failure,refused-stream";
/// How often. An instance that was registered a moment before it listens costs a retry and no call.
const RETRIES: u32 = 3;

pub(crate) fn table(table: &RouteTable) -> RouteConfiguration {
    let action = RouteAction {
        // 0 is Envoy's word for none; leaving it out means 15 seconds.
        timeout: Some(millis(table.timeout_ms.unwrap_or(0))),
        retry_policy: Some(RetryPolicy {
            retry_on: RETRY_ON.to_owned(),
            num_retries: Some(number(RETRIES)),
            ..RetryPolicy::default()
        }),
        cluster_specifier: Some(ClusterSpecifier::Cluster(table.cluster.clone())),
        ..RouteAction::default()
    };
    let route = Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(action)),
        ..Route::default()
    };
    RouteConfiguration {
        name: table.name.clone(),
        virtual_hosts: vec![VirtualHost {
            name: table.host.clone(),
            domains: vec!["*".to_owned()],
            routes: vec![route],
            ..VirtualHost::default()
        }],
        // The Envoy cluster of an import comes and goes; the listener stays and answers 503 meanwhile.
        validate_clusters: Some(BoolValue { value: false }),
        ..RouteConfiguration::default()
    }
}
