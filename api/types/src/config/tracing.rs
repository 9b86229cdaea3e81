//! `Tracing` of `proxy-defaults`, which Consul has not.

use super::read::hundredths;
use super::write::weight;
use crate::fields::Fields;
use peerway_model::config::{ALL_TRACES, Tracing};
use peerway_model::{Invalid, ServiceAddress};
use serde_json::{Map, Value, json};

/// Takes the field `Tracing`.
///
/// # Errors
/// What is wrong, missing or unknown, with its path.
pub(crate) fn tracing_from(fields: &mut Fields<'_>) -> Result<Option<Tracing>, Invalid> {
    let Some(mut fields) = fields.object("Tracing")? else {
        return Ok(None);
    };
    let at = fields.at("Collector");
    let text = fields.required("Collector")?;
    let collector = address(&text).ok_or_else(|| {
        Invalid::new(
            at,
            format!("is {text:?}, write host:port, for example 127.0.0.1:4317"),
        )
    })?;
    let at = fields.at("SamplingPercent");
    let sampling = match fields.take("SamplingPercent") {
        None | Some(Value::Null) => ALL_TRACES,
        Some(value) => hundredths(value)
            .ok_or_else(|| Invalid::new(at, "expected a number from 0 to 100 with at most two decimals"))?,
    };
    fields.finish()?;
    Ok(Some(Tracing { collector, sampling }))
}

fn address(text: &str) -> Option<ServiceAddress> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // An IPv6 address without brackets would swallow the port.
    if bare.is_none() && host.contains(':') {
        return None;
    }
    Some(ServiceAddress {
        address: bare.unwrap_or(host).to_owned(),
        port: port.parse().ok()?,
    })
}

/// Adds the field, if it says anything.
pub(crate) fn put_tracing(out: &mut Map<String, Value>, tracing: Option<&Tracing>) {
    let Some(Tracing { collector, sampling }) = tracing else {
        return;
    };
    let ServiceAddress { address, port } = collector;
    let collector = match address.contains(':') {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    };
    let shown = json!({ "Collector": collector, "SamplingPercent": weight(*sampling) });
    out.insert("Tracing".to_owned(), shown);
}
