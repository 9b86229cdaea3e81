//! What a token is ordered with.

use super::IntroductionError;
use peerway_model::config::{Meta, validate_meta};
use peerway_model::grant::{MAX_ALLOWED_SERVICES, MAX_REQUEST_ID_BYTES};
use peerway_model::{Datacenter, Invalid, TokenBounds};
use peerway_peering_protocol::address;
use peerway_peering_protocol::token::MAX_ADDRESSES;
use std::time::Duration;

/// Longest time that a token may be asked to be good for.
pub const MAX_TOKEN_TTL: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// What a token is ordered with. The default is one that never expires, for anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenOrder {
    /// The operator's pairs for a peering that does not exist yet.
    pub meta: Meta,
    /// What the dialer uses instead of this cluster's own addresses, if any are given.
    pub external_addresses: Vec<String>,
    /// How long it can be exchanged; `None` is for ever.
    pub ttl: Option<Duration>,
    /// To ask for the same token again.
    pub request_id: Option<String>,
    /// Whom it is for and what it opens.
    pub bounds: TokenBounds,
}

impl TokenOrder {
    /// Refuses what cannot be granted, by its field in the API.
    pub(super) fn validate(&self) -> Result<(), IntroductionError> {
        validate_meta(&self.meta).map_err(|invalid| invalid.within("Meta"))?;
        check_addresses(&self.external_addresses)?;
        if let Some(ttl) = self.ttl
            && (ttl < Duration::from_millis(1) || ttl > MAX_TOKEN_TTL)
        {
            let problem = format!(
                "is {} s, a token may be good for up to {} s; leave it out for no limit",
                ttl.as_secs(),
                MAX_TOKEN_TTL.as_secs()
            );
            return Err(Invalid::new("TTL", problem).into());
        }
        if let Some(id) = &self.request_id
            && (id.is_empty() || id.len() > MAX_REQUEST_ID_BYTES || id.chars().any(char::is_control))
        {
            let problem = format!("must be 1 to {MAX_REQUEST_ID_BYTES} bytes without control characters");
            return Err(Invalid::new("RequestID", problem).into());
        }
        if let Some(datacenter) = &self.bounds.datacenter {
            Datacenter::new(datacenter).map_err(|invalid| invalid.within("RemoteDatacenter"))?;
        }
        match &self.bounds.services {
            Some(services) if services.is_empty() => Err(Invalid::new(
                "AllowedServices",
                "is empty: name the services that the peer may see, or leave it out for all that is exported to it",
            )
            .into()),
            Some(services) if services.len() > MAX_ALLOWED_SERVICES => {
                let problem = format!(
                    "has {} entries, at most {MAX_ALLOWED_SERVICES} are allowed",
                    services.len()
                );
                Err(Invalid::new("AllowedServices", problem).into())
            }
            _ => Ok(()),
        }
    }
}

fn check_addresses(addresses: &[String]) -> Result<(), IntroductionError> {
    if addresses.len() > MAX_ADDRESSES {
        let problem = format!(
            "has {} entries, at most {MAX_ADDRESSES} are allowed",
            addresses.len()
        );
        return Err(Invalid::new("ServerExternalAddresses", problem).into());
    }
    for (index, address) in addresses.iter().enumerate() {
        address::split(address).map_err(|problem| {
            Invalid::new(
                format!("ServerExternalAddresses[{index}]"),
                format!("{address:?} {problem}"),
            )
        })?;
    }
    Ok(())
}
