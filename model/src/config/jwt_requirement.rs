//! Tokens that a request has to carry: `JWT` of `service-intentions` (xDS facts, sections 3.6 and 6.3).

use crate::Invalid;
use crate::instance::Opaque;
use crate::name::ProviderName;
use std::collections::{BTreeMap, BTreeSet};

/// Most providers that one requirement may name.
pub const MAX_WANTED_TOKENS: usize = 16;
/// Most claims of one token that are looked at.
pub const MAX_WANTED_CLAIMS: usize = 16;
/// Deepest place of a claim in a token, in names.
pub const MAX_CLAIM_DEPTH: usize = 8;
/// Longest name or value of a claim, in bytes.
pub const MAX_CLAIM_BYTES: usize = 1024;

/// What a token says: the members of its payload.
pub type Claims = BTreeMap<String, Opaque>;

/// A token by one of these providers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JwtRequirement {
    /// At least one; a token by any of them will do.
    pub tokens: Vec<WantedToken>,
}

/// A token by a provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WantedToken {
    /// The `jwt-provider` of the destination's partition that verifies it.
    pub provider: ProviderName,
    /// What it has to say; all of it.
    pub claims: Vec<WantedClaim>,
}

/// A claim of a token with this value, which is a text: a list, a number or an object is another value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WantedClaim {
    /// The names that lead to it, the outermost first; at least one.
    pub path: Vec<String>,
    /// The value, in upper and lower case as written.
    pub value: String,
}

impl JwtRequirement {
    /// Whether a request with these verified tokens fulfils it.
    pub fn is_met_by(&self, tokens: &BTreeMap<ProviderName, Claims>) -> bool {
        self.tokens.iter().any(|wanted| {
            let claims = tokens.get(&wanted.provider);
            claims.is_some_and(|claims| wanted.claims.iter().all(|claim| claim.is_in(claims)))
        })
    }

    /// The providers that are named, in order.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderName> {
        self.tokens.iter().map(|wanted| &wanted.provider)
    }

    /// The path of the error begins inside the requirement.
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if self.tokens.is_empty() {
            return Err(Invalid::new(
                "Providers",
                "needs at least one provider; remove JWT to ask for no token",
            ));
        }
        few("Providers", self.tokens.len(), MAX_WANTED_TOKENS)?;
        let mut seen = BTreeSet::new();
        for (index, wanted) in self.tokens.iter().enumerate() {
            if !seen.insert(wanted) {
                return Err(Invalid::new(
                    format!("Providers[{index}].Name"),
                    format!("is {} with the same claims again, give it once", wanted.provider),
                ));
            }
            let claims = format!("Providers[{index}].VerifyClaims");
            few(&claims, wanted.claims.len(), MAX_WANTED_CLAIMS)?;
            for (nth, claim) in wanted.claims.iter().enumerate() {
                claim
                    .validate()
                    .map_err(|error| error.within(&format!("{claims}[{nth}]")))?;
            }
        }
        Ok(())
    }
}

impl WantedClaim {
    fn is_in(&self, claims: &Claims) -> bool {
        let Some((last, outer)) = self.path.split_last() else {
            return false;
        };
        let inner = outer
            .iter()
            .try_fold(claims, |claims, name| match claims.get(name) {
                Some(Opaque::Map(inner)) => Some(inner),
                _ => None,
            });
        let found = inner.and_then(|claims| claims.get(last));
        matches!(found, Some(Opaque::Text(text)) if *text == self.value)
    }

    fn validate(&self) -> Result<(), Invalid> {
        if self.path.is_empty() {
            return Err(Invalid::new(
                "Path",
                "is required: the names that lead to the claim",
            ));
        }
        few("Path", self.path.len(), MAX_CLAIM_DEPTH)?;
        for (index, name) in self.path.iter().enumerate() {
            short(&format!("Path[{index}]"), name)?;
        }
        short("Value", &self.value)
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

fn short(field: &str, text: &str) -> Result<(), Invalid> {
    match text.len() {
        1..=MAX_CLAIM_BYTES => Ok(()),
        0 => Err(Invalid::new(field, "must not be empty")),
        _ => Err(Invalid::new(
            field,
            format!("is longer than {MAX_CLAIM_BYTES} bytes"),
        )),
    }
}
