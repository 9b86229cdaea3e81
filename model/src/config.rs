//! Config entries: what operators write to say how the mesh behaves.

mod access_logs;
mod api_gateway;
mod attached;
mod by_locality;
mod destination;
mod edge_route;
mod entry;
mod exported_services;
mod header_edits;
mod host;
mod inbound;
mod ingress_gateway;
mod inline_certificate;
mod jwt_provider;
mod jwt_requirement;
mod load_balancer;
mod log_operators;
mod mesh_tls;
mod pattern;
mod permission;
mod sameness_group;
mod service_intentions;
mod service_resolver;
mod service_router;
mod service_splitter;
mod settings;
mod terminating_gateway;
mod tracing;
mod upstreams;

pub use access_logs::{AccessLogs, LogFormat, LogSink, MAX_LOG_FORMAT_BYTES, MAX_LOG_PATH_BYTES};
pub use api_gateway::{ApiGateway, ApiListener, ApiTls, MAX_LISTENER_CERTIFICATES};
pub use attached::{Attached, attached};
pub use by_locality::ByLocality;
pub use destination::Destination;
pub use edge_route::{
    HttpRoute, HttpRule, MAX_MATCHES, MAX_PARENTS, MAX_SERVICE_WEIGHT, RouteParent, RouteService, TcpRoute,
};
pub use entry::{
    ConfigEntry, ConfigKey, ConfigKind, MAX_META_KEY_BYTES, MAX_META_PAIRS, MAX_META_VALUE_BYTES, Meta,
    validate_meta,
};
pub use exported_services::{Consumer, ExportedService, ExportedServices, Exports};
pub use header_edits::{HeaderEdits, MAX_EDITED_HEADERS, MAX_HEADER_NAME_BYTES, MAX_HEADER_VALUE_BYTES};
pub use host::port_forms;
pub use inbound::Inbound;
pub use ingress_gateway::{
    DNS_DOMAIN, EdgeTerms, EdgeTls, IngressGateway, IngressListener, IngressService, MAX_CERTIFICATE_NAMES,
    MAX_EDGE_LISTENERS, MAX_HOSTS, MAX_LISTENER_SERVICES,
};
pub use inline_certificate::{InlineCertificate, MAX_CERTIFICATE_BYTES};
pub use jwt_provider::{
    DEFAULT_CLOCK_SKEW_SECONDS, Forwarding, JwtProvider, KeyDiscovery, KeySet, KeySource, KeyUri,
    MAX_AUDIENCES, MAX_CA_BYTES, MAX_CACHED_TOKENS, MAX_CLOCK_SKEW_SECONDS, MAX_ISSUER_BYTES,
    MAX_KEY_CACHE_MS, MAX_KEY_FETCH_MS, MAX_KEY_RETRIES, MAX_KEY_SET_BYTES, MAX_LOCATIONS,
    MAX_TOKEN_PLACE_BYTES, MAX_URI_BYTES, RemoteKeys, Retries, TokenLocation, TrustedCa,
};
pub use jwt_requirement::{
    Claims, JwtRequirement, MAX_CLAIM_BYTES, MAX_CLAIM_DEPTH, MAX_WANTED_CLAIMS, MAX_WANTED_TOKENS,
    WantedClaim, WantedToken,
};
pub use load_balancer::{
    Balance, HashOf, HashPolicy, LoadBalancer, MAX_CHOICE_COUNT, MAX_HASH_POLICIES, MAX_RING_SIZE,
};
pub use log_operators::log_operator_examples;
pub use mesh_tls::{CipherSuite, MeshTls, TlsBounds, TlsVersion};
pub use pattern::Pattern;
pub(crate) use permission::check_path;
pub use permission::{
    HeaderCheck, HeaderCondition, HeaderName, MAX_CONDITION_BYTES, MAX_HEADER_CONDITIONS, MAX_PERMISSIONS,
    Method, PathCondition, Permission, RequestCondition, ValuePart, Verdict,
};
pub use sameness_group::{MAX_MEMBERS, Member, SamenessGroup};
pub use service_intentions::{Action, MAX_DESCRIPTION_BYTES, ServiceIntentions, Source};
pub use service_resolver::{
    ANY_SUBSET, Failover, MAX_FAILOVER_TARGETS, MAX_SUBSETS, ServiceResolver, Subset,
};
pub use service_router::{
    HeaderTest, MAX_COMPARED_BYTES, MAX_PARAMETER_BYTES, MAX_RETRIES, MAX_ROUTE_TESTS, MAX_ROUTES,
    MAX_TIMEOUT_MS, METHODS, PathTest, QueryTest, RETRY_CONDITIONS, RequestMatch, RouteDestination,
    ServiceRoute, ServiceRouter, TextTest,
};
pub use service_splitter::{MAX_SPLITS, ServiceSplitter, Split, WHOLE};
pub use settings::{Mesh, Protocol, ProxyDefaults, ServiceDefaults};
pub use terminating_gateway::{
    LinkedService, MAX_FILE_PATH_BYTES, MAX_LINKED_SERVICES, Outward, TerminatingGateway,
};
pub use tracing::{ALL_TRACES, Tracing};
pub use upstreams::{
    Limits, MAX_CONNECT_TIMEOUT_MS, MAX_EJECTION_MS, MAX_OVERRIDES, PassiveHealthCheck, UpstreamOverride,
    UpstreamSettings, Upstreams,
};

#[cfg(test)]
mod tests;
