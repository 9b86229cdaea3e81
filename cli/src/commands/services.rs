//! `peerway services`: register and deregister.

use super::change::WaitFlag;
use super::config::document;
use crate::client::{Answer, Client, ClientFlags, segment};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;

/// The commands about services.
#[derive(Subcommand)]
pub enum ServicesCommand {
    /// Register the services in files (HCL or JSON), or the one that the flags describe
    Register(Register),
    /// Deregister the services in files, or the one with this id
    Deregister(Deregister),
}

#[derive(Args)]
pub struct Register {
    #[command(flatten)]
    client: ClientFlags,
    /// Name of the service, when no file is given
    #[arg(long, conflicts_with = "files")]
    name: Option<String>,
    /// Id of the instance; the name unless given
    #[arg(long, requires = "name")]
    id: Option<String>,
    /// Address of the instance; the node's unless given
    #[arg(long, requires = "name")]
    address: Option<String>,
    /// Port of the instance
    #[arg(long, requires = "name")]
    port: Option<u16>,
    /// A tag; may be given more than once
    #[arg(long, requires = "name")]
    tag: Vec<String>,
    /// Kind of the service: mesh-gateway, or nothing
    #[arg(long, requires = "name")]
    kind: Option<String>,
    #[command(flatten)]
    wait: WaitFlag,
    /// Files with `service { ... }` or `services { ... }` blocks
    files: Vec<String>,
}

#[derive(Args)]
pub struct Deregister {
    #[command(flatten)]
    client: ClientFlags,
    /// Id of the instance, when no file is given
    #[arg(long, conflicts_with = "files")]
    id: Option<String>,
    #[command(flatten)]
    wait: WaitFlag,
    /// Files with `service { ... }` or `services { ... }` blocks
    files: Vec<String>,
}

pub(super) fn run(command: ServicesCommand) -> Result<ExitCode> {
    match command {
        ServicesCommand::Register(args) => register(&args),
        ServicesCommand::Deregister(args) => deregister(&args),
    }
}

fn register(args: &Register) -> Result<ExitCode> {
    let services = match &args.name {
        Some(name) => vec![described(name, args)],
        None => from_files(&args.files)?,
    };
    let client = Client::from_flags(&args.client)?;
    let mut last = None;
    for service in services {
        let path = format!("/v1/agent/service/register{}", args.client.tenancy_query());
        last = Some(client.put(&path, &service)?.ok()?);
        println!("Registered service: {}", label(&service));
    }
    waited(args.wait, &client, last.as_ref())
}

fn deregister(args: &Deregister) -> Result<ExitCode> {
    let ids = match &args.id {
        Some(id) => vec![id.clone()],
        None => from_files(&args.files)?.iter().map(id_of).collect(),
    };
    let client = Client::from_flags(&args.client)?;
    let mut last = None;
    for id in ids {
        let path = format!(
            "/v1/agent/service/deregister/{}{}",
            segment(&id),
            args.client.tenancy_query()
        );
        last = Some(client.put(&path, &Value::Null)?.ok()?);
        println!("Deregistered service: {id}");
    }
    waited(args.wait, &client, last.as_ref())
}

/// Waits for the last of several writes, and with it for those before.
fn waited(wait: WaitFlag, client: &Client, last: Option<&Answer>) -> Result<ExitCode> {
    match last {
        Some(last) => wait.after(client, last),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn described(name: &str, args: &Register) -> Value {
    let mut service = json!({ "Name": name });
    if let Some(id) = &args.id {
        service["ID"] = json!(id);
    }
    if let Some(address) = &args.address {
        service["Address"] = json!(address);
    }
    if let Some(port) = args.port {
        service["Port"] = json!(port);
    }
    if let Some(kind) = &args.kind {
        service["Kind"] = json!(kind);
    }
    if !args.tag.is_empty() {
        service["Tags"] = json!(args.tag);
    }
    service
}

fn from_files(files: &[String]) -> Result<Vec<Value>> {
    if files.is_empty() {
        bail!(
            "nothing to do: give files, or describe one service with flags (-name to register, -id to deregister)"
        );
    }
    let mut services = Vec::new();
    for file in files {
        let found = services_in(document(file)?).with_context(|| format!("in {file}"))?;
        services.extend(found);
    }
    Ok(services)
}

/// The definitions under `service` and `services`, each one object or a list of them.
fn services_in(document: Value) -> Result<Vec<Value>> {
    let Value::Object(fields) = document else {
        bail!("the file is not an object")
    };
    let mut found = Vec::new();
    for (key, value) in fields {
        match key.to_ascii_lowercase().as_str() {
            "service" | "services" => match value {
                Value::Array(items) => found.extend(items),
                one => found.push(one),
            },
            _ => bail!("{key}: unknown key, expected service or services"),
        }
    }
    if found.is_empty() {
        bail!("the file has no service block");
    }
    Ok(found)
}

fn text_of<'a>(service: &'a Value, name: &str) -> Option<&'a str> {
    let mut fields = service.as_object()?.iter();
    fields
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .and_then(|(_, value)| value.as_str())
}

fn label(service: &Value) -> String {
    text_of(service, "name")
        .or_else(|| text_of(service, "id"))
        .unwrap_or("?")
        .to_owned()
}

fn id_of(service: &Value) -> String {
    text_of(service, "id")
        .or_else(|| text_of(service, "name"))
        .unwrap_or("?")
        .to_owned()
}
