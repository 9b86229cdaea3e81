//! What operators do: generate a token, establish a peering with one, delete a peering (wire facts, sections 1, 2.6
//! and 9).

use crate::dial::{self, Target};
use crate::link::Link;
use crate::records;
use peerway_model::config::{Meta, validate_meta};
use peerway_model::peering::RemoteInfo;
use peerway_model::{
    Invalid, Partition, PeerName, Peering, PeeringKey, PeeringRole, PeeringSecrets, PeeringState, Secret, sni,
};
use peerway_peering_protocol::admit::trust_domain_of_server_name;
use peerway_peering_protocol::open::after_token;
use peerway_peering_protocol::token::MAX_ADDRESSES;
use peerway_peering_protocol::{Token, TokenError, address};
use peerway_state::{Expect, Op, Row, RowKey, Snapshot, Transaction};
use peerway_store::CommitError;
use std::sync::Arc;
use std::time::Duration;

/// How long establishing may try the addresses of a token, over all of them.
pub const EXCHANGE_BUDGET: Duration = Duration::from_secs(3);
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
    /// The token was spent or replaced; HTTP 403.
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

fn not_ready() -> IntroductionError {
    IntroductionError::Unavailable(
        "the certificate authority is not ready yet, try again in a moment".to_owned(),
    )
}

impl Link {
    /// Generates a token for `peer`, which makes this cluster the acceptor of that peering. Called again for the
    /// same name it voids an unused older token and leaves a running stream alone. `external_addresses` are what
    /// the dialer uses instead of this cluster's own addresses, if any are given.
    ///
    /// # Errors
    /// See [`IntroductionError`]; nothing is stored then.
    pub async fn generate_token(
        &self,
        peer: &str,
        partition: &Partition,
        meta: Meta,
        external_addresses: Vec<String>,
    ) -> Result<String, IntroductionError> {
        let key = key(peer, partition)?;
        validate_meta(&meta).map_err(|invalid| invalid.within("Meta"))?;
        check_addresses(&external_addresses)?;
        if external_addresses.is_empty() && self.server_addresses().is_empty() {
            return Err(IntroductionError::Unavailable(
                "this cluster has no address that a peer could dial: configure the peering endpoint or give ServerExternalAddresses".to_owned(),
            ));
        }
        let decide = |snapshot: &Snapshot| {
            let roots = snapshot.roots().ok_or_else(not_ready)?;
            let existing = snapshot.peering(&key);
            if let Some(peering) = existing {
                expect_role(peering, PeeringRole::Acceptor)?;
            }
            let peering = match existing {
                Some(peering) => Peering {
                    external_addresses: external_addresses.clone(),
                    ..Peering::clone(&peering.row)
                },
                None => Peering {
                    meta: meta.clone(),
                    external_addresses: external_addresses.clone(),
                    ..new_peering(&key, PeeringRole::Acceptor)
                },
            };
            let establishment = Secret::new(uuid::Uuid::new_v4().to_string());
            let none = PeeringSecrets::default();
            let secrets = snapshot.secrets(&key).map_or(&none, |secrets| &*secrets.row);
            let token = Token {
                ca_pems: roots.roots.iter().map(|root| root.pem.clone()).collect(),
                manual_server_addresses: external_addresses.clone(),
                server_addresses: self.server_addresses().to_vec(),
                server_name: sni::peering_server(&roots.datacenter, &roots.trust_domain),
                peer_id: peering.id.clone(),
                establishment_secret: establishment.clone(),
                remote: RemoteInfo {
                    partition: spelt(partition),
                    datacenter: roots.datacenter.to_string(),
                },
            };
            let transaction = Transaction::new()
                .expect(existing.map_or_else(
                    || Expect::Absent(RowKey::Peering(key.clone())),
                    records::unchanged,
                ))
                .expect(records::secrets_unchanged(snapshot, &key))
                .put(Row::Peering(Arc::new(peering)))
                .put(Row::Secrets(
                    key.clone(),
                    Arc::new(after_token(secrets, establishment)),
                ));
            Ok((Some(transaction), token.encode()))
        };
        records::change(self.reader(), self.writer(), decide, failed).await
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
    ) -> Result<(), IntroductionError> {
        let key = key(peer, partition)?;
        let token = Token::decode(token)?;
        validate_meta(&meta).map_err(|invalid| invalid.within("Meta"))?;
        let target = Target::new(&token.server_name, &token.ca_pems).map_err(|problem| {
            IntroductionError::Invalid(format!("the peering token cannot be used: {problem}"))
        })?;
        // Before the token is spent, and again in the write.
        check_establish(&self.reader().snapshot(), &key, &token)?;
        let stream = exchange(&target, &token).await?;
        let decide = |snapshot: &Snapshot| {
            check_establish(snapshot, &key, &token)?;
            let existing = snapshot.peering(&key);
            let base = existing.map_or_else(
                || new_peering(&key, PeeringRole::Dialer),
                |peering| Peering::clone(&peering.row),
            );
            let peering = Peering {
                state: PeeringState::Establishing,
                meta: meta.clone(),
                remote_id: Some(token.peer_id.clone()),
                ca_pems: token.ca_pems.clone(),
                server_name: Some(token.server_name.clone()),
                server_addresses: token.server_addresses.clone(),
                manual_addresses: token.manual_server_addresses.clone(),
                remote: token.remote.clone(),
                ..base
            };
            let secrets = PeeringSecrets {
                active_stream: Some(stream.clone()),
                ..PeeringSecrets::default()
            };
            let transaction = Transaction::new()
                .expect(existing.map_or_else(
                    || Expect::Absent(RowKey::Peering(key.clone())),
                    records::unchanged,
                ))
                .put(Row::Peering(Arc::new(peering)))
                .put(Row::Secrets(key.clone(), Arc::new(secrets)));
            Ok((Some(transaction), ()))
        };
        records::change(self.reader(), self.writer(), decide, failed).await
    }

    /// Deletes a peering: what was imported over it goes at once, the peer is told if a stream is connected, then
    /// the record goes. One that does not exist is deleted already.
    ///
    /// # Errors
    /// See [`IntroductionError`].
    pub async fn delete(&self, peer: &str, partition: &Partition) -> Result<(), IntroductionError> {
        let key = key(peer, partition)?;
        let now = self.clock().now().as_millis();
        let decide = |snapshot: &Snapshot| {
            let live = snapshot
                .peering(&key)
                .filter(|peering| peering.state != PeeringState::Deleting);
            let transaction = live.map(|peering| {
                Transaction::new()
                    .expect(records::unchanged(peering))
                    .put(records::with(peering, |peering| {
                        peering.state = PeeringState::Deleting;
                        peering.deleted_at = Some(now);
                    }))
                    .op(Op::ForgetImports(key.clone()))
                    .delete(RowKey::Secrets(key.clone()))
            });
            Ok((transaction, ()))
        };
        records::change(self.reader(), self.writer(), decide, failed).await
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

/// Refuses a peering of the other role, and one on its way out.
fn expect_role(peering: &Peering, role: PeeringRole) -> Result<(), IntroductionError> {
    let name = &peering.key.name;
    let problem = match (peering.state, peering.role, role) {
        (PeeringState::Deleting, ..) => {
            format!("peering {name} is being deleted, try again in a moment")
        }
        (_, PeeringRole::Dialer, PeeringRole::Acceptor) => format!(
            "peering {name} was established with a token of the peer: delete it first, or choose another name"
        ),
        (_, PeeringRole::Acceptor, PeeringRole::Dialer) => format!(
            "peering {name} has generated a token and waits to be dialled: delete it first, or choose another name"
        ),
        (PeeringState::Terminated, PeeringRole::Acceptor, _) => {
            format!("peering {name} was ended by the peer: delete it here, then generate a new token")
        }
        _ => return Ok(()),
    };
    Err(IntroductionError::Conflict(problem))
}

fn check_establish(snapshot: &Snapshot, key: &PeeringKey, token: &Token) -> Result<(), IntroductionError> {
    let conflict = |text: String| Err(IntroductionError::Conflict(text));
    let roots = snapshot.roots().ok_or_else(not_ready)?;
    let own = sni::peering_server(&roots.datacenter, &roots.trust_domain);
    let theirs = trust_domain_of_server_name(&token.server_name);
    if token.server_name == own || theirs.as_ref() == Some(&roots.trust_domain) {
        return conflict(
            "the token was generated by this very cluster: use it on the cluster that is to be the peer"
                .to_owned(),
        );
    }
    if let Some(peering) = snapshot.peering(key) {
        expect_role(peering, PeeringRole::Dialer)?;
        let known = crate::importer::trust_domain_of(snapshot, peering);
        if known.is_some() && known != theirs {
            return conflict(format!(
                "the token is of another cluster than the one that peering {} is with: delete that peering first, or choose another name",
                key.name
            ));
        }
    }
    if let Some(other) = theirs.and_then(|theirs| records::peered_as(snapshot, key, &theirs)) {
        return conflict(format!(
            "the cluster that generated the token is already the peer {other}: delete that peering first, or use its name"
        ));
    }
    Ok(())
}

/// Tries the addresses in turn until one answers, the token turns out to be spent, or the time is up.
async fn exchange(target: &Target, token: &Token) -> Result<Secret, IntroductionError> {
    let mut last = "no address was tried".to_owned();
    let rounds = async {
        loop {
            for address in token.addresses() {
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
                            "the peering token was used already or replaced by a newer one, a new peering token must be generated: {}",
                            status.message()
                        )));
                    }
                    Err(status) => last = format!("{address}: {}", status.message()),
                }
            }
            tokio::time::sleep(EXCHANGE_PAUSE.mul_f64(1.0 + 0.25 * fastrand::f64())).await;
        }
    };
    match tokio::time::timeout(EXCHANGE_BUDGET, rounds).await {
        Ok(answer) => answer,
        Err(_) => Err(IntroductionError::Unavailable(format!(
            "the cluster that generated the token could not be reached within {} s, last {last}; check that its addresses can be reached from here",
            EXCHANGE_BUDGET.as_secs()
        ))),
    }
}

fn new_peering(key: &PeeringKey, role: PeeringRole) -> Peering {
    Peering {
        key: key.clone(),
        id: uuid::Uuid::new_v4().to_string(),
        role,
        state: PeeringState::Pending,
        meta: Meta::new(),
        remote_id: None,
        ca_pems: Vec::new(),
        server_name: None,
        server_addresses: Vec::new(),
        manual_addresses: Vec::new(),
        external_addresses: Vec::new(),
        remote: RemoteInfo::default(),
        deleted_at: None,
    }
}

/// Community clusters know no partitions and expect nothing for the default one.
fn spelt(partition: &Partition) -> String {
    if partition.is_default() {
        String::new()
    } else {
        partition.to_string()
    }
}
