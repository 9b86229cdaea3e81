//! `peerway maint`: take a service instance or a node out of traffic and put it back.

use super::change::WaitFlag;
use crate::client::{Client, ClientFlags, segment};
use anyhow::Result;
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Args)]
pub struct Maint {
    #[command(flatten)]
    client: ClientFlags,
    /// Take it out
    #[arg(long, conflicts_with = "disable", required_unless_present = "disable")]
    enable: bool,
    /// Put it back
    #[arg(long)]
    disable: bool,
    /// Id of the service instance; the whole node without it
    #[arg(long)]
    service: Option<String>,
    /// Why, for those who look
    #[arg(long, requires = "enable")]
    reason: Option<String>,
    #[command(flatten)]
    wait: WaitFlag,
}

pub(super) fn run(args: &Maint) -> Result<ExitCode> {
    let client = Client::from_flags(&args.client)?;
    let path = match &args.service {
        Some(id) => format!("/v1/agent/service/maintenance/{}", segment(id)),
        None => "/v1/agent/maintenance".to_owned(),
    };
    let tenancy = args.client.tenancy_query();
    let joint = if tenancy.is_empty() { "?" } else { "&" };
    let reason = args
        .reason
        .as_deref()
        .map_or(String::new(), |reason| format!("&reason={}", segment(reason)));
    let enable = args.enable;
    let answer = client
        .put(
            &format!("{path}{tenancy}{joint}enable={enable}{reason}"),
            &Value::Null,
        )?
        .ok()?;
    println!("Maintenance {}", if enable { "enabled" } else { "disabled" });
    args.wait.after(&client, &answer)
}
