//! `peerway proxies`: the proxies of the mesh, as their streams are.

use super::table;
use crate::client::{Client, ClientFlags};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::process::ExitCode;

/// The commands about proxies.
#[derive(Subcommand)]
pub enum ProxiesCommand {
    /// List the proxies that are registered or connected
    List(List),
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    client: ClientFlags,
    /// Print everything that is known, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: ProxiesCommand) -> Result<ExitCode> {
    let ProxiesCommand::List(args) = command;
    let answer = Client::from_flags(&args.client)?
        .get("/v1/peerway/proxies")?
        .json()?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        let proxies = answer.as_array().context("the answer is not a list")?;
        let rows: Vec<Vec<String>> = proxies.iter().map(row).collect();
        let header = ["ID", "Node", "Kind", "Envoy", "Connected since", "State"];
        println!("{}", table::render(&header, &rows));
    }
    Ok(ExitCode::SUCCESS)
}

fn row(proxy: &Value) -> Vec<String> {
    let text = |key: &str| proxy[key].as_str().unwrap_or("-").to_owned();
    vec![
        text("ID"),
        text("Node"),
        text("Kind"),
        text("EnvoyVersion"),
        text("ConnectedSince"),
        state(proxy),
    ]
}

/// The most important thing about a proxy.
fn state(proxy: &Value) -> String {
    let first = &proxy["Refused"][0];
    let text = |key: &str| first[key].as_str().unwrap_or_default();
    if proxy["Connected"] != true {
        "not connected".to_owned()
    } else if proxy["Registered"] != true {
        "not registered".to_owned()
    } else if first.is_object() {
        format!("refuses {} {}: {}", text("Type"), text("Name"), text("Reason"))
    } else if proxy["Settled"] == true {
        "settled".to_owned()
    } else {
        "has not answered for everything".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_worst_is_shown() {
        let refused = json!([{ "Type": "listener", "Name": "l", "Reason": "cannot bind" }]);
        for (registered, connected, settled, refused, shown) in [
            (true, false, false, json!([]), "not connected"),
            (false, true, true, json!([]), "not registered"),
            (true, true, true, refused, "refuses listener l: cannot bind"),
            (true, true, false, json!([]), "has not answered for everything"),
            (true, true, true, json!([]), "settled"),
        ] {
            let proxy = json!({
                "Registered": registered, "Connected": connected, "Settled": settled, "Refused": refused,
            });
            assert_eq!(state(&proxy), shown);
        }
    }
}
