//! What operators do between clusters: make a token, use it (perhaps twice), revoke it, delete a peering.

use crate::Violation;
use crate::event::{Event, Exchange};
use crate::ledger::{Held, Promise, Secrets};
use crate::random::Random;
use crate::rows::{self, SERVICES};
use crate::world::{Outcome, World, broken};
use peerway_model::config::Meta;
use peerway_model::grant::AllowedService;
use peerway_model::{Invalid, PeeringRole, Secret};
use peerway_peering_link::parts::Occasion;
use peerway_peering_link::{EXCHANGE_BUDGET, Selection, TokenOrder, parts};
use peerway_peering_protocol::{Code, Refusal, Token};
use std::collections::BTreeSet;
use std::time::Duration;

impl World {
    /// The operator of `acceptor` makes a token for `dialer`, who will use it some time later.
    pub(crate) fn make_token(&mut self, acceptor: usize, dialer: usize) -> Outcome {
        if !self.clusters[acceptor].up {
            return Ok(());
        }
        let order = order(&mut self.random, dialer).map_err(|invalid| broken(&invalid))?;
        self.ask(acceptor, dialer, order)
    }

    /// A token is asked for with this order; with a request id often again.
    pub(crate) fn ask(&mut self, acceptor: usize, dialer: usize, order: TokenOrder) -> Outcome {
        let key = rows::peering(dialer).map_err(|invalid| broken(&invalid))?;
        let here = &self.clusters[acceptor];
        if !here.up {
            return Ok(());
        }
        let (own, occasion) = (here.addresses(), self.occasion(acceptor));
        let live = here.snapshot.peering(&key).filter(|peering| peering.is_live());
        let promised = live
            .filter(|peering| peering.role == PeeringRole::Acceptor)
            .and_then(|peering| {
                self.introductions
                    .unused_of(&peering.id, order.request_id.as_deref(), occasion.at)
            });
        if order.request_id.is_some() && self.random.chance(60) {
            let (delay, order) = (self.random.within(50, 20_000), order.clone());
            self.after(
                delay,
                Event::Ask {
                    acceptor,
                    dialer,
                    order,
                },
            );
        }
        let (snapshot, random) = (&self.clusters[acceptor].snapshot, &mut self.random);
        let made = parts::token(snapshot, &key, &order, &own, &occasion, || random.uuid());
        let (transaction, issued) = match made {
            Ok(made) => made,
            Err(error) => {
                if let Some(promised) = promised {
                    let text =
                        format!("c{acceptor} does not give again what is unused ({error}): {promised:?}");
                    return Err(Violation::new("secrets as the facts say", text));
                }
                self.counts.denied += u64::from(order.request_id.is_some());
                self.say(format!("c{acceptor} makes no token for c{dialer}: {error}"));
                return Ok(());
            }
        };
        if let Some(transaction) = &transaction
            && !self.commit(acceptor, transaction)?
        {
            return Ok(());
        }
        let (token, grant) = (issued.token, issued.grant);
        let held = Held {
            secret: token.establishment_secret.expose().to_owned(),
            accessor: grant.accessor.clone(),
            until: order.ttl.map(|ttl| grant.made_at.saturating_add(millis(ttl))),
            request: order.request_id.clone(),
            datacenter: order.bounds.datacenter.clone(),
            services: order.bounds.services.as_ref().map(|services| {
                let names = services.iter().map(|service| service.name.to_string());
                names.collect()
            }),
        };
        // Asked for again, it is the very same, and still as it was; else it is another one.
        let known = self.introductions.of(&token.peer_id).establishment;
        let is_known = known.is_some_and(|known| known.accessor == held.accessor);
        match promised {
            Some(promised) if promised != held => {
                let text =
                    format!("c{acceptor} gave another token for the same request: {promised:?}, {held:?}");
                return Err(Violation::new("secrets as the facts say", text));
            }
            Some(_) => self.counts.reissued += 1,
            None if is_known => {
                let text = format!("c{acceptor} gave an old token for another request: {held:?}");
                return Err(Violation::new("secrets as the facts say", text));
            }
            None => self.introductions.token(&token.peer_id, held),
        }
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
        let occasion = self.occasion(acceptor);
        let allowed = self
            .introductions
            .may_exchange(&token.peer_id, offered, occasion.at);
        let fresh = Secret::new(self.random.uuid());
        let snapshot = &self.clusters[acceptor].snapshot;
        let (transaction, answer) = parts::exchange(snapshot, &token.peer_id, offered, fresh, &occasion);
        let kept = match &transaction {
            Some(transaction) => self.commit(acceptor, transaction)?,
            None => true,
        };
        let answer = match answer {
            Ok(stream) => {
                if !allowed {
                    let text =
                        format!("c{acceptor} took a token that is spent, replaced, expired or revoked");
                    return Err(Violation::new("secrets as the facts say", text));
                }
                self.promises.withdraw(acceptor, exchange.dialer);
                if kept {
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
        let occasion = Occasion::default();
        let meta = Meta::new();
        let wanted = parts::established(snapshot, &key, &token, &meta, &secret, &occasion, || {
            random.uuid()
        });
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
            if self
                .introductions
                .may_open(&token.peer_id, &stream, &rows::datacenter(dialer))
            {
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
        let occasion = self.occasion(cluster);
        let snapshot = &self.clusters[cluster].snapshot;
        let Some(transaction) = parts::deletion(snapshot, &key, &occasion) else {
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

    /// The operator of `acceptor` revokes tokens of `dialer`: one, or all.
    pub(crate) fn revoke(&mut self, acceptor: usize, dialer: usize) -> Outcome {
        let key = rows::peering(dialer).map_err(|invalid| broken(&invalid))?;
        if !self.clusters[acceptor].up {
            return Ok(());
        }
        let id = self.clusters[acceptor]
            .snapshot
            .peering(&key)
            .map(|row| row.id.clone());
        let id = id.unwrap_or_default();
        let Secrets {
            establishment,
            pending,
            active,
        } = self.introductions.of(&id);
        let live: Vec<Held> = [establishment, pending, active].into_iter().flatten().collect();
        let chosen = live
            .get(self.random.index(live.len().max(1)))
            .map(|held| held.accessor.clone());
        let selection = match (self.random.below(3), chosen) {
            (0, Some(accessor)) => Selection::Accessor(accessor),
            (1, _) => Selection::Only,
            _ => Selection::All,
        };
        let occasion = self.occasion(acceptor);
        let snapshot = &self.clusters[acceptor].snapshot;
        let (transaction, revoked) = match parts::revocation(snapshot, &key, &selection, &occasion) {
            Ok(revocation) => revocation,
            Err(error) => {
                self.say(format!("c{acceptor} revokes nothing of c{dialer}: {error}"));
                return Ok(());
            }
        };
        let expected = match &selection {
            Selection::Accessor(_) => 1,
            Selection::Only | Selection::All => live.len(),
        };
        if revoked.len() != expected {
            let text = format!("c{acceptor} revoked {revoked:?} by {selection:?} of {live:?}");
            return Err(Violation::new("secrets as the facts say", text));
        }
        self.promises.withdraw(acceptor, dialer);
        for accessor in &revoked {
            self.introductions.revoked(&id, accessor);
        }
        self.counts.revoked += u64::from(!revoked.is_empty());
        self.say(format!(
            "c{acceptor} revokes {} tokens of c{dialer}",
            revoked.len()
        ));
        if let Some(transaction) = transaction {
            self.commit(acceptor, &transaction)?;
        }
        Ok(())
    }

    /// Now, by the wall clock of a cluster.
    pub(crate) fn occasion(&self, cluster: usize) -> Occasion {
        Occasion {
            at: self.clusters[cluster].wall(self.now).as_millis(),
            ..Occasion::default()
        }
    }
}

/// A token for `dialer`: often one without bounds, sometimes one that nobody can use.
fn order(random: &mut Random, dialer: usize) -> Result<TokenOrder, Invalid> {
    let mut order = TokenOrder::default();
    if random.chance(40) {
        order.ttl = Some(Duration::from_millis(random.within(1_000, 120_000)));
    }
    if random.chance(30) {
        // The same settings each time, else asking again is refused.
        let id = random.below(3);
        order.ttl = (id > 0).then(|| Duration::from_secs(15 * id));
        order.request_id = Some(format!("r{id}"));
        return Ok(order);
    }
    if random.chance(15) {
        let wrong = usize::from(random.chance(30));
        order.bounds.datacenter = Some(rows::datacenter(dialer + 10 * wrong));
    }
    if random.chance(15) {
        order.bounds.trust_domain = Some(rows::trust_domain(dialer)?);
    }
    if random.chance(15) {
        let services = SERVICES.iter().filter(|_| random.chance(50));
        let services = services
            .map(|name| AllowedService::parse(name))
            .collect::<Result<BTreeSet<_>, _>>()?;
        order.bounds.services = (!services.is_empty()).then_some(services);
    }
    Ok(order)
}

fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds that a call may take.
fn budget() -> u64 {
    u64::try_from(EXCHANGE_BUDGET.as_millis()).unwrap_or(u64::MAX)
}

fn decode(text: &str) -> Outcome<Token> {
    Token::decode(text).map_err(|error| Violation::new("a token can be read", error.to_string()))
}
