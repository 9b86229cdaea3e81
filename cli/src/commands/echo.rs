//! `peerway echo`: the service of the demo.

use anyhow::{Context, Result};
use axum::extract::Request;
use clap::Args;
use serde_json::json;
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
            let body = json!({
                "service": name,
                "method": request.method().as_str(),
                "path": request.uri().path(),
            });
            async move { axum::Json(body) }
        });
        axum::serve(listener, app).await.context("serving stopped")
    })?;
    Ok(ExitCode::SUCCESS)
}
