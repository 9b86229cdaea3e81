//! Applications that speak one protocol each: bytes and upgraded connections come back as they were sent, gRPC
//! messages one by one, other requests are answered with the HTTP version that they came in.

use crate::cell::Protocol;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::IpAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

type Body = BoxBody<Bytes, hyper::Error>;

/// Starts an application on a port of this address; it runs as long as `runtime`. The port.
pub(crate) fn start(runtime: &Runtime, protocol: Protocol, ip: IpAddr) -> u16 {
    let listener = runtime.block_on(TcpListener::bind((ip, 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    runtime.spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            match protocol {
                Protocol::Tcp => drop(tokio::spawn(repeat(connection))),
                _ => drop(tokio::spawn(serve(connection))),
            }
        }
    });
    port
}

async fn repeat(mut connection: TcpStream) {
    let (mut reader, mut writer) = connection.split();
    // The caller may close whenever it likes.
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
}

async fn serve(connection: TcpStream) {
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(connection), service_fn(answer))
        .await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let named = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    if named(header::UPGRADE) == Some(b"websocket") {
        return Ok(upgraded(request));
    }
    if named(header::CONTENT_TYPE) == Some(b"application/grpc") {
        return Ok(messages(request));
    }
    let version = format!("{:?}", request.version());
    Ok(Response::new(whole(version)))
}

fn whole(text: String) -> Body {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed()
}

fn upgraded(mut request: Request<Incoming>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(connection) = upgrade.await {
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(connection));
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        }
    });
    let mut response = Response::new(whole(String::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// A method that returns every message of its stream, and then OK.
fn messages(request: Request<Incoming>) -> Response<Body> {
    let data = BodyStream::new(request.into_body()).filter_map(async |frame| match frame {
        Ok(frame) => frame.into_data().ok().map(|data| Ok(Frame::data(data))),
        Err(error) => Some(Err(error)),
    });
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let end = stream::once(async move { Ok(Frame::trailers(trailers)) });
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(data.chain(end))));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
