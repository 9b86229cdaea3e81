//! What has to be in a JSON Web Key Set (RFC 7517, and RFC 7518 and 8037 for the members of a key), so that a proxy can
//! verify with it. A proxy that finds nothing in it says so in its log and nowhere else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use peerway_model::Invalid;
use peerway_model::config::KeySet;
use serde_json::{Map, Value};

/// Most keys of a set.
const MAX_KEYS: usize = 64;
/// Kinds of public keys, with the members that they are made of.
const KINDS: [(&str, &[&str]); 3] = [("RSA", &["n", "e"]), ("EC", &["x", "y"]), ("OKP", &["x"])];
/// Curves that Envoy knows, by the kind of the key.
const CURVES: [(&str, &[&str]); 2] = [("EC", &["P-256", "P-384", "P-521"]), ("OKP", &["Ed25519"])];

/// Reads a key set; the error has no path.
pub(super) fn key_set(json: &str) -> Result<KeySet, Invalid> {
    let refuse = |problem: String| Invalid::new("", problem);
    let set = KeySet::new(json)?;
    let value: Value = serde_json::from_str(json).map_err(|_| refuse("is not base64 of JSON".to_owned()))?;
    let keys = value
        .get("keys")
        .and_then(Value::as_array)
        .ok_or_else(|| refuse("has no list \"keys\", which a JSON Web Key Set has".to_owned()))?;
    if !(1..=MAX_KEYS).contains(&keys.len()) {
        return Err(refuse(format!(
            "has {} keys, must be 1 to {MAX_KEYS}",
            keys.len()
        )));
    }
    for (index, key) in keys.iter().enumerate() {
        let members = key.as_object().ok_or("is not an object");
        members
            .map_err(str::to_owned)
            .and_then(check)
            .map_err(|problem| refuse(format!("has key {index} that {problem}")))?;
    }
    Ok(set)
}

fn check(key: &Map<String, Value>) -> Result<(), String> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let kind = text("kty").ok_or("has no \"kty\"")?;
    if kind == "oct" {
        return Err("is a secret that every proxy would know, use a key of kind RSA, EC or OKP".to_owned());
    }
    let Some((_, members)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        return Err(format!("is of kind {kind:?}, which is not known: remove it"));
    };
    if key.contains_key("d") {
        return Err("is a private one, give the public key".to_owned());
    }
    if let Some((_, curves)) = CURVES.iter().find(|(known, _)| *known == kind) {
        let curve = text("crv").ok_or("has no \"crv\"")?;
        if !curves.contains(&curve) {
            return Err(format!("is of curve {curve:?}, use one of {}", curves.join(", ")));
        }
    }
    for name in *members {
        let value = text(name).ok_or_else(|| format!("has no {name:?}"))?;
        let decoded = URL_SAFE_NO_PAD.decode(value.trim_end_matches('='));
        if decoded.map_or(true, |bytes| bytes.is_empty()) {
            return Err(format!("has a {name:?} that is not base64url"));
        }
    }
    Ok(())
}
