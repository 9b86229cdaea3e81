//! The peering token: how the acceptor introduces itself to the dialer (wire facts, section 1).
//!
//! It is base64 (RFC 4648 section 4, padded) of a JSON object, neither signed nor encrypted: whoever holds it may
//! peer once. Written with every key present; read leniently, as Consul's own tokens need.

mod read;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use peerway_model::Secret;
use peerway_model::peering::RemoteInfo;
use serde::Serialize;

/// Longest token text, in bytes: room for [`crate::pem::MAX_ROOTS`] usual roots and all addresses.
pub const MAX_TOKEN_BYTES: usize = 256 * 1024;
/// Most addresses in one list of a token or of the stream.
pub const MAX_ADDRESSES: usize = 64;
/// Longest free text of a token (id, secret, names), in bytes.
pub const MAX_TEXT_BYTES: usize = 512;

/// What the acceptor tells the dialer. It holds a secret, hence no `Debug`.
#[derive(Clone)]
pub struct Token {
    /// PEM of every root of the acceptor, each ending in a newline. Empty means that the acceptor has no TLS.
    pub ca_pems: Vec<String>,
    /// Addresses by the acceptor's operator; used instead of the others when not empty.
    pub manual_server_addresses: Vec<String>,
    /// Addresses that the acceptor found by itself.
    pub server_addresses: Vec<String>,
    /// SNI and DNS SAN of the acceptor's servers: `server.<dc>.peering.<trust domain>`.
    pub server_name: String,
    /// The acceptor's UUID of the peering.
    pub peer_id: String,
    /// Exchanged once for the stream secret.
    pub establishment_secret: Secret,
    /// About the acceptor. Its locality is neither written nor read.
    pub remote: RemoteInfo,
}

/// Why a token is not accepted, with the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing was given.
    #[error("the peering token is empty: paste the text that generating a token printed")]
    Empty,
    /// Longer than any token.
    #[error(
        "the peering token is {0} bytes long, at most {MAX_TOKEN_BYTES} are allowed: paste only the token"
    )]
    TooLong(usize),
    /// Not base64 at all.
    #[error("the peering token is not base64: paste the token exactly as it was printed, without quotes")]
    NotBase64,
    /// The text ends too early.
    #[error("the peering token is cut short: copy all of it, up to its last character")]
    CutShort,
    /// Base64 of something else.
    #[error(
        "the peering token is base64 but not of a token: generate a new one on the cluster to be dialled"
    )]
    NotAToken,
    /// A field cannot be used.
    #[error("the peering token's {field} {problem}: generate a new token on the cluster to be dialled")]
    Field {
        /// The JSON key, with an index for a list.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    #[serde(rename = "CA")]
    ca: Option<&'a [String]>,
    manual_server_addresses: Option<&'a [String]>,
    server_addresses: Option<&'a [String]>,
    server_name: &'a str,
    #[serde(rename = "PeerID")]
    peer_id: &'a str,
    establishment_secret: &'a str,
    remote: WrittenRemote<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WrittenRemote<'a> {
    partition: &'a str,
    datacenter: &'a str,
    locality: Option<()>,
}

impl Token {
    /// The text to hand to the dialer's operator. Every key is present; an empty list is `null`.
    pub fn encode(&self) -> String {
        fn list(items: &[String]) -> Option<&[String]> {
            (!items.is_empty()).then_some(items)
        }
        let written = Written {
            ca: list(&self.ca_pems),
            manual_server_addresses: list(&self.manual_server_addresses),
            server_addresses: list(&self.server_addresses),
            server_name: &self.server_name,
            peer_id: &self.peer_id,
            establishment_secret: self.establishment_secret.expose(),
            remote: WrittenRemote {
                partition: &self.remote.partition,
                datacenter: &self.remote.datacenter,
                locality: None,
            },
        };
        // Strings and lists of strings always serialise, so the fallback is never seen.
        STANDARD.encode(serde_json::to_vec(&written).unwrap_or_default())
    }

    /// Reads and validates a token: see [`TokenError`] for what is refused. White space around and inside (as
    /// terminals and chat programs add it) is ignored, and so are unknown keys.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let text: String = text.split_ascii_whitespace().collect();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong(text.len()));
        }
        let json = STANDARD.decode(&text).map_err(|_| {
            let alphabet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
            if text.bytes().all(alphabet) && !text.len().is_multiple_of(4) {
                TokenError::CutShort
            } else {
                TokenError::NotBase64
            }
        })?;
        let value: serde_json::Value = serde_json::from_slice(&json).map_err(|error| {
            if error.is_eof() && json.first() == Some(&b'{') {
                TokenError::CutShort
            } else {
                TokenError::NotAToken
            }
        })?;
        let token = read::token(&value)?;
        token.validate()?;
        Ok(token)
    }

    /// The addresses to dial: the operator's if there are any, else the others (wire facts, section 1.5).
    pub fn addresses(&self) -> &[String] {
        if self.manual_server_addresses.is_empty() {
            &self.server_addresses
        } else {
            &self.manual_server_addresses
        }
    }

    /// The checks of a dialer, in Consul's order (wire facts, section 1.4). The secret is checked too: without
    /// one the exchange can only fail.
    fn validate(&self) -> Result<(), TokenError> {
        for (index, pem) in self.ca_pems.iter().enumerate() {
            crate::pem::check_certificates(pem)
                .map_err(|problem| refused(&format!("CA[{index}]"), problem))?;
        }
        if self.manual_server_addresses.is_empty() && self.server_addresses.is_empty() {
            return Err(refused("ServerAddresses", "holds no address to dial"));
        }
        let lists = [
            ("ManualServerAddresses", &self.manual_server_addresses),
            ("ServerAddresses", &self.server_addresses),
        ];
        for (field, list) in lists {
            for address in list {
                crate::address::split(address)
                    .map_err(|problem| refused(field, format!("entry {address:?} {problem}")))?;
            }
        }
        if !self.ca_pems.is_empty() && self.server_name.is_empty() {
            return Err(refused(
                "ServerName",
                "is empty, so no certificate could be verified",
            ));
        }
        if self.peer_id.is_empty() {
            return Err(refused("PeerID", "is empty"));
        }
        if self.establishment_secret.expose().is_empty() {
            return Err(refused("EstablishmentSecret", "is empty"));
        }
        Ok(())
    }
}

fn refused(field: &str, problem: impl Into<String>) -> TokenError {
    TokenError::Field {
        field: field.to_owned(),
        problem: problem.into(),
    }
}
