//! The authority's configuration and its rotation, in bodies and answers.
//!
//! Consul has no request for "rotate": it rotates when the configuration of its authority changes. Here too, and
//! `Config.RotateRoot` asks for a new root of the same kind.

use crate::fields::Fields;
use crate::moment::rfc3339;
use peerway_model::{
    BroughtRoot, Invalid, MAX_RSA_BITS, MIN_RSA_BITS, Missing, RootKey, RotationStatus, Secret,
};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Longest key that a body may name, in bits.
const MAX_BITS: u64 = 65_536;

/// The body of `PUT /v1/connect/ca/configuration`.
#[derive(Clone, Debug, Default)]
pub struct CaConfigBody {
    /// The kind of key that the root is to have.
    pub key: KeyWish,
    /// The root that is to sign; what it says of a key means nothing then.
    pub brought: Option<BroughtRoot>,
    /// How long leaves are to live; `None` leaves it as it is.
    pub leaf_ttl: Option<Duration>,
    /// Whether a new root is wanted though nothing else differs.
    pub rotate: bool,
    /// Whether the next step of a rotation that is under way is to be taken without those who are missing.
    pub force: bool,
}

/// What a body says about the kind of a root's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyWish {
    /// Nothing: it stays as it is.
    #[default]
    Any,
    /// An elliptic one, of whichever length.
    Elliptic,
    /// This one.
    Exactly(RootKey),
}

impl KeyWish {
    /// The kind that is wished for where the active root has `now`.
    pub fn given(self, now: Option<RootKey>) -> RootKey {
        match (self, now) {
            (KeyWish::Exactly(key), _) => key,
            (KeyWish::Any, Some(now)) => now,
            (KeyWish::Elliptic, Some(now @ (RootKey::P256 | RootKey::P384))) => now,
            (KeyWish::Elliptic, Some(RootKey::Rsa(_))) | (_, None) => RootKey::default(),
        }
    }
}

/// Reads the body of `PUT /v1/connect/ca/configuration`. Settings of Consul's authority that have no meaning here
/// (intermediates, limits of signing) are ignored.
///
/// # Errors
/// What is wrong, missing, unknown or not offered, with its path. Nothing of a private key is repeated.
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
        body.brought = brought(&mut config)?;
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

fn brought(config: &mut Fields<'_>) -> Result<Option<BroughtRoot>, Invalid> {
    let (certificate, key) = (config.nonempty("RootCert")?, config.nonempty("PrivateKey")?);
    let alone = |field: &str, other: &str| {
        let problem = format!("is needed as well as {other}, both are PEM text");
        Err(Invalid::new(config.at(field), problem))
    };
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(_), None) => alone("PrivateKey", "RootCert"),
        (None, Some(_)) => alone("RootCert", "PrivateKey"),
        (Some(certificate), Some(key)) => Ok(Some(BroughtRoot {
            certificate,
            key: Secret::new(key),
        })),
    }
}

fn key(config: &mut Fields<'_>) -> Result<KeyWish, Invalid> {
    let kind = config.nonempty("PrivateKeyType")?;
    let at = config.at("PrivateKeyBits");
    let bits = config
        .number("PrivateKeyBits", MAX_BITS)?
        .filter(|bits| *bits != 0);
    let wrong = |use_instead: String| {
        let given = bits.map_or_else(|| "is missing".to_owned(), |bits| format!("is {bits}"));
        Err(Invalid::new(at.clone(), format!("{given}, use {use_instead}")))
    };
    match (kind.as_deref(), bits) {
        (None, None) => Ok(KeyWish::Any),
        (Some("ec"), None) => Ok(KeyWish::Elliptic),
        (None | Some("ec"), Some(bits)) => match RootKey::of_curve_bits(bits) {
            Some(key) => Ok(KeyWish::Exactly(key)),
            None => wrong("256 or 384".to_owned()),
        },
        (Some("rsa"), bits) => match bits.and_then(RootKey::of_rsa_bits) {
            Some(key) => Ok(KeyWish::Exactly(key)),
            None => wrong(format!("{MIN_RSA_BITS} to {MAX_RSA_BITS} with \"rsa\"")),
        },
        (Some(kind), _) => Err(Invalid::new(
            config.at("PrivateKeyType"),
            format!("is {kind:?}, use \"ec\" or \"rsa\""),
        )),
    }
}

/// Whole hours, minutes and seconds as Go writes them: `72h`, `1h30m0s`.
pub(crate) fn duration(text: &str) -> Result<Duration, Invalid> {
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
                private_key_type: status.key.map_or("ec", RootKey::family),
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
        assert_eq!(body.key, KeyWish::Exactly(RootKey::P384));
        assert_eq!(body.leaf_ttl, Some(Duration::from_secs(5400)));
        assert!(body.force && !body.rotate && body.brought.is_none());
        let empty = ca_config_from_json(&json!({})).unwrap();
        assert!(!empty.force && !empty.rotate && empty.brought.is_none());
        assert_eq!((empty.key, empty.leaf_ttl), (KeyWish::Any, None));
        let brings = json!({ "Config": { "RootCert": "a root", "PrivateKey": "a key" } });
        let brings = ca_config_from_json(&brings).unwrap();
        assert!(!format!("{brings:?}").contains("a key"));
        let brought = brings.brought.unwrap();
        assert_eq!(
            (brought.certificate.as_str(), brought.key.expose()),
            ("a root", "a key")
        );
        let rotate = json!({ "Config": { "RotateRoot": true } });
        assert!(ca_config_from_json(&rotate).unwrap().rotate);
    }

    #[test]
    fn what_is_not_offered_is_refused_with_its_path() {
        for (body, path) in [
            (json!({ "Provider": "vault" }), "Provider"),
            (
                json!({ "Config": { "PrivateKeyType": "ed25519" } }),
                "Config.PrivateKeyType",
            ),
            (
                json!({ "Config": { "PrivateKeyType": "rsa" } }),
                "Config.PrivateKeyBits",
            ),
            (
                json!({ "Config": { "PrivateKeyType": "rsa", "PrivateKeyBits": 1024 } }),
                "Config.PrivateKeyBits",
            ),
            (
                json!({ "Config": { "PrivateKeyBits": 521 } }),
                "Config.PrivateKeyBits",
            ),
            (json!({ "Config": { "RootCert": "pem" } }), "Config.PrivateKey"),
            (json!({ "Config": { "PrivateKey": "pem" } }), "Config.RootCert"),
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

    #[test]
    fn what_is_not_said_about_the_key_stays_as_it_is() {
        let wish = |config: Value| ca_config_from_json(&json!({ "Config": config })).unwrap().key;
        let (ec, rsa) = (
            wish(json!({ "PrivateKeyType": "ec" })),
            wish(json!({ "PrivateKeyType": "rsa", "PrivateKeyBits": 3072 })),
        );
        for (wish, now, expected) in [
            (KeyWish::Any, Some(RootKey::P384), RootKey::P384),
            (KeyWish::Any, Some(RootKey::Rsa(2048)), RootKey::Rsa(2048)),
            (KeyWish::Any, None, RootKey::P256),
            (ec, Some(RootKey::P384), RootKey::P384),
            (ec, Some(RootKey::Rsa(2048)), RootKey::P256),
            (rsa, Some(RootKey::P256), RootKey::Rsa(3072)),
        ] {
            assert_eq!(wish.given(now), expected, "{wish:?} {now:?}");
        }
    }
}
