//! The gRPC service of a peering endpoint, server side (wire facts, section 2.4).

use crate::accept;
use crate::link::Link;
use crate::wire::{ExchangeSecretRequest, ExchangeSecretResponse, ReplicationMessage};
use peerway_model::Requester;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, StdError};
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::Service;

/// The service's name, and the only path prefix that a connection with the peering server's SNI may use.
pub const SERVICE: &str = "hashicorp.consul.internal.peerstream.PeerStreamService";
pub(crate) const EXCHANGE_SECRET: &str =
    "/hashicorp.consul.internal.peerstream.PeerStreamService/ExchangeSecret";
pub(crate) const STREAM_RESOURCES: &str =
    "/hashicorp.consul.internal.peerstream.PeerStreamService/StreamResources";
/// Largest message in either direction, in bytes: what a Consul dialer takes.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
pub(crate) type Outgoing = ReceiverStream<Result<ReplicationMessage, Status>>;

/// The service, to be added to a tonic `Routes`. Clones share the [`Link`].
#[derive(Clone)]
pub struct PeerStreamServer {
    link: Link,
}

impl PeerStreamServer {
    /// The service of this link.
    pub fn new(link: Link) -> Self {
        PeerStreamServer { link }
    }
}

impl NamedService for PeerStreamServer {
    const NAME: &'static str = SERVICE;
}

impl<B> Service<http::Request<B>> for PeerStreamServer
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let link = self.link.clone();
        match request.uri().path() {
            EXCHANGE_SECRET => Box::pin(async move {
                let mut grpc = Grpc::new(ProstCodec::default());
                Ok(grpc.unary(Exchange(link), request).await)
            }),
            STREAM_RESOURCES => Box::pin(async move {
                let mut grpc = Grpc::new(ProstCodec::default())
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
                    .max_encoding_message_size(MAX_MESSAGE_BYTES);
                Ok(grpc.streaming(Stream(link), request).await)
            }),
            _ => Box::pin(async move { Ok(Status::unimplemented("no such method").into_http()) }),
        }
    }
}

/// Who calls: the address is that of a mesh gateway when one stands between.
fn requester<T>(request: &Request<T>) -> Requester {
    let program = request.metadata().get("user-agent");
    Requester {
        address: request
            .remote_addr()
            .map(|address| address.to_string())
            .unwrap_or_default(),
        program: program
            .and_then(|program| program.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
    }
}

struct Exchange(Link);

impl UnaryService<ExchangeSecretRequest> for Exchange {
    type Response = ExchangeSecretResponse;
    type Future = Answer<ExchangeSecretResponse>;

    fn call(&mut self, request: Request<ExchangeSecretRequest>) -> Self::Future {
        let link = self.0.clone();
        Box::pin(async move {
            let by = requester(&request);
            let request = request.into_inner();
            let (id, offered) = (&request.peer_id, &request.establishment_secret);
            let secret = accept::exchange(&link, id, offered, by).await?;
            Ok(Response::new(ExchangeSecretResponse {
                stream_secret: secret.expose().to_owned(),
            }))
        })
    }
}

struct Stream(Link);

impl StreamingService<ReplicationMessage> for Stream {
    type Response = ReplicationMessage;
    type ResponseStream = Outgoing;
    type Future = Answer<Outgoing>;

    fn call(&mut self, request: Request<Streaming<ReplicationMessage>>) -> Self::Future {
        let link = self.0.clone();
        Box::pin(async move {
            let by = requester(&request);
            let outgoing = accept::stream(&link, request.into_inner(), by).await?;
            Ok(Response::new(outgoing))
        })
    }
}
