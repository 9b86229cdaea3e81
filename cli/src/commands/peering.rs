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
                text(&peering["State"]),
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
        ("State", text(&peering["State"])),
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
    Ok(ExitCode::SUCCESS)
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
