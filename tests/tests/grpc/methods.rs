//! A gRPC service whose methods stream both ways, and a caller of it that counts messages. Both speak HTTP/2 themselves,
//! so that nothing of Peerway judges Peerway.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use futures::SinkExt;
use futures::channel::mpsc;
use futures::future::ready;
use futures::stream::{self, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// The length of what stands before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

type Body = BoxBody<Bytes, Infallible>;

/// Starts the service on a port of loopback, for as long as `runtime` lives: every method sends back each message that
/// it gets. The port, and how many messages have come.
pub(crate) fn serve(runtime: &Runtime) -> (u16, Arc<AtomicU64>) {
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    runtime.spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let answer = service_fn(move |request| {
                    let counter = Arc::clone(&counter);
                    async move { Ok::<_, Infallible>(answer(request, counter)) }
                });
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(connection), answer)
                    .await;
            });
        }
    });
    (port, count)
}

fn answer(request: Request<Incoming>, counter: Arc<AtomicU64>) -> Response<Body> {
    let mut read = BytesMut::new();
    // A caller that goes away ends the stream.
    let back = BodyStream::new(request.into_body())
        .map(|frame| frame.ok().and_then(|frame| frame.into_data().ok()))
        .take_while(|data| ready(data.is_some()))
        .filter_map(ready)
        .map(move |data: Bytes| {
            read.extend_from_slice(&data);
            let mut whole = Vec::new();
            while let Some(message) = message(&mut read) {
                counter.fetch_add(1, Ordering::Relaxed);
                whole.push(Ok(Frame::data(framed(&message))));
            }
            stream::iter(whole)
        })
        .flatten();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let end = stream::once(async move { Ok(Frame::trailers(trailers)) });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(back.chain(end))));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The next whole message, taken out of what was read.
fn message(read: &mut BytesMut) -> Option<Bytes> {
    let length = read.get(1..PREFIX_BYTES)?;
    let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
    if read.len() < PREFIX_BYTES + length {
        return None;
    }
    read.advance(PREFIX_BYTES);
    Some(read.split_to(length).freeze())
}

fn framed(content: &[u8]) -> Bytes {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
    framed.extend_from_slice(content);
    Bytes::from(framed)
}

/// A connection of a caller.
pub(crate) struct Caller {
    sender: SendRequest<Body>,
}

/// A call that both sides may still send on.
pub(crate) struct Call {
    messages: mpsc::Sender<Bytes>,
    body: Incoming,
    read: BytesMut,
    sent: u64,
}

impl Caller {
    pub(crate) async fn connect(port: u16) -> Result<Self> {
        let connection = TcpStream::connect(("127.0.0.1", port)).await?;
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await?;
        tokio::spawn(driver);
        Ok(Caller { sender })
    }

    /// Begins a call with one message. `Err` with the gRPC status when it is refused.
    pub(crate) async fn call(&mut self, method: &str) -> Result<std::result::Result<Call, String>> {
        let (mut messages, waiting) = mpsc::channel::<Bytes>(1);
        let frames = waiting.map(|message| Ok::<_, Infallible>(Frame::data(message)));
        let request = Request::post(format!("http://methods{method}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header("te", "trailers")
            .body(BodyExt::boxed(StreamBody::new(frames)))?;
        messages.send(framed(&0_u64.to_be_bytes())).await?;
        let response = self.sender.send_request(request).await?;
        // Also a refusal is 200 to HTTP: what counts stands in a header.
        ensure!(
            response.status() == StatusCode::OK,
            "answered {}",
            response.status()
        );
        if let Some(status) = response.headers().get("grpc-status") {
            return Ok(Err(status.to_str()?.to_owned()));
        }
        let mut call = Call {
            messages,
            body: response.into_body(),
            read: BytesMut::new(),
            sent: 1,
        };
        call.comes_back(0).await?;
        Ok(Ok(call))
    }
}

impl Call {
    /// Sends one more message and waits until it has come back.
    pub(crate) async fn exchange(&mut self) -> Result<()> {
        let number = self.sent;
        self.messages
            .send(framed(&number.to_be_bytes()))
            .await
            .context("the call was reset")?;
        self.sent += 1;
        self.comes_back(number).await
    }

    async fn comes_back(&mut self, number: u64) -> Result<()> {
        loop {
            if let Some(message) = message(&mut self.read) {
                ensure!(
                    *message == number.to_be_bytes(),
                    "{message:?} came instead of {number}"
                );
                return Ok(());
            }
            let frame = self.body.frame().await.context("the call ended early")??;
            match frame.into_data() {
                Ok(data) => self.read.extend_from_slice(&data),
                Err(frame) => bail!("ended with {:?}", frame.into_trailers()),
            }
        }
    }

    /// Says that nothing follows, and waits for the end; how many messages were sent, all of which have come back.
    pub(crate) async fn finish(self) -> Result<u64> {
        drop(self.messages);
        let end = self.body.collect().await?;
        let trailers = end.trailers().cloned().unwrap_or_default();
        let status = trailers.get("grpc-status").map(HeaderValue::as_bytes);
        ensure!(status == Some(b"0"), "ended with {trailers:?}");
        ensure!(end.to_bytes().is_empty(), "more came than was sent");
        Ok(self.sent)
    }
}
