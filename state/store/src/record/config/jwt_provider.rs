//! Twin of `jwt-provider`.

use super::super::text::Text;
use peerway_model::config::{
    Forwarding, HeaderName, JwtProvider, KeyDiscovery, KeySet, KeySource, KeyUri, Meta, RemoteKeys, Retries,
    TokenLocation, TrustedCa,
};
use peerway_model::{Partition, ProviderName};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(in super::super) struct ProviderRecord {
    partition: Text<Partition>,
    name: Text<ProviderName>,
    issuer: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    audiences: Vec<String>,
    keys: KeysRecord,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    locations: Vec<LocationRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forwarding: Option<ForwardingRecord>,
    clock_skew_seconds: u32,
    cache_size: u32,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeysRecord {
    Local(Text<KeySet>),
    Remote(RemoteRecord),
}

#[derive(Serialize, Deserialize)]
struct RemoteRecord {
    uri: Text<KeyUri>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    fetch_early: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retries: Option<RetriesRecord>,
    discovery: Text<KeyDiscovery>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connect_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trusted: Option<TrustedRecord>,
}

#[derive(Serialize, Deserialize)]
struct RetriesRecord {
    count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TrustedRecord {
    File(String),
    Inline(String),
    InlineBytes(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LocationRecord {
    Header {
        name: Text<HeaderName>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forward: bool,
    },
    QueryParam(String),
    Cookie(String),
}

#[derive(Serialize, Deserialize)]
struct ForwardingRecord {
    header: Text<HeaderName>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pad: bool,
}

impl From<&JwtProvider> for ProviderRecord {
    fn from(entry: &JwtProvider) -> Self {
        let JwtProvider {
            partition,
            name,
            issuer,
            audiences,
            keys,
            locations,
            forwarding,
            clock_skew_seconds,
            cache_size,
            meta,
        } = entry;
        ProviderRecord {
            partition: Text(partition.clone()),
            name: Text(name.clone()),
            issuer: issuer.clone(),
            audiences: audiences.clone(),
            keys: match keys {
                KeySource::Local(keys) => KeysRecord::Local(Text(keys.clone())),
                KeySource::Remote(remote) => KeysRecord::Remote((&**remote).into()),
            },
            locations: locations.iter().map(LocationRecord::from).collect(),
            forwarding: forwarding
                .as_ref()
                .map(|Forwarding { header, pad }| ForwardingRecord {
                    header: Text(header.clone()),
                    pad: *pad,
                }),
            clock_skew_seconds: *clock_skew_seconds,
            cache_size: *cache_size,
            meta: meta.clone(),
        }
    }
}

impl From<ProviderRecord> for JwtProvider {
    fn from(record: ProviderRecord) -> Self {
        JwtProvider {
            partition: record.partition.0,
            name: record.name.0,
            issuer: record.issuer,
            audiences: record.audiences,
            keys: match record.keys {
                KeysRecord::Local(keys) => KeySource::Local(keys.0),
                KeysRecord::Remote(remote) => KeySource::Remote(Box::new(remote.into())),
            },
            locations: record.locations.into_iter().map(Into::into).collect(),
            forwarding: record.forwarding.map(|record| Forwarding {
                header: record.header.0,
                pad: record.pad,
            }),
            clock_skew_seconds: record.clock_skew_seconds,
            cache_size: record.cache_size,
            meta: record.meta,
        }
    }
}

impl From<&RemoteKeys> for RemoteRecord {
    fn from(keys: &RemoteKeys) -> Self {
        let RemoteKeys {
            uri,
            request_timeout_ms,
            cache_ms,
            fetch_early,
            retries,
            discovery,
            connect_timeout_ms,
            trusted,
        } = keys;
        RemoteRecord {
            uri: Text(uri.clone()),
            request_timeout_ms: *request_timeout_ms,
            cache_ms: *cache_ms,
            fetch_early: *fetch_early,
            retries: retries.map(|Retries { count, backoff }| RetriesRecord {
                count,
                base_ms: backoff.map(|(base, _)| base),
                max_ms: backoff.and_then(|(_, max)| max),
            }),
            discovery: Text(*discovery),
            connect_timeout_ms: *connect_timeout_ms,
            trusted: trusted.clone().map(|trusted| match trusted {
                TrustedCa::File(path) => TrustedRecord::File(path),
                TrustedCa::Inline(pem) => TrustedRecord::Inline(pem),
                TrustedCa::InlineBytes(pem) => TrustedRecord::InlineBytes(pem),
            }),
        }
    }
}

impl From<RemoteRecord> for RemoteKeys {
    fn from(record: RemoteRecord) -> Self {
        RemoteKeys {
            uri: record.uri.0,
            request_timeout_ms: record.request_timeout_ms,
            cache_ms: record.cache_ms,
            fetch_early: record.fetch_early,
            retries: record.retries.map(|record| Retries {
                count: record.count,
                backoff: record.base_ms.map(|base| (base, record.max_ms)),
            }),
            discovery: record.discovery.0,
            connect_timeout_ms: record.connect_timeout_ms,
            trusted: record.trusted.map(|trusted| match trusted {
                TrustedRecord::File(path) => TrustedCa::File(path),
                TrustedRecord::Inline(pem) => TrustedCa::Inline(pem),
                TrustedRecord::InlineBytes(pem) => TrustedCa::InlineBytes(pem),
            }),
        }
    }
}

impl From<&TokenLocation> for LocationRecord {
    fn from(location: &TokenLocation) -> Self {
        match location {
            TokenLocation::Header {
                name,
                prefix,
                forward,
            } => LocationRecord::Header {
                name: Text(name.clone()),
                prefix: prefix.clone(),
                forward: *forward,
            },
            TokenLocation::QueryParam(name) => LocationRecord::QueryParam(name.clone()),
            TokenLocation::Cookie(name) => LocationRecord::Cookie(name.clone()),
        }
    }
}

impl From<LocationRecord> for TokenLocation {
    fn from(record: LocationRecord) -> Self {
        match record {
            LocationRecord::Header {
                name,
                prefix,
                forward,
            } => TokenLocation::Header {
                name: name.0,
                prefix,
                forward,
            },
            LocationRecord::QueryParam(name) => TokenLocation::QueryParam(name),
            LocationRecord::Cookie(name) => TokenLocation::Cookie(name),
        }
    }
}
