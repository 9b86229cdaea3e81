//! Reaching an acceptor: TLS that trusts only what the peer gave us, and the two calls.

use crate::grpc::{EXCHANGE_SECRET, MAX_MESSAGE_BYTES, STREAM_RESOURCES};
use crate::wire::{ExchangeSecretRequest, ExchangeSecretResponse, ReplicationMessage};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use peerway_model::Secret;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// How long one address may take for TCP and TLS.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an acceptor may take to answer the opening of a stream.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a connection is pinged. A Consul acceptor closes connections that ping more often than every 15 s.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long a ping may go unanswered.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where and how to reach an acceptor.
pub struct Target {
    server_name: ServerName<'static>,
    authority: String,
    tls: Arc<ClientConfig>,
}

impl Target {
    /// A target that is verified by `ca_pems` alone, under `server_name`.
    ///
    /// # Errors
    /// A clause that names what cannot be used.
    pub fn new(server_name: &str, ca_pems: &[String]) -> Result<Self, String> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| format!("the server name {server_name:?} is not a DNS name"))?;
        let mut roots = RootCertStore::empty();
        for (index, pem) in ca_pems.iter().enumerate() {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                certificate
                    .map_err(|error| error.to_string())
                    .and_then(|der| roots.add(der).map_err(|error| error.to_string()))
                    .map_err(|error| format!("root certificate {index} cannot be used: {error}"))?;
            }
        }
        if roots.is_empty() {
            return Err("there is no root certificate to verify the peer by, and Peerway does not peer without TLS; enable TLS on the peer and generate a new token".to_owned());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Target {
            server_name: name,
            authority: server_name.to_owned(),
            tls: Arc::new(tls),
        })
    }

    /// Connects to one address.
    ///
    /// # Errors
    /// A clause that names the address.
    pub(crate) async fn connect(&self, address: &str) -> Result<Channel, String> {
        let (tls, name) = (Arc::clone(&self.tls), self.server_name.clone());
        let at = address.to_owned();
        let connector = tower::service_fn(move |_: http::Uri| {
            let (tls, name, at) = (Arc::clone(&tls), name.clone(), at.clone());
            async move { secure(tls, name, &at).await.map(TokioIo::new) }
        });
        let origin = http::Uri::try_from(format!("https://{}", self.authority))
            .map_err(|error| format!("the server name {:?} cannot be called: {error}", self.authority))?;
        // The scheme of the endpoint says nothing about the connection, which the connector makes; that of the
        // origin is what the acceptor sees.
        let endpoint = Endpoint::from_shared(format!("http://{}", self.authority))
            .map_err(|error| cause(&error))?
            .origin(origin)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        let connecting = endpoint.connect_with_connector(connector);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|error| format!("{address}: {}", cause(&error))),
            Err(_) => Err(format!(
                "{address}: no connection within {} s",
                CONNECT_TIMEOUT.as_secs()
            )),
        }
    }
}

async fn secure(
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
    address: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(tls).connect(name, stream).await
}

/// The innermost cause says what happened; the outer ones that it was in the transport.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

/// Exchanges the secret of a token for a stream secret.
pub(crate) async fn exchange(
    channel: Channel,
    peer_id: &str,
    establishment: &Secret,
) -> Result<Secret, Status> {
    let mut grpc = Grpc::new(channel);
    ready(&mut grpc).await?;
    let request = ExchangeSecretRequest {
        peer_id: peer_id.to_owned(),
        establishment_secret: establishment.expose().to_owned(),
    };
    let codec: ProstCodec<ExchangeSecretRequest, ExchangeSecretResponse> = ProstCodec::default();
    let path = PathAndQuery::from_static(EXCHANGE_SECRET);
    let answer = grpc.unary(Request::new(request), path, codec).await?.into_inner();
    if answer.stream_secret.is_empty() {
        return Err(Status::internal("the acceptor answered without a stream secret"));
    }
    Ok(Secret::new(answer.stream_secret))
}

/// Opens the stream. The first messages must be in `outgoing` already: an acceptor answers only after them.
pub(crate) async fn open(
    channel: Channel,
    outgoing: mpsc::Receiver<Result<ReplicationMessage, Status>>,
) -> Result<Streaming<ReplicationMessage>, Status> {
    let mut grpc = Grpc::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    ready(&mut grpc).await?;
    let messages = ReceiverStream::new(outgoing).filter_map(Result::ok);
    let codec: ProstCodec<ReplicationMessage, ReplicationMessage> = ProstCodec::default();
    let path = PathAndQuery::from_static(STREAM_RESOURCES);
    let opening = grpc.streaming(Request::new(messages), path, codec);
    match tokio::time::timeout(STREAM_TIMEOUT, opening).await {
        Ok(opened) => Ok(opened?.into_inner()),
        Err(_) => Err(Status::deadline_exceeded(
            "the acceptor did not answer the opening of the stream",
        )),
    }
}

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(format!("the connection broke: {}", cause(&error))))
}
