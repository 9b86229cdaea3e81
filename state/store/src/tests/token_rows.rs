//! Generated providers of tokens, and what is asked of tokens, with every field in use.

use super::rows::{any_text, pairs, partition};
use peerway_model::ProviderName;
use peerway_model::config::{
    Forwarding, HeaderName, JwtProvider, JwtRequirement, KeyDiscovery, KeySet, KeySource, KeyUri, RemoteKeys,
    Retries, TokenLocation, TrustedCa, WantedClaim, WantedToken,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn provider_name() -> impl Strategy<Value = ProviderName> {
    "[a-z]{1,3}".prop_map(|text| ProviderName::new(&text).unwrap())
}

fn header_name() -> impl Strategy<Value = HeaderName> {
    select(vec!["x-a", "X-B"]).prop_map(|name| HeaderName::new(name).unwrap())
}

/// Boxed: strategies within strategies would not fit on the stack of a test.
pub(super) fn jwt() -> BoxedStrategy<Option<JwtRequirement>> {
    let claim = (vec(any_text(), 0..3), any_text()).prop_map(|(path, value)| WantedClaim { path, value });
    let token =
        (provider_name(), vec(claim, 0..3)).prop_map(|(provider, claims)| WantedToken { provider, claims });
    option::of(vec(token, 0..3).prop_map(|tokens| JwtRequirement { tokens })).boxed()
}

fn remote() -> BoxedStrategy<RemoteKeys> {
    let uri = select(vec!["https://idp.example.com/keys?a", "http://[fd00::1]:8080/"])
        .prop_map(|text| KeyUri::new(text).unwrap());
    let backoff = option::of((any::<u64>(), option::of(any::<u64>())));
    let retries = (any::<u32>(), backoff).prop_map(|(count, backoff)| Retries { count, backoff });
    let trusted = prop_oneof![
        any_text().prop_map(TrustedCa::File),
        any_text().prop_map(TrustedCa::Inline),
        any_text().prop_map(TrustedCa::InlineBytes),
    ];
    let times = (
        option::of(any::<u64>()),
        option::of(any::<u64>()),
        option::of(any::<u64>()),
    );
    let discovery = select(KeyDiscovery::ALL.to_vec());
    (
        uri,
        times,
        any::<bool>(),
        option::of(retries),
        discovery,
        option::of(trusted),
    )
        .prop_map(
            |(
                uri,
                (request_timeout_ms, cache_ms, connect_timeout_ms),
                fetch_early,
                retries,
                discovery,
                trusted,
            )| {
                RemoteKeys {
                    uri,
                    request_timeout_ms,
                    cache_ms,
                    fetch_early,
                    retries,
                    discovery,
                    connect_timeout_ms,
                    trusted,
                }
            },
        )
        .boxed()
}

pub(super) fn provider() -> BoxedStrategy<JwtProvider> {
    let keys = prop_oneof![
        "[a-z{}]{1,9}".prop_map(|text| KeySource::Local(KeySet::new(&text).unwrap())),
        remote().prop_map(|keys| KeySource::Remote(Box::new(keys))),
    ];
    let header = (header_name(), any_text(), any::<bool>()).prop_map(|(name, prefix, forward)| {
        TokenLocation::Header {
            name,
            prefix,
            forward,
        }
    });
    let location = prop_oneof![
        header,
        any_text().prop_map(TokenLocation::QueryParam),
        any_text().prop_map(TokenLocation::Cookie),
    ];
    let forwarding = (header_name(), any::<bool>()).prop_map(|(header, pad)| Forwarding { header, pad });
    (
        (partition(), provider_name(), any_text(), vec(any_text(), 0..3)),
        keys,
        vec(location, 0..3),
        option::of(forwarding),
        (any::<u32>(), any::<u32>()),
        pairs(),
    )
        .prop_map(
            |(
                (partition, name, issuer, audiences),
                keys,
                locations,
                forwarding,
                (skew, cache_size),
                meta,
            )| {
                JwtProvider {
                    partition,
                    name,
                    issuer,
                    audiences,
                    keys,
                    locations,
                    forwarding,
                    clock_skew_seconds: skew,
                    cache_size,
                    meta,
                }
            },
        )
        .boxed()
}
