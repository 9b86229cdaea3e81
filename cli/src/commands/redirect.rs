//! `peerway connect redirect-traffic`: rules that bring an application's connections to its transparent sidecar.

use crate::client::{Client, ClientFlags, segment};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use std::fmt::Write;
use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};

/// The table that holds all rules; it is replaced whole.
const TABLE: &str = "peerway";
/// Most bytes of the kernel's refusal that are shown.
const MAX_REFUSAL_BYTES: usize = 2_000;

#[derive(Args)]
pub struct Redirect {
    #[command(flatten)]
    client: ClientFlags,
    /// User id that Envoy runs as: its own connections are left alone
    #[arg(long, value_name = "UID")]
    proxy_uid: u32,
    /// Id of the registered sidecar, whose ports are then asked of the API
    #[arg(long, value_name = "ID", required_unless_present = "proxy_outbound_port")]
    proxy_id: Option<String>,
    /// Port of the outbound listener; the one that counts for the sidecar unless given
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    proxy_outbound_port: Option<u16>,
    /// Port of the public listener, to which calls from outside are redirected; the registered one unless given
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    proxy_inbound_port: Option<u16>,
    /// Port on this host that callers reach as before; may be given more than once
    #[arg(long, value_name = "PORT")]
    exclude_inbound_port: Vec<u16>,
    /// Port elsewhere that is dialled as before; may be given more than once
    #[arg(long, value_name = "PORT")]
    exclude_outbound_port: Vec<u16>,
    /// IPv4 address or range that is dialled as before; may be given more than once
    #[arg(long, value_name = "CIDR")]
    exclude_outbound_cidr: Vec<String>,
    /// User id whose connections are left alone; may be given more than once
    #[arg(long, value_name = "UID")]
    exclude_uid: Vec<u32>,
    /// Print the rules instead of setting them
    #[arg(long)]
    print: bool,
}

pub(super) fn run(args: &Redirect) -> Result<ExitCode> {
    let rules = Rules::of(args)?.to_string();
    if args.print {
        print!("{rules}");
        return Ok(ExitCode::SUCCESS);
    }
    set(&rules)?;
    println!("Traffic is redirected; undo with: nft delete table ip {TABLE}");
    Ok(ExitCode::SUCCESS)
}

/// What is redirected where.
struct Rules<'a> {
    outbound_port: u16,
    inbound_port: Option<u16>,
    /// Ports of paths that the sidecar exposes, which callers reach as before.
    exposed: Vec<u16>,
    args: &'a Redirect,
}

impl<'a> Rules<'a> {
    fn of(args: &'a Redirect) -> Result<Self> {
        for cidr in &args.exclude_outbound_cidr {
            check_range(cidr)?;
        }
        let mut rules = Rules {
            outbound_port: args.proxy_outbound_port.unwrap_or_default(),
            inbound_port: args.proxy_inbound_port,
            exposed: Vec::new(),
            args,
        };
        if let Some(id) = &args.proxy_id {
            let ports = Ports::of(&registered(&args.client, id)?, id)?;
            rules.outbound_port = args.proxy_outbound_port.unwrap_or(ports.outbound);
            rules.inbound_port = args.proxy_inbound_port.or(ports.inbound);
            rules.exposed = ports.exposed;
        }
        Ok(rules)
    }
}

impl std::fmt::Display for Rules<'_> {
    /// As `nft -f` reads it. IPv4 only: virtual addresses are, and the outbound listener is on 127.0.0.1.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        // Made before it is deleted, so that the first time is like every other.
        let _ = writeln!(
            out,
            "table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{"
        );
        let _ = writeln!(
            out,
            "\tchain outbound {{\n\t\ttype nat hook output priority -100; policy accept;"
        );
        for uid in std::iter::once(&self.args.proxy_uid).chain(&self.args.exclude_uid) {
            let _ = writeln!(out, "\t\tmeta skuid {uid} return");
        }
        let _ = writeln!(out, "\t\tip daddr 127.0.0.0/8 return");
        for cidr in &self.args.exclude_outbound_cidr {
            let _ = writeln!(out, "\t\tip daddr {cidr} return");
        }
        for port in &self.args.exclude_outbound_port {
            let _ = writeln!(out, "\t\ttcp dport {port} return");
        }
        let _ = writeln!(
            out,
            "\t\tmeta l4proto tcp redirect to :{}\n\t}}",
            self.outbound_port
        );
        if let Some(inbound) = self.inbound_port {
            let _ = writeln!(
                out,
                "\tchain inbound {{\n\t\ttype nat hook prerouting priority -100; policy accept;"
            );
            for port in self.exposed.iter().chain(&self.args.exclude_inbound_port) {
                let _ = writeln!(out, "\t\ttcp dport {port} return");
            }
            let _ = writeln!(out, "\t\tmeta l4proto tcp redirect to :{inbound}\n\t}}");
        }
        let _ = writeln!(out, "}}");
        f.write_str(&out)
    }
}

/// What the agent says about a registered sidecar.
fn registered(flags: &ClientFlags, id: &str) -> Result<Value> {
    let client = Client::from_flags(flags)?;
    let path = format!("/v1/agent/service/{}{}", segment(id), flags.tenancy_query());
    let answer = client.get(&path)?;
    if answer.status == 404 {
        bail!("no proxy with id {id:?} is registered, register it first");
    }
    answer.json()
}

/// The ports of a sidecar.
struct Ports {
    outbound: u16,
    inbound: Option<u16>,
    exposed: Vec<u16>,
}

impl Ports {
    fn of(proxy: &Value, id: &str) -> Result<Self> {
        let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
        let Some(outbound) = port(&proxy["Proxy"]["TransparentProxy"]["OutboundListenerPort"]) else {
            bail!(
                "proxy {id:?} is not transparent: register it with proxy {{ mode = \"transparent\" }}, or write Mode = \"transparent\" into the service-defaults of its service or into proxy-defaults"
            );
        };
        let exposed = proxy["Proxy"]["Expose"]["Paths"].as_array();
        Ok(Ports {
            outbound,
            inbound: port(&proxy["Port"]).filter(|port| *port != 0),
            exposed: exposed
                .into_iter()
                .flatten()
                .filter_map(|path| port(&path["ListenerPort"]))
                .collect(),
        })
    }
}

/// Refuses what is not an IPv4 address or range; nothing else may reach the script.
fn check_range(text: &str) -> Result<()> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let fits =
        address.parse::<std::net::Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= 32);
    if !fits {
        bail!("-exclude-outbound-cidr: {text:?} is not an IPv4 address or range, write 10.0.0.0/8");
    }
    Ok(())
}

fn set(rules: &str) -> Result<()> {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(
            "cannot run nft, which sets the rules: install nftables, or use -print and set them yourself",
        )?;
    if let Some(mut stdin) = nft.stdin.take() {
        stdin
            .write_all(rules.as_bytes())
            .context("nft does not read its rules")?;
    }
    let output = nft.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(MAX_REFUSAL_BYTES).collect();
        bail!("nft refused the rules, it needs the right to administrate the network: {said}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        redirect: Redirect,
    }

    fn rules(args: &[&str]) -> Result<String> {
        let line = Line::try_parse_from(std::iter::once(&"x").chain(args))?;
        Ok(Rules::of(&line.redirect)?.to_string())
    }

    #[test]
    fn what_is_excluded_comes_before_what_is_redirected() {
        let text = rules(&[
            "--proxy-uid=1337",
            "--proxy-outbound-port=15001",
            "--proxy-inbound-port=20000",
            "--exclude-uid=7",
            "--exclude-outbound-cidr=10.0.0.0/8",
            "--exclude-outbound-port=22",
            "--exclude-inbound-port=9100",
        ])
        .unwrap();
        assert_eq!(
            text,
            "table ip peerway\n\
             delete table ip peerway\n\
             table ip peerway {\n\
             \tchain outbound {\n\
             \t\ttype nat hook output priority -100; policy accept;\n\
             \t\tmeta skuid 1337 return\n\
             \t\tmeta skuid 7 return\n\
             \t\tip daddr 127.0.0.0/8 return\n\
             \t\tip daddr 10.0.0.0/8 return\n\
             \t\ttcp dport 22 return\n\
             \t\tmeta l4proto tcp redirect to :15001\n\
             \t}\n\
             \tchain inbound {\n\
             \t\ttype nat hook prerouting priority -100; policy accept;\n\
             \t\ttcp dport 9100 return\n\
             \t\tmeta l4proto tcp redirect to :20000\n\
             \t}\n\
             }\n"
        );
    }

    #[test]
    fn the_ports_are_those_that_count_for_the_sidecar() {
        let mut proxy = json!({"Port": 21_000, "Proxy": {
            "TransparentProxy": {"OutboundListenerPort": 15_002},
            "Expose": {
                "Paths": [{"Path": "/health", "ListenerPort": 9_100}],
                "LeftOut": [{"Path": "/metrics", "ListenerPort": 21_000}],
            },
        }});
        let ports = Ports::of(&proxy, "web").unwrap();
        assert_eq!(
            (ports.outbound, ports.inbound, ports.exposed.as_slice()),
            (15_002, Some(21_000), [9_100].as_slice())
        );
        let args = [
            "--proxy-uid=1",
            "--proxy-outbound-port=15002",
            "--exclude-inbound-port=22",
        ];
        let line = Line::try_parse_from(std::iter::once(&"x").chain(&args)).unwrap();
        let text = Rules {
            outbound_port: ports.outbound,
            inbound_port: ports.inbound,
            exposed: ports.exposed,
            args: &line.redirect,
        }
        .to_string();
        assert!(
            text.contains(
                "\t\ttcp dport 9100 return\n\t\ttcp dport 22 return\n\t\tmeta l4proto tcp redirect to :21000"
            ),
            "{text}"
        );
        proxy["Proxy"]["TransparentProxy"] = Value::Null;
        let error = Ports::of(&proxy, "web").err().unwrap().to_string();
        assert!(error.contains("\"web\" is not transparent"), "{error}");
    }

    #[test]
    fn without_a_public_port_nothing_from_outside_is_redirected() {
        let text = rules(&["--proxy-uid=1", "--proxy-outbound-port=15001"]).unwrap();
        assert!(!text.contains("inbound"), "{text}");
    }

    #[test]
    fn nothing_but_ranges_reaches_the_script() {
        for bad in ["10.0.0.0/33", "10.0.0.0/8 accept", "::1", "; flush ruleset", ""] {
            let arg = format!("--exclude-outbound-cidr={bad}");
            let error = rules(&["--proxy-uid=1", "--proxy-outbound-port=15001", &arg]).unwrap_err();
            assert!(error.to_string().contains("-exclude-outbound-cidr"), "{error}");
        }
    }
}
