//! The accepting side: exchanging a token's secret, and serving the streams of dialers.

use crate::grpc::Outgoing;
use crate::link::Link;
use crate::records;
use crate::stream::{self, Wish};
use crate::wire::{self, ReplicationMessage};
use peerway_model::{PeeringKey, PeeringSecrets, Secret};
use peerway_peering_protocol::open::{
    Verdict, decide_exchange, decide_open, exchanged, expect_open, promoted,
};
use peerway_peering_protocol::{Code, End, Message, Open, Refusal, Session};
use peerway_state::{Row, Snapshot, Transaction};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
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
pub(crate) async fn exchange(link: &Link, id: &str, offered: &str) -> Result<Secret, Status> {
    let decide = |snapshot: &Snapshot| {
        let peering = snapshot.peering_by_id(id);
        let secrets = peering.and_then(|peering| snapshot.secrets(&peering.key));
        decide_exchange(
            id,
            peering.map(|row| &*row.row),
            secrets.map(|row| &*row.row),
            offered,
        )?;
        let (Some(peering), Some(secrets)) = (peering, secrets) else {
            return Err(Refusal::new(Code::Internal, "the peering has no secrets"));
        };
        let stream = Secret::new(uuid::Uuid::new_v4().to_string());
        let after = exchanged(secrets, stream.clone());
        let transaction = Transaction::new()
            .expect(records::secrets_unchanged(snapshot, &peering.key))
            .put(Row::Secrets(peering.key.clone(), Arc::new(after)));
        Ok((Some(transaction), stream))
    };
    let failed = |error| {
        Refusal::new(
            Code::Internal,
            format!("the peering secret could not be kept: {error}"),
        )
    };
    records::change(link.reader(), link.writer(), decide, failed)
        .await
        .map_err(|refusal| status(&refusal))
}

/// Serves a stream: what comes back goes to the dialer until the stream is over.
pub(crate) async fn stream(
    link: &Link,
    mut incoming: Streaming<ReplicationMessage>,
) -> Result<Outgoing, Status> {
    let first = tokio::time::timeout(OPEN_TIMEOUT, incoming.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no Open came in time"))??;
    let open = expect_open(first.map(wire::decode)).map_err(|refusal| status(&refusal))?;
    let (outbound, outgoing) = mpsc::channel(stream::OUTBOUND_MESSAGES);
    match admit(link, &open).await.map_err(|refusal| status(&refusal))? {
        Admitted::Serve(key) => {
            let (generation, wish) = link.register(&key);
            tracing::info!(peer = %key.name, "peering stream accepted");
            let serving = link.clone();
            link.tasks()
                .spawn_background("peering accepted stream", async move {
                    serve(&serving, &key, generation, wish, incoming, outbound).await;
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

enum Admitted {
    Serve(PeeringKey),
    Tell(Refusal),
}

/// Decides on an `Open`; a pending secret is promoted in the same breath, so that it is used by one stream only.
async fn admit(link: &Link, open: &Open) -> Result<Admitted, Refusal> {
    let decide = |snapshot: &Snapshot| {
        let peering = snapshot.peering_by_id(&open.peer_id);
        let secrets = peering.and_then(|peering| snapshot.secrets(&peering.key));
        let found = peering.map(|peering| (&*peering.row, secrets.map(|row| &*row.row)));
        let promote = match decide_open(open, found, snapshot.roots().is_some()) {
            Verdict::Accept { promote } => promote,
            Verdict::TellTerminated(refusal) => return Ok((None, Admitted::Tell(refusal))),
            Verdict::Refuse(refusal) => return Err(refusal),
        };
        let (Some(peering), Some(secrets)) = (peering, secrets) else {
            return Err(Refusal::new(Code::Internal, "the peering has no secrets"));
        };
        let key = peering.key.clone();
        let transaction = promote.then(|| {
            let after: PeeringSecrets = promoted(secrets);
            let known = records::with(peering, |peering| {
                if !open.remote.datacenter.is_empty() {
                    peering.remote = open.remote.clone();
                }
            });
            Transaction::new()
                .expect(records::unchanged(peering))
                .expect(records::secrets_unchanged(snapshot, &key))
                .put(Row::Secrets(key.clone(), Arc::new(after)))
                .put(known)
        });
        Ok((transaction, Admitted::Serve(key)))
    };
    let failed = |error| {
        Refusal::new(
            Code::Internal,
            format!("the peering could not be updated: {error}"),
        )
    };
    records::change(link.reader(), link.writer(), decide, failed).await
}

async fn serve(
    link: &Link,
    key: &PeeringKey,
    generation: u64,
    wish: watch::Receiver<Wish>,
    incoming: Streaming<ReplicationMessage>,
    outbound: stream::Outbound,
) {
    let (session, effects) = Session::acceptor(link.clock().monotonic());
    link.connected(key, generation);
    let last_words = outbound.clone();
    let end = stream::drive(
        stream::Context {
            link,
            key,
            generation,
        },
        session,
        effects,
        incoming,
        outbound,
        wish,
    )
    .await;
    if let End::Failed(refusal) = &end {
        // A dialer that does not read does not get the reason either.
        let _ = last_words.try_send(Err(status(refusal)));
    }
    link.finished(key, generation, &end);
}
