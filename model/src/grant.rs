//! What peering tokens grant, without their secrets: how long a token is good, who may use it, what its peer may see,
//! and what became of it. The wire carries none of this; the acceptor keeps it and holds the dialer to it.

use crate::invalid::Invalid;
use crate::key::PeeringKey;
use crate::name::{Namespace, ServiceName};
use crate::spiffe::TrustDomain;
use std::collections::BTreeSet;
use std::fmt;

/// Most services in the allow-list of a token.
pub const MAX_ALLOWED_SERVICES: usize = 1_000;
/// Longest request id of a token, in bytes.
pub const MAX_REQUEST_ID_BYTES: usize = 256;
/// Most ended tokens that are remembered for a peering; the oldest is forgotten first.
pub const MAX_ENDED_TOKENS: usize = 8;

/// A local service that a peer may see, if an `exported-services` entry offers it as well. Written `name`, or
/// `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AllowedService {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ServiceName,
}

impl AllowedService {
    /// The service of this text.
    ///
    /// # Errors
    /// When the name or the namespace is not valid.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Namespace::new(namespace)?, name),
            None => (Namespace::default(), text),
        };
        Ok(AllowedService {
            namespace,
            name: ServiceName::new(name)?,
        })
    }
}

impl fmt::Display for AllowedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_default() {
            write!(f, "{}", self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// Whom a token is for and what it opens. The default is anybody and everything that is exported.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct TokenBounds {
    /// The datacenter that the dialer has to say it is.
    pub datacenter: Option<String>,
    /// The trust domain that the dialer's trust bundle has to be of.
    pub trust_domain: Option<TrustDomain>,
    /// All that the peer may ever see of what is exported to it.
    pub services: Option<BTreeSet<AllowedService>>,
}

impl TokenBounds {
    /// Whether the peer may see a service.
    pub fn allow(&self, namespace: &Namespace, name: &ServiceName) -> bool {
        self.services.as_ref().is_none_or(|services| {
            services.contains(&AllowedService {
                namespace: namespace.clone(),
                name: name.clone(),
            })
        })
    }
}

/// One token. Times are unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenGrant {
    /// By what it is spoken of; a UUID that opens nothing.
    pub accessor: String,
    /// When it was made.
    pub made_at: u64,
    /// From when on it cannot be exchanged any more; `None` is never. What it was exchanged for lives on.
    pub expires_at: Option<u64>,
    /// What its maker calls it, to ask for the same one again.
    pub request_id: Option<String>,
    /// Whom it is for and what it opens.
    pub bounds: TokenBounds,
    /// Whether the bundle of the bound trust domain has come over a stream that this token opened.
    pub proven: bool,
}

impl TokenGrant {
    /// Whether it is too late to exchange it at `now`.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }

    /// Whether the peer has yet to show the trust domain that the token is for: nothing is exchanged until then.
    pub fn is_unproven(&self) -> bool {
        self.bounds.trust_domain.is_some() && !self.proven
    }
}

/// Why a token is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenEnd {
    /// A newer one was made before it was used.
    Replaced,
    /// An operator revoked it.
    Revoked,
    /// It was used, and so was a newer one after it.
    Superseded,
}

impl TokenEnd {
    /// All of them.
    pub const ALL: [TokenEnd; 3] = [TokenEnd::Replaced, TokenEnd::Revoked, TokenEnd::Superseded];

    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenEnd::Replaced => "replaced",
            TokenEnd::Revoked => "revoked",
            TokenEnd::Superseded => "superseded",
        }
    }

    /// The one of this text.
    pub fn parse(text: &str) -> Option<Self> {
        TokenEnd::ALL.into_iter().find(|end| end.as_str() == text)
    }
}

/// A token that is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndedToken {
    /// What it was.
    pub grant: TokenGrant,
    /// When it ended, unix milliseconds.
    pub at: u64,
    /// Why.
    pub end: TokenEnd,
}

/// Why somebody who held a token was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCause {
    /// It came too late.
    Expired,
    /// The token was revoked.
    Revoked,
    /// The dialer says that it is another datacenter than the token is for.
    Datacenter,
    /// The dialer's bundle is of another trust domain than the token is for.
    TrustDomain,
}

impl RefusalCause {
    /// All causes.
    pub const ALL: [RefusalCause; 4] = [
        RefusalCause::Expired,
        RefusalCause::Revoked,
        RefusalCause::Datacenter,
        RefusalCause::TrustDomain,
    ];

    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            RefusalCause::Expired => "expired",
            RefusalCause::Revoked => "revoked",
            RefusalCause::Datacenter => "datacenter",
            RefusalCause::TrustDomain => "trust-domain",
        }
    }

    /// The one of this text.
    pub fn parse(text: &str) -> Option<Self> {
        RefusalCause::ALL.into_iter().find(|cause| cause.as_str() == text)
    }
}

/// A use that was refused. Only the first of each token and cause is kept, so that trying again writes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefusedUse {
    /// Of the token.
    pub accessor: String,
    /// Why.
    pub cause: RefusalCause,
    /// What the dialer was told.
    pub reason: String,
    /// When, unix milliseconds.
    pub at: u64,
}

/// All tokens of a peering that this cluster accepts. The first three stand beside the secrets of the same name in
/// [`PeeringSecrets`](crate::PeeringSecrets).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeeringGrants {
    /// The peering.
    pub peering: PeeringKey,
    /// The token that can be exchanged, unless it has expired.
    pub establishment: Option<TokenGrant>,
    /// The one that was exchanged, and no stream has been opened since.
    pub pending_stream: Option<TokenGrant>,
    /// The one that streams are opened by. Its bounds are in force.
    pub active_stream: Option<TokenGrant>,
    /// The one that streams were opened by until it was revoked, and none since. Its bounds stay in force: what the peer
    /// got by it, trust above all, is there until the peering is deleted or gets another token.
    pub lapsed: Option<TokenGrant>,
    /// Those of no use any more, the newest last; at most [`MAX_ENDED_TOKENS`].
    pub ended: Vec<EndedToken>,
    /// Uses that were refused, of tokens that are still here.
    pub refused: Vec<RefusedUse>,
}

impl PeeringGrants {
    /// No token yet.
    pub fn new(peering: PeeringKey) -> Self {
        PeeringGrants {
            peering,
            establishment: None,
            pending_stream: None,
            active_stream: None,
            lapsed: None,
            ended: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Remembers that a token ended at `at`, and forgets what is too old to be remembered.
    pub fn end(&mut self, grant: Option<TokenGrant>, end: TokenEnd, at: u64) {
        self.ended
            .extend(grant.map(|grant| EndedToken { grant, at, end }));
        let surplus = self.ended.len().saturating_sub(MAX_ENDED_TOKENS);
        self.ended.drain(..surplus);
        let refused = std::mem::take(&mut self.refused);
        self.refused = refused
            .into_iter()
            .filter(|refused| self.all().any(|grant| grant.accessor == refused.accessor))
            .collect();
    }

    /// The token whose bounds are in force.
    pub fn in_force(&self) -> Option<&TokenGrant> {
        self.active_stream.as_ref().or(self.lapsed.as_ref())
    }

    /// The tokens that open something, or would if they had not expired.
    pub fn live(&self) -> impl Iterator<Item = &TokenGrant> {
        [&self.establishment, &self.pending_stream, &self.active_stream]
            .into_iter()
            .flatten()
    }

    /// All tokens that are remembered.
    pub fn all(&self) -> impl Iterator<Item = &TokenGrant> {
        self.live().chain(self.ended.iter().map(|ended| &ended.grant))
    }

    /// The first refused use of a token for this cause.
    pub fn refusal(&self, accessor: &str, cause: RefusalCause) -> Option<&RefusedUse> {
        self.refused
            .iter()
            .find(|refused| refused.accessor == accessor && refused.cause == cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Partition, PeerName};

    fn grant(accessor: &str) -> TokenGrant {
        TokenGrant {
            accessor: accessor.to_owned(),
            made_at: 0,
            expires_at: Some(10),
            request_id: None,
            bounds: TokenBounds::default(),
            proven: false,
        }
    }

    #[test]
    fn a_token_is_good_until_its_last_millisecond() {
        assert!(!grant("a").is_expired(9));
        assert!(grant("a").is_expired(10));
        let lasting = TokenGrant {
            expires_at: None,
            ..grant("a")
        };
        assert!(!lasting.is_expired(u64::MAX));
    }

    #[test]
    fn an_allow_list_is_about_one_namespace() {
        let allowed = |text: &str| AllowedService::parse(text).unwrap();
        let bounds = TokenBounds {
            services: Some([allowed("web"), allowed("team/api")].into()),
            ..TokenBounds::default()
        };
        let allows = |namespace: &str, name: &str| {
            bounds.allow(
                &Namespace::new(namespace).unwrap(),
                &ServiceName::new(name).unwrap(),
            )
        };
        assert!(allows("default", "web") && allows("team", "api"));
        assert!(!allows("team", "web") && !allows("default", "api") && !allows("default", "db"));
        assert!(TokenBounds::default().allow(&Namespace::default(), &ServiceName::new("db").unwrap()));
        assert_eq!(allowed("team/api").to_string(), "team/api");
        assert_eq!(allowed("default/web").to_string(), "web");
        assert!(AllowedService::parse("a/b/c").is_err());
        assert!(AllowedService::parse("").is_err());
    }

    #[test]
    fn only_so_many_ended_tokens_are_remembered() {
        let key = PeeringKey {
            partition: Partition::default(),
            name: PeerName::new("east").unwrap(),
        };
        let mut grants = PeeringGrants::new(key);
        for number in 0..=MAX_ENDED_TOKENS {
            let accessor = number.to_string();
            grants.end(Some(grant(&accessor)), TokenEnd::Replaced, 1);
            grants.refused.push(RefusedUse {
                accessor,
                cause: RefusalCause::Revoked,
                reason: String::new(),
                at: 1,
            });
        }
        assert_eq!(grants.ended.len(), MAX_ENDED_TOKENS);
        assert_eq!(grants.ended[0].grant.accessor, "1");
        assert!(grants.refusal("0", RefusalCause::Revoked).is_none());
        assert!(grants.refusal("1", RefusalCause::Revoked).is_some());
        assert!(grants.refusal("1", RefusalCause::Expired).is_none());
    }
}
