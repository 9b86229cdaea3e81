//! The JSON form of everything that the HTTP API speaks, and the HCL that operators write.
//!
//! Input is read from [`serde_json::Value`] by one reader, so that a refusal carries the path of the field
//! and a text in HCL is read by the same code: keys match in PascalCase, snake_case or lower case, numbers
//! may be texts and texts numbers, an object may stand where a list of objects is expected, and a key that is
//! not known is refused. What Consul offers and Peerway does not yet is refused too, as "is not offered yet":
//! a setting that is dropped in silence could be a policy. Output is plain structs that serialise with
//! Consul's field names (wire facts, section 8; xDS facts, section 6).

pub mod agent;
pub mod authority;
pub mod catalog;
pub mod chain;
pub mod config;
mod duration;
mod fields;
pub mod freshness;
pub mod hcl;
pub mod intention;
mod moment;
pub mod opaque;
pub mod peering;
pub mod proxy;
pub mod receipt;
pub mod registration;
pub mod rotation;
mod sidecar;
pub mod token;

pub use config::{config_entry_from_json, config_entry_to_json};
pub use moment::rfc3339;
pub use registration::{ServiceRegistration, service_registration_from_json};

use peerway_model::Invalid;
use serde_json::Value;

/// Reads a JSON object, refusing keys that are given twice.
///
/// # Errors
/// When `body` is not UTF-8, not one JSON object, or over the limits of [`hcl::parse`]; the problem names
/// line and column.
pub fn json_object(body: &[u8]) -> Result<Value, Invalid> {
    let text = std::str::from_utf8(body).map_err(|_| Invalid::new("", "is not UTF-8 text"))?;
    if !text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
        return Err(Invalid::new("", "must be a JSON object"));
    }
    hcl::parse(text).map_err(|error| Invalid::new("", format!("is not valid JSON: {error}")))
}

#[cfg(test)]
mod tests;
