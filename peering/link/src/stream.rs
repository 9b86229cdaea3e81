//! Driving a session over a gRPC stream: one task does everything for one stream, in one loop.
//!
//! What waits to be sent is kept as inner messages that share their content with the session, and encoded one at a
//! time as the transport has room. New exports are taken only when nothing waits, so a slow reader makes changes
//! coalesce instead of pile up. The loop goes on reading while it cannot send, else two sides that both have much
//! to say would wait for each other.

use crate::exporter::Exporter;
use crate::grpc::MAX_MESSAGE_BYTES;
use crate::link::Link;
use crate::wire::{self, ReplicationMessage};
use crate::{importer, metrics, records};
use peerway_model::PeeringKey;
use peerway_peering_protocol::{Code, Effect, End, Message, Refusal, Session};
use peerway_store::FeedEvent;
use prost::Message as _;
use std::collections::VecDeque;
use tokio::sync::{mpsc, watch};
use tonic::{Status, Streaming};

/// Encoded messages that wait for the transport.
pub(crate) const OUTBOUND_MESSAGES: usize = 16;
/// Messages that may wait for a place among those: a full export of the largest allowed size and as many answers. A
/// peer that lets more pile up sends without reading.
pub const MAX_WAITING_MESSAGES: usize = 8 * peerway_peering_protocol::admit::MAX_SERVICES;

pub(crate) type Outbound = mpsc::Sender<Result<ReplicationMessage, Status>>;

/// What the owner of a stream wants from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Go on.
    Run,
    /// Tell the peer that the peering was deleted, and end.
    Terminate,
    /// End with this reason.
    Close(Refusal),
}

/// Whose stream it is.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) link: &'a Link,
    pub(crate) key: &'a PeeringKey,
    pub(crate) generation: u64,
}

/// Runs `session` until it ends. `effects` are its first ones.
pub(crate) async fn drive(
    context: Context<'_>,
    mut session: Session,
    effects: Vec<Effect>,
    mut incoming: Streaming<ReplicationMessage>,
    outbound: Outbound,
    mut wish: watch::Receiver<Wish>,
) -> End {
    let Context { link, key, .. } = context;
    let clock = link.clock().clone();
    let stop = link.tasks().watch();
    let mut feed = link.reader().feed();
    let mut outbound = Some(outbound);
    let mut waiting: VecDeque<Message> = VecDeque::new();
    let mut half_close = false;
    let mut exporter = Exporter::new(key.clone(), link.server_addresses());
    let mut effects = effects;
    loop {
        match perform(context, &mut session, effects, &mut waiting, &mut half_close).await {
            Some(end) => return end,
            None => link.publish(key, context.generation, session.freshness()),
        }
        if waiting.len() > MAX_WAITING_MESSAGES {
            return failed(Code::ResourceExhausted, "the peer sends without reading");
        }
        if half_close && waiting.is_empty() {
            outbound = None;
        }
        if exporter.is_stale() && waiting.is_empty() {
            effects = match exporter.update(&link.reader().snapshot()) {
                Some(exports) => session.set_exports(exports, clock.monotonic()),
                None => Vec::new(),
            };
            continue;
        }
        let Some(due) = session.next_tick() else {
            return failed(Code::Internal, "the session has ended without saying so");
        };
        let tick = due.saturating_sub(clock.monotonic());
        effects = tokio::select! {
            permit = reserve(outbound.as_ref()), if !waiting.is_empty() => match (permit, waiting.pop_front()) {
                (Ok(permit), Some(message)) => {
                    send(key, permit, &message);
                    Vec::new()
                }
                // The transport is gone; what it has to say about that comes in.
                _ => {
                    waiting.clear();
                    Vec::new()
                }
            },
            message = incoming.message() => match message {
                Ok(Some(message)) => {
                    metrics::received();
                    session.on_message(wire::decode(message), clock.monotonic())
                }
                Ok(None) => session.on_end(),
                Err(status) => return broken(&mut session, &status),
            },
            event = feed.next() => {
                match event {
                    FeedEvent::Changed(changes) => exporter.note(&changes),
                    FeedEvent::Reload => exporter.reload(),
                    FeedEvent::Closed => return failed(Code::Unavailable, "the store has stopped"),
                }
                Vec::new()
            }
            () = tokio::time::sleep(tick) => session.on_tick(clock.monotonic()),
            changed = wish.changed() => {
                let now = wish.borrow_and_update().clone();
                match now {
                    _ if changed.is_err() => return failed(Code::Unavailable, "the stream was given up"),
                    Wish::Run => Vec::new(),
                    Wish::Terminate => session.terminate(clock.monotonic()),
                    Wish::Close(refusal) => return End::Failed(refusal),
                }
            }
            () = stop.signaled() => return failed(Code::Unavailable, "the server is stopping"),
        };
    }
}

/// Sends a message unless it is too big: that would break the stream, now and after every reconnect, and one service
/// with too many instances would take all others with it.
fn send(key: &PeeringKey, permit: mpsc::Permit<'_, Result<ReplicationMessage, Status>>, message: &Message) {
    let encoded = wire::encode(message);
    let bytes = encoded.encoded_len();
    if bytes > MAX_MESSAGE_BYTES {
        let id = match message {
            Message::Response(response) => response.id.as_str(),
            _ => "",
        };
        tracing::error!(peer = %key.name, resource = id, bytes, "a resource is too big to be exported");
        metrics::too_big();
        return;
    }
    permit.send(Ok(encoded));
    metrics::sent();
}

async fn reserve(
    outbound: Option<&Outbound>,
) -> Result<mpsc::Permit<'_, Result<ReplicationMessage, Status>>, ()> {
    match outbound {
        Some(outbound) => outbound.reserve().await.map_err(|_| ()),
        None => Err(()),
    }
}

/// Does what the session asks for, including what follows from imports. Returns the end if it has come.
async fn perform(
    context: Context<'_>,
    session: &mut Session,
    effects: Vec<Effect>,
    waiting: &mut VecDeque<Message>,
    half_close: &mut bool,
) -> Option<End> {
    let Context { link, key, .. } = context;
    let mut queue = VecDeque::from(effects);
    while let Some(effect) = queue.pop_front() {
        match effect {
            Effect::Send(message) => waiting.push_back(message),
            Effect::Import { ticket, resource } => {
                let kind = resource.kind();
                let result = importer::import(link.reader(), link.writer(), key, &resource).await;
                if let Err(refusal) = &result
                    && refusal.code == Code::Unavailable
                {
                    // A NACKed resource is not sent again before it changes, but a new stream sends everything.
                    return Some(End::Failed(refusal.clone()));
                }
                if let Err(refusal) = &result {
                    metrics::refused(kind);
                    tracing::warn!(peer = %key.name, reason = %refusal, "a resource from a peer was refused");
                }
                queue.extend(session.on_applied(ticket, result, link.clock().monotonic()));
            }
            Effect::MarkTerminated => {
                tracing::info!(peer = %key.name, "the peer deleted the peering");
                if let Err(error) = records::mark_terminated(link.reader(), link.writer(), key).await {
                    tracing::error!(peer = %key.name, %error, "the peering could not be marked as terminated");
                }
            }
            Effect::HalfClose => *half_close = true,
            Effect::Ended(end) => return Some(end),
        }
    }
    None
}

/// The transport failed: while terminating that is as good an end as any.
fn broken(session: &mut Session, status: &Status) -> End {
    match session.on_end().pop() {
        Some(Effect::Ended(End::Graceful)) => End::Graceful,
        _ => End::Failed(refusal(status)),
    }
}

/// What a gRPC status says, as far as the protocol tells codes apart.
pub(crate) fn refusal(status: &Status) -> Refusal {
    let code = match status.code() {
        tonic::Code::InvalidArgument => Code::InvalidArgument,
        tonic::Code::PermissionDenied => Code::PermissionDenied,
        tonic::Code::ResourceExhausted => Code::ResourceExhausted,
        tonic::Code::FailedPrecondition => Code::FailedPrecondition,
        tonic::Code::Aborted => Code::Aborted,
        tonic::Code::Internal => Code::Internal,
        tonic::Code::Unavailable => Code::Unavailable,
        _ => Code::Unknown,
    };
    Refusal::new(code, status.message())
}

fn failed(code: Code, message: &str) -> End {
    End::Failed(Refusal::new(code, message))
}
