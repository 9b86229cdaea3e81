//! Sockets: one task for datagrams, one for each connection. Every question is answered from the newest snapshot.

use crate::answer::Known;
use crate::metrics;
use crate::wire::{Reply, Transport, respond};
use crate::zone::Zone;
use peerway_model::PeeringKey;
use peerway_runtime::{DrainWatch, Tasks};
use peerway_store::Reader;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

/// Most bytes of a question; a real one has a hundred.
pub const MAX_QUERY_BYTES: usize = 4_096;
/// Most connections at a time; whoever comes then waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// How long a connection may be without a whole question, and how long an answer may take to be taken.
const IDLE: Duration = Duration::from_secs(10);
/// How long nothing is taken from a socket that has failed, which it may do again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// The peerings of which what is held is too old, as they change.
pub type Stale = watch::Receiver<Arc<BTreeSet<PeeringKey>>>;

/// What answers are made from.
pub struct Parts {
    /// The state.
    pub reader: Reader,
    /// Whose names are answered, and how.
    pub zone: Zone,
    /// Of which peers what is held is too old.
    pub stale: Stale,
}

impl Parts {
    fn respond(&self, bytes: &[u8], transport: Transport) -> Option<Reply> {
        let snapshot = self.reader.snapshot();
        let stale = self.stale.borrow().clone();
        let known = Known {
            snapshot: &snapshot,
            zone: &self.zone,
            stale: &stale,
        };
        let reply = respond(known, bytes, transport, fastrand::u64(..));
        let outcome = reply.as_ref().map_or("ignored", |reply| reply.outcome);
        metrics::QUERIES
            .with_label_values(&[transport.as_str(), outcome])
            .inc();
        reply
    }
}

/// Answers on both sockets until the drain begins.
pub fn serve(parts: Parts, udp: UdpSocket, tcp: TcpListener, tasks: &Tasks) {
    let parts = Arc::new(parts);
    let (of_udp, stop) = (parts.clone(), tasks.watch());
    tasks.spawn("dns over udp", async move {
        datagrams(&of_udp, &udp, &stop).await;
        Ok::<(), io::Error>(())
    });
    let own = tasks.clone();
    tasks.spawn("dns over tcp", async move {
        connections(&parts, &tcp, &own).await;
        Ok::<(), io::Error>(())
    });
}

async fn datagrams(parts: &Parts, socket: &UdpSocket, stop: &DrainWatch) {
    let mut buffer = vec![0; MAX_QUERY_BYTES];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = stop.signaled() => return,
        };
        let (len, from) = match received {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(%error, "cannot receive questions");
                sleep(PAUSE).await;
                continue;
            }
        };
        let bytes = buffer.get(..len).unwrap_or_default();
        let Some(reply) = parts.respond(bytes, Transport::Udp) else {
            continue;
        };
        // Whoever does not get an answer asks again: one that does not fit into the socket's buffer is not waited for,
        // or one asker could hold up all others.
        if let Err(error) = socket.try_send_to(&reply.bytes, from) {
            tracing::debug!(%error, %from, "an answer was not sent");
        }
    }
}

async fn connections(parts: &Arc<Parts>, listener: &TcpListener, tasks: &Tasks) {
    let stop = tasks.watch();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(listener, &places) => accepted,
            () = stop.signaled() => return,
        };
        match accepted {
            Ok((stream, place)) => {
                let (parts, stop) = (parts.clone(), stop.clone());
                tasks.spawn_background("dns connection", async move {
                    metrics::CONNECTIONS.inc();
                    tokio::select! {
                        ended = conversation(&parts, stream) => if let Err(error) = ended {
                            tracing::debug!(%error, "a connection has ended");
                        },
                        () = stop.signaled() => {}
                    }
                    metrics::CONNECTIONS.dec();
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Questions and answers, one after the other, each with its length before it (RFC 1035 section 4.2.2).
async fn conversation(parts: &Parts, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; MAX_QUERY_BYTES];
    loop {
        let Some(len) = timeout(IDLE, question(&mut stream, &mut buffer)).await?? else {
            return Ok(());
        };
        let bytes = buffer.get(..len).unwrap_or_default();
        // Who sends what is no question has nothing to wait for.
        let Some(reply) = parts.respond(bytes, Transport::Tcp) else {
            return Ok(());
        };
        let len = u16::try_from(reply.bytes.len()).map_err(io::Error::other)?;
        let mut framed = Vec::with_capacity(reply.bytes.len() + 2);
        framed.extend(len.to_be_bytes());
        framed.extend(reply.bytes);
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}

/// The next question's length, its bytes being in the buffer; `None` when there is no more.
async fn question(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let len = match stream.read_u16().await {
        Ok(len) => usize::from(len),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(whole) = buffer.get_mut(..len) else {
        return Err(io::Error::other(format!(
            "a question of {len} bytes is longer than {MAX_QUERY_BYTES}"
        )));
    };
    stream.read_exact(whole).await?;
    Ok(Some(len))
}
