//! `service-intentions`: who may call a service (xDS facts, sections 3.3 and 6.3).

use super::{JwtRequirement, Meta, Pattern, Verdict};
use crate::Invalid;
use crate::name::{GroupName, Namespace, Partition, PeerName, ProviderName, ServiceName};
use std::collections::BTreeSet;

/// Longest description of a source, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 512;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It goes on.
    Allow,
    /// It is refused.
    Deny,
}

/// One caller, or a family of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The calling service, or `*`.
    pub name: Pattern<ServiceName>,
    /// Its namespace, or `*`; `*` needs the name `*`.
    pub namespace: Pattern<Namespace>,
    /// Its partition; not looked at for a peer's service, and for those of a group.
    pub partition: Partition,
    /// The local name of the peer that it lives in; `None` means this cluster.
    pub peer: Option<PeerName>,
    /// The sameness group in whose members it lives, of the destination's partition; never together with a peer.
    pub group: Option<GroupName>,
    /// What happens to its calls.
    pub verdict: Verdict,
    /// For people.
    pub description: String,
}

/// Who may call one service, or all services of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceIntentions {
    /// The destination, or `*`.
    pub name: Pattern<ServiceName>,
    /// Its namespace, or `*`; `*` needs the name `*`.
    pub namespace: Pattern<Namespace>,
    /// Its partition.
    pub partition: Partition,
    /// At least one.
    pub sources: Vec<Source>,
    /// A token that everybody needs whom a source is about, besides what the source says.
    pub jwt: Option<JwtRequirement>,
    /// The operator's pairs.
    pub meta: Meta,
}

impl ServiceIntentions {
    /// The providers whose tokens are asked for anywhere, each once.
    pub fn providers(&self) -> BTreeSet<&ProviderName> {
        let permissions = self
            .sources
            .iter()
            .flat_map(|source| source.verdict.permissions());
        permissions
            .filter_map(|permission| permission.jwt.as_ref())
            .chain(&self.jwt)
            .flat_map(JwtRequirement::providers)
            .collect()
    }

    /// The sameness groups that sources name, each once.
    pub fn groups(&self) -> BTreeSet<&GroupName> {
        let sources = self.sources.iter();
        sources.filter_map(|source| source.group.as_ref()).collect()
    }

    /// The precedence of a source on this destination, 9 (both exact) to 1, as Consul's table.
    pub fn precedence(&self, source: &Source) -> u8 {
        let row = exactness(self.name.is_any(), self.namespace.is_any());
        let column = exactness(source.name.is_any(), source.namespace.is_any());
        row * 3 + column + 1
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if self.namespace.is_any() && !self.name.is_any() {
            return Err(Invalid::new("Namespace", "may be '*' only when Name is '*' too"));
        }
        if self.sources.is_empty() {
            return Err(Invalid::new(
                "Sources",
                "needs at least one source; delete the entry to have none",
            ));
        }
        if let Some(jwt) = &self.jwt {
            jwt.validate().map_err(|error| error.within("JWT"))?;
        }
        let mut seen = BTreeSet::new();
        for (index, source) in self.sources.iter().enumerate() {
            let at = |field: &str| format!("Sources[{index}].{field}");
            if source.namespace.is_any() && !source.name.is_any() {
                return Err(Invalid::new(
                    at("Namespace"),
                    "may be '*' only when Name is '*' too",
                ));
            }
            if source.description.len() > MAX_DESCRIPTION_BYTES {
                return Err(Invalid::new(
                    at("Description"),
                    format!("is longer than {MAX_DESCRIPTION_BYTES} bytes"),
                ));
            }
            source
                .verdict
                .validate()
                .map_err(|error| error.within(&format!("Sources[{index}]")))?;
            if self.name.is_any() && !source.verdict.permissions().is_empty() {
                return Err(Invalid::new(
                    at("Permissions"),
                    "may not be given where the destination is '*': what a path means differs by service",
                ));
            }
            if source.peer.is_some() && source.group.is_some() {
                return Err(Invalid::new(
                    at("SamenessGroup"),
                    "does not go together with Peer, remove one of them",
                ));
            }
            let local = source.peer.is_none() && source.group.is_none();
            let partition = local.then_some(&source.partition);
            let place = (&source.peer, &source.group, partition);
            if !seen.insert((place, &source.namespace, &source.name)) {
                return Err(Invalid::new(
                    at("Name"),
                    format!("source {} is given more than once", source.name),
                ));
            }
        }
        Ok(())
    }
}

/// 2 for exact, 1 for any name, 0 for any namespace.
fn exactness(any_name: bool, any_namespace: bool) -> u8 {
    match (any_name, any_namespace) {
        (_, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
    }
}
