//! `peerway peering`: make a token, use it, look, end it.

mod tokens;

use super::table;
use crate::client::{Client, ClientFlags, segment};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// The commands about peerings.
#[derive(Subcommand)]
pub enum PeeringCommand {
    /// Make a token for another cluster; it works once
    GenerateToken(GenerateToken),
    /// Connect to the cluster that made a token
    Establish(Establish),
    /// List all peerings
    List(List),
    /// Show one peering
    Read(Read),
    /// End a peering on both sides and remove what was imported
    Delete(Delete),
    /// List tokens that were made here, without their secrets
    Tokens(tokens::Tokens),
    /// Make tokens useless, also after their use: the stream that they opened is closed
    RevokeToken(tokens::RevokeToken),
    /// List who made, used and revoked which token, the newest first
    Audit(tokens::Audit),
}

/// How to print.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Pretty,
    /// The API's JSON
    Json,
}

#[derive(Args)]
pub struct GenerateToken {
    #[command(flatten)]
    client: ClientFlags,
    /// What to call the other cluster here
    #[arg(long)]
    name: String,
    /// A pair to keep with the peering; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    meta: Vec<(String, String)>,
    /// Addresses that the other cluster should dial instead of this server's own
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    server_external_addresses: Vec<String>,
    /// How long the token can be used, for example 24h; without it the server's peering.token_ttl, which is for ever
    /// unless set
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// Gives the very same token each time, until it is used, has expired or is replaced
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// The only datacenter whose clusters may use the token
    #[arg(long, value_name = "NAME")]
    remote_datacenter: Option<String>,
    /// The only trust domain whose cluster may use the token; nothing is exchanged before it has shown its roots
    #[arg(long, value_name = "DOMAIN")]
    remote_trust_domain: Option<String>,
    /// All that the peer may ever see, whatever is exported to it
    #[arg(long, value_name = "SERVICE,NAMESPACE/SERVICE,...", value_delimiter = ',')]
    allow_services: Option<Vec<String>>,
    /// How to print
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

#[derive(Args)]
pub struct Establish {
    #[command(flatten)]
    client: ClientFlags,
    /// What to call the other cluster here
    #[arg(long)]
    name: String,
    /// The token that the other cluster made
    #[arg(long, value_name = "TOKEN")]
    peering_token: String,
    /// A pair to keep with the peering; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    meta: Vec<(String, String)>,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    client: ClientFlags,
    /// How to print
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

#[derive(Args)]
pub struct Read {
    #[command(flatten)]
    client: ClientFlags,
    /// The peering's name here
    #[arg(long)]
    name: String,
    /// How to print
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

#[derive(Args)]
pub struct Delete {
    #[command(flatten)]
    client: ClientFlags,
    /// The peering's name here
    #[arg(long)]
    name: String,
}

pub(super) fn run(command: PeeringCommand) -> Result<ExitCode> {
    match command {
        PeeringCommand::GenerateToken(args) => generate_token(&args),
        PeeringCommand::Establish(args) => establish(&args),
        PeeringCommand::List(args) => list(&args),
        PeeringCommand::Read(args) => read(&args),
        PeeringCommand::Delete(args) => delete(&args),
        PeeringCommand::Tokens(args) => tokens::tokens(&args),
        PeeringCommand::RevokeToken(args) => tokens::revoke(&args),
        PeeringCommand::Audit(args) => tokens::audit(&args),
    }
}

fn generate_token(args: &GenerateToken) -> Result<ExitCode> {
    let mut body = json!({ "PeerName": args.name });
    with_partition(&mut body, &args.client);
    if !args.meta.is_empty() {
        body["Meta"] = meta(&args.meta);
    }
    if !args.server_external_addresses.is_empty() {
        body["ServerExternalAddresses"] = json!(args.server_external_addresses);
    }
    for (field, value) in [
        ("TTL", &args.ttl),
        ("RequestID", &args.request_id),
        ("RemoteDatacenter", &args.remote_datacenter),
        ("RemoteTrustDomain", &args.remote_trust_domain),
    ] {
        if let Some(value) = value {
            body[field] = json!(value);
        }
    }
    if let Some(services) = &args.allow_services {
        body["AllowedServices"] = json!(services);
    }
    let answer = Client::from_flags(&args.client)?
        .post("/v1/peering/token", &body)?
        .json()?;
    match args.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&answer)?),
        Format::Pretty => {
            println!(
                "{}",
                answer["PeeringToken"]
                    .as_str()
                    .context("the answer has no PeeringToken")?
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn establish(args: &Establish) -> Result<ExitCode> {
    let mut body = json!({ "PeerName": args.name, "PeeringToken": args.peering_token.trim() });
    with_partition(&mut body, &args.client);
    if !args.meta.is_empty() {
        body["Meta"] = meta(&args.meta);
    }
    Client::from_flags(&args.client)?
        .post("/v1/peering/establish", &body)?
        .ok()?;
    println!("Successfully established peering connection with {}", args.name);
    Ok(ExitCode::SUCCESS)
}

fn list(args: &List) -> Result<ExitCode> {
    let path = format!("/v1/peerings{}", args.client.tenancy_query());
    let answer = Client::from_flags(&args.client)?.get(&path)?.json()?;
    if matches!(args.format, Format::Json) {
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(ExitCode::SUCCESS);
    }
    let peerings = answer.as_array().context("the answer is not a list")?;
    if peerings.is_empty() {
        println!("There are no peering connections.");
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = peerings
        .iter()
        .map(|peering| {
            let status = &peering["StreamStatus"];
            vec![
                text(&peering["Name"]),
                state(peering),
                count(&status["ImportedServices"]),
                count(&status["ExportedServices"]),
                pairs(&peering["Meta"]),
            ]
        })
        .collect();
    println!(
        "{}",
        table::render(
            &["Name", "State", "Imported Svcs", "Exported Svcs", "Meta"],
            &rows
        )
    );
    Ok(ExitCode::SUCCESS)
}

fn read(args: &Read) -> Result<ExitCode> {
    let path = format!(
        "/v1/peering/{}{}",
        segment(&args.name),
        args.client.tenancy_query()
    );
    let answer = Client::from_flags(&args.client)?.get(&path)?;
    if answer.status == 404 {
        bail!("No peering with name {} found.", args.name);
    }
    let peering = answer.json()?;
    if matches!(args.format, Format::Json) {
        println!("{}", serde_json::to_string_pretty(&peering)?);
        return Ok(ExitCode::SUCCESS);
    }
    let status = &peering["StreamStatus"];
    let mut lines = vec![
        ("Name", text(&peering["Name"])),
        ("ID", text(&peering["ID"])),
        ("State", state(&peering)),
    ];
    if !peering["PeerID"].is_null() {
        lines.push(("Peer ID", text(&peering["PeerID"])));
        lines.push(("Peer Server Name", text(&peering["PeerServerName"])));
        lines.push(("Peer Server Addresses", words(&peering["PeerServerAddresses"])));
    }
    lines.extend([
        ("Remote Datacenter", text(&peering["Remote"]["Datacenter"])),
        ("Meta", pairs(&peering["Meta"])),
        ("Imported Services", words(&status["ImportedServices"])),
        ("Exported Services", words(&status["ExportedServices"])),
        ("Last Heartbeat", text(&status["LastHeartbeat"])),
        ("Last Receive", text(&status["LastReceive"])),
        ("Last Send", text(&status["LastSend"])),
        ("Withheld Services", words(&peering["WithheldServices"])),
        ("Last Applied", text(&status["LastApplied"])),
        ("Create Index", text(&peering["CreateIndex"])),
        ("Modify Index", text(&peering["ModifyIndex"])),
    ]);
    let tokens = peering["Tokens"].as_array().into_iter().flatten();
    lines.extend(tokens.map(|token| ("Token", tokens::line(token))));
    for (label, value) in lines {
        println!(
            "{:<23}{}",
            format!("{label}:"),
            if value.is_empty() { "-" } else { &value }
        );
    }
    let (head, rows) = troubles(&peering["Freshness"]);
    if !rows.is_empty() {
        println!("\n{}", table::render(&head, &rows));
    }
    Ok(ExitCode::SUCCESS)
}

/// The state, with how old what is held may be and why, if it is not what the peer exports. Before there was a stream,
/// and after its end, the stored state says all.
fn state(peering: &Value) -> String {
    let (shown, freshness) = (text(&peering["State"]), &peering["Freshness"]);
    let fresh = text(&freshness["State"]);
    if !matches!(shown.as_str(), "ACTIVE" | "FAILING") || fresh.is_empty() || fresh == "ACTIVE" {
        return shown;
    }
    let age = match freshness["AgeMs"].as_u64() {
        Some(age) => format!("age {}", duration(age)),
        None => "age unknown".to_owned(),
    };
    match fresh.as_str() {
        "STALE" => format!("STALE ({age})"),
        _ => format!("{fresh} ({age}): {}", text(&freshness["Reason"])),
    }
}

/// `3m12s`, as Go writes it, to the second.
fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Everything that one side exports and the other does not hold.
fn troubles(freshness: &Value) -> ([&'static str; 4], Vec<Vec<String>>) {
    let mut rows = Vec::new();
    for (list, direction, fine) in [("Imports", "import", "ACTIVE"), ("Exports", "export", "TAKEN")] {
        for service in freshness[list].as_array().into_iter().flatten() {
            if service["State"] != fine {
                let cells = [&service["Name"], &service["State"], &service["Reason"]].map(text);
                let [name, state, reason] = cells;
                rows.push(vec![name, direction.to_owned(), state, reason]);
            }
        }
    }
    for (list, direction) in [("Refused", "import"), ("RefusedByPeer", "export")] {
        for refused in freshness[list].as_array().into_iter().flatten() {
            // Services have their line above.
            let resource = text(&refused["Resource"]);
            if !resource.starts_with("exported service \"") {
                rows.push(vec![
                    resource,
                    direction.to_owned(),
                    "REFUSED".to_owned(),
                    text(&refused["Reason"]),
                ]);
            }
        }
    }
    (["Item", "Direction", "State", "Reason"], rows)
}

fn delete(args: &Delete) -> Result<ExitCode> {
    let path = format!(
        "/v1/peering/{}{}",
        segment(&args.name),
        args.client.tenancy_query()
    );
    Client::from_flags(&args.client)?.delete(&path)?.ok()?;
    println!(
        "Successfully submitted peering connection, {}, for deletion",
        args.name
    );
    Ok(ExitCode::SUCCESS)
}

fn with_partition(body: &mut Value, flags: &ClientFlags) {
    if flags.partition != "default" {
        body["Partition"] = json!(flags.partition);
    }
}

fn meta(pairs: &[(String, String)]) -> Value {
    Value::Object(
        pairs
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect::<Map<_, _>>(),
    )
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn count(value: &Value) -> String {
    value.as_array().map_or(0, Vec::len).to_string()
}

fn words(value: &Value) -> String {
    let items: Vec<String> = value.as_array().into_iter().flatten().map(text).collect();
    items.join(", ")
}

fn pairs(value: &Value) -> String {
    let items: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect();
    items.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_its_age_and_why() {
        let peering = |state: &str, freshness: Value| json!({ "State": state, "Freshness": freshness });
        for (shown, says) in [
            (peering("PENDING", Value::Null), "PENDING"),
            (
                peering("TERMINATED", json!({"State": "FAILING", "Reason": "x"})),
                "TERMINATED",
            ),
            (peering("ESTABLISHING", json!({"State": "STALE"})), "ESTABLISHING"),
            (
                peering("ACTIVE", json!({"State": "ACTIVE", "AgeMs": 9_000})),
                "ACTIVE",
            ),
            (
                peering("FAILING", json!({"State": "STALE", "AgeMs": 192_500})),
                "STALE (age 3m12s)",
            ),
            (
                peering(
                    "FAILING",
                    json!({"State": "DIVERGED", "AgeMs": 5_000, "Reason": "web is not there"}),
                ),
                "DIVERGED (age 5s): web is not there",
            ),
            (
                peering(
                    "FAILING",
                    json!({"State": "FAILING", "AgeMs": null, "Reason": "refused"}),
                ),
                "FAILING (age unknown): refused",
            ),
            (
                peering("FAILING", json!({"State": "STALE", "AgeMs": 7_384_000})),
                "STALE (age 2h3m4s)",
            ),
        ] {
            assert_eq!(state(&shown), says);
        }
    }

    #[test]
    fn only_what_is_wrong_has_a_line() {
        let freshness = json!({
            "Imports": [{"Name": "web", "State": "ACTIVE", "Reason": ""}, {"Name": "db", "State": "DIVERGED", "Reason": "why"}],
            "Exports": [{"Name": "api", "State": "WITHHELD", "Reason": "too long"}, {"Name": "x", "State": "TAKEN", "Reason": ""}],
            "Refused": [{"Resource": "exported service \"db\"", "Reason": "why"}],
            "RefusedByPeer": [{"Resource": "trust bundle \"roots\"", "Reason": "no root"}],
        });
        let rows = troubles(&freshness).1;
        assert_eq!(
            rows,
            [
                ["db", "import", "DIVERGED", "why"],
                ["api", "export", "WITHHELD", "too long"],
                ["trust bundle \"roots\"", "export", "REFUSED", "no root"],
            ]
        );
        assert!(troubles(&Value::Null).1.is_empty());
    }
}
