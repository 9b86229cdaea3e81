//! `peerway intention`: who may call whom, and why.

use super::table;
use crate::client::{Client, ClientFlags, segment};
use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::process::ExitCode;

/// What `check` ends with when the call is refused; the same as Consul's.
const DENIED: u8 = 2;

/// The commands about intentions.
#[derive(Subcommand)]
pub enum IntentionCommand {
    /// Tell whether a service may call another, by which intention and why; exit code 0 if it may, 2 if not
    Check(Check),
    /// List the intentions on a service, the deciding one of any two first
    Match(Match),
}

#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    client: ClientFlags,
    /// The peer that the caller lives in
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Path of a request to decide
    #[arg(long)]
    path: Option<String>,
    /// Its method
    #[arg(long, requires = "path")]
    method: Option<String>,
    /// A header of it; may be repeated
    #[arg(long, value_name = "NAME: VALUE", requires = "path")]
    header: Vec<String>,
    /// What a verified token of it says; may be repeated
    #[arg(long, value_name = "PROVIDER={\"CLAIM\": \"VALUE\"}", requires = "path")]
    jwt: Vec<String>,
    /// The caller: name, namespace/name or partition/namespace/name
    source: String,
    /// Whom it calls
    destination: String,
}

#[derive(Args)]
pub struct Match {
    #[command(flatten)]
    client: ClientFlags,
    /// List those of a source instead
    #[arg(long)]
    source: bool,
    /// The service: name, namespace/name or partition/namespace/name
    name: String,
}

pub(super) fn run(command: IntentionCommand) -> Result<ExitCode> {
    match command {
        IntentionCommand::Check(args) => check(&args),
        IntentionCommand::Match(args) => matching(&args),
    }
}

fn check(args: &Check) -> Result<ExitCode> {
    let mut query = joined(args.client.tenancy_query());
    let mut put = |name: &str, value: &str| {
        query.push_str(&format!("{name}={}&", segment(value)));
    };
    put("source", &args.source);
    put("destination", &args.destination);
    let given = [
        ("source-peer", &args.peer),
        ("path", &args.path),
        ("method", &args.method),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            put(name, value);
        }
    }
    for header in &args.header {
        put("header", header);
    }
    for token in &args.jwt {
        put("jwt", token);
    }
    let path = format!("/v1/connect/intentions/check{}", query.trim_end_matches('&'));
    let answer = Client::from_flags(&args.client)?.get(&path)?.json()?;
    println!("{}", shown(&answer));
    Ok(match answer["Allowed"] == true {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(DENIED),
    })
}

fn matching(args: &Match) -> Result<ExitCode> {
    let by = if args.source { "source" } else { "destination" };
    let query = joined(args.client.tenancy_query());
    let path = format!(
        "/v1/connect/intentions/match{query}by={by}&name={}",
        segment(&args.name)
    );
    let answer = Client::from_flags(&args.client)?.get(&path)?.json()?;
    let found = answer[&args.name].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = found.map(row).collect();
    println!(
        "{}",
        table::render(&["Source", "Destination", "Action", "Precedence"], &rows)
    );
    Ok(ExitCode::SUCCESS)
}

/// A query to go on with.
fn joined(query: String) -> String {
    match query.is_empty() {
        true => "?".to_owned(),
        false => format!("{query}&"),
    }
}

/// The answer, why, and the intention that it is about.
fn shown(answer: &Value) -> String {
    let mut out = match answer["Allowed"] == true {
        true => "Allowed".to_owned(),
        false => "Denied".to_owned(),
    };
    if let Some(why) = answer["Explanation"].as_str() {
        out.push_str(&format!(": {why}"));
    }
    if answer["DecidedBy"].is_object() {
        let rule = row(&answer["DecidedBy"]);
        out.push_str(&format!(
            "\nIntention: {} => {} ({}), precedence {}",
            rule[0], rule[1], rule[2], rule[3]
        ));
    }
    out
}

fn row(intention: &Value) -> Vec<String> {
    let text = |key: &str| intention[key].as_str().unwrap_or_default().to_owned();
    let service = |side: &str| {
        let namespace = text(&format!("{side}NS"));
        let name = text(&format!("{side}Name"));
        match namespace == "default" {
            true => name,
            false => format!("{namespace}/{name}"),
        }
    };
    let source = match (
        intention["SourcePeer"].as_str(),
        intention["SourceSamenessGroup"].as_str(),
    ) {
        (Some(peer), _) => format!("{} of peer {peer}", service("Source")),
        (None, Some(group)) => format!("{} of sameness group {group}", service("Source")),
        (None, None) => service("Source"),
    };
    let action = match intention["Permissions"].as_array() {
        Some(permissions) => format!("{} permissions", permissions.len()),
        None => text("Action"),
    };
    let action = match intention["JWT"].is_object() {
        true => format!("{action} with JWT"),
        false => action,
    };
    vec![
        source,
        service("Destination"),
        action,
        intention["Precedence"].to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_answer_names_its_reason_and_its_intention() {
        let answer = json!({
            "Allowed": false,
            "Reason": "rule",
            "Explanation": "the intention treats all calls of this caller alike",
            "DecidedBy": {
                "SourceName": "web", "SourceNS": "default", "SourcePeer": "east",
                "DestinationName": "*", "DestinationNS": "team", "Precedence": 6, "Action": "deny",
            },
        });
        assert_eq!(
            shown(&answer),
            "Denied: the intention treats all calls of this caller alike\n\
             Intention: web of peer east => team/* (deny), precedence 6"
        );
        assert_eq!(shown(&json!({ "Allowed": true })), "Allowed");
        let of_group = json!({
            "SourceName": "web", "SourceNS": "default", "SourceSamenessGroup": "all",
            "DestinationName": "api", "DestinationNS": "default", "Precedence": 9, "Action": "allow",
        });
        assert_eq!(row(&of_group), ["web of sameness group all", "api", "allow", "9"]);
    }
}
