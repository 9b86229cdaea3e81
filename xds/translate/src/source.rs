//! Where Envoy finds what a resource refers to: always on the stream that the resource came by.

use crate::packed::millis;
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::{AggregatedConfigSource, ApiVersion, ConfigSource};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig;

/// How long Envoy holds a cluster or listener back for something that it refers to, in milliseconds. It is
/// Envoy's own default, said aloud: waiting for ever would let one missing secret keep a whole proxy from starting.
pub(crate) const FETCH_TIMEOUT_MS: u64 = 15_000;

/// The aggregated stream.
pub(crate) fn ads() -> ConfigSource {
    ConfigSource {
        initial_fetch_timeout: Some(millis(FETCH_TIMEOUT_MS)),
        resource_api_version: i32::from(ApiVersion::V3),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource::default())),
        ..ConfigSource::default()
    }
}

/// A secret on the aggregated stream.
pub(crate) fn secret(name: &str) -> SdsSecretConfig {
    SdsSecretConfig {
        name: name.to_owned(),
        sds_config: Some(ads()),
    }
}
