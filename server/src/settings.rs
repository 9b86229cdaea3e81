//! Settings: the table of all of them, files, and flags that override files.

mod dns;
mod imports;
mod read;

use peerway_api_types::hcl;
use peerway_dns::Zone;
use peerway_model::config::Action;
use peerway_model::name::{Datacenter, NodeName};
use peerway_model::{BroughtRoot, Invalid, Locality};
use peerway_peering_link::{ImportPolicy, MAX_TOKEN_TTL, MIN_STALE_AFTER};
use read::Reading;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// One setting, as the documentation lists it. A test compares this table with docs/configuration.md.
pub struct Setting {
    /// Dotted path in a file.
    pub key: &'static str,
    /// The default as the documentation spells it.
    pub default: &'static str,
}

/// Every setting that a file may have.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "advertise_addr",
        default: "`client_addr`",
    },
    Setting {
        key: "advertise_addr_wan",
        default: "`advertise_addr`",
    },
    Setting {
        key: "alt_domain",
        default: "none",
    },
    Setting {
        key: "bootstrap_expect",
        default: "`1`",
    },
    Setting {
        key: "client_addr",
        default: "`\"127.0.0.1\"`",
    },
    Setting {
        key: "config_entries.bootstrap",
        default: "`[]`",
    },
    Setting {
        key: "connect.ca_config.leaf_cert_ttl",
        default: "`\"72h\"`",
    },
    Setting {
        key: "connect.ca_config.private_key",
        default: "none",
    },
    Setting {
        key: "connect.ca_config.root_cert",
        default: "none",
    },
    Setting {
        key: "connect.ca_provider",
        default: "`\"consul\"`",
    },
    Setting {
        key: "connect.enabled",
        default: "`true`",
    },
    Setting {
        key: "data_dir",
        default: "none",
    },
    Setting {
        key: "datacenter",
        default: "`\"dc1\"`",
    },
    Setting {
        key: "default_intention_policy",
        default: "`\"deny\"`",
    },
    Setting {
        key: "dns_config.a_record_limit",
        default: "`0`",
    },
    Setting {
        key: "dns_config.allow_stale",
        default: "`true`",
    },
    Setting {
        key: "dns_config.enable_truncate",
        default: "`false`",
    },
    Setting {
        key: "dns_config.node_ttl",
        default: "`\"0s\"`",
    },
    Setting {
        key: "dns_config.only_passing",
        default: "`false`",
    },
    Setting {
        key: "dns_config.service_ttl",
        default: "none",
    },
    Setting {
        key: "dns_config.soa.expire",
        default: "`86400`",
    },
    Setting {
        key: "dns_config.soa.min_ttl",
        default: "`0`",
    },
    Setting {
        key: "dns_config.soa.refresh",
        default: "`3600`",
    },
    Setting {
        key: "dns_config.soa.retry",
        default: "`600`",
    },
    Setting {
        key: "dns_config.udp_answer_limit",
        default: "`3`",
    },
    Setting {
        key: "domain",
        default: "`\"consul\"`",
    },
    Setting {
        key: "locality.region",
        default: "none",
    },
    Setting {
        key: "locality.zone",
        default: "none",
    },
    Setting {
        key: "log_json",
        default: "`false`",
    },
    Setting {
        key: "log_level",
        default: "`\"info\"`",
    },
    Setting {
        key: "node_name",
        default: "the host's name",
    },
    Setting {
        key: "peering.enabled",
        default: "`true`",
    },
    Setting {
        key: "peering.imports.exclude",
        default: "`[]`",
    },
    Setting {
        key: "peering.imports.include",
        default: "`[]`",
    },
    Setting {
        key: "peering.imports.max_bytes",
        default: "`268435456`",
    },
    Setting {
        key: "peering.imports.max_instances",
        default: "`100000`",
    },
    Setting {
        key: "peering.imports.max_services",
        default: "`10000`",
    },
    Setting {
        key: "peering.imports.max_updates_per_second",
        default: "`1000`",
    },
    Setting {
        key: "peering.imports.peer",
        default: "none",
    },
    Setting {
        key: "peering.stale_after",
        default: "`\"60s\"`",
    },
    Setting {
        key: "peering.token_ttl",
        default: "no limit",
    },
    Setting {
        key: "ports.dns",
        default: "`8600`",
    },
    Setting {
        key: "ports.grpc",
        default: "`8502`",
    },
    Setting {
        key: "ports.grpc_tls",
        default: "`8503`",
    },
    Setting {
        key: "ports.http",
        default: "`8500`",
    },
    Setting {
        key: "recursors",
        default: "`[]`",
    },
    Setting {
        key: "server",
        default: "`true`",
    },
    Setting {
        key: "service",
        default: "none",
    },
    Setting {
        key: "services",
        default: "none",
    },
];

/// A setting that is wrong or missing.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A file cannot be parsed.
    #[error("{file}: {cause}")]
    Parse {
        /// The file.
        file: String,
        /// Where and why.
        cause: hcl::HclError,
    },
    /// A setting is wrong.
    #[error("{place}{path}: {problem}")]
    Setting {
        /// The file with a colon and a space, or empty for a flag or a default.
        place: String,
        /// Dotted path.
        path: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// What flags say; `None` leaves the file's value.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `-dev`
    pub dev: bool,
    /// `-datacenter`
    pub datacenter: Option<String>,
    /// `-data-dir`
    pub data_dir: Option<String>,
    /// `-client`
    pub client_addr: Option<String>,
    /// `-node`
    pub node_name: Option<String>,
    /// `-log-level`
    pub log_level: Option<String>,
    /// `-log-json`
    pub log_json: bool,
    /// `-http-port`
    pub http_port: Option<i64>,
    /// `-grpc-port`
    pub grpc_port: Option<i64>,
    /// `-grpc-tls-port`
    pub grpc_tls_port: Option<i64>,
    /// `-dns-port`
    pub dns_port: Option<i64>,
}

/// Settings of a server, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of this cluster.
    pub datacenter: Datacenter,
    /// Where to keep state; `None` keeps it in memory only.
    pub data_dir: Option<PathBuf>,
    /// What happens to callers about whom no intention says anything.
    pub default_intention: Action,
    /// Name of this node in the catalog.
    pub node_name: NodeName,
    /// Where this node is, if that is said.
    pub locality: Option<Locality>,
    /// Address that other clusters and proxies reach this server at.
    pub advertise_addr: IpAddr,
    /// The same, for other clusters.
    pub advertise_addr_wan: IpAddr,
    /// Where the HTTP API listens; `None` is off.
    pub http: Option<SocketAddr>,
    /// Where plaintext xDS listens; `None` is off.
    pub grpc: Option<SocketAddr>,
    /// Where TLS for xDS and peering listens; `None` is off.
    pub grpc_tls: Option<SocketAddr>,
    /// Where names are answered, over UDP and TCP; `None` is off.
    pub dns: Option<SocketAddr>,
    /// Which names are answered, and how.
    pub zone: Zone,
    /// trace, debug, info, warn or error.
    pub log_level: String,
    /// Whether to log JSON.
    pub log_json: bool,
    /// Life of leaf certificates.
    pub leaf_ttl: Duration,
    /// The root that the cluster begins with; one is made unless given.
    pub root: Option<BroughtRoot>,
    /// Whether peerings are offered.
    pub peering: bool,
    /// How long a peering token can be used that is made without a limit of its own; `None` is for ever.
    pub token_ttl: Option<Duration>,
    /// How old what is held of a peer may be before others stand in for it; `None` is the default.
    pub stale_after: Option<Duration>,
    /// What is let in from peers.
    pub imports: ImportPolicy,
    /// Config entries that are written at start unless an entry of the same kind and name exists.
    pub bootstrap: Vec<Value>,
    /// Services that are registered at start.
    pub services: Vec<Value>,
}

impl Settings {
    /// The settings in `files` (name and text, later ones win), overridden by flags.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file and path.
    pub fn load(files: &[(String, String)], overrides: Overrides) -> Result<Settings, SettingsError> {
        let mut reading = Reading::default();
        for (file, text) in files {
            let document = hcl::parse(text).map_err(|cause| SettingsError::Parse {
                file: file.clone(),
                cause,
            })?;
            reading.add(file, &document)?;
        }
        reading.apply(&overrides);
        let client = reading.ip("client_addr")?.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let advertise = match reading.ip("advertise_addr")? {
            Some(addr) if addr.is_unspecified() => {
                return Err(reading.problem("advertise_addr", "must be an address that others can reach"));
            }
            Some(addr) => addr,
            None if client.is_unspecified() => {
                return Err(reading.problem(
                    "advertise_addr",
                    "is needed because client_addr is unspecified: set it to this host's address",
                ));
            }
            None => client,
        };
        only(&reading, "server", true, "only servers are offered")?;
        only(
            &reading,
            "connect.enabled",
            true,
            "the mesh cannot be switched off",
        )?;
        if reading
            .text("connect.ca_provider")?
            .is_some_and(|provider| provider != "consul")
        {
            return Err(reading.problem(
                "connect.ca_provider",
                "only \"consul\", the built-in authority, is offered",
            ));
        }
        if reading
            .integer("bootstrap_expect")?
            .is_some_and(|count| count != 1)
        {
            return Err(reading.problem("bootstrap_expect", "only 1 is offered"));
        }
        let listen = |port: Option<u16>| port.map(|port| SocketAddr::new(client, port));
        let datacenter = reading.parsed("datacenter", "dc1", Datacenter::new)?;
        let node_name = reading.parsed("node_name", &host_name(), NodeName::new)?;
        let settings = Settings {
            data_dir: reading.text("data_dir")?.map(PathBuf::from),
            default_intention: reading.parsed("default_intention_policy", "deny", action)?,
            advertise_addr: advertise,
            advertise_addr_wan: reading.ip("advertise_addr_wan")?.unwrap_or(advertise),
            http: listen(reading.port("ports.http", 8500)?),
            grpc: listen(reading.port("ports.grpc", 8502)?),
            grpc_tls: listen(reading.port("ports.grpc_tls", 8503)?),
            dns: listen(reading.port("ports.dns", 8600)?),
            zone: dns::zone(&reading, &datacenter, &node_name)?,
            datacenter,
            node_name,
            locality: locality(&reading)?,
            log_level: reading.text("log_level")?.unwrap_or_else(|| "info".to_owned()),
            log_json: reading.flag("log_json")?.unwrap_or(false),
            leaf_ttl: leaf_ttl(&reading)?,
            root: root(&reading)?,
            peering: reading.flag("peering.enabled")?.unwrap_or(true),
            token_ttl: token_ttl(&reading)?,
            stale_after: stale_after(&reading)?,
            imports: imports::policy(&reading)?,
            bootstrap: reading.list("config_entries.bootstrap"),
            services: [reading.list("service"), reading.list("services")].concat(),
        };
        if settings.data_dir.is_none() && !overrides.dev {
            return Err(reading.problem(
                "data_dir",
                "is not set: give a folder, or -dev to keep state in memory only",
            ));
        }
        if settings.peering && settings.grpc_tls.is_none() {
            return Err(reading.problem(
                "ports.grpc_tls",
                "is off, but peerings need it: give it a port or set peering { enabled = false }",
            ));
        }
        Ok(settings)
    }
}

fn action(text: &str) -> Result<Action, Invalid> {
    match text {
        "allow" => Ok(Action::Allow),
        "deny" => Ok(Action::Deny),
        other => Err(Invalid::new(
            "",
            format!("{other:?} is no policy, use \"deny\" or \"allow\""),
        )),
    }
}

fn only(reading: &Reading, key: &str, offered: bool, why: &str) -> Result<(), SettingsError> {
    match reading.flag(key)? {
        Some(value) if value != offered => Err(reading.problem(key, why)),
        _ => Ok(()),
    }
}

fn locality(reading: &Reading) -> Result<Option<Locality>, SettingsError> {
    let text = |key| Ok(reading.text(key)?.unwrap_or_default());
    let (region, zone) = (text("locality.region")?, text("locality.zone")?);
    Locality::of(&region, &zone).map_err(|invalid| {
        let key = match invalid.path.as_str() {
            "Zone" => "locality.zone",
            _ => "locality.region",
        };
        reading.problem(key, invalid.problem)
    })
}

/// Shortest life of a leaf (xDS facts, section 5).
const MIN_LEAF_TTL: Duration = Duration::from_secs(60 * 60);
/// Life of a leaf unless set.
const DEFAULT_LEAF_TTL: Duration = Duration::from_secs(72 * 60 * 60);

fn leaf_ttl(reading: &Reading) -> Result<Duration, SettingsError> {
    let key = "connect.ca_config.leaf_cert_ttl";
    let Some(text) = reading.text(key)? else {
        return Ok(DEFAULT_LEAF_TTL);
    };
    match read::duration(&text) {
        Some(ttl) if ttl >= MIN_LEAF_TTL => Ok(ttl),
        Some(_) => Err(reading.problem(key, "must be at least 1h")),
        None => Err(reading.problem(
            key,
            format!("{text:?} is not a duration, write for example \"72h\""),
        )),
    }
}

/// A certificate and its key, or neither.
fn root(reading: &Reading) -> Result<Option<BroughtRoot>, SettingsError> {
    let (certificate, key) = ("connect.ca_config.root_cert", "connect.ca_config.private_key");
    let needed = |missing: &str, given: &str| {
        Err(reading.problem(
            missing,
            format!("is needed as well as {given}, both are PEM text"),
        ))
    };
    match (reading.text(certificate)?, reading.secret(key)?) {
        (None, None) => Ok(None),
        (Some(_), None) => needed(key, certificate),
        (None, Some(_)) => needed(certificate, key),
        (Some(certificate), Some(key)) => Ok(Some(BroughtRoot { certificate, key })),
    }
}

fn token_ttl(reading: &Reading) -> Result<Option<Duration>, SettingsError> {
    let key = "peering.token_ttl";
    let Some(text) = reading.text(key)? else {
        return Ok(None);
    };
    match read::duration(&text) {
        Some(ttl) if !ttl.is_zero() && ttl <= MAX_TOKEN_TTL => Ok(Some(ttl)),
        Some(_) => Err(reading.problem(
            key,
            format!(
                "must be more than nothing and at most {}h, leave it out for no limit",
                MAX_TOKEN_TTL.as_secs() / 3600
            ),
        )),
        None => Err(reading.problem(
            key,
            format!("{text:?} is not a duration, write for example \"24h\""),
        )),
    }
}

fn stale_after(reading: &Reading) -> Result<Option<Duration>, SettingsError> {
    let key = "peering.stale_after";
    let Some(text) = reading.text(key)? else {
        return Ok(None);
    };
    match read::duration(&text) {
        Some(age) if age >= MIN_STALE_AFTER => Ok(Some(age)),
        Some(_) => Err(reading.problem(key, format!("must be at least {}s", MIN_STALE_AFTER.as_secs()))),
        None => Err(reading.problem(
            key,
            format!("{text:?} is not a duration, write for example \"60s\""),
        )),
    }
}

/// The kernel's host name, without asking a resolver; `peerway` where there is none.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() {
        "peerway".to_owned()
    } else {
        name.trim().to_owned()
    }
}

#[cfg(test)]
mod tests;
