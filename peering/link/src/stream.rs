//! Driving a [`Pump`] over a gRPC stream: one task does everything for one stream, in one loop.
//!
//! The loop goes on reading while it cannot send, else two sides that both have much to say would wait for each
//! other.

use crate::link::Link;
use crate::pump::{Pump, Task, Wish};
use crate::wire::{self, ReplicationMessage};
use crate::{importer, metrics, records};
use peerway_peering_protocol::{Code, End, Refusal};
use peerway_store::FeedEvent;
use tokio::sync::{mpsc, watch};
use tonic::{Status, Streaming};

/// Encoded messages that wait for the transport.
pub(crate) const OUTBOUND_MESSAGES: usize = 16;

pub(crate) type Outbound = mpsc::Sender<Result<ReplicationMessage, Status>>;

/// Runs `pump` until its stream ends.
pub(crate) async fn drive(
    link: &Link,
    mut pump: Pump,
    generation: u64,
    mut incoming: Streaming<ReplicationMessage>,
    outbound: Outbound,
    mut wish: watch::Receiver<Wish>,
) -> End {
    let clock = link.clock().clone();
    let key = pump.key().clone();
    let stop = link.tasks().watch();
    let mut feed = link.reader().feed();
    let mut outbound = Some(outbound);
    if let Some(end) = pump.reload(&link.reader().snapshot()) {
        return end;
    }
    loop {
        if let Some(end) = perform(link, &mut pump).await {
            return end;
        }
        link.publish(&key, generation, pump.freshness());
        if pump.closes() {
            outbound = None;
        }
        if pump.wants_export() {
            pump.export(&link.reader().snapshot(), clock.monotonic());
            continue;
        }
        let Some(due) = pump.next_tick() else {
            return failed(Code::Internal, "the session has ended without saying so");
        };
        let now = clock.monotonic();
        let reads_at = pump.reads_at(now);
        let tick = reads_at.map_or(due, |at| at.min(due)).saturating_sub(now);
        tokio::select! {
            () = stop.signaled() => return failed(Code::Unavailable, "the server is stopping"),
            changed = wish.changed() => {
                if changed.is_err() {
                    return failed(Code::Unavailable, "the stream was given up");
                }
                let now = wish.borrow_and_update().clone();
                if let Some(end) = pump.obey(&now, clock.monotonic()) {
                    return end;
                }
            }
            event = feed.next() => {
                let end = match event {
                    FeedEvent::Changed(changes) => {
                        pump.committed(&changes, feed.told(), &link.reader().snapshot(), clock.monotonic())
                    }
                    FeedEvent::Reload => pump.reload(&link.reader().snapshot()),
                    FeedEvent::Closed => Some(failed(Code::Unavailable, "the store has stopped")),
                };
                if let Some(end) = end {
                    return end;
                }
            }
            () = tokio::time::sleep(tick) => pump.tick(clock.monotonic()),
            permit = reserve(outbound.as_ref()), if pump.waiting() > 0 => match (permit, pump.take()) {
                (Ok(permit), Some(message)) => {
                    permit.send(Ok(wire::encode(&message)));
                    metrics::sent();
                }
                _ => pump.discard_waiting(),
            },
            message = incoming.message(), if reads_at.is_none() => match message {
                Ok(Some(message)) => {
                    metrics::received();
                    pump.received(wire::decode(message), clock.monotonic());
                }
                Ok(None) => pump.ended(),
                Err(status) => return pump.broken(refusal(&status)),
            },
        }
    }
}

async fn reserve(
    outbound: Option<&Outbound>,
) -> Result<mpsc::Permit<'_, Result<ReplicationMessage, Status>>, ()> {
    match outbound {
        Some(outbound) => outbound.reserve().await.map_err(|_| ()),
        None => Err(()),
    }
}

/// Does what the pump cannot do itself. Returns the end if it has come.
async fn perform(link: &Link, pump: &mut Pump) -> Option<End> {
    while let Some(task) = pump.next_task() {
        let (reader, writer) = (link.reader(), link.writer());
        let key = pump.key();
        match task {
            Task::Import { ticket, resource } => {
                let turns = link.turns();
                let result = importer::import(turns, reader, writer, key, pump.peer_id(), &resource).await;
                if let Err(refusal) = &result
                    && refusal.code != Code::Unavailable
                {
                    metrics::refused(Some(resource.kind()));
                    tracing::warn!(peer = %key.name, reason = %refusal, "a resource from a peer was refused");
                }
                if let Some(end) = pump.imported(ticket, result, link.clock().monotonic()) {
                    return Some(end);
                }
            }
            Task::Verify => pump.verify(&reader.snapshot(), link.clock().monotonic()),
            Task::Refused { kind, reason } => {
                metrics::refused(kind);
                tracing::warn!(peer = %key.name, %reason, "a resource from a peer was refused");
            }
            Task::Resync { reason } => {
                metrics::resync();
                tracing::warn!(peer = %key.name, %reason, "what is held of a peer has diverged, it is asked for anew");
            }
            Task::MarkTerminated => {
                tracing::info!(peer = %key.name, "the peer deleted the peering");
                if let Err(error) = records::mark_terminated(reader, writer, key, pump.peer_id()).await {
                    tracing::error!(peer = %key.name, %error, "the peering could not be marked as terminated");
                }
            }
            Task::End(end) => return Some(end),
        }
    }
    None
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
