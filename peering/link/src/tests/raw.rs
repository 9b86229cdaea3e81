//! What the accepting side does with dialers that are not ours, or not well behaved.

use super::{Cluster, introduce};
use crate::dial::{self, Target};
use crate::wire::{self, ReplicationMessage};
use peerway_model::peering::RemoteInfo;
use peerway_model::{Peering, Secret};
use peerway_peering_protocol::{Message, Open, Request, ResourceType};
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

/// A dialer's credentials without the dialer.
struct Dialer {
    peering: Peering,
    secret: Secret,
}

struct Wire {
    outbound: mpsc::Sender<Result<ReplicationMessage, Status>>,
    incoming: Streaming<ReplicationMessage>,
}

impl Dialer {
    /// Takes them from a real one that stops for good.
    async fn instead_of(west: &mut Cluster) -> Self {
        let peering = west.peering().unwrap();
        let secrets = west.snapshot().secrets(&peering.key).cloned().unwrap();
        west.stop().await;
        Dialer {
            secret: secrets.active_stream.clone().unwrap(),
            peering,
        }
    }

    fn open(&self) -> Open {
        Open {
            peer_id: self.peering.remote_id.clone().unwrap(),
            stream_secret: self.secret.clone(),
            remote: RemoteInfo::default(),
        }
    }

    async fn dial(&self, first: Message) -> Result<Wire, Status> {
        let target = Target::new(self.peering.server_name.as_ref().unwrap(), &self.peering.ca_pems).unwrap();
        let channel = target.connect(&self.peering.server_addresses[0]).await.unwrap();
        let (outbound, outgoing) = mpsc::channel(16);
        outbound.try_send(Ok(wire::encode(&first))).unwrap();
        let incoming = dial::open(channel, outgoing).await?;
        Ok(Wire { outbound, incoming })
    }
}

impl Wire {
    async fn send(&self, message: Message) {
        self.outbound.send(Ok(wire::encode(&message))).await.unwrap();
    }

    /// Reads until the stream ends; `Ok` is a clean end.
    async fn end(&mut self) -> Code {
        loop {
            match self.incoming.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Code::Ok,
                Err(status) => return status.code(),
            }
        }
    }
}

async fn east_and_dialer() -> (Cluster, Dialer) {
    let (east, mut west) = (Cluster::new("east").await, Cluster::new("west").await);
    introduce(&east, &west).await;
    let dialer = Dialer::instead_of(&mut west).await;
    (east, dialer)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_stream_wins() {
    let (east, dialer) = east_and_dialer().await;
    let mut first = dialer.dial(Message::Open(dialer.open())).await.unwrap();
    let mut second = dialer.dial(Message::Open(dialer.open())).await.unwrap();
    assert_eq!(first.end().await, Code::Aborted);
    // The end of the first did not end the second, nor its status.
    second.send(Message::Terminated).await;
    // Drops the sender, which half-closes.
    second.outbound = mpsc::channel(1).0;
    assert_eq!(second.end().await, Code::Ok);
    east.until(
        "termination",
        super::has_state(peerway_model::PeeringState::Terminated),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_prove_itself_is_refused() {
    let (east, dialer) = east_and_dialer().await;
    let stranger = "00000000-0000-4000-8000-000000000000".to_owned();
    let whole = || dialer.open();
    for (first, code) in [
        (Message::Heartbeat(None), Code::InvalidArgument),
        (
            Message::Open(Open {
                peer_id: String::new(),
                ..whole()
            }),
            Code::InvalidArgument,
        ),
        (
            Message::Open(Open {
                peer_id: stranger,
                ..whole()
            }),
            Code::InvalidArgument,
        ),
        (
            Message::Open(Open {
                stream_secret: Secret::new("x"),
                ..whole()
            }),
            Code::PermissionDenied,
        ),
        (
            Message::Open(Open {
                stream_secret: Secret::new(""),
                ..whole()
            }),
            Code::PermissionDenied,
        ),
    ] {
        let refused = dialer.dial(first).await.err().map(|status| status.code());
        assert_eq!(refused, Some(code));
    }
    super::delete(&east, "west").await;
    east.until("no record", |snapshot| snapshot.peerings().next().is_none())
        .await;
    let refused = dialer.dial(Message::Open(whole())).await.err();
    assert_eq!(refused.map(|status| status.code()), Some(Code::InvalidArgument));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_protocol_ends_the_stream_with_its_reason() {
    let (_east, dialer) = east_and_dialer().await;
    let mut wire = dialer.dial(Message::Open(dialer.open())).await.unwrap();
    let early_ack = Request {
        peer_id: String::new(),
        nonce: "00000001".to_owned(),
        url: ResourceType::TrustBundle.url().to_owned(),
        error: None,
        digests: 0,
        resync: false,
    };
    wire.send(Message::Request(early_ack)).await;
    assert_eq!(wire.end().await, Code::InvalidArgument);
    // Half-closing without a word is an error too.
    let mut wire = dialer.dial(Message::Open(dialer.open())).await.unwrap();
    wire.outbound = mpsc::channel(1).0;
    assert_eq!(wire.end().await, Code::Unknown);
}
