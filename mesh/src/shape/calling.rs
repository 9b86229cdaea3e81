//! How the application behind a sidecar calls others: what its registration, the defaults of its service and those of
//! all proxies say, in this order.

use crate::fragment::Terms;
use crate::read::Reading;
use peerway_model::config::{MAX_CONNECT_TIMEOUT_MS, TlsBounds, Upstreams};
use peerway_model::instance::GatewayMode;
use peerway_model::{Instance, Locality, ServiceKey, Upstream};

/// What holds for all calls of an application.
pub(super) struct Calling<'a> {
    /// How peers are reached by an upstream about which nothing is said.
    mode: GatewayMode,
    /// What the service says about its upstreams.
    upstreams: Option<&'a Upstreams>,
    /// Which TLS its proxies speak.
    bounds: TlsBounds,
    /// Where its proxy is.
    from: Option<Locality>,
}

/// What is asked of all that the chain of one upstream leads to.
pub(super) struct Asked {
    pub(super) mode: GatewayMode,
    pub(super) connect_timeout_ms: Option<u64>,
    pub(super) terms: Terms,
    pub(super) bounds: TlsBounds,
    pub(super) exact_balance: bool,
    /// Where the caller is; it counts for services of which those that are near are preferred.
    pub(super) from: Option<Locality>,
}

impl<'a> Calling<'a> {
    /// Of a proxy that stands for `service`, whose registration says `own`.
    pub(super) fn of(
        proxy: &Instance,
        own: Option<GatewayMode>,
        service: &ServiceKey,
        reading: &mut Reading<'a>,
    ) -> Self {
        let defaults = reading.service_defaults(service);
        let mode = own
            .or_else(|| defaults?.mesh_gateway)
            .or_else(|| reading.proxy_defaults(&service.partition)?.mesh_gateway);
        Calling {
            // Straight to the peer's gateways.
            mode: mode.unwrap_or(GatewayMode::Remote),
            upstreams: defaults.map(|defaults| &defaults.upstreams),
            bounds: reading.tls(&service.partition).outgoing,
            from: reading.locality_of(proxy),
        }
    }

    /// What is asked of a service that is called, by the registration of the upstream where there is one.
    pub(super) fn asked(&self, service: &ServiceKey, upstream: Option<&Upstream>) -> Asked {
        let said = self.upstreams.map(|upstreams| upstreams.of(service));
        let said = said.unwrap_or_default();
        let mode = upstream.and_then(|upstream| upstream.mesh_gateway);
        Asked {
            mode: mode.or(said.mesh_gateway).unwrap_or(self.mode),
            connect_timeout_ms: upstream.and_then(connect_timeout_ms).or(said.connect_timeout_ms),
            terms: Terms {
                limits: said.limits.unwrap_or_default(),
                passive: said.passive_health_check.unwrap_or_default(),
            },
            bounds: self.bounds.clone(),
            exact_balance: said.exact_balance,
            from: self.from.clone(),
        }
    }
}

fn connect_timeout_ms(upstream: &Upstream) -> Option<u64> {
    upstream
        .config
        .get("connect_timeout_ms")
        .and_then(|given| given.as_u64())
        .filter(|ms| (1..=MAX_CONNECT_TIMEOUT_MS).contains(ms))
}
