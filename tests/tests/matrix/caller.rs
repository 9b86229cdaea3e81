//! A caller of each protocol, as an application is that dials a port of its own sidecar, or whoever is outside and
//! dials a gateway.

use crate::cell::Protocol;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// One call; what was seen.
///
/// # Errors
/// When the answer is not what the application gives.
pub(crate) async fn call(protocol: Protocol, at: SocketAddr) -> Result<String> {
    let connection = TcpStream::connect(at).await?;
    match protocol {
        Protocol::Tcp => bytes(connection).await,
        Protocol::Http => page(connection).await,
        Protocol::Http2 => stream(connection).await,
        Protocol::Grpc => method(connection).await,
        Protocol::WebSocket => socket(connection).await,
    }
}

async fn bytes(mut connection: TcpStream) -> Result<String> {
    comes_back(&mut connection, b"first").await?;
    comes_back(&mut connection, b"second").await?;
    Ok("bytes came back".to_owned())
}

async fn comes_back(connection: &mut (impl AsyncRead + AsyncWrite + Unpin), sent: &[u8]) -> Result<()> {
    connection.write_all(sent).await?;
    let mut back = vec![0; sent.len()];
    connection
        .read_exact(&mut back)
        .await
        .context("nothing came back")?;
    ensure!(back == sent, "{sent:?} came back as {back:?}");
    Ok(())
}

async fn page(connection: TcpStream) -> Result<String> {
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    tokio::spawn(driver);
    let request = Request::get("/page")
        .header(header::HOST, "pages")
        .body(Empty::<Bytes>::new())?;
    came_as(sender.send_request(request).await?, "HTTP/1.1").await
}

async fn stream(connection: TcpStream) -> Result<String> {
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await?;
    tokio::spawn(driver);
    let request = Request::get("http://streams/page").body(Empty::<Bytes>::new())?;
    came_as(sender.send_request(request).await?, "HTTP/2.0").await
}

async fn came_as(response: Response<Incoming>, version: &str) -> Result<String> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let told = String::from_utf8_lossy(&body).into_owned();
    ensure!(
        status == StatusCode::OK && told == version,
        "answered {status}: {told}"
    );
    Ok(format!("answered over {version}"))
}

/// Two messages, the second one only when the first has come back, so that both ways must stream.
async fn method(connection: TcpStream) -> Result<String> {
    let (mut sender, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await?;
    tokio::spawn(driver);
    let (mut messages, waiting) = mpsc::channel::<Bytes>(1);
    let body = StreamBody::new(waiting.map(|message| Ok::<_, Infallible>(Frame::data(message))));
    let request = Request::post("http://methods/matrix.Methods/Repeat")
        .header(header::CONTENT_TYPE, "application/grpc")
        .header("te", "trailers")
        .body(body)?;
    messages.send(message(b"first")).await?;
    let response = sender.send_request(request).await?;
    ensure!(
        response.status() == StatusCode::OK,
        "answered {}",
        response.status()
    );
    let refused = response.headers().get("grpc-status");
    ensure!(refused.is_none(), "refused with {refused:?}");
    let mut body = response.into_body();
    for sent in [b"first".as_slice(), b"second"] {
        if sent != b"first" {
            messages.send(message(sent)).await?;
        }
        let mut back = Vec::new();
        while back.len() < message(sent).len() {
            let frame = body.frame().await.context("the answer ended early")??;
            let Ok(data) = frame.into_data() else {
                bail!("trailers came before {sent:?}");
            };
            back.extend_from_slice(&data);
        }
        ensure!(message(sent) == back, "{sent:?} came back as {back:?}");
    }
    drop(messages);
    let trailers = body.collect().await?.trailers().cloned().unwrap_or_default();
    let status = trailers.get("grpc-status").map(|value| value.as_bytes().to_vec());
    ensure!(
        status.as_deref() == Some(b"0"),
        "ended with the trailers {trailers:?}"
    );
    Ok("streamed both ways".to_owned())
}

/// A message as gRPC frames it: not compressed, its length, itself.
fn message(content: &[u8]) -> Bytes {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(content);
    Bytes::from(framed)
}

async fn socket(connection: TcpStream) -> Result<String> {
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    tokio::spawn(driver.with_upgrades());
    let request = Request::get("/socket")
        .header(header::HOST, "sockets")
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "bWF0cml4IG9mIGNhbGxzIQ==")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    ensure!(
        response.status() == StatusCode::SWITCHING_PROTOCOLS,
        "answered {}",
        response.status()
    );
    let mut upgraded = TokioIo::new(hyper::upgrade::on(response).await?);
    comes_back(&mut upgraded, b"first").await?;
    comes_back(&mut upgraded, b"second").await?;
    Ok("upgraded".to_owned())
}
