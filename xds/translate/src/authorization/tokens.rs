//! How tokens are verified, and how it is asked for what they say.
//!
//! The filter that verifies refuses nobody: it notes what the tokens say that are good, and the filter about requests
//! decides, together with who calls. What was not verified is not noted, so a bad token is as good as none.

use super::condition::{all, any, permission};
use crate::packed::{inline, millis, number};
use envoy_types::pb::envoy::config::core::v3::http_uri::HttpUpstreamType;
use envoy_types::pb::envoy::config::core::v3::{BackoffStrategy, HttpUri, RetryPolicy};
use envoy_types::pb::envoy::config::rbac::v3::permission::Rule;
use envoy_types::pb::envoy::config::rbac::v3::{MetadataSource, Permission, SourcedMetadata};
use envoy_types::pb::envoy::config::route::v3::RouteMatch;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::jwt_provider::JwksSourceSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::jwt_requirement::RequiresType;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::requirement_rule::RequirementType;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::{
    JwksAsyncFetch, JwtAuthentication, JwtCacheConfig, JwtHeader, JwtProvider as EnvoyProvider,
    JwtRequirement, RemoteJwks, RequirementRule,
};
use envoy_types::pb::envoy::r#type::matcher::v3::metadata_matcher::PathSegment;
use envoy_types::pb::envoy::r#type::matcher::v3::metadata_matcher::path_segment::Segment;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::value_matcher::MatchPattern as ValuePattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{MetadataMatcher, StringMatcher, ValueMatcher};
use envoy_types::pb::google::protobuf::Empty;
use peerway_mesh::{KEY_SERVER_PREFIX, Token};
use peerway_model::ProviderName;
use peerway_model::config::{JwtProvider, KeySource, RemoteKeys, Retries, TokenLocation};

/// Where Envoy's filter notes what tokens say.
const NOTES: &str = "envoy.filters.http.jwt_authn";
/// The claim that names the issuer (RFC 7519, section 4.1.1).
const ISSUER: &str = "iss";
/// How long a server with keys may take for an answer unless said otherwise, in milliseconds.
const FETCH_TIMEOUT_MS: u64 = 5_000;
/// How long keys are good for unless said otherwise, in milliseconds (Consul's).
const CACHE_MS: u64 = 300_000;

/// The key under which what the token of a provider says is noted.
fn note(provider: &ProviderName) -> String {
    format!("jwt_payload_{provider}")
}

/// The filter that verifies tokens by these providers. Each token is verified by the provider of its issuer, wherever
/// that one's tokens may come, and one that is bad does not keep others from being looked at.
pub(super) fn verified(providers: &[JwtProvider]) -> JwtAuthentication {
    let everything = RouteMatch {
        path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
        ..RouteMatch::default()
    };
    let requirement = JwtRequirement {
        requires_type: Some(RequiresType::AllowMissingOrFailed(Empty {})),
    };
    JwtAuthentication {
        providers: providers
            .iter()
            .map(|own| (own.name.to_string(), provider(own)))
            .collect(),
        rules: vec![RequirementRule {
            r#match: Some(everything),
            requirement_type: Some(RequirementType::Requires(requirement)),
        }],
        ..JwtAuthentication::default()
    }
}

fn provider(own: &JwtProvider) -> EnvoyProvider {
    let mut message = EnvoyProvider {
        issuer: own.issuer.clone(),
        audiences: own.audiences.clone(),
        forward: own.forwards_tokens(),
        payload_in_metadata: note(&own.name),
        clock_skew_seconds: own.clock_skew_seconds,
        jwt_cache_config: (own.cache_size != 0).then(|| JwtCacheConfig {
            jwt_cache_size: own.cache_size,
            ..JwtCacheConfig::default()
        }),
        jwks_source_specifier: Some(match &own.keys {
            KeySource::Local(keys) => JwksSourceSpecifier::LocalJwks(inline(keys.as_str())),
            KeySource::Remote(keys) => JwksSourceSpecifier::RemoteJwks(remote(&own.name, keys)),
        }),
        ..EnvoyProvider::default()
    };
    if let Some(forwarding) = &own.forwarding {
        message.forward_payload_header = forwarding.header.to_string();
        message.pad_forward_payload_header = forwarding.pad;
    }
    for location in &own.locations {
        match location {
            TokenLocation::Header { name, prefix, .. } => message.from_headers.push(JwtHeader {
                name: name.to_string(),
                value_prefix: prefix.clone(),
            }),
            TokenLocation::QueryParam(name) => message.from_params.push(name.clone()),
            TokenLocation::Cookie(name) => message.from_cookies.push(name.clone()),
        }
    }
    message
}

fn remote(provider: &ProviderName, keys: &RemoteKeys) -> RemoteJwks {
    RemoteJwks {
        http_uri: Some(HttpUri {
            uri: keys.uri.as_str().to_owned(),
            timeout: Some(millis(keys.request_timeout_ms.unwrap_or(FETCH_TIMEOUT_MS))),
            http_upstream_type: Some(HttpUpstreamType::Cluster(format!(
                "{KEY_SERVER_PREFIX}{provider}"
            ))),
        }),
        cache_duration: Some(millis(keys.cache_ms.unwrap_or(CACHE_MS))),
        // Without waiting for it: this filter comes by name to a listener that is at work already, and Envoy never
        // begins what it would have to wait for then.
        async_fetch: keys.fetch_early.then(|| JwksAsyncFetch {
            fast_listener: true,
            ..JwksAsyncFetch::default()
        }),
        retry_policy: keys.retries.map(|Retries { count, backoff }| RetryPolicy {
            num_retries: Some(number(count)),
            retry_back_off: backoff.map(|(base, max)| BackoffStrategy {
                base_interval: Some(millis(base)),
                max_interval: max.map(millis),
            }),
            ..RetryPolicy::default()
        }),
    }
}

/// Requests that carry one of these tokens, verified.
pub(super) fn carried(one_of: &[Token]) -> Permission {
    any(one_of.iter().map(token).collect())
}

fn token(token: &Token) -> Permission {
    let note = note(&token.provider);
    let says = |path: &[&str], value: &str| says(&note, path, value);
    let mut rules = vec![says(&[ISSUER], &token.issuer)];
    rules.extend(token.claims.iter().map(|claim| {
        let path: Vec<&str> = claim.path.iter().map(String::as_str).collect();
        says(&path, &claim.value)
    }));
    all(rules)
}

fn says(note: &str, path: &[&str], value: &str) -> Permission {
    let segment = |key: &str| PathSegment {
        segment: Some(Segment::Key(key.to_owned())),
    };
    let text = StringMatcher {
        match_pattern: Some(MatchPattern::Exact(value.to_owned())),
        ..StringMatcher::default()
    };
    permission(Rule::SourcedMetadata(SourcedMetadata {
        metadata_matcher: Some(MetadataMatcher {
            filter: NOTES.to_owned(),
            path: std::iter::once(note)
                .chain(path.iter().copied())
                .map(segment)
                .collect(),
            value: Some(ValueMatcher {
                match_pattern: Some(ValuePattern::StringMatch(text)),
            }),
            ..MetadataMatcher::default()
        }),
        metadata_source: i32::from(MetadataSource::Dynamic),
    }))
}
