//! The exporting half: subscriptions and answers come in, what changed goes out.

use super::{Effect, RESYNC_INTERVAL, Sent, Session, Side, name_of, same};
use crate::digest::{self, Digest};
use crate::export::{Exports, withdrawal};
use crate::freshness::{Answer, ExportedService, MAX_REASON_BYTES, Mark, Nack, SentBundle, cut};
use crate::message::{Code, Content, Message, OPERATION_UPSERT, Refusal, Request, Response};
use crate::resource::{Resource, ResourceType};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a peer has to subscribe to before it can be said to know what is exported to it. Server addresses are for
/// dialers only.
const NEEDED: [ResourceType; 3] = [
    ResourceType::ExportedService,
    ResourceType::ExportedServiceList,
    ResourceType::TrustBundle,
];

impl Session {
    /// Says what the peer should know from now on. Sends what differs from what was sent, for the types that the
    /// peer subscribed to; the list comes after the services, so that a new name is never listed before its
    /// instances. Does nothing once the stream is terminating. `revision` is that of the store that they were made
    /// from.
    pub fn set_exports(&mut self, exports: Exports, revision: u64, now: Duration) -> Vec<Effect> {
        if !self.running() {
            return Vec::new();
        }
        self.freshness.delivery.sent_revision = revision;
        let known = std::mem::take(&mut self.withheld);
        self.withheld = exports.withheld.clone();
        // What was too long stays so until it changes, which is seen when it is about to be sent.
        for (id, why) in known {
            if exports.services.contains_key(&id) {
                self.withheld.entry(id).or_insert(why);
            }
        }
        for id in exports.withheld.keys() {
            self.sent.remove(&(ResourceType::ExportedService, id.clone()));
        }
        self.exports = Some(exports);
        let mut effects = Vec::new();
        for kind in ResourceType::ALL {
            self.send_changes(kind, now, &mut effects);
        }
        self.report_answers();
        self.report_withheld();
        self.report_soon(now);
        effects
    }

    /// Says that a service that was just handed out cannot be sent, and why: it counts as never sent, and a peer that
    /// understands it is told.
    pub fn withhold(&mut self, nonce: &str, id: &str, why: String) {
        self.answers.take(nonce);
        if let Some(sent) = self.sent.get_mut(&(ResourceType::ExportedService, id.to_owned())) {
            sent.digest = 0;
        }
        self.withheld.insert(id.to_owned(), why);
        self.report_due = Some(Duration::ZERO);
        if self.freshness.digests {
            // The peer is told at once.
            self.next_heartbeat = Duration::ZERO;
        }
        self.report_answers();
        self.report_withheld();
    }

    fn report_withheld(&mut self) {
        self.freshness.withheld.clear();
        for (id, why) in &self.withheld {
            self.freshness.withhold(id, why);
        }
    }

    /// Everything once more, for a peer that found out that it has something else.
    fn resend(&mut self, now: Duration) -> Vec<Effect> {
        if self
            .resent
            .is_some_and(|last| now.saturating_sub(last) < RESYNC_INTERVAL)
        {
            return Vec::new();
        }
        self.resent = Some(now);
        self.sent.values_mut().for_each(|sent| sent.again = true);
        let mut effects = Vec::new();
        for kind in ResourceType::ALL {
            self.send_changes(kind, now, &mut effects);
        }
        self.report_answers();
        effects
    }

    /// The digest of everything that was sent.
    pub(super) fn sent_digest(&self) -> Digest {
        let single = |kind: ResourceType| {
            let mut sent = self.sent.iter().filter(|((own, _), _)| *own == kind);
            sent.next().map(|(_, sent)| &sent.resource)
        };
        Digest {
            services: self
                .sent
                .iter()
                .filter(|((kind, id), _)| {
                    *kind == ResourceType::ExportedService && !self.withheld.contains_key(id)
                })
                .fold(0, |sum, (_, sent)| sum.wrapping_add(sent.digest)),
            list: match single(ResourceType::ExportedServiceList) {
                Some(Resource::ExportedServiceList(names)) => digest::of_list(names),
                _ => 0,
            },
            bundle: match single(ResourceType::TrustBundle) {
                Some(Resource::TrustBundle(bundle)) => digest::of_bundle(
                    &bundle.trust_domain,
                    &bundle.exported_partition,
                    &bundle.root_pems,
                ),
                _ => 0,
            },
        }
    }

    /// Every exported service for a report.
    pub(super) fn sent_report(&self) -> BTreeMap<String, ExportedService> {
        let services = self
            .sent
            .iter()
            .filter(|((kind, _), _)| *kind == ResourceType::ExportedService);
        let mut report: BTreeMap<String, ExportedService> = services
            .map(|((kind, id), sent)| {
                let what = name_of(*kind, id);
                let answer = match self.freshness.delivery.rejected.get(&what) {
                    _ if self.answers.waits_for(&what) => Answer::Waiting,
                    Some(rejection) => Answer::Refused(rejection.reason.clone()),
                    None => Answer::Taken,
                };
                let shown = ExportedService {
                    sent: Some(sent.mark),
                    answer,
                };
                (id.clone(), shown)
            })
            .collect();
        for (id, why) in &self.withheld {
            let answer = Answer::Withheld(why.clone());
            report.insert(id.clone(), ExportedService { sent: None, answer });
        }
        report
    }

    /// Says that the exports that were set last are still those of this newer revision of the store.
    pub fn exports_hold(&mut self, revision: u64) {
        if self.running() && self.exports.is_some() {
            self.freshness.delivery.sent_revision = revision;
            self.report_answers();
        }
    }

    fn report_answers(&mut self) {
        let complete = NEEDED.iter().all(|kind| self.subscribed.contains(kind));
        let delivery = &mut self.freshness.delivery;
        delivery.unanswered = self.answers.waiting();
        delivery.acked_revision =
            (complete && self.exports.is_some()).then(|| self.answers.answered(delivery.sent_revision));
    }

    /// Classifies a request (wire facts, section 3.5).
    pub(super) fn on_request(&mut self, request: Request, now: Duration) -> Vec<Effect> {
        let Some(kind) = ResourceType::parse(&request.url) else {
            return self.violation(format!(
                "subscription to the unknown resource type {:?}",
                cut(&request.url, MAX_REASON_BYTES)
            ));
        };
        if self.subscribed.contains(&kind) {
            if request.resync && request.nonce.is_empty() && !self.terms.plain {
                return self.resend(now);
            }
            if let Some(sent) = self
                .freshness
                .bundle
                .as_mut()
                .filter(|sent| sent.nonce == request.nonce)
            {
                sent.answer = Some(match &request.error {
                    None => Ok(()),
                    Some((_, reason)) => Err(cut(reason, MAX_REASON_BYTES).to_owned()),
                });
            }
            let answered = self.answers.take(&request.nonce);
            if let Some(answered) = &answered {
                self.freshness.delivery.answer(
                    answered,
                    request.error.as_ref().map(|(_, reason)| reason.as_str()),
                    now,
                );
            }
            self.report_answers();
            self.report_soon(now);
            match request.error {
                None => self.freshness.last_ack = Some(now),
                Some((_, reason)) => {
                    self.freshness.last_nack = Some(Nack {
                        at: now,
                        resource: match answered {
                            Some(answered) => answered.what,
                            None => kind.as_str().to_owned(),
                        },
                        reason: cut(&reason, MAX_REASON_BYTES).to_owned(),
                    });
                }
            }
            return Vec::new();
        }
        if !request.nonce.is_empty() {
            return self.violation(format!(
                "the first request for {} must not have a nonce",
                kind.as_str()
            ));
        }
        if request.error.is_some() {
            return self.violation(format!(
                "the first request for {} must not be a NACK",
                kind.as_str()
            ));
        }
        if let Side::Dialer { peer_id } = &self.side
            && !request.peer_id.is_empty()
            && request.peer_id != *peer_id
        {
            return self.violation("the acceptor subscribed for another PeerID than was dialled".to_owned());
        }
        self.subscribed.insert(kind);
        if !self.terms.plain && request.digests == digest::VERSION {
            self.freshness.digests = true;
        }
        self.freshness.last_ack = Some(now);
        let mut effects = Vec::new();
        self.send_changes(kind, now, &mut effects);
        self.report_answers();
        effects
    }

    fn violation(&mut self, message: String) -> Vec<Effect> {
        self.fail(Refusal::new(Code::InvalidArgument, message))
    }

    fn send_changes(&mut self, kind: ResourceType, now: Duration, effects: &mut Vec<Effect>) {
        let Some(exports) = &self.exports else {
            return;
        };
        let towards_acceptor = matches!(self.side, Side::Dialer { .. });
        if !self.subscribed.contains(&kind) || (kind == ResourceType::ServerAddresses && towards_acceptor) {
            return;
        }
        let wanted = exports.of(kind);
        let ids: BTreeSet<&str> = wanted.iter().map(Resource::id).collect();
        let gone: Vec<(ResourceType, String)> = self
            .sent
            .keys()
            .filter(|(own, id)| *own == kind && !ids.contains(id.as_str()))
            .cloned()
            .collect();
        for resource in wanted {
            let key = (kind, resource.id().to_owned());
            if self
                .sent
                .get(&key)
                .is_some_and(|sent| !sent.again && same(&sent.resource, &resource))
            {
                continue;
            }
            let digest = match &resource {
                Resource::ExportedService { name, instances } => {
                    if self.withheld.remove(name).is_some() && self.freshness.digests {
                        self.next_heartbeat = Duration::ZERO;
                    }
                    digest::of_offer(name, instances)
                }
                _ => 0,
            };
            let sent = Sent {
                resource: resource.clone(),
                digest,
                mark: Mark {
                    index: self.last_nonce + 1,
                    at: now,
                },
                again: false,
            };
            self.sent.insert(key, sent);
            effects.push(self.respond(resource, now));
        }
        // Removals last. An entry that is no longer exported is forgotten, so exporting it again sends it again.
        for key in gone {
            self.freshness.delivery.rejected.remove(&name_of(key.0, &key.1));
            if let Some(empty) = self.sent.remove(&key).and_then(|sent| withdrawal(&sent.resource)) {
                effects.push(self.respond(empty, now));
            }
        }
    }

    fn respond(&mut self, resource: Resource, now: Duration) -> Effect {
        if let Resource::ExportedServiceList(names) = &resource {
            self.freshness.exported = names.clone();
        }
        self.freshness.last_sent = Some(now);
        self.last_nonce += 1;
        self.freshness.sent = Mark {
            index: self.last_nonce,
            at: now,
        };
        let nonce = format!("{:08x}", self.last_nonce);
        let what = name_of(resource.kind(), resource.id());
        self.answers
            .expect(what, nonce.clone(), self.freshness.delivery.sent_revision);
        if let Resource::TrustBundle(bundle) = &resource {
            self.freshness.bundle = Some(SentBundle {
                nonce: nonce.clone(),
                bundle: bundle.clone(),
                answer: None,
            });
        }
        let message = Message::Response(Response {
            nonce,
            url: resource.kind().url().to_owned(),
            id: resource.id().to_owned(),
            operation: OPERATION_UPSERT,
            content: Content::Resource(resource),
            bytes: 0,
        });
        self.send(message)
    }
}
