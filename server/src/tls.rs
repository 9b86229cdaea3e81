//! The TLS endpoint that other clusters dial.
//!
//! It presents the server's own leaf for exactly one SNI, `server.<dc>.peering.<trust domain>`, and asks for no client
//! certificate: peers are known by their secrets (wire facts, section 2.2). Nothing but peering is served here.

use peerway_model::Leaf;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// How long a peer may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections at once, those shaking hands included; further ones wait in the kernel's queue. A peer needs one.
const MAX_CONNECTIONS: usize = 1024;
/// Connections that have shaken hands and wait to be served.
const ACCEPTED: usize = 64;
/// How long to wait after the system refused a connection, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Gives out the newest server certificate, and only for our own server name.
struct Certificates {
    server_name: String,
    newest: RwLock<Option<Arc<CertifiedKey>>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", self.server_name)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if !hello
            .server_name()
            .is_some_and(|name| name.eq_ignore_ascii_case(&self.server_name))
        {
            return None;
        }
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Certificates {
    fn take(&self, leaf: &Leaf) -> Result<(), String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.expose().as_bytes())
            .map_err(|error| error.to_string())?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| error.to_string())?;
        let certified = Arc::new(CertifiedKey::new(chain, key));
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = Some(certified);
        Ok(())
    }
}

/// Accepts connections on `listener` until the returned stream is dropped. The certificate follows `leaves`.
///
/// # Errors
/// When the TLS library refuses its own defaults.
pub(crate) fn accept(
    listener: TcpListener,
    server_name: String,
    mut leaves: watch::Receiver<Option<Arc<Leaf>>>,
) -> Result<ReceiverStream<std::io::Result<PeerConnection>>, rustls::Error> {
    let certificates = Arc::new(Certificates {
        server_name,
        newest: RwLock::new(None),
    });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates.clone());
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (accepted, stream) = mpsc::channel(ACCEPTED);
    let closed = accepted.clone();
    let follow = async move {
        loop {
            let newest = leaves.borrow_and_update().clone();
            if let Some(leaf) = newest
                && let Err(error) = certificates.take(&leaf)
            {
                tracing::error!(error, "the peering endpoint's certificate cannot be used");
            }
            if leaves.changed().await.is_err() {
                break;
            }
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = closed.closed() => {}
            () = follow => closed.closed().await,
        }
    });
    tokio::spawn(shake_hands(listener, acceptor, accepted));
    Ok(ReceiverStream::new(stream))
}

async fn shake_hands(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    accepted: mpsc::Sender<std::io::Result<PeerConnection>>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let connection = tokio::select! {
            () = accepted.closed() => return,
            connection = listener.accept() => connection,
        };
        let (tcp, from) = match connection {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "a connection to the peering endpoint could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, accepted) = (acceptor.clone(), accepted.clone());
        tokio::spawn(async move {
            // Peering messages are small and must not wait for one another.
            let _ = tcp.set_nodelay(true);
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(tcp)).await {
                Ok(Ok(tls)) => {
                    // The server has stopped when nobody takes it.
                    let _ = accepted.send(Ok(PeerConnection { tls, _slot: slot })).await;
                }
                Ok(Err(error)) => tracing::debug!(%from, %error, "a TLS handshake with a peer failed"),
                Err(_) => tracing::debug!(%from, "a TLS handshake with a peer took too long"),
            }
        });
    }
}

/// A connection of a peer.
pub(crate) struct PeerConnection {
    tls: TlsStream<TcpStream>,
    /// Given back when the connection is closed.
    _slot: OwnedSemaphorePermit,
}

impl Connected for PeerConnection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for PeerConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
