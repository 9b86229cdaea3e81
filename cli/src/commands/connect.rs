//! `peerway connect envoy`: run an Envoy for a registered proxy, or print its bootstrap.

use super::bootstrap::Bootstrap;
use super::ca::{self, CaCommand};
use super::gateway::{self, Gateway, Registering};
use super::observed::{Config, Observed, SCRAPE_PATH};
use super::redirect::{self, Redirect};
use crate::client::{Client, ClientFlags, segment};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// The commands about proxies.
#[derive(Subcommand)]
pub enum ConnectCommand {
    /// Run Envoy for a sidecar or a gateway, or print its bootstrap
    Envoy(Envoy),
    /// Bring an application's connections to its transparent sidecar, by rules of the kernel
    RedirectTraffic(Redirect),
    /// Rotate the root certificate, and show how far that is
    #[command(subcommand)]
    Ca(CaCommand),
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["sidecar_for", "gateway", "proxy_id"]).multiple(true))]
pub struct Envoy {
    #[command(flatten)]
    client: ClientFlags,
    /// Id of the service instance whose sidecar to run
    #[arg(long, value_name = "ID", conflicts_with_all = ["gateway", "proxy_id"])]
    sidecar_for: Option<String>,
    /// Run a gateway of this kind
    #[arg(long, value_enum)]
    gateway: Option<Gateway>,
    #[command(flatten)]
    registering: Registering,
    /// Id of the registered proxy or gateway to run
    #[arg(long, value_name = "ID")]
    proxy_id: Option<String>,
    /// Address of the xDS server; what the HTTP API says unless given
    #[arg(long, env = "CONSUL_GRPC_ADDR", value_name = "HOST:PORT")]
    grpc_addr: Option<String>,
    /// Where Envoy's admin interface listens
    #[arg(long, default_value = "localhost:19000", value_name = "HOST:PORT")]
    admin_bind: String,
    /// Path below which Prometheus scrapes, where the proxy's envoy_prometheus_bind_addr is set
    #[arg(long, default_value = SCRAPE_PATH, value_name = "PATH")]
    prometheus_scrape_path: String,
    /// IP address where readiness is shown at /ready; with -envoy-ready-bind-port
    #[arg(long, value_name = "IP", requires = "envoy_ready_bind_port")]
    envoy_ready_bind_address: Option<IpAddr>,
    /// Port where readiness is shown at /ready; on 127.0.0.1 unless -envoy-ready-bind-address is given
    #[arg(long, value_name = "PORT")]
    envoy_ready_bind_port: Option<u16>,
    /// Envoy's binary; looked for in PATH unless given
    #[arg(long, default_value = "envoy", value_name = "FILE")]
    envoy_binary: String,
    /// Print the bootstrap as JSON and stop
    #[arg(long)]
    bootstrap: bool,
    /// Arguments for Envoy, after '--'
    #[arg(last = true)]
    envoy_args: Vec<String>,
}

pub(super) fn run(command: ConnectCommand) -> Result<ExitCode> {
    let args = match command {
        ConnectCommand::Envoy(args) => args,
        ConnectCommand::RedirectTraffic(args) => return redirect::run(&args),
        ConnectCommand::Ca(command) => return ca::run(command),
    };
    let bootstrap = describe(&args)?.to_json();
    if args.bootstrap {
        println!("{}", serde_json::to_string_pretty(&bootstrap)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut envoy = Command::new(&args.envoy_binary);
    envoy.arg("--config-yaml").arg(bootstrap.to_string());
    envoy.args(arguments(&args.envoy_args));
    // exec returns only when it failed.
    let error = envoy.exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        bail!(
            "cannot find Envoy as {:?}: install it, or name it with -envoy-binary",
            args.envoy_binary
        );
    }
    Err(error).with_context(|| format!("cannot run {}", args.envoy_binary))
}

/// A flag of Envoy's that it gets unless the operator gives it.
struct Usual {
    flag: &'static str,
    /// Its one-letter form.
    short: Option<&'static str>,
    value: Option<&'static str>,
}

impl Usual {
    const fn new(flag: &'static str, short: Option<&'static str>, value: Option<&'static str>) -> Self {
        Usual { flag, short, value }
    }

    fn is_given_by(&self, arg: &str) -> bool {
        let long = arg == self.flag || arg.starts_with(&format!("{}=", self.flag));
        long || self.short.is_some_and(|short| arg.starts_with(short))
    }
}

/// Draining is short and at once so that a caller whose permission is taken away is cut off in bounded time.
const USUAL: [Usual; 4] = [
    Usual::new("--disable-hot-restart", None, None),
    Usual::new("--drain-time-s", None, Some("5")),
    Usual::new("--drain-strategy", None, Some("immediate")),
    Usual::new("--log-level", Some("-l"), Some("warning")),
];

/// What Envoy is told besides its bootstrap; it refuses a flag that it gets twice.
fn arguments(given: &[String]) -> Vec<String> {
    let missing = USUAL
        .iter()
        .filter(|usual| !given.iter().any(|arg| usual.is_given_by(arg)));
    missing
        .flat_map(|usual| std::iter::once(usual.flag).chain(usual.value))
        .map(str::to_owned)
        .chain(given.iter().cloned())
        .collect()
}

fn describe(args: &Envoy) -> Result<Bootstrap> {
    let client = Client::from_flags(&args.client)?;
    let about = client.get("/v1/agent/self")?.json()?;
    let registered = match args.gateway {
        Some(kind) => args
            .registering
            .register(&client, &args.client, kind, args.proxy_id.as_deref())?,
        None => None,
    };
    let proxy_id = match (registered, &args.sidecar_for, &args.proxy_id) {
        (Some(id), _, _) => id,
        (None, Some(service), _) => sidecar_of(&client, service, &args.client)?,
        (None, None, Some(id)) => id.clone(),
        (None, None, None) => {
            let all = services(&client, &args.client)?;
            gateway::only(&all, args.gateway.unwrap_or(Gateway::Mesh))?
        }
    };
    let path = format!(
        "/v1/agent/service/{}{}",
        segment(&proxy_id),
        args.client.tenancy_query()
    );
    let answer = client.get(&path)?;
    if answer.status == 404 {
        bail!("no proxy with id {proxy_id:?} is registered, register it first");
    }
    let proxy = answer.json()?;
    gateway::check_kind(&proxy, args.gateway)?;
    let observed = observed(&client, args, &proxy)?;
    let cluster = proxy["Proxy"]["DestinationServiceName"]
        .as_str()
        .or(proxy["Service"].as_str());
    Ok(Bootstrap {
        cluster: cluster.unwrap_or(&proxy_id).to_owned(),
        proxy_id,
        node_name: about["Config"]["NodeName"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        datacenter: about["Config"]["Datacenter"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        partition: args.client.partition.clone(),
        namespace: args.client.namespace.clone(),
        admin: resolve(&args.admin_bind).context("-admin-bind")?,
        xds: xds_address(args, &about)?,
        observed,
    })
}

/// What the proxy and the defaults of all proxies say that it shows of itself.
fn observed(client: &Client, args: &Envoy, proxy: &Value) -> Result<Observed> {
    let path = format!("/v1/config/proxy-defaults/global{}", args.client.tenancy_query());
    let answer = client.get(&path)?;
    let defaults = match answer.status {
        404 => Value::Null,
        _ => answer.json()?,
    };
    let config = Config::new(&proxy["Proxy"]["Config"], &defaults["Config"]);
    let env = |name: &str| std::env::var(name).ok();
    let mut observed = Observed::read(&config, &args.prometheus_scrape_path, resolve, env)
        .context("the configuration of the proxy, or of proxy-defaults")?;
    observed.ready = args.envoy_ready_bind_port.map(|port| {
        let ip = args
            .envoy_ready_bind_address
            .unwrap_or(Ipv4Addr::LOCALHOST.into());
        SocketAddr::new(ip, port)
    });
    Ok(observed)
}

fn services(client: &Client, flags: &ClientFlags) -> Result<Vec<Value>> {
    let answer = client
        .get(&format!("/v1/agent/services{}", flags.tenancy_query()))?
        .json()?;
    Ok(answer
        .as_object()
        .context("the list of services is not an object")?
        .values()
        .cloned()
        .collect())
}

fn sidecar_of(client: &Client, service: &str, flags: &ClientFlags) -> Result<String> {
    let all = services(client, flags)?;
    let ids: Vec<&str> = all
        .iter()
        .filter(|one| one["Kind"] == "connect-proxy" && one["Proxy"]["DestinationServiceID"] == service)
        .filter_map(|one| one["ID"].as_str())
        .collect();
    match ids.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => bail!(
            "no sidecar is registered for service id {service:?}: register it with connect {{ sidecar_service {{}} }}"
        ),
        many => bail!(
            "service id {service:?} has more than one sidecar, choose with -proxy-id: {}",
            many.join(", ")
        ),
    }
}

fn xds_address(args: &Envoy, about: &Value) -> Result<SocketAddr> {
    if let Some(addr) = &args.grpc_addr {
        return resolve(addr.strip_prefix("http://").unwrap_or(addr)).context("-grpc-addr");
    }
    let port = about["xDS"]["Ports"]["Plaintext"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    let Some(port @ 1..) = port else {
        bail!("the server offers no plaintext xDS port, set ports.grpc there or give -grpc-addr");
    };
    let http = args
        .client
        .http_addr
        .strip_prefix("http://")
        .unwrap_or(&args.client.http_addr);
    let host = http.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host);
    resolve(&format!("{host}:{port}"))
}

/// The first address of `host:port`, IPv4 before IPv6.
fn resolve(text: &str) -> Result<SocketAddr> {
    let all: Vec<SocketAddr> = text
        .to_socket_addrs()
        .with_context(|| format!("{text:?} is not host:port"))?
        .collect();
    let v4 = all
        .iter()
        .find(|addr| addr.is_ipv4() || addr.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST));
    v4.or(all.first())
        .copied()
        .with_context(|| format!("{text:?} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(given: &[&str]) -> String {
        let given: Vec<String> = given.iter().map(|&arg| arg.to_owned()).collect();
        arguments(&given).join(" ")
    }

    #[test]
    fn no_flag_reaches_envoy_twice() {
        let usual = "--disable-hot-restart --drain-time-s 5 --drain-strategy immediate";
        assert_eq!(told(&[]), format!("{usual} --log-level warning"));
        for level in [&["-l", "trace"][..], &["-ltrace"], &["--log-level=trace"]] {
            assert_eq!(told(level), format!("{usual} {}", level.join(" ")));
        }
        assert_eq!(
            told(&["--drain-time-s", "9", "--concurrency", "2"]),
            "--disable-hot-restart --drain-strategy immediate --log-level warning --drain-time-s 9 --concurrency 2"
        );
    }
}
