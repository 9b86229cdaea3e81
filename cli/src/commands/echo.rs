//! `peerway echo`: the service of the demo. It answers with the request as it came, in HTTP/1.1 or HTTP/2.

use anyhow::{Context, Result};
use axum::extract::Request;
use clap::Args;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::process::ExitCode;

#[derive(Args)]
pub struct EchoArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// What to call itself in answers
    #[arg(long, default_value = "echo")]
    name: String,
}

pub(super) fn run(args: &EchoArgs) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        let name = args.name.clone();
        let app = axum::Router::new().fallback(move |request: Request| {
            let headers: Vec<(&str, Cow<'_, str>)> = request
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
                .collect();
            let body = json!({
                "service": name,
                "version": format!("{:?}", request.version()),
                "method": request.method().as_str(),
                "path": request.uri().path(),
                "headers": headers,
            });
            async move { axum::Json(body) }
        });
        // Not axum's own server: it speaks what the API speaks, and this has to understand HTTP/2 as well.
        loop {
            let (connection, _) = listener.accept().await.context("cannot accept")?;
            let app = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let served = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(connection), app)
                    .await;
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection broke");
                }
            });
        }
    })
}
