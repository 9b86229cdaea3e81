//! `jwt-provider`: who signs tokens, and how they are verified. Fields as Consul's.

mod keys;
mod uri;

pub use keys::{
    KeyDiscovery, KeySet, KeySource, MAX_CA_BYTES, MAX_KEY_CACHE_MS, MAX_KEY_FETCH_MS, MAX_KEY_RETRIES,
    MAX_KEY_SET_BYTES, RemoteKeys, Retries, TrustedCa,
};
pub use uri::{KeyUri, MAX_URI_BYTES};

use super::permission::HeaderName;
use super::{MAX_HEADER_VALUE_BYTES, Meta};
use crate::Invalid;
use crate::name::{Partition, ProviderName};
use std::collections::BTreeSet;

/// Longest issuer or audience, in bytes.
pub const MAX_ISSUER_BYTES: usize = 1024;
/// Most audiences of a provider.
pub const MAX_AUDIENCES: usize = 64;
/// Most places in which tokens of a provider are looked for.
pub const MAX_LOCATIONS: usize = 16;
/// Longest name of a query parameter or cookie with a token, in bytes.
pub const MAX_TOKEN_PLACE_BYTES: usize = 256;
/// How far the clocks of an issuer and a proxy may be apart unless said otherwise, in seconds (Consul's).
pub const DEFAULT_CLOCK_SKEW_SECONDS: u32 = 30;
/// Furthest that they may be said to be apart, in seconds.
pub const MAX_CLOCK_SKEW_SECONDS: u32 = 3600;
/// Most verified tokens that a thread of a proxy may keep.
pub const MAX_CACHED_TOKENS: u32 = 100_000;

/// Headers that make a request what it is, or that proxies write for each other: a payload must not stand there.
const NO_PAYLOAD: [&str; 8] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "te",
    "transfer-encoding",
    "upgrade",
    "authorization",
];

/// Who signs tokens, and how they are verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JwtProvider {
    /// The partition whose services may ask for its tokens.
    pub partition: Partition,
    /// The name.
    pub name: ProviderName,
    /// What its tokens say in `iss`; not empty.
    pub issuer: String,
    /// A token has to name one of them in `aud`; empty looks at none.
    pub audiences: Vec<String>,
    /// The keys by which it signs.
    pub keys: KeySource,
    /// Where tokens are looked for, distinct; empty is `Authorization: Bearer` and the query parameter `access_token`.
    pub locations: Vec<TokenLocation>,
    /// Where the payload of a verified token is told to the application.
    pub forwarding: Option<Forwarding>,
    /// How far the clocks of issuer and proxy may be apart, in seconds; at least 1.
    pub clock_skew_seconds: u32,
    /// How many verified tokens a thread of a proxy keeps, so that they are not verified again; 0 keeps none.
    pub cache_size: u32,
    /// The operator's pairs.
    pub meta: Meta,
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenLocation {
    /// A header.
    Header {
        /// Its name.
        name: HeaderName,
        /// What stands before the token, with its space: `Bearer `.
        prefix: String,
        /// Whether the application gets the token. A verified one is taken away otherwise.
        forward: bool,
    },
    /// A parameter of the query.
    QueryParam(String),
    /// A cookie.
    Cookie(String),
}

/// The payload of a verified token, as a header in base64url.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Forwarding {
    /// The header. It is taken away from requests that come with it.
    pub header: HeaderName,
    /// Whether the text is padded.
    pub pad: bool,
}

impl JwtProvider {
    /// Whether the application gets verified tokens.
    pub fn forwards_tokens(&self) -> bool {
        self.locations
            .iter()
            .any(|location| matches!(location, TokenLocation::Header { forward: true, .. }))
    }

    /// The headers that are not the caller's any more when policy looks at a request, in lower case.
    pub fn changed_headers(&self) -> BTreeSet<&str> {
        let payload = self.forwarding.iter().map(|own| own.header.as_str());
        let mut changed: BTreeSet<&str> = payload.collect();
        if self.locations.is_empty() {
            changed.insert("authorization");
        } else if !self.forwards_tokens() {
            changed.extend(self.locations.iter().filter_map(|location| match location {
                TokenLocation::Header { name, .. } => Some(name.as_str()),
                TokenLocation::QueryParam(_) | TokenLocation::Cookie(_) => None,
            }));
        }
        changed
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        text("Issuer", &self.issuer, MAX_ISSUER_BYTES)?;
        few("Audiences", self.audiences.len(), MAX_AUDIENCES)?;
        for (index, audience) in self.audiences.iter().enumerate() {
            text(&format!("Audiences[{index}]"), audience, MAX_ISSUER_BYTES)?;
        }
        self.keys
            .validate()
            .map_err(|error| error.within("JSONWebKeySet"))?;
        self.validate_locations()?;
        if let Some(Forwarding { header, .. }) = &self.forwarding {
            let name = header.as_str();
            if NO_PAYLOAD.contains(&name) || name.starts_with("x-envoy-") {
                return Err(Invalid::new(
                    "Forwarding.HeaderName",
                    format!("is {name}, which says something else, choose a header of its own"),
                ));
            }
            let taken = |location: &TokenLocation| matches!(location, TokenLocation::Header { name, .. } if name == header);
            if self.locations.iter().any(taken) {
                return Err(Invalid::new(
                    "Forwarding.HeaderName",
                    format!("is {name}, in which tokens come, choose another header"),
                ));
            }
        }
        if !(1..=MAX_CLOCK_SKEW_SECONDS).contains(&self.clock_skew_seconds) {
            return Err(Invalid::new(
                "ClockSkewSeconds",
                format!(
                    "is {}, use 1 to {MAX_CLOCK_SKEW_SECONDS}",
                    self.clock_skew_seconds
                ),
            ));
        }
        if self.cache_size > MAX_CACHED_TOKENS {
            return Err(Invalid::new(
                "CacheConfig.Size",
                format!("is above {MAX_CACHED_TOKENS}"),
            ));
        }
        Ok(())
    }

    fn validate_locations(&self) -> Result<(), Invalid> {
        few("Locations", self.locations.len(), MAX_LOCATIONS)?;
        let mut seen = BTreeSet::new();
        for (index, location) in self.locations.iter().enumerate() {
            let place = match location {
                TokenLocation::Header { name, prefix, .. } => {
                    if prefix.len() > MAX_HEADER_VALUE_BYTES
                        || prefix.chars().any(|c| !(c.is_ascii_graphic() || c == ' '))
                        || prefix.starts_with(' ')
                    {
                        return Err(Invalid::new(
                            format!("Locations[{index}].Header.ValuePrefix"),
                            "must be printable ASCII and not begin with a space",
                        ));
                    }
                    format!("header {name} {prefix}")
                }
                TokenLocation::QueryParam(name) => {
                    place(&format!("Locations[{index}].QueryParam.Name"), name)?;
                    format!("query {name}")
                }
                TokenLocation::Cookie(name) => {
                    place(&format!("Locations[{index}].Cookie.Name"), name)?;
                    format!("cookie {name}")
                }
            };
            if !seen.insert(place) {
                return Err(Invalid::new(
                    format!("Locations[{index}]"),
                    "is given more than once",
                ));
            }
        }
        let forwards = self.forwards_tokens();
        let differs =
            |location: &TokenLocation| matches!(location, TokenLocation::Header { forward: false, .. });
        match self.locations.iter().position(differs) {
            Some(index) if forwards => Err(Invalid::new(
                format!("Locations[{index}].Header.Forward"),
                "is false and true elsewhere, but proxies do the same with all tokens of a provider: say the same in all",
            )),
            _ => Ok(()),
        }
    }
}

fn few(field: &str, count: usize, most: usize) -> Result<(), Invalid> {
    match count > most {
        true => Err(Invalid::new(
            field,
            format!("has {count} elements, at most {most} are allowed"),
        )),
        false => Ok(()),
    }
}

fn text(field: &str, text: &str, most: usize) -> Result<(), Invalid> {
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        return Err(Invalid::new(
            field,
            format!("must be 1 to {most} bytes without control characters"),
        ));
    }
    Ok(())
}

/// The name of a cookie (RFC 6265, section 4.1.1), or of a parameter that comes as it is written.
fn place(field: &str, name: &str) -> Result<(), Invalid> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"!$'*-._~".contains(&b);
    if name.is_empty() || name.len() > MAX_TOKEN_PLACE_BYTES || !name.bytes().all(known) {
        return Err(Invalid::new(
            field,
            format!("is {name:?}, use 1 to {MAX_TOKEN_PLACE_BYTES} letters, digits, '-', '.' and '_'"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
