//! The importing half: every response is answered, in the order of processing.

use super::{Effect, Session, Side, name_of};
use crate::freshness::{MAX_REASON_BYTES, cut};
use crate::message::{Code, Content, Message, OPERATION_UPSERT, Refusal, Request, Response};
use crate::resource::{Resource, ResourceType};
use std::sync::Arc;
use std::time::Duration;

/// Stands for one response until it is answered.
#[derive(Debug)]
#[must_use = "a response without an answer leaves the exporter in the dark"]
pub struct Ticket {
    nonce: String,
    kind: ResourceType,
    id: String,
    /// Kept to become [`crate::Freshness::imported`] once applied.
    list: Option<Arc<[String]>>,
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
        let Ticket {
            nonce,
            kind,
            id,
            list,
        } = ticket;
        let what = name_of(kind, &id);
        let error = match result {
            Ok(()) => {
                self.freshness.last_applied = Some(now);
                self.freshness.refused.remove(&what);
                if let Some(names) = list {
                    self.freshness.imported = names;
                }
                None
            }
            Err(refusal) => {
                self.freshness.refuse(what, refusal.message.clone());
                Some(refusal)
            }
        };
        self.answer(nonce, kind.url().to_owned(), error)
    }

    /// Checks the envelope of a response (wire facts, section 3.6).
    pub(super) fn on_response(&mut self, response: Response) -> Vec<Effect> {
        let Response {
            nonce,
            url,
            id,
            operation,
            content,
        } = response;
        let id = cut(&id, MAX_REASON_BYTES).to_owned();
        match self.judge(&nonce, &url, &id, operation, content) {
            Ok((kind, resource)) => {
                let list = match &resource {
                    Resource::ExportedServiceList(names) => Some(Arc::clone(names)),
                    _ => None,
                };
                let ticket = Ticket {
                    nonce,
                    kind,
                    id,
                    list,
                };
                vec![Effect::Import { ticket, resource }]
            }
            Err(refusal) => {
                let kind = ResourceType::parse(&url).map_or("unknown resource", ResourceType::as_str);
                self.freshness
                    .refuse(format!("{kind} {id:?}"), refusal.message.clone());
                self.answer(nonce, url, Some(refusal))
            }
        }
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
        };
        vec![self.send(Message::Request(request))]
    }
}
