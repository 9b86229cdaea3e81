//! Twins of how a service's proxies take calls and call others.

use super::super::text::{Text, text};
use peerway_model::config::{
    Inbound, Limits, PassiveHealthCheck, UpstreamOverride, UpstreamSettings, Upstreams,
};
use peerway_model::instance::GatewayMode;
use peerway_model::{Namespace, Partition, PeerName, ServiceName};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Default, PartialEq)]
pub(super) struct InboundRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_connections: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connect_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    exact_balance: bool,
}

impl InboundRecord {
    pub(super) fn is_default(&self) -> bool {
        *self == InboundRecord::default()
    }
}

impl From<&Inbound> for InboundRecord {
    fn from(inbound: &Inbound) -> Self {
        let Inbound {
            max_connections,
            connect_timeout_ms,
            request_timeout_ms,
            exact_balance,
        } = *inbound;
        InboundRecord {
            max_connections,
            connect_timeout_ms,
            request_timeout_ms,
            exact_balance,
        }
    }
}

impl From<InboundRecord> for Inbound {
    fn from(record: InboundRecord) -> Self {
        Inbound {
            max_connections: record.max_connections,
            connect_timeout_ms: record.connect_timeout_ms,
            request_timeout_ms: record.request_timeout_ms,
            exact_balance: record.exact_balance,
        }
    }
}

#[derive(Serialize, Deserialize, Default)]
pub(super) struct UpstreamsRecord {
    #[serde(default)]
    defaults: SettingsRecord,
    #[serde(default)]
    overrides: Vec<OverrideRecord>,
}

#[derive(Serialize, Deserialize)]
struct OverrideRecord {
    name: Text<ServiceName>,
    namespace: Text<Namespace>,
    partition: Text<Partition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Text<PeerName>>,
    settings: SettingsRecord,
}

#[derive(Serialize, Deserialize, Default)]
struct SettingsRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connect_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passive_health_check: Option<PassiveRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mesh_gateway: Option<Text<GatewayMode>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    exact_balance: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct LimitsRecord {
    max_connections: Option<u32>,
    max_pending_requests: Option<u32>,
    max_concurrent_requests: Option<u32>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PassiveRecord {
    interval_ms: Option<u64>,
    max_failures: Option<u32>,
    enforcing_consecutive_5xx: Option<u32>,
    max_ejection_percent: Option<u32>,
    base_ejection_ms: Option<u64>,
}

impl UpstreamsRecord {
    pub(super) fn is_default(&self) -> bool {
        let SettingsRecord {
            connect_timeout_ms,
            limits,
            passive_health_check,
            mesh_gateway,
            exact_balance,
        } = &self.defaults;
        self.overrides.is_empty()
            && connect_timeout_ms.is_none()
            && limits.is_none()
            && passive_health_check.is_none()
            && mesh_gateway.is_none()
            && !exact_balance
    }
}

impl From<&Upstreams> for UpstreamsRecord {
    fn from(upstreams: &Upstreams) -> Self {
        let Upstreams { defaults, overrides } = upstreams;
        UpstreamsRecord {
            defaults: defaults.into(),
            overrides: overrides.iter().map(OverrideRecord::from).collect(),
        }
    }
}

impl From<UpstreamsRecord> for Upstreams {
    fn from(record: UpstreamsRecord) -> Self {
        Upstreams {
            defaults: record.defaults.into(),
            overrides: record.overrides.into_iter().map(UpstreamOverride::from).collect(),
        }
    }
}

impl From<&UpstreamOverride> for OverrideRecord {
    fn from(own: &UpstreamOverride) -> Self {
        let UpstreamOverride {
            name,
            namespace,
            partition,
            peer,
            settings,
        } = own;
        OverrideRecord {
            name: Text(name.clone()),
            namespace: Text(namespace.clone()),
            partition: Text(partition.clone()),
            peer: text(peer),
            settings: settings.into(),
        }
    }
}

impl From<OverrideRecord> for UpstreamOverride {
    fn from(record: OverrideRecord) -> Self {
        UpstreamOverride {
            name: record.name.0,
            namespace: record.namespace.0,
            partition: record.partition.0,
            peer: record.peer.map(|peer| peer.0),
            settings: record.settings.into(),
        }
    }
}

impl From<&UpstreamSettings> for SettingsRecord {
    fn from(settings: &UpstreamSettings) -> Self {
        let UpstreamSettings {
            connect_timeout_ms,
            limits,
            passive_health_check,
            mesh_gateway,
            exact_balance,
        } = settings;
        SettingsRecord {
            connect_timeout_ms: *connect_timeout_ms,
            limits: limits.as_ref().map(LimitsRecord::from),
            passive_health_check: passive_health_check.as_ref().map(PassiveRecord::from),
            mesh_gateway: text(mesh_gateway),
            exact_balance: *exact_balance,
        }
    }
}

impl From<SettingsRecord> for UpstreamSettings {
    fn from(record: SettingsRecord) -> Self {
        UpstreamSettings {
            connect_timeout_ms: record.connect_timeout_ms,
            limits: record.limits.map(Limits::from),
            passive_health_check: record.passive_health_check.map(PassiveHealthCheck::from),
            mesh_gateway: record.mesh_gateway.map(|mode| mode.0),
            exact_balance: record.exact_balance,
        }
    }
}

impl From<&Limits> for LimitsRecord {
    fn from(limits: &Limits) -> Self {
        let Limits {
            max_connections,
            max_pending_requests,
            max_concurrent_requests,
        } = *limits;
        LimitsRecord {
            max_connections,
            max_pending_requests,
            max_concurrent_requests,
        }
    }
}

impl From<LimitsRecord> for Limits {
    fn from(record: LimitsRecord) -> Self {
        Limits {
            max_connections: record.max_connections,
            max_pending_requests: record.max_pending_requests,
            max_concurrent_requests: record.max_concurrent_requests,
        }
    }
}

impl From<&PassiveHealthCheck> for PassiveRecord {
    fn from(check: &PassiveHealthCheck) -> Self {
        let PassiveHealthCheck {
            interval_ms,
            max_failures,
            enforcing_consecutive_5xx,
            max_ejection_percent,
            base_ejection_ms,
        } = *check;
        PassiveRecord {
            interval_ms,
            max_failures,
            enforcing_consecutive_5xx,
            max_ejection_percent,
            base_ejection_ms,
        }
    }
}

impl From<PassiveRecord> for PassiveHealthCheck {
    fn from(record: PassiveRecord) -> Self {
        PassiveHealthCheck {
            interval_ms: record.interval_ms,
            max_failures: record.max_failures,
            enforcing_consecutive_5xx: record.enforcing_consecutive_5xx,
            max_ejection_percent: record.max_ejection_percent,
            base_ejection_ms: record.base_ejection_ms,
        }
    }
}
