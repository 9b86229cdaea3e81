//! `peerway config`: write, read, list and delete config entries.

use super::change::WaitFlag;
use crate::client::{Client, ClientFlags, segment};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use peerway_api_types::hcl;
use serde_json::Value;
use std::io::Read as _;
use std::process::ExitCode;

/// The commands about config entries.
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Write the entry in a file (HCL or JSON); '-' reads standard input
    Write(Write),
    /// Show an entry as JSON
    Read(Named),
    /// List the names of all entries of a kind
    List(List),
    /// Delete an entry
    Delete(Delete),
}

#[derive(Args)]
pub struct Write {
    #[command(flatten)]
    client: ClientFlags,
    /// Write only if the entry has not changed since this modify index; 0 means that it must not exist
    #[arg(long, value_name = "INDEX")]
    cas: Option<u64>,
    #[command(flatten)]
    wait: WaitFlag,
    /// The file, or '-'
    file: String,
}

#[derive(Args)]
pub struct Named {
    #[command(flatten)]
    client: ClientFlags,
    /// The kind, for example service-intentions
    #[arg(long)]
    kind: String,
    /// The name
    #[arg(long)]
    name: String,
}

#[derive(Args)]
pub struct Delete {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    wait: WaitFlag,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    client: ClientFlags,
    /// The kind, for example service-intentions
    #[arg(long)]
    kind: String,
}

pub(super) fn run(command: ConfigCommand) -> Result<ExitCode> {
    match command {
        ConfigCommand::Write(args) => write(&args),
        ConfigCommand::Read(args) => read(&args),
        ConfigCommand::List(args) => list(&args),
        ConfigCommand::Delete(args) => delete(&args),
    }
}

fn write(args: &Write) -> Result<ExitCode> {
    let entry = document(&args.file)?;
    let mut query = args.client.tenancy_query();
    if let Some(cas) = args.cas {
        query = format!("{}{}cas={cas}", query, if query.is_empty() { "?" } else { "&" });
    }
    let client = Client::from_flags(&args.client)?;
    let answer = client.put(&format!("/v1/config{query}"), &entry)?.ok()?;
    let (kind, name) = (field(&entry, "kind"), field(&entry, "name"));
    if answer.body.trim() == "false" {
        bail!("config entry {kind}/{name} was not written: its modify index is not the one given with -cas");
    }
    println!("Config entry written: {kind}/{name}");
    args.wait.after(&client, &answer)
}

fn read(args: &Named) -> Result<ExitCode> {
    let answer = Client::from_flags(&args.client)?.get(&path(args))?.json()?;
    println!("{}", serde_json::to_string_pretty(&answer)?);
    Ok(ExitCode::SUCCESS)
}

fn list(args: &List) -> Result<ExitCode> {
    let path = format!(
        "/v1/config/{}{}",
        segment(&args.kind),
        args.client.tenancy_query()
    );
    let answer = Client::from_flags(&args.client)?.get(&path)?.json()?;
    for entry in answer.as_array().context("the answer is not a list")? {
        println!("{}", entry["Name"].as_str().unwrap_or_default());
    }
    Ok(ExitCode::SUCCESS)
}

fn delete(args: &Delete) -> Result<ExitCode> {
    let Delete { named, wait } = args;
    let client = Client::from_flags(&named.client)?;
    let answer = client.delete(&path(named))?.ok()?;
    println!("Config entry deleted: {}/{}", named.kind, named.name);
    wait.after(&client, &answer)
}

fn path(args: &Named) -> String {
    format!(
        "/v1/config/{}/{}{}",
        segment(&args.kind),
        segment(&args.name),
        args.client.tenancy_query()
    )
}

/// The document in a file, HCL or JSON; `-` is standard input.
pub(super) fn document(file: &str) -> Result<Value> {
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?
    };
    hcl::parse(&text).with_context(|| format!("cannot parse {file}"))
}

/// A text field of an entry, whatever the case of its key.
fn field(entry: &Value, name: &str) -> String {
    let mut fields = entry.as_object().into_iter().flatten();
    let found = fields.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found
        .and_then(|(_, value)| value.as_str())
        .unwrap_or("?")
        .to_owned()
}
