//! The accepting side: exchanging a token's secret, and serving the streams of dialers.

use crate::admission::{self, Admitted};
use crate::grpc::Outgoing;
use crate::link::{Link, Registered};
use crate::pump::Pump;
use crate::records;
use crate::stream;
use crate::wire::{self, ReplicationMessage};
use peerway_model::{PeeringKey, Requester, Secret};
use peerway_peering_protocol::open::expect_open;
use peerway_peering_protocol::{Code, End, Message, Open, Refusal};
use peerway_state::Snapshot;
use peerway_store::CommitError;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// How long a dialer may take to send its `Open`: until then nobody knows who it is.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The gRPC status of a refusal.
pub(crate) fn status(refusal: &Refusal) -> Status {
    Status::new(
        tonic::Code::from_i32(refusal.code as i32),
        refusal.message.clone(),
    )
}

/// Gives the stream secret for the secret of an unused token, once.
pub(crate) async fn exchange(link: &Link, id: &str, offered: &str, by: Requester) -> Result<Secret, Status> {
    let occasion = link.occasion(by);
    let decide = |snapshot: &Snapshot| {
        let stream = Secret::new(uuid::Uuid::new_v4().to_string());
        Ok(admission::exchange(snapshot, id, offered, stream, &occasion))
    };
    let failed = |error| {
        Refusal::new(
            Code::Internal,
            format!("the peering secret could not be kept: {error}"),
        )
    };
    records::change(link.reader(), link.writer(), decide, failed)
        .await
        .and_then(|answer| answer)
        .map_err(|refusal| status(&refusal))
}

/// Serves a stream: what comes back goes to the dialer until the stream is over.
pub(crate) async fn stream(
    link: &Link,
    mut incoming: Streaming<ReplicationMessage>,
    by: Requester,
) -> Result<Outgoing, Status> {
    let first = tokio::time::timeout(OPEN_TIMEOUT, incoming.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no Open came in time"))??;
    let open = expect_open(first.map(wire::decode)).map_err(|refusal| status(&refusal))?;
    let (outbound, outgoing) = mpsc::channel(stream::OUTBOUND_MESSAGES);
    let admitted = admit(link, &open, by.clone()).await;
    match admitted.map_err(|refusal| status(&refusal))? {
        Admitted::Serve(key) => {
            let registered = link.register(&key);
            tracing::info!(peer = %key.name, "peering stream accepted");
            let serving = link.clone();
            link.tasks()
                .spawn_background("peering accepted stream", async move {
                    let now = serving.clock().monotonic();
                    let setup = serving.setup(&key);
                    let pump = Pump::acceptor(key, open.peer_id, &setup, now);
                    serve(&serving, pump, registered, incoming, outbound, by).await;
                });
        }
        Admitted::Tell(refusal) => {
            // The channel is empty and has room for both.
            let _ = outbound.try_send(Ok(wire::encode(&Message::Terminated)));
            let _ = outbound.try_send(Err(status(&refusal)));
        }
    }
    Ok(ReceiverStream::new(outgoing))
}

async fn admit(link: &Link, open: &Open, by: Requester) -> Result<Admitted, Refusal> {
    let occasion = link.occasion(by);
    let decide = |snapshot: &Snapshot| Ok(admission::admit(snapshot, open, &occasion));
    let failed = |error| {
        Refusal::new(
            Code::Internal,
            format!("the peering could not be updated: {error}"),
        )
    };
    records::change(link.reader(), link.writer(), decide, failed)
        .await
        .and_then(|admitted| admitted)
}

/// Keeps for the operator why a peer was turned away that had been let in.
async fn misused(link: &Link, key: &PeeringKey, refusal: &Refusal, by: Requester) {
    let occasion = link.occasion(by);
    let decide = |snapshot: &Snapshot| Ok((admission::misused(snapshot, key, refusal, &occasion), ()));
    let kept: Result<(), CommitError> =
        records::change(link.reader(), link.writer(), decide, |error| error).await;
    if let Err(error) = kept {
        tracing::warn!(peer = %key.name, %error, "a refused use of a token could not be recorded");
    }
}

async fn serve(
    link: &Link,
    pump: Pump,
    registered: Registered,
    incoming: Streaming<ReplicationMessage>,
    outbound: stream::Outbound,
    by: Requester,
) {
    let key = pump.key().clone();
    let generation = registered.generation;
    registered.before_is_gone().await;
    link.connected(&key, generation);
    let last_words = outbound.clone();
    let end = stream::drive(link, pump, generation, incoming, outbound, registered.wish).await;
    if let End::Failed(refusal) = &end
        && refusal.code == Code::PermissionDenied
    {
        misused(link, &key, refusal, by).await;
    }
    if let End::Failed(refusal) = &end {
        // A dialer that does not read does not get the reason either.
        let _ = last_words.try_send(Err(status(refusal)));
    }
    link.finished(&key, generation, &end);
}
