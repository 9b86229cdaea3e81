//! `peerway peering tokens`, `revoke-token` and `audit`.

use super::{Format, text, words};
use crate::client::{Client, ClientFlags, segment};
use crate::commands::table;
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use std::process::ExitCode;

#[derive(Args)]
pub struct Tokens {
    #[command(flatten)]
    client: ClientFlags,
    /// Only the tokens of this peering
    #[arg(long)]
    name: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

#[derive(Args)]
pub struct RevokeToken {
    #[command(flatten)]
    client: ClientFlags,
    /// The peering's name here
    #[arg(long)]
    name: String,
    /// Only the token with this accessor; needed when the peering lives on several
    #[arg(long, value_name = "ID", conflicts_with = "all")]
    accessor_id: Option<String>,
    /// All tokens that open something
    #[arg(long)]
    all: bool,
}

#[derive(Args)]
pub struct Audit {
    #[command(flatten)]
    client: ClientFlags,
    /// Only what was done with this peering
    #[arg(long)]
    name: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

pub(super) fn tokens(args: &Tokens) -> Result<ExitCode> {
    let query = args.client.tenancy_query();
    let path = match &args.name {
        Some(name) => format!("/v1/peerway/peering-tokens/{}{query}", segment(name)),
        None => format!("/v1/peerway/peering-tokens{query}"),
    };
    let answer = Client::from_flags(&args.client)?.get(&path)?;
    if let (404, Some(name)) = (answer.status, &args.name) {
        bail!("No peering with name {name} found.");
    }
    let answer = answer.json()?;
    if matches!(args.format, Format::Json) {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(ExitCode::SUCCESS);
    }
    let tokens = answer.as_array().context("the answer is not a list")?;
    if tokens.is_empty() {
        println!("There are no peering tokens.");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            vec![
                text(&token["PeerName"]),
                text(&token["AccessorID"]),
                text(&token["State"]),
                text(&token["CreateTime"]),
                or_dash(text(&token["ExpirationTime"])),
                or_dash(text(&token["RequestID"])),
                or_dash(bounds(token)),
            ]
        })
        .collect();
    let header = [
        "Peer",
        "Accessor ID",
        "State",
        "Created",
        "Expires",
        "Request ID",
        "Bounds",
    ];
    println!("{}", table::render(&header, &rows));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn revoke(args: &RevokeToken) -> Result<ExitCode> {
    let mut path = format!("/v1/peerway/peering-tokens/{}", segment(&args.name));
    let tenancy = args.client.tenancy_query();
    let mut query: Vec<String> = tenancy.strip_prefix('?').map(str::to_owned).into_iter().collect();
    query.extend(
        args.accessor_id
            .as_ref()
            .map(|accessor| format!("accessor={}", segment(accessor))),
    );
    query.extend(args.all.then(|| "all".to_owned()));
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let answer = Client::from_flags(&args.client)?.delete(&path)?.json()?;
    let revoked = answer["Revoked"]
        .as_array()
        .context("the answer has no Revoked")?;
    if revoked.is_empty() {
        println!("No token of {} opened anything any more", args.name);
    }
    for accessor in revoked {
        println!("Revoked token {} of peering {}", text(accessor), args.name);
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn audit(args: &Audit) -> Result<ExitCode> {
    let tenancy = args.client.tenancy_query();
    let mut query: Vec<String> = tenancy.strip_prefix('?').map(str::to_owned).into_iter().collect();
    query.extend(args.name.as_ref().map(|name| format!("name={}", segment(name))));
    let query = query.join("&");
    let separator = if query.is_empty() { "" } else { "?" };
    let path = format!("/v1/peerway/peering-audit{separator}{query}");
    let answer = Client::from_flags(&args.client)?.get(&path)?.json()?;
    if matches!(args.format, Format::Json) {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(ExitCode::SUCCESS);
    }
    let records = answer.as_array().context("the answer is not a list")?;
    if records.is_empty() {
        println!("Nothing was done with peering tokens yet.");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = records
        .iter()
        .map(|record| {
            vec![
                text(&record["Time"]),
                text(&record["Action"]),
                text(&record["PeerName"]),
                or_dash(text(&record["AccessorID"])),
                or_dash(text(&record["Address"])),
                or_dash(text(&record["Program"])),
                or_dash(text(&record["Detail"])),
            ]
        })
        .collect();
    let header = [
        "Time",
        "Action",
        "Peer",
        "Accessor ID",
        "Address",
        "Program",
        "Detail",
    ];
    println!("{}", table::render(&header, &rows));
    Ok(ExitCode::SUCCESS)
}

/// One line about a token, for the text of a peering.
pub(super) fn line(token: &Value) -> String {
    let mut line = format!("{} {}", text(&token["AccessorID"]), text(&token["State"]));
    if let Some(until) = token["ExpirationTime"].as_str() {
        line.push_str(&format!(", expires {until}"));
    }
    let bounds = bounds(token);
    if !bounds.is_empty() {
        line.push_str(&format!(", {bounds}"));
    }
    for refused in token["Refused"].as_array().into_iter().flatten() {
        line.push_str(&format!(
            "; refused at {}: {}",
            text(&refused["Time"]),
            text(&refused["Reason"])
        ));
    }
    line
}

fn bounds(token: &Value) -> String {
    let mut bounds = Vec::new();
    if let Some(datacenter) = token["RemoteDatacenter"].as_str() {
        bounds.push(format!("datacenter {datacenter}"));
    }
    if let Some(domain) = token["RemoteTrustDomain"].as_str() {
        let shown = if token["TrustDomainShown"] == true {
            ""
        } else {
            " (not shown yet)"
        };
        bounds.push(format!("trust domain {domain}{shown}"));
    }
    if token["AllowedServices"].is_array() {
        bounds.push(format!("services {}", words(&token["AllowedServices"])));
    }
    bounds.join(", ")
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}
