//! From a Snapshot to what each proxy must know.
//!
//! A proxy's [`View`] is a list of [`Fragment`]s, shared by every proxy that needs the same. While a fragment or a
//! proxy's shape is built, the topics that it read are recorded; a change rebuilds only what read something that
//! changed, and an equal result keeps the old `Arc` and stops the wave. Pure: no I/O, no clock, no wire types.

pub mod fragment;

mod address;
mod finding;
mod fragment_key;
mod naming;
mod pieces;
mod read;
mod shape;
mod upkeep;

pub use fragment::{
    AccessLog, Authorization, Caller, CallerHeader, CallerPattern, Certificate, Chain, Cluster, Condition,
    Direction, Discovery, DownstreamTls, Endpoint, Endpoints, Fitting, Fragment, FragmentKind,
    GatewayPattern, Grant, Health, Http, HttpRoute, Intake, KEY_SERVER_PREFIX, KnownBy, LEAF_SECRET, Lets,
    Listener, OutsideName, OutsideTls, Policy, RequestAuthorization, RequestCaller, RequestPolicy, Requests,
    Retry, RouteLeg, RouteTable, Routes, ServingTls, TRACE_COLLECTOR, Tcp, Telemetry, Terms, Token, Tracing,
    Traffic, UpstreamTls, Validation, View, VirtualHost, WHOLE,
};
pub use upkeep::{Changed, Mesh, Stats};

#[cfg(test)]
mod tests;
