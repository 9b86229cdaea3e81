//! The importing half: every response is answered, in the order of processing.

use super::ledger::Size;
use super::{Effect, Session, Side, name_of};
use crate::digest;
use crate::freshness::{MAX_REASON_BYTES, Mark, cut};
use crate::message::{Code, Content, Message, OPERATION_UPSERT, Refusal, Request, Response};
use crate::resource::{Listed, Resource, ResourceType};
use std::sync::Arc;
use std::time::Duration;

/// A list as it came.
#[derive(Debug)]
struct Lists {
    whole: Arc<[String]>,
    wanted: Arc<[String]>,
}

/// Stands for one response until it is answered.
#[derive(Debug)]
#[must_use = "a response without an answer leaves the exporter in the dark"]
pub struct Ticket {
    nonce: String,
    kind: ResourceType,
    id: String,
    mark: Mark,
    digest: u64,
    size: Size,
    /// The operator does not want it: what is imported is that there is nothing.
    filtered: bool,
    /// The list as it came, and without what the operator does not want: the latter is to become
    /// [`crate::Freshness::imported`].
    lists: Option<Lists>,
}

impl Ticket {
    /// The type of the response.
    pub fn kind(&self) -> ResourceType {
        self.kind
    }
}

impl Session {
    /// Takes the result of an import and answers it. After the end of the stream there is nobody to answer.
    pub fn on_applied(&mut self, ticket: Ticket, result: Result<(), Refusal>, now: Duration) -> Vec<Effect> {
        let what = name_of(ticket.kind, &ticket.id);
        let mut effects = Vec::new();
        let error = match result {
            Ok(()) => {
                self.note_applied(&ticket, now);
                self.freshness.refused.remove(&what);
                None
            }
            Err(refusal) => {
                self.ledger.refused(&ticket.id, &refusal.message, None);
                self.freshness.refuse(what, refusal.message.clone());
                Some(refusal)
            }
        };
        self.report_soon(now);
        effects.extend(self.answer(ticket.nonce, ticket.kind.url().to_owned(), error));
        // The list comes last, so what it leaves can be compared with what is stored.
        if ticket.kind == ResourceType::ExportedServiceList && self.running() {
            effects.push(Effect::Verify);
        }
        effects
    }

    fn note_applied(&mut self, ticket: &Ticket, now: Duration) {
        let mark = Mark {
            index: ticket.mark.index,
            at: now,
        };
        self.freshness.last_applied = Some(now);
        self.freshness.applied = mark;
        match ticket.kind {
            ResourceType::ExportedService => {
                self.ledger
                    .applied(&ticket.id, ticket.size, ticket.digest, mark, ticket.filtered);
            }
            ResourceType::ExportedServiceList => {
                let Some(Lists { whole, wanted }) = &ticket.lists else {
                    return;
                };
                for gone in self.ledger.keep(&Listed::new(whole)) {
                    let what = name_of(ResourceType::ExportedService, &gone);
                    self.freshness.refused.remove(&what);
                }
                self.list = Some(ticket.digest);
                self.freshness.imported = Arc::clone(wanted);
            }
            ResourceType::TrustBundle => self.bundle = Some(ticket.digest),
            ResourceType::ServerAddresses => {}
        }
    }

    /// Checks the envelope of a response (wire facts, section 3.6), and whether it is wanted.
    pub(super) fn on_response(&mut self, response: Response, now: Duration) -> Vec<Effect> {
        let Response {
            nonce,
            url,
            id,
            operation,
            content,
            bytes,
        } = response;
        let id = cut(&id, MAX_REASON_BYTES).to_owned();
        self.freshness.received = Mark {
            index: self.freshness.received.index + 1,
            at: now,
        };
        let judged = self
            .judge(&nonce, &url, &id, operation, content)
            .and_then(|(kind, resource)| self.want(nonce.clone(), kind, id.clone(), resource, bytes));
        match judged {
            Ok((ticket, resource)) => vec![Effect::Import { ticket, resource }],
            Err(refusal) => {
                let kind = ResourceType::parse(&url);
                match kind {
                    Some(known) => self
                        .freshness
                        .refuse(name_of(known, &id), refusal.message.clone()),
                    // Nobody asked for it, and nothing is missing without it.
                    None => self.freshness.refused_total += 1,
                }
                self.report_soon(now);
                let mut effects = vec![Effect::Refused {
                    kind,
                    reason: refusal.message.clone(),
                }];
                effects.extend(self.answer(nonce, url, Some(refusal)));
                effects
            }
        }
    }

    /// Applies the operator's filter and limits.
    fn want(
        &mut self,
        nonce: String,
        kind: ResourceType,
        id: String,
        resource: Resource,
        bytes: usize,
    ) -> Result<(Ticket, Resource), Refusal> {
        let mut ticket = Ticket {
            nonce,
            kind,
            id,
            mark: self.freshness.received,
            digest: 0,
            size: Size { instances: 0, bytes },
            filtered: false,
            lists: None,
        };
        let resource = match resource {
            Resource::ExportedService { name, instances } => {
                ticket.digest = digest::of_offer(&name, &instances);
                ticket.size.instances = instances.len();
                self.ledger.received(&name, ticket.digest, ticket.mark);
                ticket.filtered = !self.terms.limits.filter.allows(&name);
                if ticket.filtered {
                    let instances = Arc::from([]);
                    return Ok((ticket, Resource::ExportedService { name, instances }));
                }
                if let Some(why) = self.ledger.over_limit(&name, ticket.size, &self.terms.limits) {
                    let refusal = format!("{} refused: {why}", name_of(kind, &name));
                    self.ledger.refused(&name, &refusal, Some(ticket.size));
                    return Err(Refusal::new(Code::ResourceExhausted, refusal));
                }
                Resource::ExportedService { name, instances }
            }
            Resource::ExportedServiceList(whole) => {
                ticket.digest = digest::of_list(&whole);
                let filter = &self.terms.limits.filter;
                let wanted: Arc<[String]> =
                    whole.iter().filter(|name| filter.allows(name)).cloned().collect();
                ticket.lists = Some(Lists {
                    whole,
                    wanted: Arc::clone(&wanted),
                });
                Resource::ExportedServiceList(wanted)
            }
            Resource::TrustBundle(bundle) => {
                ticket.digest = digest::of_bundle(
                    &bundle.trust_domain,
                    &bundle.exported_partition,
                    &bundle.root_pems,
                );
                Resource::TrustBundle(bundle)
            }
            Resource::ServerAddresses(addresses) => Resource::ServerAddresses(addresses),
        };
        Ok((ticket, resource))
    }

    fn judge(
        &self,
        nonce: &str,
        url: &str,
        id: &str,
        operation: i32,
        content: Content,
    ) -> Result<(ResourceType, Resource), Refusal> {
        let refuse = |code, message: String| Err(Refusal::new(code, message));
        let Some(kind) = ResourceType::parse(url) else {
            return refuse(
                Code::InvalidArgument,
                format!("unknown resource type {:?}", cut(url, MAX_REASON_BYTES)),
            );
        };
        let what = name_of(kind, id);
        if nonce.is_empty() {
            return refuse(Code::InvalidArgument, format!("{what} came without a nonce"));
        }
        if operation != OPERATION_UPSERT {
            return refuse(
                Code::InvalidArgument,
                format!("{what} came with the unsupported operation {operation}"),
            );
        }
        if kind == ResourceType::ServerAddresses && self.side == Side::Acceptor {
            return refuse(
                Code::InvalidArgument,
                format!("{what} refused: an acceptor does not dial"),
            );
        }
        match content {
            Content::Absent => refuse(Code::InvalidArgument, format!("{what} came without content")),
            Content::Unreadable(cause) => refuse(Code::Internal, format!("{what} refused: {cause}")),
            Content::Resource(resource) if resource.kind() != kind => refuse(
                Code::Internal,
                format!("{what} refused: it holds {}", resource.kind().as_str()),
            ),
            Content::Resource(resource) => Ok((kind, resource)),
        }
    }

    fn answer(&mut self, nonce: String, url: String, error: Option<Refusal>) -> Vec<Effect> {
        if !self.running() {
            return Vec::new();
        }
        let request = Request {
            // Only a dialer's subscriptions carry it.
            peer_id: String::new(),
            nonce,
            url,
            error: error.map(|refusal| (refusal.code as i32, refusal.message)),
            digests: 0,
            resync: false,
        };
        vec![self.send(Message::Request(request))]
    }
}
