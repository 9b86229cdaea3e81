//! What operators do: generate and revoke a token, establish a peering with one, delete a peering (wire facts, sections 1, 2.6
//! and 9).

pub(crate) mod claim;
pub(crate) mod issue;
pub(crate) mod order;
pub(crate) mod rows;

pub use issue::{Issued, Selection};
pub use order::TokenOrder;

use crate::dial::{self, Target};
use crate::exporter;
use crate::link::Link;
use crate::occasion::Occasion;
use crate::reach::Ways;
use crate::records;
use peerway_model::config::{Meta, validate_meta};
use peerway_model::{Invalid, Partition, PeerName, PeeringKey, Requester, Secret};
use peerway_peering_protocol::{Token, TokenError};
use peerway_state::Snapshot;
use peerway_store::CommitError;
use std::time::Duration;

/// How long establishing may try the addresses of a token, over all of them.
pub const EXCHANGE_BUDGET: Duration = Duration::from_secs(3);
/// How long it may try our own mesh gateways before that: they must be told of the peer first, for which Consul waits
/// 1 s, and then have 3 s (wire facts, section 2.6).
pub const GATEWAY_EXCHANGE_BUDGET: Duration = Duration::from_secs(4);
/// Pause between two rounds over the addresses.
const EXCHANGE_PAUSE: Duration = Duration::from_millis(150);

/// Why an introduction did not happen. The text says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntroductionError {
    /// An argument is wrong.
    #[error("{0}")]
    Invalid(String),
    /// It does not fit what is there already.
    #[error("{0}")]
    Conflict(String),
    /// There is no such peering or token.
    #[error("{0}")]
    NotFound(String),
    /// The token was spent, replaced or revoked, or has expired; HTTP 403.
    #[error("{0}")]
    PermissionDenied(String),
    /// Not now: this cluster is not ready or the other one cannot be reached.
    #[error("{0}")]
    Unavailable(String),
    /// This side failed.
    #[error("{0}")]
    Internal(String),
}

impl From<Invalid> for IntroductionError {
    fn from(invalid: Invalid) -> Self {
        IntroductionError::Invalid(invalid.to_string())
    }
}

impl From<TokenError> for IntroductionError {
    fn from(error: TokenError) -> Self {
        IntroductionError::Invalid(error.to_string())
    }
}

fn failed(error: CommitError) -> IntroductionError {
    match error {
        CommitError::Refused(refused) => IntroductionError::Conflict(refused.to_string()),
        other => IntroductionError::Internal(other.to_string()),
    }
}

fn key(peer: &str, partition: &Partition) -> Result<PeeringKey, IntroductionError> {
    Ok(PeeringKey {
        partition: partition.clone(),
        name: PeerName::new(peer).map_err(|invalid| invalid.within("PeerName"))?,
    })
}

impl Link {
    /// Makes a token for `peer` as it is ordered, which makes this cluster the acceptor of that peering. Called again
    /// for the same name it voids an unused older token and leaves a running stream alone; called again with the
    /// request id of a token that is still good, it gives that one. A token without a time limit gets that of
    /// [`LinkConfig::token_ttl`](crate::LinkConfig).
    ///
    /// # Errors
    /// See [`IntroductionError`]; nothing is stored then.
    pub async fn generate_token(
        &self,
        peer: &str,
        partition: &Partition,
        order: TokenOrder,
        by: Requester,
    ) -> Result<Issued, IntroductionError> {
        let key = key(peer, partition)?;
        let order = TokenOrder {
            ttl: order.ttl.or(self.token_ttl()),
            ..order
        };
        order.validate()?;
        let occasion = self.occasion(by);
        let decide = |snapshot: &Snapshot| {
            issue::token(snapshot, &key, &order, self.server_addresses(), &occasion, fresh)
        };
        records::change(self.reader(), self.writer(), decide, failed).await
    }

    /// Revokes tokens of a peering that this cluster accepts, used or not, and returns their accessors. A stream that
    /// one of them opened is closed; the peer needs a new token then. What was imported stays until the peering is
    /// deleted.
    ///
    /// # Errors
    /// See [`IntroductionError`].
    pub async fn revoke_token(
        &self,
        peer: &str,
        partition: &Partition,
        selection: Selection,
        by: Requester,
    ) -> Result<Vec<String>, IntroductionError> {
        let key = key(peer, partition)?;
        let occasion = self.occasion(by);
        let decide = |snapshot: &Snapshot| issue::revocation(snapshot, &key, &selection, &occasion);
        records::change(self.reader(), self.writer(), decide, failed).await
    }

    /// What is offered to a peer and its token does not let it see.
    pub fn withheld(&self, key: &PeeringKey) -> Vec<String> {
        exporter::withheld(&self.reader().snapshot(), key)
    }

    pub(crate) fn occasion(&self, by: Requester) -> Occasion {
        Occasion {
            at: self.clock().now().as_millis(),
            by,
        }
    }

    /// Establishes a peering named `peer` with the cluster that made `token`; this cluster dials from then on. When
    /// it returns the secret is exchanged and stored, and the stream opens in the background.
    ///
    /// # Errors
    /// See [`IntroductionError`]. The token is spent as soon as the other side has answered the exchange.
    pub async fn establish(
        &self,
        peer: &str,
        partition: &Partition,
        token: &str,
        meta: Meta,
        by: Requester,
    ) -> Result<(), IntroductionError> {
        let key = key(peer, partition)?;
        let token = Token::decode(token)?;
        validate_meta(&meta).map_err(|invalid| invalid.within("Meta"))?;
        let target = Target::new(&token.server_name, &token.ca_pems).map_err(|problem| {
            IntroductionError::Invalid(format!("the peering token cannot be used: {problem}"))
        })?;
        let _claim = self.establishing().claim(&key)?;
        // Before the token is spent, and again in the write.
        rows::check(&self.reader().snapshot(), &key, &token)?;
        let ways = Ways::to(&self.reader().snapshot(), token.addresses());
        let stream = if ways.gateways.is_empty() {
            exchange(&target, &token, ways.all(), EXCHANGE_BUDGET).await?
        } else {
            self.exchange_through_gateways(&key, &target, &token, &meta, &ways)
                .await?
        };
        let occasion = self.occasion(by);
        let decide = |snapshot: &Snapshot| {
            let transaction = rows::established(snapshot, &key, &token, &meta, &stream, &occasion, fresh)?;
            Ok((Some(transaction), ()))
        };
        records::change(self.reader(), self.writer(), decide, failed).await
    }

    /// Exchanges through our own mesh gateways, and straight if that does not work in time. The gateways learn of the
    /// peer from its record, which is therefore written first, and taken back if nothing comes of it.
    async fn exchange_through_gateways(
        &self,
        key: &PeeringKey,
        target: &Target,
        token: &Token,
        meta: &Meta,
        ways: &Ways,
    ) -> Result<Secret, IntroductionError> {
        let announce = |snapshot: &Snapshot| {
            let before = snapshot.peering(key).map(|held| held.row.clone());
            let (transaction, announced) = rows::announced(snapshot, key, token, meta, fresh)?;
            Ok((Some(transaction), (announced, before)))
        };
        let (announced, before) = records::change(self.reader(), self.writer(), announce, failed).await?;
        let mut answer = exchange(target, token, ways.gateways.iter(), GATEWAY_EXCHANGE_BUDGET).await;
        if let Err(IntroductionError::Unavailable(problem)) = &answer {
            tracing::warn!(peer = %key.name, %problem, "the peer does not answer through our own mesh gateways");
            answer = exchange(target, token, ways.all(), EXCHANGE_BUDGET).await;
        }
        if answer.is_err() {
            let withdraw =
                |snapshot: &Snapshot| Ok((rows::withdrawn(snapshot, &announced, before.as_ref()), ()));
            records::change(self.reader(), self.writer(), withdraw, failed).await?;
        }
        answer
    }

    /// Deletes a peering: what was imported over it goes at once, the peer is told if a stream is connected, then
    /// the record goes. One that does not exist is deleted already.
    ///
    /// # Errors
    /// See [`IntroductionError`].
    pub async fn delete(
        &self,
        peer: &str,
        partition: &Partition,
        by: Requester,
    ) -> Result<(), IntroductionError> {
        let key = key(peer, partition)?;
        let occasion = self.occasion(by);
        let decide = |snapshot: &Snapshot| Ok((rows::deletion(snapshot, &key, &occasion), ()));
        records::change(self.reader(), self.writer(), decide, failed).await
    }
}

fn fresh() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Tries the addresses in turn until one answers, the token turns out to be spent, or the time is up.
async fn exchange(
    target: &Target,
    token: &Token,
    addresses: impl Iterator<Item = &String> + Clone,
    budget: Duration,
) -> Result<Secret, IntroductionError> {
    let mut last = "no address was tried".to_owned();
    let rounds = async {
        loop {
            for address in addresses.clone() {
                let answer = match target.connect(address).await {
                    Ok(channel) => dial::exchange(channel, &token.peer_id, &token.establishment_secret).await,
                    Err(problem) => {
                        last = problem;
                        continue;
                    }
                };
                match answer {
                    Ok(secret) => return Ok(secret),
                    Err(status) if status.code() == tonic::Code::PermissionDenied => {
                        return Err(IntroductionError::PermissionDenied(format!(
                            "a new peering token must be generated: {}",
                            status.message()
                        )));
                    }
                    Err(status) => last = format!("{address}: {}", status.message()),
                }
            }
            tokio::time::sleep(EXCHANGE_PAUSE.mul_f64(1.0 + 0.25 * fastrand::f64())).await;
        }
    };
    match tokio::time::timeout(budget, rounds).await {
        Ok(answer) => answer,
        Err(_) => Err(IntroductionError::Unavailable(format!(
            "the cluster that generated the token could not be reached within {} s, last {last}; check that its addresses can be reached from here",
            budget.as_secs()
        ))),
    }
}
