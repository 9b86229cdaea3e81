//! How the proxies of a service call others (`UpstreamConfig` of `service-defaults`).

use super::service_router::at_most;
use crate::Invalid;
use crate::instance::GatewayMode;
use crate::key::{Origin, ServiceKey};
use crate::name::{Namespace, Partition, PeerName, ServiceName};
use std::collections::BTreeSet;

/// Most upstreams that one service says something of its own about.
pub const MAX_OVERRIDES: usize = 256;
/// Longest time in which a connection is made, in milliseconds.
pub const MAX_CONNECT_TIMEOUT_MS: u64 = 600_000;
/// Longest interval of a passive health check and longest first ejection, in milliseconds.
pub const MAX_EJECTION_MS: u64 = 3_600_000;

/// How much of an upstream one proxy may use at a time; `None` is Envoy's default, 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Limits {
    /// Connections.
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection.
    pub max_pending_requests: Option<u32>,
    /// Requests.
    pub max_concurrent_requests: Option<u32>,
}

/// When an instance that fails is left out for a while; `None` is Peerway's own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PassiveHealthCheck {
    /// How often ejections are decided about, in milliseconds.
    pub interval_ms: Option<u64>,
    /// Failures in a row before an instance is left out.
    pub max_failures: Option<u32>,
    /// How often it is left out then, in percent.
    pub enforcing_consecutive_5xx: Option<u32>,
    /// How many of the instances may be left out, in percent. All of those of a peer may, whatever is said.
    pub max_ejection_percent: Option<u32>,
    /// How long the first time, in milliseconds; each further time in a row adds as much.
    pub base_ejection_ms: Option<u64>,
}

/// What is said about upstreams.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct UpstreamSettings {
    /// How long making a connection may take, in milliseconds.
    pub connect_timeout_ms: Option<u64>,
    /// How much of it may be used.
    pub limits: Option<Limits>,
    /// When an instance is left out.
    pub passive_health_check: Option<PassiveHealthCheck>,
    /// How it is reached where it is a peer's.
    pub mesh_gateway: Option<GatewayMode>,
    /// Whether the proxy spreads the application's connections evenly over its threads.
    pub exact_balance: bool,
}

/// What is said about one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamOverride {
    /// The service.
    pub name: ServiceName,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its partition; for a service of a peer that of the entry, to which the peering belongs.
    pub partition: Partition,
    /// Whose it is; `None` is a local service.
    pub peer: Option<PeerName>,
    /// What is said.
    pub settings: UpstreamSettings,
}

/// How the proxies of a service call others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Upstreams {
    /// What holds for all of them.
    pub defaults: UpstreamSettings,
    /// What holds for single ones, before the defaults.
    pub overrides: Vec<UpstreamOverride>,
}

impl UpstreamSettings {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == UpstreamSettings::default()
    }

    fn or(&self, other: &UpstreamSettings) -> UpstreamSettings {
        UpstreamSettings {
            connect_timeout_ms: self.connect_timeout_ms.or(other.connect_timeout_ms),
            limits: self.limits.or(other.limits),
            passive_health_check: self.passive_health_check.or(other.passive_health_check),
            mesh_gateway: self.mesh_gateway.or(other.mesh_gateway),
            exact_balance: self.exact_balance || other.exact_balance,
        }
    }

    fn validate(&self) -> Result<(), Invalid> {
        within(
            "ConnectTimeoutMs",
            self.connect_timeout_ms,
            MAX_CONNECT_TIMEOUT_MS,
        )?;
        match &self.passive_health_check {
            None => Ok(()),
            Some(check) => check
                .validate()
                .map_err(|error| error.within("PassiveHealthCheck")),
        }
    }
}

impl UpstreamOverride {
    /// The service that it is about.
    pub fn key(&self) -> ServiceKey {
        ServiceKey {
            origin: self.peer.clone().map_or(Origin::Local, Origin::Peer),
            partition: self.partition.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

impl Upstreams {
    /// What holds for a service that is called: what is said about it, before what is said about all.
    pub fn of(&self, service: &ServiceKey) -> UpstreamSettings {
        let own = self.overrides.iter().find(|own| own.key() == *service);
        match own {
            Some(own) => own.settings.or(&self.defaults),
            None => self.defaults.clone(),
        }
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        self.defaults
            .validate()
            .map_err(|error| error.within("Defaults"))?;
        at_most("Overrides", self.overrides.len(), MAX_OVERRIDES)?;
        let mut seen = BTreeSet::new();
        for (index, own) in self.overrides.iter().enumerate() {
            let at = format!("Overrides[{index}]");
            if !seen.insert(own.key()) {
                return Err(Invalid::new(
                    at,
                    "is about an upstream that has one already, make them one",
                ));
            }
            own.settings.validate().map_err(|error| error.within(&at))?;
        }
        Ok(())
    }
}

impl PassiveHealthCheck {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        within("Interval", self.interval_ms, MAX_EJECTION_MS)?;
        within("BaseEjectionTime", self.base_ejection_ms, MAX_EJECTION_MS)?;
        let percents = [
            ("EnforcingConsecutive5xx", self.enforcing_consecutive_5xx),
            ("MaxEjectionPercent", self.max_ejection_percent),
        ];
        for (field, percent) in percents {
            if percent.is_some_and(|percent| percent > 100) {
                return Err(Invalid::new(field, "must be from 0 to 100"));
            }
        }
        Ok(())
    }
}

/// Refuses a time that is none, or above `most`.
pub(super) fn within(field: &str, given: Option<u64>, most: u64) -> Result<(), Invalid> {
    if given.is_some_and(|ms| !(1..=most).contains(&ms)) {
        return Err(Invalid::new(
            field,
            format!("must be from 1 to {most} milliseconds"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tenancy;

    fn about(name: &str, peer: Option<&str>, settings: UpstreamSettings) -> UpstreamOverride {
        UpstreamOverride {
            name: ServiceName::new(name).unwrap(),
            namespace: Namespace::default(),
            partition: Partition::default(),
            peer: peer.map(|peer| PeerName::new(peer).unwrap()),
            settings,
        }
    }

    fn timeout(ms: u64) -> UpstreamSettings {
        UpstreamSettings {
            connect_timeout_ms: Some(ms),
            ..UpstreamSettings::default()
        }
    }

    #[test]
    fn what_is_said_about_one_counts_before_what_is_said_about_all() {
        let limits = Some(Limits {
            max_connections: Some(3),
            ..Limits::default()
        });
        let upstreams = Upstreams {
            defaults: UpstreamSettings { limits, ..timeout(1) },
            overrides: vec![about("api", Some("west"), timeout(2))],
        };
        upstreams.validate().unwrap();
        let api = ServiceName::new("api").unwrap();
        let local = ServiceKey::local(&Tenancy::default(), api.clone());
        let theirs = ServiceKey::imported(PeerName::new("west").unwrap(), &Tenancy::default(), api);
        assert_eq!(upstreams.of(&local).connect_timeout_ms, Some(1));
        let own = upstreams.of(&theirs);
        assert_eq!((own.connect_timeout_ms, own.limits), (Some(2), limits));
    }

    #[test]
    fn what_envoy_would_not_take_is_refused() {
        let refused = |upstreams: Upstreams| upstreams.validate().unwrap_err().to_string();
        let defaults = |defaults| Upstreams {
            defaults,
            ..Upstreams::default()
        };
        assert!(refused(defaults(timeout(0))).starts_with("Defaults.ConnectTimeoutMs"));
        assert!(
            refused(defaults(timeout(MAX_CONNECT_TIMEOUT_MS + 1))).starts_with("Defaults.ConnectTimeoutMs")
        );
        let check = |check| {
            defaults(UpstreamSettings {
                passive_health_check: Some(check),
                ..UpstreamSettings::default()
            })
        };
        let none = PassiveHealthCheck::default();
        for (bad, field) in [
            (
                PassiveHealthCheck {
                    interval_ms: Some(0),
                    ..none
                },
                "Interval",
            ),
            (
                PassiveHealthCheck {
                    base_ejection_ms: Some(MAX_EJECTION_MS + 1),
                    ..none
                },
                "BaseEjectionTime",
            ),
            (
                PassiveHealthCheck {
                    enforcing_consecutive_5xx: Some(101),
                    ..none
                },
                "EnforcingConsecutive5xx",
            ),
            (
                PassiveHealthCheck {
                    max_ejection_percent: Some(101),
                    ..none
                },
                "MaxEjectionPercent",
            ),
        ] {
            let error = refused(check(bad));
            assert!(
                error.starts_with(&format!("Defaults.PassiveHealthCheck.{field}")),
                "{error}"
            );
        }
        let twice = Upstreams {
            overrides: vec![about("a", None, timeout(1)), about("a", None, timeout(2))],
            ..Upstreams::default()
        };
        assert!(refused(twice).starts_with("Overrides[1]"));
    }
}
