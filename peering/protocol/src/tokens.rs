//! The life of a peering's tokens on the side that made them: secrets and what they grant, which always change
//! together (wire facts, section 2.5).

use peerway_model::grant::TokenEnd;
use peerway_model::peering::{MAX_REVOKED_SECRETS, RevokedSecret};
use peerway_model::{PeeringGrants, PeeringSecrets, Secret, TokenGrant};

/// Secrets with their grants. A secret of a peering from before there were grants has none.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The secrets.
    pub secrets: PeeringSecrets,
    /// What they grant.
    pub grants: PeeringGrants,
}

/// Which tokens are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// All that open something.
    All,
    /// The one with this accessor.
    One(&'a str),
}

impl Tokens {
    /// After a token was made at `now` (unix milliseconds): an unused older one is void.
    #[must_use]
    pub fn issued(mut self, secret: Secret, grant: TokenGrant, now: u64) -> Self {
        let before = self.grants.establishment.replace(grant);
        self.grants.end(before, TokenEnd::Replaced, now);
        self.secrets.establishment = Some(secret);
        self
    }

    /// After an exchange: the token is spent, `stream` waits for its first use, and a running stream keeps its own.
    #[must_use]
    pub fn exchanged(mut self, stream: Secret, now: u64) -> Self {
        let used = self.grants.establishment.take();
        let before = std::mem::replace(&mut self.grants.pending_stream, used);
        self.grants.end(before, TokenEnd::Superseded, now);
        self.secrets.establishment = None;
        self.secrets.pending_stream = Some(stream);
        self
    }

    /// After the pending secret was used for the first time: it replaces the active one.
    #[must_use]
    pub fn promoted(mut self, now: u64) -> Self {
        if let Some(pending) = self.secrets.pending_stream.take() {
            self.secrets.active_stream = Some(pending);
            let opened = self.grants.pending_stream.take();
            let before = std::mem::replace(&mut self.grants.active_stream, opened);
            self.grants.end(before, TokenEnd::Superseded, now);
            self.grants.lapsed = None;
        }
        self
    }

    /// After a revocation, with the accessors of the revoked; those without a grant have an empty one.
    pub fn revoked(mut self, which: Which<'_>, now: u64) -> (Self, Vec<String>) {
        let active = self.grants.active_stream.clone();
        let Tokens { secrets, grants } = &mut self;
        let slots = [
            (&mut secrets.establishment, &mut grants.establishment),
            (&mut secrets.pending_stream, &mut grants.pending_stream),
            (&mut secrets.active_stream, &mut grants.active_stream),
        ];
        let mut ended = Vec::new();
        let mut accessors = Vec::new();
        for (secret, grant) in slots {
            let accessor = grant.as_ref().map_or("", |grant| &grant.accessor).to_owned();
            let meant = match which {
                Which::All => true,
                Which::One(one) => one == accessor,
            };
            if !meant {
                continue;
            }
            if let Some(secret) = secret.take() {
                accessors.push(accessor.clone());
                secrets.revoked.push(RevokedSecret { accessor, secret });
            }
            ended.push(grant.take());
        }
        if grants.active_stream.is_none() && active.is_some() {
            grants.lapsed = active;
        }
        let surplus = secrets.revoked.len().saturating_sub(MAX_REVOKED_SECRETS);
        secrets.revoked.drain(..surplus);
        for grant in ended {
            self.grants.end(grant, TokenEnd::Revoked, now);
        }
        (self, accessors)
    }

    /// How many secrets open something.
    pub fn live(&self) -> usize {
        [
            &self.secrets.establishment,
            &self.secrets.pending_stream,
            &self.secrets.active_stream,
        ]
        .into_iter()
        .flatten()
        .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerway_model::{Partition, PeerName, PeeringKey, TokenBounds};

    fn grant(accessor: &str) -> TokenGrant {
        TokenGrant {
            accessor: accessor.to_owned(),
            made_at: 0,
            expires_at: None,
            request_id: None,
            bounds: TokenBounds::default(),
            proven: false,
        }
    }

    fn none() -> Tokens {
        let key = PeeringKey {
            partition: Partition::default(),
            name: PeerName::new("east").unwrap(),
        };
        Tokens {
            secrets: PeeringSecrets::default(),
            grants: PeeringGrants::new(key),
        }
    }

    fn issued(tokens: Tokens, name: &str) -> Tokens {
        tokens.issued(Secret::new(format!("token {name}")), grant(name), 1)
    }

    fn exchanged(tokens: Tokens, name: &str) -> Tokens {
        issued(tokens, name).exchanged(Secret::new(format!("stream {name}")), 2)
    }

    /// Secrets and accessors of the three slots.
    fn shown(tokens: &Tokens) -> [String; 3] {
        let slot = |secret: &Option<Secret>, grant: &Option<TokenGrant>| match (secret, grant) {
            (Some(secret), Some(grant)) => format!("{} by {}", secret.expose(), grant.accessor),
            (None, None) => "-".to_owned(),
            _ => "secret and grant do not go together".to_owned(),
        };
        let Tokens { secrets, grants } = tokens;
        [
            slot(&secrets.establishment, &grants.establishment),
            slot(&secrets.pending_stream, &grants.pending_stream),
            slot(&secrets.active_stream, &grants.active_stream),
        ]
    }

    fn ended(tokens: &Tokens) -> Vec<(&str, TokenEnd)> {
        let ended = tokens.grants.ended.iter();
        ended
            .map(|ended| (ended.grant.accessor.as_str(), ended.end))
            .collect()
    }

    #[test]
    fn secrets_walk_from_token_to_stream_with_their_grants() {
        let tokens = issued(none(), "a");
        assert_eq!(shown(&tokens), ["token a by a", "-", "-"]);
        let tokens = issued(tokens, "b");
        assert_eq!(shown(&tokens), ["token b by b", "-", "-"]);
        assert_eq!(ended(&tokens), [("a", TokenEnd::Replaced)]);
        let tokens = tokens.exchanged(Secret::new("stream b"), 2);
        assert_eq!(shown(&tokens), ["-", "stream b by b", "-"]);
        let tokens = tokens.promoted(3);
        assert_eq!(shown(&tokens), ["-", "-", "stream b by b"]);
        // A second promotion has nothing to promote.
        assert_eq!(shown(&tokens.clone().promoted(3)), shown(&tokens));

        let tokens = issued(exchanged(exchanged(tokens, "c"), "d"), "e");
        assert_eq!(shown(&tokens), ["token e by e", "stream d by d", "stream b by b"]);
        let tokens = tokens.promoted(4);
        assert_eq!(shown(&tokens), ["token e by e", "-", "stream d by d"]);
        assert_eq!(
            ended(&tokens),
            [
                ("a", TokenEnd::Replaced),
                ("c", TokenEnd::Superseded),
                ("b", TokenEnd::Superseded)
            ]
        );
    }

    #[test]
    fn a_revocation_takes_one_or_all_and_remembers_them() {
        let tokens = issued(exchanged(exchanged(none(), "a").promoted(3), "b"), "c");
        assert_eq!(tokens.live(), 3);
        let (one, accessors) = tokens.clone().revoked(Which::One("b"), 5);
        assert_eq!(accessors, ["b"]);
        assert_eq!(shown(&one), ["token c by c", "-", "stream a by a"]);
        assert_eq!(ended(&one), [("b", TokenEnd::Revoked)]);
        assert_eq!(one.secrets.find_revoked("stream b").unwrap().accessor, "b");
        assert!(one.secrets.find_revoked("stream a").is_none());

        let (unknown, accessors) = tokens.clone().revoked(Which::One("x"), 5);
        assert!(accessors.is_empty() && unknown.live() == 3);

        let (all, accessors) = tokens.revoked(Which::All, 5);
        assert_eq!(
            (all.live(), accessors),
            (0, vec!["c".to_owned(), "b".to_owned(), "a".to_owned()])
        );
        // What the peer got stays bounded until it has another token.
        assert_eq!(
            all.grants.in_force().map(|grant| grant.accessor.as_str()),
            Some("a")
        );
        let renewed = exchanged(all.clone(), "d");
        assert_eq!(
            renewed.grants.in_force().map(|grant| grant.accessor.as_str()),
            Some("a")
        );
        let renewed = renewed.promoted(7);
        assert_eq!(
            renewed.grants.in_force().map(|grant| grant.accessor.as_str()),
            Some("d")
        );
        assert_eq!(renewed.grants.lapsed, None);
        let (again, accessors) = all.revoked(Which::All, 6);
        assert!(accessors.is_empty() && again.secrets.revoked.len() == 3);
    }

    #[test]
    fn revoked_secrets_do_not_pile_up() {
        let tokens = (0..10).fold(none(), |tokens, number| {
            issued(tokens, &number.to_string()).revoked(Which::All, 1).0
        });
        assert_eq!(tokens.secrets.revoked.len(), MAX_REVOKED_SECRETS);
        assert!(tokens.secrets.find_revoked("token 9").is_some());
        assert!(tokens.secrets.find_revoked("token 0").is_none());
    }
}
