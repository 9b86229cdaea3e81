//! The gRPC service.

use crate::Shared;
use crate::codec::DeltaCodec;
use crate::limits::{MAX_REQUEST_BYTES, OUTBOUND_QUEUE};
use crate::stream;
use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// `envoy.service.discovery.v3.AggregatedDiscoveryService`: a tower service for tonic's routes. Made by
/// [`crate::Gate::service`].
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Service { shared }
    }
}

impl NamedService for Service {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

impl<B> tower::Service<http::Request<B>> for Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let refused = match request.uri().path() {
            DELTA => {
                let delta = Delta {
                    shared: Arc::clone(&self.shared),
                };
                return Box::pin(async move {
                    let mut grpc = Grpc::new(DeltaCodec).max_decoding_message_size(MAX_REQUEST_BYTES);
                    Ok(grpc.streaming(delta, request).await)
                });
            }
            STATE_OF_THE_WORLD => Status::unimplemented(
                "only the delta protocol is served, set dynamic_resources.ads_config.api_type to DELTA_GRPC",
            ),
            _ => Status::unimplemented("the method does not exist, use DeltaAggregatedResources"),
        };
        Box::pin(ready(Ok(refused.into_http())))
    }
}

struct Delta {
    shared: Arc<Shared>,
}

impl StreamingService<DeltaDiscoveryRequest> for Delta {
    type Response = Bytes;
    type ResponseStream = ReceiverStream<Result<Bytes, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        let Some(seat) = Seat::take(&self.shared) else {
            let limit = self.shared.max_streams;
            return ready(Err(Status::resource_exhausted(format!(
                "{limit} streams are open, which is the most that this server takes; connect to another server"
            ))));
        };
        let (out, responses) = mpsc::channel(OUTBOUND_QUEUE);
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn_background("xds-stream", async move {
            stream::run(&shared, request.into_inner(), &out).await;
            drop(seat);
        });
        ready(Ok(Response::new(ReceiverStream::new(responses))))
    }
}

/// A place among the open streams; dropped when the stream ends.
struct Seat {
    shared: Arc<Shared>,
}

impl Seat {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let taken = shared
            .streams
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < shared.max_streams).then_some(open + 1)
            });
        taken.is_ok().then(|| Seat {
            shared: Arc::clone(shared),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
