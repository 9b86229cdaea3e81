//! `peerway server`.

use anyhow::{Context, Result};
use clap::Args;
use peerway_server::{Overrides, Settings};
use std::process::ExitCode;

#[derive(Args)]
pub struct ServerArgs {
    /// A file of settings, HCL or JSON; may be given more than once, later ones win
    #[arg(long, value_name = "FILE")]
    config_file: Vec<String>,
    /// Keep everything in memory, log for people, need no file
    #[arg(long)]
    dev: bool,
    /// Name of this cluster
    #[arg(long, value_name = "NAME")]
    datacenter: Option<String>,
    /// Where to keep state
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Address that the listeners bind to
    #[arg(long, value_name = "ADDR")]
    client: Option<String>,
    /// Name of this node in the catalog
    #[arg(long = "node", value_name = "NAME")]
    node_name: Option<String>,
    /// trace, debug, info, warn or error
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Log JSON
    #[arg(long)]
    log_json: bool,
    /// Port of the HTTP API; -1 switches it off
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    http_port: Option<i64>,
    /// Port of plaintext xDS; -1 switches it off
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    grpc_port: Option<i64>,
    /// Port of TLS for xDS and peering; -1 switches it off
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    grpc_tls_port: Option<i64>,
    /// Port of DNS, over UDP and TCP; -1 switches it off
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    dns_port: Option<i64>,
}

pub(super) fn run(args: ServerArgs) -> Result<ExitCode> {
    let overrides = Overrides {
        dev: args.dev,
        datacenter: args.datacenter,
        data_dir: args.data_dir,
        client_addr: args.client,
        node_name: args.node_name,
        log_level: args.log_level,
        log_json: args.log_json,
        http_port: args.http_port,
        grpc_port: args.grpc_port,
        grpc_tls_port: args.grpc_tls_port,
        dns_port: args.dns_port,
    };
    let mut files = Vec::new();
    for file in args.config_file {
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        files.push((file, text));
    }
    let settings = Settings::load(&files, overrides)?;
    peerway_server::run(settings)?;
    Ok(ExitCode::SUCCESS)
}
