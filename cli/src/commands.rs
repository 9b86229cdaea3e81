//! The commands, one file each.

mod ca;
mod change;
mod config;
mod connect;
mod demo;
mod echo;
mod gateway;
mod intention;
mod maint;
mod observed;
mod peering;
mod proxies;
mod redirect;
mod server;
mod services;
mod stat_tags;
mod table;

pub mod bootstrap;

use anyhow::Result;
use clap::Subcommand;
use std::process::ExitCode;

/// What the binary can do.
#[derive(Subcommand)]
pub enum Command {
    /// Run a server
    Server(server::ServerArgs),
    /// Make, use, show and end peerings
    #[command(subcommand)]
    Peering(peering::PeeringCommand),
    /// Write, show and delete config entries
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Ask who may call whom, and why
    #[command(subcommand)]
    Intention(intention::IntentionCommand),
    /// Register and deregister services
    #[command(subcommand)]
    Services(services::ServicesCommand),
    /// Take a service instance or a node out of traffic, and put it back
    Maint(maint::Maint),
    /// Run the proxies of the mesh
    #[command(subcommand)]
    Connect(connect::ConnectCommand),
    /// Show who has taken a change
    #[command(subcommand)]
    Change(change::ChangeCommand),
    /// Show the proxies of the mesh
    #[command(subcommand)]
    Proxies(proxies::ProxiesCommand),
    /// Show two clusters, a peering and a call across, with real Envoys
    Demo(demo::DemoArgs),
    /// Answer HTTP requests with their own description; the service of the demo
    #[command(hide = true)]
    Echo(echo::EchoArgs),
}

/// Runs a command; the exit code of the process.
///
/// # Errors
/// With a message for the operator.
pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Server(args) => server::run(args),
        Command::Peering(command) => peering::run(command),
        Command::Config(command) => config::run(command),
        Command::Intention(command) => intention::run(command),
        Command::Services(command) => services::run(command),
        Command::Maint(args) => maint::run(&args),
        Command::Connect(command) => connect::run(command),
        Command::Change(command) => change::run(command),
        Command::Proxies(command) => proxies::run(command),
        Command::Demo(args) => demo::run(args),
        Command::Echo(args) => echo::run(&args),
    }
}
