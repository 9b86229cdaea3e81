//! `peerway change`: who has taken a change; and the flag with which writes wait for that.

use super::table;
use crate::client::{Answer, Client, ClientFlags};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Longest time that one request for a receipt is left open, in seconds; well within the time that a call may take.
const LOOK_SECONDS: u64 = 10;

/// The commands about changes.
#[derive(Subcommand)]
pub enum ChangeCommand {
    /// Show which proxies and peers have applied or refused a change, or have not answered
    Read(Read),
}

#[derive(Args)]
pub struct Read {
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    wait: WaitFlag,
    /// Id of the change, as a write with -wait and the header X-Peerway-Change of its answer tell
    id: u64,
}

/// Waiting for a change to be taken.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct WaitFlag {
    /// Wait until every proxy and peer has answered, at most this long (for example 90s or 5m; 30s unless given), and
    /// fail if one refuses or does not answer
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30s",
        value_parser = duration
    )]
    wait: Option<Duration>,
}

pub(super) fn run(command: ChangeCommand) -> Result<ExitCode> {
    match command {
        ChangeCommand::Read(args) => read(&args),
    }
}

fn read(args: &Read) -> Result<ExitCode> {
    let client = Client::from_flags(&args.client)?;
    if let Some(limit) = args.wait.wait {
        return settle(&client, args.id, limit);
    }
    let receipt = client.get(&format!("/v1/peerway/change/{}", args.id))?.json()?;
    println!("{}", shown(&receipt));
    Ok(ExitCode::SUCCESS)
}

impl WaitFlag {
    /// Does what the flag says after a write that was answered like this.
    pub(super) fn after(self, client: &Client, written: &Answer) -> Result<ExitCode> {
        let Some(limit) = self.wait else {
            return Ok(ExitCode::SUCCESS);
        };
        let change = written
            .change
            .context("the answer has no X-Peerway-Change, so -wait is only for servers of Peerway")?;
        settle(client, change, limit)
    }
}

/// Waits until everybody has answered; the failure exit code when somebody refuses or the time is up.
fn settle(client: &Client, change: u64, limit: Duration) -> Result<ExitCode> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a command of the moment, not a part of a server"
    )]
    let now = Instant::now;
    let deadline = now() + limit;
    loop {
        let left = deadline.saturating_duration_since(now());
        let look = left.min(Duration::from_secs(LOOK_SECONDS)).as_millis().max(1);
        let receipt = client
            .get(&format!("/v1/peerway/change/{change}?wait={look}ms"))?
            .json()?;
        if receipt["Settled"] == true {
            println!("{}", shown(&receipt));
            let refused = all(&receipt).filter(|one| one.2 == "refused").count();
            if refused > 0 {
                bail!("change {change} is refused by {refused} of those who have answered");
            }
            return Ok(ExitCode::SUCCESS);
        }
        if left.is_zero() {
            println!("{}", shown(&receipt));
            bail!(
                "change {change} was not answered by everybody in {} s",
                limit.as_secs_f64()
            );
        }
    }
}

/// Kind, name, state and reason of each.
fn all(receipt: &Value) -> impl Iterator<Item = (String, String, String, String)> {
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    let each = |key: &str| receipt[key].as_array().into_iter().flatten();
    let proxies = each("Proxies").map(move |one| {
        let name = format!("{} on {}", text(one, "ID"), text(one, "Node"));
        (text(one, "Kind"), name, text(one, "State"), text(one, "Reason"))
    });
    let peers = each("Peers").map(move |one| {
        (
            "peer".to_owned(),
            text(one, "Name"),
            text(one, "State"),
            text(one, "Reason"),
        )
    });
    proxies.chain(peers)
}

/// A line that counts, and a table of those who have not simply applied the change.
fn shown(receipt: &Value) -> String {
    let states = ["applied", "refused", "pending", "disconnected"];
    let counts: Vec<String> = states
        .iter()
        .map(|state| (state, all(receipt).filter(|one| one.2 == **state).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let counts = if counts.is_empty() {
        "there is nobody to take it".to_owned()
    } else {
        counts.join(", ")
    };
    let rows: Vec<Vec<String>> = all(receipt)
        .filter(|one| one.2 != "applied")
        .map(|(kind, name, state, reason)| vec![kind, name, state, reason])
        .collect();
    let mut out = format!("Change {}: {counts}", receipt["ID"]);
    if !rows.is_empty() {
        out.push('\n');
        out.push_str(&table::render(&["Kind", "Name", "State", "Reason"], &rows));
    }
    out
}

/// A whole number with `ms`, `s`, `m` or `h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time, write for example 90s or 5m");
    let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_have_a_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "5x",
            "1.5s",
            "99999999999999999999s",
            "9999999999999999h",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn who_has_applied_is_counted_and_everybody_else_is_named() {
        let receipt = json!({
            "ID": 7,
            "Settled": true,
            "Proxies": [
                { "ID": "a", "Node": "n1", "Kind": "connect-proxy", "State": "applied", "Reason": "" },
                { "ID": "b", "Node": "n1", "Kind": "mesh-gateway", "State": "refused", "Reason": "cannot bind" },
            ],
            "Peers": [{ "Name": "west", "State": "applied", "Reason": "" }],
        });
        assert_eq!(
            shown(&receipt),
            "Change 7: 2 applied, 1 refused\n\
             Kind          Name     State    Reason\n\
             mesh-gateway  b on n1  refused  cannot bind"
        );
        let nobody = json!({ "ID": 1, "Settled": true, "Proxies": [], "Peers": [] });
        assert_eq!(shown(&nobody), "Change 1: there is nobody to take it");
    }
}
