//! The authority's configuration and its rotation, in bodies and answers.
//!
//! Consul has no request for "rotate": it rotates when the configuration of its authority changes. Here too, and
//! `Config.RotateRoot` asks for a new root of the same kind.

use crate::fields::Fields;
use crate::moment::rfc3339;
use peerway_model::{Invalid, Missing, RootKey, RotationStatus};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Longest key that a body may name, in bits.
const MAX_BITS: u64 = 65_536;

/// The body of `PUT /v1/connect/ca/configuration`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaConfigBody {
    /// The kind of key that the root is to have; `None` leaves it as it is.
    pub key: Option<RootKey>,
    /// How long leaves are to live; `None` leaves it as it is.
    pub leaf_ttl: Option<Duration>,
    /// Whether a new root is wanted though nothing else differs.
    pub rotate: bool,
    /// Whether the next step of a rotation that is under way is to be taken without those who are missing.
    pub force: bool,
}

/// Reads the body of `PUT /v1/connect/ca/configuration`. Settings of Consul's authority that have no meaning here
/// (intermediates, limits of signing) are ignored.
///
/// # Errors
/// What is wrong, missing, unknown or not offered, with its path.
pub fn ca_config_from_json(value: &Value) -> Result<CaConfigBody, Invalid> {
    let mut fields = Fields::new("", value)?;
    if let Some(provider) = fields.nonempty("Provider")?
        && provider != "consul"
    {
        return Err(Invalid::new(
            fields.at("Provider"),
            format!("is {provider:?}, only the built-in one is offered, which is called \"consul\""),
        ));
    }
    let mut body = CaConfigBody {
        force: fields.flag("ForceWithoutCrossSigning")?,
        ..CaConfigBody::default()
    };
    fields.tolerate(&["State", "CreateIndex", "ModifyIndex"]);
    if let Some(mut config) = fields.object("Config")? {
        body.rotate = config.flag("RotateRoot")?;
        body.leaf_ttl = config.parsed("LeafCertTTL", duration)?;
        body.key = key(&mut config)?;
        config.not_offered(&["RootCert", "PrivateKey"])?;
        config.tolerate(&[
            "RootCertTTL",
            "IntermediateCertTTL",
            "RotationPeriod",
            "CSRMaxPerSecond",
            "CSRMaxConcurrent",
        ]);
        config.finish()?;
    }
    fields.finish()?;
    Ok(body)
}

fn key(config: &mut Fields<'_>) -> Result<Option<RootKey>, Invalid> {
    let kind = config.nonempty("PrivateKeyType")?;
    if let Some(kind) = kind.filter(|kind| kind != "ec") {
        return Err(Invalid::new(
            config.at("PrivateKeyType"),
            format!("is {kind:?}, only \"ec\" is offered"),
        ));
    }
    let at = config.at("PrivateKeyBits");
    match config.number("PrivateKeyBits", MAX_BITS)? {
        None | Some(0) => Ok(None),
        Some(bits) => match RootKey::of_bits(bits) {
            Some(key) => Ok(Some(key)),
            None => Err(Invalid::new(at, format!("is {bits}, use 256 or 384"))),
        },
    }
}

/// Whole hours, minutes and seconds as Go writes them: `72h`, `1h30m0s`.
fn duration(text: &str) -> Result<Duration, Invalid> {
    let wrong = || Invalid::new("", format!("is {text:?}, write for example 72h or 1h30m"));
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(end);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (unit, length) = match unit.as_bytes().first() {
            Some(b'h') => (3600, 1),
            Some(b'm') if !unit.starts_with("ms") => (60, 1),
            Some(b's') => (1, 1),
            _ => return Err(wrong()),
        };
        seconds = number
            .checked_mul(unit)
            .and_then(|part| seconds.checked_add(part))
            .ok_or_else(wrong)?;
        rest = rest.get(end + length..).unwrap_or_default();
    }
    Ok(Duration::from_secs(seconds))
}

/// The answer of `GET /v1/connect/ca/configuration`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CaConfigJson {
    provider: &'static str,
    config: ConfigJson,
    state: Option<()>,
    force_without_cross_signing: bool,
    create_index: u64,
    modify_index: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigJson {
    #[serde(rename = "LeafCertTTL")]
    leaf_cert_ttl: String,
    private_key_type: &'static str,
    private_key_bits: Option<u64>,
}

impl CaConfigJson {
    /// What `status` says, with the revisions of the roots.
    pub fn new(status: &RotationStatus, create_index: u64, modify_index: u64) -> Self {
        let seconds = status.leaf_ttl.as_secs();
        CaConfigJson {
            provider: "consul",
            config: ConfigJson {
                leaf_cert_ttl: format!("{}h{}m{}s", seconds / 3600, seconds % 3600 / 60, seconds % 60),
                private_key_type: "ec",
                private_key_bits: status.key.map(RootKey::bits),
            },
            state: None,
            force_without_cross_signing: false,
            create_index,
            modify_index,
        }
    }
}

/// The answer of `GET /v1/peerway/ca/rotation`, and of the request that begins or forces a rotation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationJson {
    #[serde(rename = "ActiveRootID")]
    active_root_id: String,
    /// `none` when no rotation is under way.
    phase: &'static str,
    #[serde(rename = "OldRootID", skip_serializing_if = "Option::is_none")]
    old_root_id: Option<String>,
    #[serde(rename = "NewRootID", skip_serializing_if = "Option::is_none")]
    new_root_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    missing: Vec<MissingJson>,
    /// Who was missing when a step was forced.
    left_behind: Vec<MissingJson>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct MissingJson {
    kind: &'static str,
    name: String,
    reason: String,
    loses: String,
}

impl RotationJson {
    /// What `status` says, and who was left behind by what was just done.
    pub fn new(status: &RotationStatus, left_behind: &[Missing]) -> Self {
        let rotation = status.rotation.as_ref();
        RotationJson {
            active_root_id: status.active_root.clone(),
            phase: rotation.map_or("none", |rotation| rotation.phase.as_str()),
            old_root_id: rotation.map(|rotation| rotation.old_root.clone()),
            new_root_id: rotation.map(|rotation| rotation.new_root.clone()),
            started: rotation.and_then(|rotation| rfc3339(rotation.started)),
            since: rotation.and_then(|rotation| rfc3339(rotation.since)),
            missing: all(&status.missing),
            left_behind: all(left_behind),
        }
    }
}

fn all(missing: &[Missing]) -> Vec<MissingJson> {
    missing
        .iter()
        .map(|missing| MissingJson {
            kind: missing.kind.map_or("other", |kind| kind.as_str()),
            name: missing.name.clone(),
            reason: missing.reason.clone(),
            loses: missing.loses.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_of_consuls_clients() {
        let consuls = json!({
            "Provider": "consul",
            "Config": {
                "LeafCertTTL": "1h30m0s", "PrivateKeyType": "ec", "PrivateKeyBits": 384,
                "IntermediateCertTTL": "8760h", "RotationPeriod": "2160h",
            },
            "State": null, "ForceWithoutCrossSigning": true, "CreateIndex": 1, "ModifyIndex": 2,
        });
        let body = ca_config_from_json(&consuls).unwrap();
        let expected = CaConfigBody {
            key: Some(RootKey::P384),
            leaf_ttl: Some(Duration::from_secs(5400)),
            rotate: false,
            force: true,
        };
        assert_eq!(body, expected);
        assert_eq!(ca_config_from_json(&json!({})).unwrap(), CaConfigBody::default());
        let rotate = json!({ "Config": { "RotateRoot": true } });
        assert!(ca_config_from_json(&rotate).unwrap().rotate);
    }

    #[test]
    fn what_is_not_offered_is_refused_with_its_path() {
        for (body, path) in [
            (json!({ "Provider": "vault" }), "Provider"),
            (
                json!({ "Config": { "PrivateKeyType": "rsa" } }),
                "Config.PrivateKeyType",
            ),
            (
                json!({ "Config": { "PrivateKeyBits": 521 } }),
                "Config.PrivateKeyBits",
            ),
            (json!({ "Config": { "RootCert": "pem" } }), "Config.RootCert"),
            (json!({ "Config": { "LeafCertTTL": "72" } }), "Config.LeafCertTTL"),
            (
                json!({ "Config": { "LeafCertTTL": "5ms" } }),
                "Config.LeafCertTTL",
            ),
            (
                json!({ "Config": { "LeafCertTTL": "99999999999999999999h" } }),
                "Config.LeafCertTTL",
            ),
            (json!({ "Config": { "Rotate": true } }), "Config.Rotate"),
        ] {
            assert_eq!(ca_config_from_json(&body).unwrap_err().path, path, "{body}");
        }
    }
}
