//! `TLS` of `mesh`.

use crate::fields::Fields;
use peerway_model::Invalid;
use peerway_model::config::{CipherSuite, MeshTls, TlsBounds, TlsVersion};
use serde_json::{Map, Value, json};

/// The fields with the oldest and the newest version.
const VERSIONS: [&str; 2] = ["TLSMinVersion", "TLSMaxVersion"];

/// Takes the field `TLS`.
pub(super) fn mesh_tls_from(fields: &mut Fields<'_>) -> Result<MeshTls, Invalid> {
    let Some(mut tls) = fields.object("TLS")? else {
        return Ok(MeshTls::default());
    };
    let both = MeshTls {
        incoming: bounds(&mut tls, "Incoming")?,
        outgoing: bounds(&mut tls, "Outgoing")?,
    };
    tls.finish()?;
    Ok(both)
}

fn bounds(fields: &mut Fields<'_>, key: &'static str) -> Result<TlsBounds, Invalid> {
    let Some(mut fields) = fields.object(key)? else {
        return Ok(TlsBounds::default());
    };
    let bounds = bounds_in(&mut fields)?;
    fields.finish()?;
    Ok(bounds)
}

/// Takes the fields that say which TLS is spoken.
pub(super) fn bounds_in(fields: &mut Fields<'_>) -> Result<TlsBounds, Invalid> {
    bounds_named(fields, VERSIONS)
}

/// The same, where the oldest and the newest version have these names.
pub(super) fn bounds_named(
    fields: &mut Fields<'_>,
    [oldest, newest]: [&'static str; 2],
) -> Result<TlsBounds, Invalid> {
    let min = version(fields, oldest)?;
    let max = version(fields, newest)?;
    let at = fields.at("CipherSuites");
    let mut ciphers = Vec::new();
    for (index, text) in fields.texts("CipherSuites")?.into_iter().enumerate() {
        ciphers.push(CipherSuite::parse(&text).ok_or_else(|| {
            let offered = CipherSuite::ALL.map(CipherSuite::as_str).join(", ");
            Invalid::new(
                format!("{at}[{index}]"),
                format!("is {text:?}, offered are those with authenticated encryption and forward secrecy: {offered}"),
            )
        })?);
    }
    Ok(TlsBounds { min, max, ciphers })
}

fn version(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<TlsVersion>, Invalid> {
    fields
        .parsed(key, |text| match (text, TlsVersion::parse(text)) {
            ("TLS_AUTO", _) => Ok(None),
            (_, Some(version)) => Ok(Some(version)),
            ("TLSv1_0" | "TLSv1_1", _) => Err(Invalid::new(
                "",
                format!("is {text:?}, which is not safe any more, use \"TLSv1_2\" or \"TLSv1_3\""),
            )),
            _ => Err(Invalid::new(
                "",
                format!("is {text:?}, use \"TLSv1_2\", \"TLSv1_3\" or \"TLS_AUTO\""),
            )),
        })
        .map(Option::flatten)
}

/// Adds the field, if it says anything.
pub(super) fn put_mesh_tls(out: &mut Map<String, Value>, tls: &MeshTls) {
    let MeshTls { incoming, outgoing } = tls;
    let mut both = Map::new();
    for (key, bounds) in [("Incoming", incoming), ("Outgoing", outgoing)] {
        let shown = put_bounds(bounds);
        if !shown.is_empty() {
            both.insert(key.to_owned(), Value::Object(shown));
        }
    }
    if !both.is_empty() {
        out.insert("TLS".to_owned(), Value::Object(both));
    }
}

/// The fields that say which TLS is spoken, those that say anything.
pub(super) fn put_bounds(bounds: &TlsBounds) -> Map<String, Value> {
    put_bounds_named(bounds, VERSIONS)
}

/// The same, where the oldest and the newest version have these names.
pub(super) fn put_bounds_named(bounds: &TlsBounds, [oldest, newest]: [&str; 2]) -> Map<String, Value> {
    let TlsBounds { min, max, ciphers } = bounds;
    let mut shown = Map::new();
    for (field, version) in [(oldest, min), (newest, max)] {
        if let Some(version) = version {
            shown.insert(field.to_owned(), json!(version.as_str()));
        }
    }
    if !ciphers.is_empty() {
        let names = ciphers.iter().map(|suite| suite.as_str()).collect();
        shown.insert("CipherSuites".to_owned(), names);
    }
    shown
}
