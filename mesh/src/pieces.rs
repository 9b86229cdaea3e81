//! From a key to a fragment. Every function is pure: the same key and the same Snapshot give the same fragment.

mod cluster;
mod edge;
mod endpoints;
mod key_server;
mod listener;
mod outside;
mod policy;
mod routes;
mod servers;
mod telemetry;
mod validation;

pub(crate) use outside::targets;
pub(crate) use telemetry::reporter;

use crate::fragment::{Fragment, Intake, Listener};
use crate::fragment_key::FragmentKey;
use crate::naming;
use crate::read::Reading;

/// The fragment, or `None` while what it needs is not known: a view then goes without it.
pub(crate) fn build(key: &FragmentKey, reading: &mut Reading<'_>) -> Option<Fragment> {
    match key {
        FragmentKey::LocalRoots => validation::local(reading).map(Fragment::Validation),
        FragmentKey::PeerRoots(peering) => validation::peer(reading, peering).map(Fragment::Validation),
        FragmentKey::InboundRoots(service) => validation::inbound(reading, service).map(Fragment::Validation),
        FragmentKey::Admitted(service) => validation::admitted(reading, service).map(Fragment::Validation),
        FragmentKey::ConnectionPolicy(service) => policy::connections(reading, service).map(Fragment::Policy),
        FragmentKey::RequestPolicy(service) => policy::requests(reading, service).map(Fragment::Policy),
        FragmentKey::LinePolicy(service) => policy::lines(reading, service).map(Fragment::Policy),
        FragmentKey::TokenPolicy(service) => policy::tokens(reading, service).map(Fragment::Policy),
        FragmentKey::KeyServer { partition, provider } => {
            key_server::cluster(reading, partition, provider).map(Fragment::Cluster)
        }
        FragmentKey::LocalApp {
            address,
            protocol,
            connect_timeout_ms,
        } => Some(Fragment::Cluster(cluster::local_app(
            naming::LOCAL_APP.to_owned(),
            address,
            *protocol,
            *connect_timeout_ms,
        ))),
        FragmentKey::ExposedApp {
            address,
            protocol,
            connect_timeout_ms,
        } => Some(Fragment::Cluster(cluster::local_app(
            naming::exposed_cluster(address.port, *protocol),
            address,
            *protocol,
            *connect_timeout_ms,
        ))),
        FragmentKey::ExposedListener {
            address,
            partition,
            path,
        } => Some(Fragment::Listener(listener::exposed(
            reading, address, partition, path,
        ))),
        FragmentKey::UpstreamCluster {
            reach,
            connect_timeout_ms,
            terms,
            bounds,
        } => cluster::upstream(reading, reach, *connect_timeout_ms, *terms, bounds).map(Fragment::Cluster),
        FragmentKey::UpstreamEndpoints(reach) => endpoints::upstream(reading, reach).map(Fragment::Endpoints),
        FragmentKey::UpstreamGroup {
            target,
            connect_timeout_ms,
        } => cluster::group(reading, target, *connect_timeout_ms).map(Fragment::Cluster),
        FragmentKey::UpstreamRoutes(service) => routes::chain(reading, service).map(Fragment::Routes),
        FragmentKey::GatewayCluster(passed) => cluster::gateway(reading, passed).map(Fragment::Cluster),
        FragmentKey::GatewayEndpoints(passed) => endpoints::gateway(reading, passed).map(Fragment::Endpoints),
        FragmentKey::GatewayRoutes(service) => routes::gateway(reading, service).map(Fragment::Routes),
        FragmentKey::ServersCluster { partition, name } => {
            servers::cluster(reading, partition, name).map(Fragment::Cluster)
        }
        FragmentKey::ServersEndpoints { partition, name } => {
            servers::endpoints(reading, partition, name).map(Fragment::Endpoints)
        }
        FragmentKey::OutsideCluster { target, outward } => {
            outside::cluster(reading, target, outward).map(Fragment::Cluster)
        }
        FragmentKey::OutsideEndpoints(target) => outside::endpoints(reading, target).map(Fragment::Endpoints),
        FragmentKey::TerminatingListener {
            address,
            gateway,
            server_first,
            reporter,
        } => outside::listener(reading, address, gateway, *server_first, reporter.as_deref())
            .map(Fragment::Listener),
        FragmentKey::PublicListener {
            address,
            service,
            server_first,
        } => listener::public(reading, address, service, *server_first).map(Fragment::Listener),
        FragmentKey::UpstreamListener {
            address,
            service,
            partition,
            reporter,
            exact_balance,
        } => listener::upstream(reading, address, service, partition, reporter.as_deref())
            .map(|listener| Listener {
                intake: Intake {
                    exact_balance: *exact_balance,
                    ..listener.intake
                },
                ..listener
            })
            .map(Fragment::Listener),
        FragmentKey::OutboundListener {
            address,
            partition,
            reporter,
        } => listener::outbound(reading, address, partition, reporter.as_deref()).map(Fragment::Listener),
        FragmentKey::TraceCollector(partition) => {
            telemetry::collector(reading, partition).map(Fragment::Cluster)
        }
        FragmentKey::DirectCluster(service) => cluster::direct(reading, service).map(Fragment::Cluster),
        FragmentKey::Passthrough => Some(Fragment::Cluster(cluster::passthrough())),
        FragmentKey::GatewayListener {
            address,
            partition,
            reporter,
        } => listener::gateway(reading, address, partition, reporter.as_deref()).map(Fragment::Listener),
        FragmentKey::EdgeListener {
            address,
            gateway,
            reporter,
        } => edge::listener(reading, address, gateway, reporter.as_deref()).map(Fragment::Listener),
        FragmentKey::Certificate(key) => edge::certificate(reading, key).map(Fragment::Certificate),
        FragmentKey::EdgeRoutes { gateway, port } => {
            edge::table(reading, gateway, *port).map(Fragment::Routes)
        }
    }
}
