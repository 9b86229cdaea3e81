//! Over real sockets.

use super::messages::asked;
use super::zone;
use crate::{MAX_QUERY_BYTES, Parts, serve};
use domain::base::Message;
use domain::base::iana::{Rcode, Rtype};
use peerway_runtime::{Drain, Tasks};
use peerway_state::Transaction;
use peerway_store::{MemoryStorage, Store, open};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;

/// How long the drain may take at the end of a test.
const GRACE: Duration = Duration::from_secs(20);

struct Served {
    store: Store,
    udp: SocketAddr,
    tcp: SocketAddr,
    tasks: Tasks,
}

async fn served() -> Served {
    let store = open(MemoryStorage::default()).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (trigger, _) = Drain::new();
    let served = Served {
        udp: udp.local_addr().unwrap(),
        tcp: tcp.local_addr().unwrap(),
        tasks: Tasks::new(trigger),
        store,
    };
    let parts = Parts {
        reader: served.store.reader.clone(),
        zone: zone(),
        stale: watch::channel(Arc::default()).1,
    };
    serve(parts, udp, tcp, &served.tasks);
    served
}

async fn over_udp(served: &Served, question: &[u8]) -> Message<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(question, served.udp).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let (len, _) = socket.recv_from(&mut buffer).await.unwrap();
    Message::from_octets(buffer[..len].to_vec()).unwrap()
}

async fn on(stream: &mut TcpStream, question: &[u8]) -> Message<Vec<u8>> {
    let len = u16::try_from(question.len()).unwrap();
    stream.write_all(&len.to_be_bytes()).await.unwrap();
    stream.write_all(question).await.unwrap();
    let len = stream.read_u16().await.unwrap();
    let mut answer = vec![0; usize::from(len)];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_octets(answer).unwrap()
}

#[tokio::test]
async fn a_change_is_answered_at_once_over_both() {
    let served = served().await;
    let question = asked("api.service.consul", Rtype::A, None);
    let mut stream = TcpStream::connect(served.tcp).await.unwrap();
    for message in [
        over_udp(&served, &question).await,
        on(&mut stream, &question).await,
    ] {
        assert_eq!(message.header().rcode(), Rcode::NXDOMAIN);
    }
    let rows = [
        super::node(None, "n1", "10.0.0.1"),
        super::local("n1", "api", "", 90, &[]),
    ];
    let transaction = rows.into_iter().fold(Transaction::new(), Transaction::put);
    served.store.writer.commit(transaction).await.unwrap();
    // The same connection, which takes many questions.
    for message in [
        over_udp(&served, &question).await,
        on(&mut stream, &question).await,
        on(&mut stream, &question).await,
    ] {
        assert_eq!(message.header().rcode(), Rcode::NOERROR);
        assert_eq!(message.header_counts().ancount(), 1);
    }
    // An open connection does not hold up the end.
    let report = served.tasks.shutdown(GRACE).await;
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test]
async fn rubbish_ends_a_connection_and_nothing_else() {
    let served = served().await;
    let too_long = u16::try_from(MAX_QUERY_BYTES + 1).unwrap().to_be_bytes();
    for rubbish in [
        &[0, 0][..],
        &[0, 3, 1, 2, 3],
        &too_long,
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(served.tcp).await.unwrap();
        stream.write_all(rubbish).await.unwrap();
        // What says that more comes than does waits for it; an end of it is an end.
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        // Reset, should the server not have read all of it.
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{rest:?}");
    }
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for rubbish in [&b""[..], b"x", &[0xff; 11], &[0xff; 600]] {
        socket.send_to(rubbish, served.udp).await.unwrap();
    }
    let question = asked("consul", Rtype::SOA, None);
    let message = over_udp(&served, &question).await;
    assert_eq!(message.header_counts().ancount(), 1);
    let mut stream = TcpStream::connect(served.tcp).await.unwrap();
    assert_eq!(on(&mut stream, &question).await.header_counts().ancount(), 1);
    assert!(served.tasks.shutdown(GRACE).await.is_clean());
}
