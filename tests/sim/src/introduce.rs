//! What operators do between clusters: make a token, use it (perhaps twice), delete a peering.

use crate::Violation;
use crate::event::{Event, Exchange};
use crate::ledger::Promise;
use crate::rows;
use crate::world::{Outcome, World, broken};
use peerway_model::config::Meta;
use peerway_model::{PeeringRole, Secret};
use peerway_peering_link::{EXCHANGE_BUDGET, parts};
use peerway_peering_protocol::{Code, Refusal, Token};

impl World {
    /// The operator of `acceptor` makes a token for `dialer`, who will use it some time later.
    pub(crate) fn make_token(&mut self, acceptor: usize, dialer: usize) -> Outcome {
        let key = rows::peering(dialer).map_err(|invalid| broken(&invalid))?;
        let here = &self.clusters[acceptor];
        if !here.up {
            return Ok(());
        }
        let (own, random) = (here.addresses(), &mut self.random);
        let made = parts::token(&here.snapshot, &key, &Meta::new(), &own, &[], || random.uuid());
        let (transaction, token) = match made {
            Ok(made) => made,
            Err(error) => {
                self.say(format!("c{acceptor} makes no token for c{dialer}: {error}"));
                return Ok(());
            }
        };
        if !self.commit(acceptor, &transaction)? {
            return Ok(());
        }
        self.introductions
            .token(&token.peer_id, token.establishment_secret.expose());
        self.say(format!("c{acceptor} makes a token for c{dialer}"));
        let text = token.encode();
        self.tokens.push((acceptor, dialer, text.clone()));
        let delay = self.random.within(100, 15_000);
        self.after(
            delay,
            Event::Establish {
                dialer,
                acceptor,
                token: text,
            },
        );
        Ok(())
    }

    /// The operator of `dialer` uses a token.
    pub(crate) fn establish(&mut self, dialer: usize, acceptor: usize, text: String) -> Outcome {
        if !self.clusters[dialer].up {
            return Ok(());
        }
        let key = rows::peering(acceptor).map_err(|invalid| broken(&invalid))?;
        let token = decode(&text)?;
        if let Err(error) = parts::check(&self.clusters[dialer].snapshot, &key, &token) {
            self.say(format!("c{dialer} cannot use the token of c{acceptor}: {error}"));
            return Ok(());
        }
        let claim = match self.clusters[dialer].claims.claim(&key) {
            Ok(claim) => claim,
            Err(error) => {
                self.say(format!(
                    "c{dialer} does not use the token of c{acceptor}: {error}"
                ));
                return Ok(());
            }
        };
        let number = self.number();
        self.claims.insert(number, claim);
        self.after(budget(), Event::GiveUp { claim: number });
        // Until it has succeeded, it may break what was there: a spent pending secret is replaced.
        self.promises.withdraw(acceptor, dialer);
        self.say(format!("c{dialer} uses a token of c{acceptor}"));
        let exchange = Exchange {
            dialer,
            acceptor,
            epoch: self.clusters[dialer].epoch,
            token: text,
            claim: number,
        };
        self.travel(
            &exchange,
            Event::Exchange {
                exchange: exchange.clone(),
            },
        );
        Ok(())
    }

    /// Lets half of an exchange cross, unless the network is cut or loses it; the other side then gives up.
    fn travel(&mut self, exchange: &Exchange, event: Event) {
        let lost = self.blocked_until(exchange.dialer, exchange.acceptor) > 0
            || (self.faults && self.random.chance(5));
        if lost {
            let (dialer, acceptor) = (exchange.dialer, exchange.acceptor);
            self.say(format!("an exchange of c{dialer} with c{acceptor} is lost"));
            return;
        }
        let slow = self.faults && self.random.chance(10);
        let delay = if slow {
            self.random.below(budget())
        } else {
            self.random.within(2, 60)
        };
        self.after(delay, event);
    }

    /// The exchange is at the acceptor.
    pub(crate) fn exchange(&mut self, exchange: Exchange) -> Outcome {
        let acceptor = exchange.acceptor;
        if !self.clusters[acceptor].up {
            return Ok(());
        }
        let token = decode(&exchange.token)?;
        let offered = token.establishment_secret.expose();
        let allowed = self.introductions.may_exchange(&token.peer_id, offered);
        let stream = Secret::new(self.random.uuid());
        let snapshot = &self.clusters[acceptor].snapshot;
        let answer = match parts::exchange(snapshot, &token.peer_id, offered, stream.clone()) {
            Ok(transaction) => {
                if !allowed {
                    let text = format!("c{acceptor} took a token that is spent, replaced or revoked");
                    return Err(Violation::new("secrets as the facts say", text));
                }
                self.promises.withdraw(acceptor, exchange.dialer);
                if self.commit(acceptor, &transaction)? {
                    self.introductions.exchanged(&token.peer_id, stream.expose());
                    Ok(stream.expose().to_owned())
                } else {
                    Err(Refusal::new(Code::Internal, "the secret could not be kept"))
                }
            }
            Err(refusal) => {
                if allowed {
                    let text = format!("c{acceptor} refused an unused token: {refusal}");
                    return Err(Violation::new("secrets as the facts say", text));
                }
                Err(refusal)
            }
        };
        let event = Event::Answer {
            exchange: exchange.clone(),
            stream: answer,
        };
        self.travel(&exchange, event);
        Ok(())
    }

    /// The answer is at the dialer.
    pub(crate) fn answer(&mut self, exchange: Exchange, stream: Result<String, Refusal>) -> Outcome {
        let (dialer, acceptor) = (exchange.dialer, exchange.acceptor);
        let here = &self.clusters[dialer];
        // Held to the end of this.
        let claim = self.claims.remove(&exchange.claim);
        if claim.is_none() || !here.up || here.epoch != exchange.epoch {
            return Ok(());
        }
        let stream = match stream {
            Ok(stream) => stream,
            Err(refusal) => {
                self.say(format!("c{dialer} is refused by c{acceptor}: {refusal}"));
                return Ok(());
            }
        };
        let key = rows::peering(acceptor).map_err(|invalid| broken(&invalid))?;
        let token = decode(&exchange.token)?;
        let (snapshot, random) = (&self.clusters[dialer].snapshot, &mut self.random);
        let secret = Secret::new(stream.clone());
        let wanted = parts::established(snapshot, &key, &token, &Meta::new(), &secret, || random.uuid());
        let transaction = match wanted {
            Ok(transaction) => transaction,
            Err(error) => {
                self.say(format!("c{dialer} cannot establish c{acceptor}: {error}"));
                return Ok(());
            }
        };
        if self.commit(dialer, &transaction)? {
            self.say(format!("c{dialer} has established c{acceptor}"));
            // Good only if nothing has replaced it at the acceptor meanwhile.
            if self.introductions.may_open(&token.peer_id, &stream) {
                let promise = Promise {
                    peer_id: token.peer_id.clone(),
                };
                self.promises.0.insert((acceptor, dialer), promise);
            }
        }
        Ok(())
    }

    /// An operator deletes a peering.
    pub(crate) fn delete(&mut self, cluster: usize, other: usize) -> Outcome {
        let key = rows::peering(other).map_err(|invalid| broken(&invalid))?;
        if !self.clusters[cluster].up {
            return Ok(());
        }
        let wall = self.clusters[cluster].wall(self.now).as_millis();
        let snapshot = &self.clusters[cluster].snapshot;
        let Some(transaction) = parts::deletion(snapshot, &key, wall) else {
            return Ok(());
        };
        let peering = snapshot.peering(&key);
        if let Some(peering) = peering.filter(|peering| peering.role == PeeringRole::Acceptor) {
            let id = peering.id.clone();
            self.introductions.deleted(&id);
        }
        self.promises.withdraw(cluster, other);
        self.say(format!("c{cluster} deletes c{other}"));
        self.commit(cluster, &transaction)?;
        Ok(())
    }
}

/// Milliseconds that a call may take.
fn budget() -> u64 {
    u64::try_from(EXCHANGE_BUDGET.as_millis()).unwrap_or(u64::MAX)
}

fn decode(text: &str) -> Outcome<Token> {
    Token::decode(text).map_err(|error| Violation::new("a token can be read", error.to_string()))
}
