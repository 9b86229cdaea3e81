//! How the proxies of a service take calls for it (fields of `service-defaults`).

use super::service_router::short;
use super::upstreams::{MAX_CONNECT_TIMEOUT_MS, within};
use crate::Invalid;

/// How the proxies of a service take calls for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Inbound {
    /// Most connections that one proxy takes at a time; `None` for any number.
    pub max_connections: Option<u32>,
    /// How long connecting to the application may take, in milliseconds.
    pub connect_timeout_ms: Option<u64>,
    /// How long the application may take to answer a request, in milliseconds; `None` for any time. Bytes have no
    /// requests.
    pub request_timeout_ms: Option<u64>,
    /// Whether the proxy spreads connections evenly over its threads.
    pub exact_balance: bool,
}

impl Inbound {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if self.max_connections == Some(0) {
            return Err(Invalid::new(
                "MaxInboundConnections",
                "must be at least 1; say by service-intentions that nobody may call",
            ));
        }
        within(
            "LocalConnectTimeoutMs",
            self.connect_timeout_ms,
            MAX_CONNECT_TIMEOUT_MS,
        )?;
        short("LocalRequestTimeoutMs", self.request_timeout_ms)
    }
}
