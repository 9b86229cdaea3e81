//! How an instance is chosen (the field `LoadBalancer` of `service-resolver`).

use super::header_edits::header_name;
use super::service_router::{at_most, bounded, short};
use crate::Invalid;

/// Most hash policies.
pub const MAX_HASH_POLICIES: usize = 16;
/// Largest ring (Envoy's bound), in entries.
pub const MAX_RING_SIZE: u64 = 8 * 1024 * 1024;
/// Most instances that a choice by load looks at.
pub const MAX_CHOICE_COUNT: u32 = 100;

/// The rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Balance {
    /// By chance.
    Random,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest requests of some that are chosen by chance.
    LeastRequest {
        /// How many; `None` is Envoy's default, 2.
        choices: Option<u32>,
    },
    /// By hash, on a ring.
    RingHash {
        /// Entries; `None` is Envoy's default.
        minimum: Option<u64>,
        /// Entries; `None` is Envoy's default.
        maximum: Option<u64>,
    },
    /// By hash, in a table.
    Maglev,
}

/// What a request is hashed by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashOf {
    /// A header.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// The address of the caller.
    SourceIp,
    /// A cookie, which is made when it is not there.
    Cookie {
        /// Its name.
        name: String,
        /// How long a made one lives, in milliseconds; `None` makes none.
        ttl_ms: Option<u64>,
        /// Whether a made one lives as long as the session.
        session: bool,
        /// The path of a made one.
        path: Option<String>,
    },
}

/// One of the things that a request is hashed by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HashPolicy {
    /// By what.
    pub by: HashOf,
    /// Whether the rest is not looked at when this one is there.
    pub terminal: bool,
}

/// How an instance is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct LoadBalancer {
    /// The rule; `None` is round robin.
    pub balance: Option<Balance>,
    /// In order; only with a rule by hash.
    pub hash: Vec<HashPolicy>,
}

impl Balance {
    /// Whether it needs a hash.
    pub fn is_hash(self) -> bool {
        matches!(self, Balance::RingHash { .. } | Balance::Maglev)
    }
}

impl LoadBalancer {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        match self.balance {
            Some(Balance::LeastRequest { choices: Some(count) })
                if !(2..=MAX_CHOICE_COUNT).contains(&count) =>
            {
                return Err(Invalid::new(
                    "LeastRequestConfig.ChoiceCount",
                    format!("must be from 2 to {MAX_CHOICE_COUNT}"),
                ));
            }
            Some(Balance::RingHash { minimum, maximum }) => ring(minimum, maximum)?,
            _ => {}
        }
        if !self.hash.is_empty() && !self.balance.is_some_and(Balance::is_hash) {
            return Err(Invalid::new(
                "HashPolicies",
                "needs a Policy that hashes, ring_hash or maglev",
            ));
        }
        at_most("HashPolicies", self.hash.len(), MAX_HASH_POLICIES)?;
        for (index, policy) in self.hash.iter().enumerate() {
            let at = format!("HashPolicies[{index}].FieldValue");
            match &policy.by {
                HashOf::Header(name) => header_name(&at, name)?,
                HashOf::SourceIp => {}
                HashOf::Query(name) => named(&at, name)?,
                HashOf::Cookie {
                    name,
                    ttl_ms,
                    session,
                    path,
                } => {
                    named(&at, name)?;
                    let config = format!("HashPolicies[{index}].CookieConfig");
                    if *session && ttl_ms.is_some() {
                        return Err(Invalid::new(
                            config,
                            "has both Session and TTL, remove one of them",
                        ));
                    }
                    short(&format!("{config}.TTL"), *ttl_ms)?;
                    bounded(&format!("{config}.Path"), path.as_deref().unwrap_or(""))?;
                }
            }
        }
        Ok(())
    }
}

fn ring(minimum: Option<u64>, maximum: Option<u64>) -> Result<(), Invalid> {
    for (field, size) in [("MinimumRingSize", minimum), ("MaximumRingSize", maximum)] {
        if size.is_some_and(|size| !(1..=MAX_RING_SIZE).contains(&size)) {
            return Err(Invalid::new(
                format!("RingHashConfig.{field}"),
                format!("must be from 1 to {MAX_RING_SIZE}"),
            ));
        }
    }
    // Envoy's defaults are 1024 and MAX_RING_SIZE.
    if minimum.unwrap_or(1024) > maximum.unwrap_or(MAX_RING_SIZE) {
        return Err(Invalid::new(
            "RingHashConfig.MinimumRingSize",
            "is larger than MaximumRingSize (1024 when it is not given)",
        ));
    }
    Ok(())
}

fn named(at: &str, name: &str) -> Result<(), Invalid> {
    bounded(at, name)?;
    if name.is_empty() {
        return Err(Invalid::new(at, "is required with Field"));
    }
    Ok(())
}
