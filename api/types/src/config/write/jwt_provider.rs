//! Writes `jwt-provider`.

use crate::duration::duration_text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use peerway_model::config::{
    Forwarding, JwtProvider, KeySource, RemoteKeys, Retries, TokenLocation, TrustedCa,
};
use serde_json::{Map, Value, json};

/// Adds the fields.
pub(super) fn jwt_provider(out: &mut Map<String, Value>, entry: &JwtProvider) {
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("Issuer", json!(entry.issuer));
    if !entry.audiences.is_empty() {
        put("Audiences", json!(entry.audiences));
    }
    let keys = match &entry.keys {
        KeySource::Local(keys) => json!({ "Local": { "JWKS": STANDARD.encode(keys.as_str()) } }),
        KeySource::Remote(keys) => json!({ "Remote": remote(keys) }),
    };
    put("JSONWebKeySet", keys);
    if !entry.locations.is_empty() {
        put("Locations", entry.locations.iter().map(location).collect());
    }
    if let Some(Forwarding { header, pad }) = &entry.forwarding {
        put(
            "Forwarding",
            json!({ "HeaderName": header.as_str(), "PadForwardPayloadHeader": pad }),
        );
    }
    put("ClockSkewSeconds", json!(entry.clock_skew_seconds));
    if entry.cache_size != 0 {
        put("CacheConfig", json!({ "Size": entry.cache_size }));
    }
}

fn remote(keys: &RemoteKeys) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("URI", json!(keys.uri.as_str()));
    if let Some(ms) = keys.request_timeout_ms {
        put("RequestTimeoutMs", json!(ms));
    }
    if let Some(ms) = keys.cache_ms {
        put("CacheDuration", json!(duration_text(ms)));
    }
    if keys.fetch_early {
        put("FetchAsynchronously", json!(true));
    }
    if let Some(Retries { count, backoff }) = keys.retries {
        let mut policy = Map::from_iter([("NumRetries".to_owned(), json!(count))]);
        if let Some((base, max)) = backoff {
            let mut times = Map::from_iter([("BaseInterval".to_owned(), json!(duration_text(base)))]);
            if let Some(max) = max {
                times.insert("MaxInterval".to_owned(), json!(duration_text(max)));
            }
            policy.insert("RetryPolicyBackOff".to_owned(), Value::Object(times));
        }
        put("RetryPolicy", Value::Object(policy));
    }
    let mut cluster = Map::from_iter([("DiscoveryType".to_owned(), json!(keys.discovery.as_str()))]);
    if let Some(ms) = keys.connect_timeout_ms {
        cluster.insert("ConnectTimeout".to_owned(), json!(duration_text(ms)));
    }
    if let Some(trusted) = &keys.trusted {
        let trusted = match trusted {
            TrustedCa::File(path) => json!({ "Filename": path }),
            TrustedCa::Inline(pem) => json!({ "InlineString": pem }),
            TrustedCa::InlineBytes(pem) => json!({ "InlineBytes": STANDARD.encode(pem) }),
        };
        cluster.insert("TLSCertificates".to_owned(), json!({ "TrustedCA": trusted }));
    }
    put("JWKSCluster", Value::Object(cluster));
    Value::Object(out)
}

fn location(location: &TokenLocation) -> Value {
    match location {
        TokenLocation::Header {
            name,
            prefix,
            forward,
        } => json!({ "Header": { "Name": name.as_str(), "ValuePrefix": prefix, "Forward": forward } }),
        TokenLocation::QueryParam(name) => json!({ "QueryParam": { "Name": name } }),
        TokenLocation::Cookie(name) => json!({ "Cookie": { "Name": name } }),
    }
}
