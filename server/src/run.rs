//! The life of a server, from top to bottom.

use crate::hatches::{Authority, Peerings, Secrets};
use crate::listen::{self, ListenError};
use crate::receipts::Takers;
use crate::rotation::Everybody;
use crate::seed::{self, SeedError};
use crate::{Settings, tls};
use peerway_api_server as api;
use peerway_certs::{Certs, Rotator, StartError};
use peerway_dns as dns;
use peerway_model::{Invalid, sni};
use peerway_peering_link::{Link, LinkConfig, PeerStreamServer};
use peerway_redb::RedbStorage;
use peerway_runtime::telemetry::{self, LogError};
use peerway_runtime::{Drain, Readiness, SystemClock, Tasks};
use peerway_store::{MemoryStorage, OpenError, Store, open};
use peerway_xds_server::{Gate, Parts};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

/// How long requests and streams may take to end when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// How often idle gRPC connections are probed.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long a probe may stay unanswered.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// The Envoy versions that are supported, newest first.
const ENVOY_VERSIONS: &[&str] = &["1.40.0", "1.39.3", "1.38.3", "1.37.0", "1.36.4"];
/// Streams that one connection of proxies may have open: an aggregator may carry many proxies over one.
const PROXY_STREAMS: u32 = 2048;
/// Streams that one connection of a peer may have open; it needs one, and one more to exchange a secret.
const PEER_STREAMS: u32 = 8;
/// Most bytes of the headers of one gRPC request.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// Why a server did not start, or stopped by itself.
#[derive(Debug, Error)]
pub enum RunError {
    /// Logging.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The authority.
    #[error(transparent)]
    Certs(#[from] StartError),
    /// A setting that only another room can judge.
    #[error("{0}")]
    Setting(Invalid),
    /// What the settings list.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// TLS.
    #[error("the peering endpoint cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The operating system.
    #[error("cannot {doing}: {cause}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// A part that must run has stopped.
    #[error("{task} has stopped: {reason}")]
    Fallen {
        /// Which part.
        task: &'static str,
        /// Why.
        reason: String,
    },
}

/// Runs a server until it is told to stop (SIGTERM or SIGINT) or a part of it fails.
///
/// # Errors
/// See [`RunError`].
pub fn run(settings: Settings) -> Result<(), RunError> {
    telemetry::init_logging(&settings.log_level, settings.log_json)?;
    let system = |doing| move |cause| RunError::System { doing, cause };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(system("start the threads of the server"))?;
    let store = match &settings.data_dir {
        Some(dir) => open(RedbStorage::open(dir).map_err(OpenError::Storage)?)?,
        None => open(MemoryStorage::default())?,
    };
    let ended = runtime.block_on(serve(&settings, &store));
    // Whoever still holds a writer goes with the runtime; then the store can close.
    runtime.shutdown_timeout(GRACE);
    store.close();
    ended
}

async fn serve(settings: &Settings, store: &Store) -> Result<(), RunError> {
    let system = |doing| move |cause| RunError::System { doing, cause };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("listen for signals"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system("listen for signals"))?;
    let (trigger, _watch) = Drain::new();
    let tasks = Tasks::new(trigger);
    let started = start(settings, store, &tasks).await;
    let ended = match started {
        Err(error) => Err(error),
        Ok(()) => {
            tracing::info!(datacenter = %settings.datacenter, node = %settings.node_name, "ready");
            tokio::select! {
                fallen = tasks.failed() => Err(RunError::Fallen { task: fallen.task, reason: fallen.reason }),
                _ = interrupt.recv() => Ok(()),
                _ = terminate.recv() => Ok(()),
            }
        }
    };
    tracing::info!("stopping");
    let report = tasks.shutdown(GRACE).await;
    if !report.aborted.is_empty() {
        tracing::warn!(tasks = ?report.aborted, "some tasks did not end in time");
    }
    ended
}

/// Starts every room, those that others need first, and the listeners last: whoever can connect is served.
async fn start(settings: &Settings, store: &Store, tasks: &Tasks) -> Result<(), RunError> {
    let clock = SystemClock::shared();
    let readiness = Readiness::new();
    let starting = readiness.block("start");
    // Ports are bound before anything is written, so that a second server on the same ports changes nothing.
    let http = bind("ports.http", settings.http).await?;
    let grpc = bind("ports.grpc", settings.grpc).await?;
    let grpc_tls = bind("ports.grpc_tls", settings.grpc_tls).await?;
    let names = match settings.dns {
        Some(addr) => Some(listen::listen_both("ports.dns", addr).await?),
        None => None,
    };

    let leaves = peerway_certs::Settings::new(settings.leaf_ttl)
        .map_err(|error| RunError::Setting(error.within("connect.ca_config")))?;
    let (writer, reader) = (&store.writer, &store.reader);
    let certs = Certs::start(
        writer,
        reader,
        clock.clone(),
        &settings.datacenter,
        leaves,
        settings.root.as_ref(),
        tasks,
    )
    .await?;
    // A server that does not peer has no endpoint for it.
    let peering_port = port(grpc_tls.as_ref()).filter(|_| settings.peering);
    seed::seed(settings, peering_port, writer, reader).await?;

    let link = Link::new(
        link_config(settings, grpc_tls.as_ref()),
        reader.clone(),
        writer.clone(),
        clock.clone(),
        tasks.clone(),
    );
    let gate = Gate::start(Parts {
        reader: reader.clone(),
        secrets: Arc::new(Secrets {
            certs: certs.clone(),
            reader: reader.clone(),
        }),
        tasks: tasks.clone(),
        clock: clock.clone(),
        node_name: settings.node_name.clone(),
        default_intention: settings.default_intention,
        stale: link.stale(),
    });
    if settings.peering {
        link.start();
    }
    let everybody = Everybody {
        gate: gate.clone(),
        link: link.clone(),
        reader: reader.clone(),
    };
    let authority = Arc::new(Authority {
        certs: certs.clone(),
        rotator: Rotator::start(
            certs.clone(),
            writer.clone(),
            reader.clone(),
            clock.clone(),
            Arc::new(everybody),
            tasks,
        ),
        datacenter: settings.datacenter.clone(),
    });
    let grpc_tls_port = port(grpc_tls.as_ref());
    if let Some(listener) = grpc_tls
        && settings.peering
    {
        serve_peers(listener, &certs, settings, &link, tasks)?;
    }
    let ports = api::Ports {
        xds_plaintext: port(grpc.as_ref()),
        xds_tls: None,
    };
    if let Some(listener) = grpc {
        serve_proxies(listener, &gate, tasks);
    }
    if let Some((udp, tcp)) = names {
        let parts = dns::Parts {
            reader: reader.clone(),
            zone: settings.zone.clone(),
            stale: link.stale(),
        };
        dns::serve(parts, udp, tcp, tasks);
    }
    if let Some(listener) = http {
        let router = api::router(api::Parts {
            reader: reader.clone(),
            writer: writer.clone(),
            clock,
            node: seed::node(settings, &reader.snapshot()),
            version: env!("CARGO_PKG_VERSION"),
            envoy_versions: ENVOY_VERSIONS,
            default_intention: settings.default_intention,
            leader_address: leader_address(settings, grpc_tls_port),
            ports,
            readiness: readiness.clone(),
            leaves: authority.clone(),
            rotations: authority,
            receipts: Arc::new(Takers {
                gate: gate.clone(),
                link: link.clone(),
                reader: reader.clone(),
            }),
            introductions: Arc::new(Peerings {
                link,
                reader: reader.clone(),
                enabled: settings.peering,
            }),
        });
        serve_api(listener, router, tasks);
    }
    starting.ready();
    Ok(())
}

async fn bind(setting: &'static str, addr: Option<SocketAddr>) -> Result<Option<TcpListener>, ListenError> {
    match addr {
        Some(addr) => listen::listen(setting, addr).await.map(Some),
        None => Ok(None),
    }
}

fn port(listener: Option<&TcpListener>) -> Option<u16> {
    listener
        .and_then(|listener| listener.local_addr().ok())
        .map(|addr| addr.port())
}

/// One server is its own leader; named by the address that other servers would use, as Consul does.
fn leader_address(settings: &Settings, grpc_tls: Option<u16>) -> String {
    SocketAddr::new(settings.advertise_addr, grpc_tls.unwrap_or_default()).to_string()
}

fn link_config(settings: &Settings, listener: Option<&TcpListener>) -> LinkConfig {
    let address = port(listener).map(|port| SocketAddr::new(settings.advertise_addr_wan, port).to_string());
    LinkConfig {
        server_addresses: address.into_iter().collect(),
        token_ttl: settings.token_ttl,
        imports: settings.imports.clone(),
        stale_after: settings.stale_after,
    }
}

fn grpc_server(streams: u32) -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(Some(streams))
        .http2_max_header_list_size(Some(MAX_HEADER_BYTES))
        .tcp_nodelay(true)
}

fn serve_peers(
    listener: TcpListener,
    certs: &Certs,
    settings: &Settings,
    link: &Link,
    tasks: &Tasks,
) -> Result<(), RunError> {
    let server_name = sni::peering_server(&settings.datacenter, certs.trust_domain());
    let connections = tls::accept(listener, server_name, certs.server_certificate())?;
    let (service, stop) = (PeerStreamServer::new(link.clone()), tasks.watch());
    tasks.spawn("peering endpoint", async move {
        let router = grpc_server(PEER_STREAMS).add_service(service);
        router
            .serve_with_incoming_shutdown(connections, async move { stop.signaled().await })
            .await
    });
    Ok(())
}

fn serve_proxies(listener: TcpListener, gate: &Gate, tasks: &Tasks) {
    let (service, stop) = (gate.service(), tasks.watch());
    tasks.spawn("xds", async move {
        let router = grpc_server(PROXY_STREAMS).add_service(service);
        router
            .serve_with_incoming_shutdown(
                TcpListenerStream::new(listener),
                async move { stop.signaled().await },
            )
            .await
    });
}

fn serve_api(listener: TcpListener, router: axum::Router, tasks: &Tasks) {
    let stop = tasks.watch();
    tasks.spawn("api", async move {
        // Whoever asks is written down where that matters.
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service)
            .with_graceful_shutdown(async move { stop.signaled().await })
            .await
    });
}
