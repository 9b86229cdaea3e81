//! How the proxies of a service take calls for it (fields of `service-defaults`).

use super::service_router::short;
use super::upstreams::{MAX_CONNECT_TIMEOUT_MS, within};
use crate::Invalid;
use crate::instance::Opaque;
use std::collections::BTreeMap;

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

/// The keys of `proxy-defaults` `Config` that say the same for all services.
const MAX_CONNECTIONS: &str = "max_inbound_connections";
const CONNECT_TIMEOUT: &str = "local_connect_timeout_ms";
const REQUEST_TIMEOUT: &str = "local_request_timeout_ms";
const BALANCE: &str = "balance_inbound_connections";
/// The one way of spreading connections that can be asked for.
const EXACT: &str = "exact_balance";

impl Inbound {
    /// What the `Config` of all proxies says.
    ///
    /// # Errors
    /// By the key of what is not a number, or out of bounds.
    pub fn of_config(config: &BTreeMap<String, Opaque>) -> Result<Self, Invalid> {
        let number = |key: &str| match config.get(key) {
            None | Some(Opaque::Null) => Ok(None),
            Some(given) => match given.as_u64() {
                Some(number) => Ok(Some(number).filter(|number| *number > 0)),
                None => Err(Invalid::new(key, "is not a whole number, write one")),
            },
        };
        let max_connections = match number(MAX_CONNECTIONS)? {
            None => None,
            Some(number) => Some(
                u32::try_from(number)
                    .map_err(|_| Invalid::new(MAX_CONNECTIONS, format!("must be at most {}", u32::MAX)))?,
            ),
        };
        let exact_balance = match config.get(BALANCE) {
            None | Some(Opaque::Null) => false,
            Some(Opaque::Text(text)) if text.is_empty() => false,
            Some(Opaque::Text(text)) if text == EXACT => true,
            Some(_) => {
                return Err(Invalid::new(
                    BALANCE,
                    format!("is not {EXACT:?}, which is the only one"),
                ));
            }
        };
        let connect_timeout_ms = number(CONNECT_TIMEOUT)?;
        within(CONNECT_TIMEOUT, connect_timeout_ms, MAX_CONNECT_TIMEOUT_MS)?;
        let request_timeout_ms = number(REQUEST_TIMEOUT)?;
        short(REQUEST_TIMEOUT, request_timeout_ms)?;
        Ok(Inbound {
            max_connections,
            connect_timeout_ms,
            request_timeout_ms,
            exact_balance,
        })
    }

    /// The same, and what `other` says where this says nothing.
    #[must_use]
    pub fn or(self, other: Inbound) -> Inbound {
        Inbound {
            max_connections: self.max_connections.or(other.max_connections),
            connect_timeout_ms: self.connect_timeout_ms.or(other.connect_timeout_ms),
            request_timeout_ms: self.request_timeout_ms.or(other.request_timeout_ms),
            exact_balance: self.exact_balance || other.exact_balance,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_proxies_may_be_told_the_same() {
        let config =
            |key: &str, value: &str| BTreeMap::from([(key.to_owned(), Opaque::Text(value.to_owned()))]);
        let all = Inbound::of_config(&config("local_connect_timeout_ms", "250")).unwrap();
        assert_eq!(all.connect_timeout_ms, Some(250));
        let own = Inbound {
            connect_timeout_ms: Some(100),
            ..Inbound::default()
        };
        assert_eq!(own.or(all).connect_timeout_ms, Some(100));
        assert_eq!(Inbound::default().or(all), all);
        for (key, bad) in [
            ("max_inbound_connections", "many"),
            ("max_inbound_connections", "4294967296"),
            ("local_connect_timeout_ms", "600001"),
            ("local_request_timeout_ms", "86400001"),
            ("balance_inbound_connections", "even"),
        ] {
            let error = Inbound::of_config(&config(key, bad)).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
