//! `peerway connect ca`: rotate the root certificate, and show how far that is.

use super::table;
use crate::client::{Client, ClientFlags};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;

/// The commands about the authority.
#[derive(Subcommand)]
pub enum CaCommand {
    /// Begin a rotation to a new root, force the next step of the one that is under way, or cancel it
    Rotate(Rotate),
    /// Show the phase of the rotation, and whom it waits for
    Status(Plain),
    /// Show the authority's configuration as JSON
    GetConfig(Plain),
    /// Write the authority's configuration from a JSON file
    SetConfig(SetConfig),
}

#[derive(Args)]
pub struct Rotate {
    #[command(flatten)]
    client: ClientFlags,
    /// Length of the new root's key: 256 or 384; as it is unless given
    #[arg(long, value_name = "BITS")]
    key_bits: Option<u64>,
    /// File with the certificate (PEM) of a root of your own to rotate to
    #[arg(
        long,
        value_name = "FILE",
        requires = "private_key",
        conflicts_with = "key_bits"
    )]
    root_cert: Option<String>,
    /// File with the private key (PEM) of -root-cert
    #[arg(long, value_name = "FILE", requires = "root_cert")]
    private_key: Option<String>,
    /// Take the next step of the rotation that is under way without those who are missing
    #[arg(long, conflicts_with_all = ["key_bits", "root_cert"])]
    force: bool,
    /// Call the rotation that is under way off; possible until the new root signs
    #[arg(long, conflicts_with_all = ["key_bits", "root_cert", "force"])]
    cancel: bool,
}

#[derive(Args)]
pub struct Plain {
    #[command(flatten)]
    client: ClientFlags,
}

#[derive(Args)]
pub struct SetConfig {
    #[command(flatten)]
    client: ClientFlags,
    /// The file
    #[arg(long, value_name = "FILE")]
    config_file: String,
}

const CONFIGURATION: &str = "/v1/connect/ca/configuration";
const ROTATION: &str = "/v1/peerway/ca/rotation";

pub(super) fn run(command: CaCommand) -> Result<ExitCode> {
    match command {
        CaCommand::Rotate(args) => rotate(&args)?,
        CaCommand::Status(args) => {
            show(&Client::from_flags(&args.client)?.get(ROTATION)?.json()?);
        }
        CaCommand::GetConfig(args) => {
            let config = Client::from_flags(&args.client)?.get(CONFIGURATION)?.json()?;
            println!("{}", serde_json::to_string_pretty(&config)?);
        }
        CaCommand::SetConfig(args) => {
            let text = std::fs::read_to_string(&args.config_file)
                .with_context(|| format!("cannot read {}", args.config_file))?;
            let body: Value =
                serde_json::from_str(&text).with_context(|| format!("{} is not JSON", args.config_file))?;
            let answer = Client::from_flags(&args.client)?.put(CONFIGURATION, &body)?;
            show(&answer.json()?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rotate(args: &Rotate) -> Result<()> {
    let client = Client::from_flags(&args.client)?;
    if args.cancel {
        show(&client.delete(ROTATION)?.json()?);
        return Ok(());
    }
    if args.force && client.get(ROTATION)?.json()?["Phase"] == "none" {
        anyhow::bail!("no rotation is under way: begin one with peerway connect ca rotate");
    }
    let mut config = json!({ "RotateRoot": !args.force && args.root_cert.is_none() });
    for (field, file) in [("RootCert", &args.root_cert), ("PrivateKey", &args.private_key)] {
        if let Some(file) = file {
            config[field] =
                json!(std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?);
        }
    }
    if let Some(bits) = args.key_bits {
        config["PrivateKeyBits"] = json!(bits);
    }
    let body = json!({
        "Provider": "consul",
        "Config": config,
        "ForceWithoutCrossSigning": args.force,
    });
    show(&client.put(CONFIGURATION, &body)?.json()?);
    Ok(())
}

fn show(status: &Value) {
    let text = |key: &str| status[key].as_str().unwrap_or("-").to_owned();
    println!("Phase        {}", text("Phase"));
    println!("Active root  {}", text("ActiveRootID"));
    if status["Phase"] != "none" {
        println!("Old root     {}", text("OldRootID"));
        println!("New root     {}", text("NewRootID"));
        println!("Since        {}", text("Since"));
    }
    list("Left behind", &status["LeftBehind"]);
    list("Waits for", &status["Missing"]);
}

fn list(title: &str, missing: &Value) {
    let rows: Vec<Vec<String>> = missing
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            ["Kind", "Name", "Reason", "Loses"]
                .map(|key| one[key].as_str().unwrap_or_default().to_owned())
                .to_vec()
        })
        .collect();
    if !rows.is_empty() {
        println!("\n{title}:");
        let header = ["Kind", "Name", "Reason", "If it goes on without"];
        println!("{}", table::render(&header, &rows));
    }
}
