//! Reading the JSON of a token as leniently as the other side writes it: any case, nulls, missing and unknown keys.

use super::{MAX_ADDRESSES, MAX_TEXT_BYTES, Token, TokenError, refused};
use crate::pem::MAX_ROOTS;
use peerway_model::Secret;
use peerway_model::peering::RemoteInfo;
use serde_json::{Map, Value};

pub(super) fn token(value: &Value) -> Result<Token, TokenError> {
    let object = value.as_object().ok_or(TokenError::NotAToken)?;
    let none = Map::new();
    let remote = match field(object, "Remote") {
        None => &none,
        Some(Value::Object(remote)) => remote,
        Some(_) => return Err(refused("Remote", "is not an object")),
    };
    Ok(Token {
        ca_pems: list(object, "CA", MAX_ROOTS)?,
        manual_server_addresses: list(object, "ManualServerAddresses", MAX_ADDRESSES)?,
        server_addresses: list(object, "ServerAddresses", MAX_ADDRESSES)?,
        server_name: text(object, "ServerName")?,
        peer_id: text(object, "PeerID")?,
        establishment_secret: Secret::new(text(object, "EstablishmentSecret")?),
        remote: RemoteInfo {
            partition: text(remote, "Partition")?,
            datacenter: text(remote, "Datacenter")?,
        },
    })
}

/// The value under `key`; the exact spelling wins over other cases of it, and null counts as missing.
fn field<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    object
        .get(key)
        .or_else(|| {
            let mut others = object.iter().filter(|(own, _)| own.eq_ignore_ascii_case(key));
            others.next().map(|(_, value)| value)
        })
        .filter(|value| !value.is_null())
}

fn text(object: &Map<String, Value>, key: &str) -> Result<String, TokenError> {
    match field(object, key) {
        None => Ok(String::new()),
        Some(Value::String(text)) if text.len() <= MAX_TEXT_BYTES => Ok(text.clone()),
        Some(Value::String(_)) => Err(refused(key, format!("is longer than {MAX_TEXT_BYTES} bytes"))),
        Some(_) => Err(refused(key, "is not a text")),
    }
}

fn list(object: &Map<String, Value>, key: &str, limit: usize) -> Result<Vec<String>, TokenError> {
    let items = match field(object, key) {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(refused(key, "is not a list")),
    };
    if items.len() > limit {
        return Err(refused(
            key,
            format!("has {} entries, at most {limit} are allowed", items.len()),
        ));
    }
    let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
    texts
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| refused(key, "holds something that is not a text"))
}
