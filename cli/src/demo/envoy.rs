//! One running Envoy and what its admin interface says.

use super::stage::{Process, wait_for};
use crate::client::Client;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// A running Envoy.
#[derive(Clone)]
pub struct Envoy {
    /// Its process.
    pub process: Process,
    /// Where its admin interface listens.
    pub admin: SocketAddr,
}

impl Envoy {
    /// GET from the admin interface.
    ///
    /// # Errors
    /// When Envoy does not answer with 200.
    pub fn ask(&self, path: &str) -> Result<String> {
        let answer = Client::new(&self.admin.to_string())?.get(path)?;
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            bail!("{path} answered {}", answer.status)
        }
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// When it does not within `limit`, with the end of its log.
    pub fn wait_live(&self, limit: Duration) -> Result<()> {
        wait_for("Envoy to be live", limit, || {
            let state = self.ask("/ready")?;
            if state.trim() == "LIVE" {
                Ok(())
            } else {
                bail!("it is {}", state.trim())
            }
        })
        .with_context(|| format!("{}:\n{}", self.process.name(), self.process.tail(10)))
    }

    /// Counters and gauges whose names contain `part`.
    ///
    /// # Errors
    /// When Envoy does not answer.
    pub fn stats(&self, part: &str) -> Result<BTreeMap<String, u64>> {
        let all = self.ask("/stats")?;
        let lines = all.lines().filter_map(|line| line.split_once(": "));
        Ok(lines
            .filter(|(name, _)| name.contains(part))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect())
    }

    /// The sum of all counters and gauges whose names contain `part`.
    ///
    /// # Errors
    /// When Envoy does not answer.
    pub fn sum(&self, part: &str) -> Result<u64> {
        Ok(self.stats(part)?.values().sum())
    }

    /// How often a caller was refused: by a filter that decides about connections or requests, whose counters Envoy 1.36
    /// names otherwise, and where it cannot wait for that already in the handshake.
    ///
    /// # Errors
    /// When Envoy does not answer.
    pub fn denied(&self) -> Result<u64> {
        Ok(self.sum(".rbac.denied")? + self.sum("ssl.fail_verify_san")?)
    }

    /// Checks that it has rejected no update and warned of no deprecated field.
    ///
    /// # Errors
    /// When it has, with what it said.
    pub fn has_rejected_nothing(&self) -> Result<()> {
        if self.process.is_running() {
            let rejected: Vec<(String, u64)> = self
                .stats("update_rejected")?
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect();
            ensure!(
                rejected.is_empty(),
                "{} rejected {rejected:?}",
                self.process.name()
            );
        }
        let log = std::fs::read_to_string(self.process.log())?;
        if let Some(line) = log
            .lines()
            .find(|line| line.to_ascii_lowercase().contains("deprecated"))
        {
            bail!("{} warned: {line}", self.process.name());
        }
        Ok(())
    }

    /// Addresses of the endpoints of the Envoy clusters whose names contain `part`.
    ///
    /// # Errors
    /// When Envoy does not answer.
    pub fn endpoints(&self, part: &str) -> Result<Vec<String>> {
        let all = self.ask("/clusters")?;
        let mut found: Vec<String> = all
            .lines()
            .filter_map(|line| {
                let (cluster, rest) = line.split_once("::")?;
                let (address, _) = rest.split_once("::")?;
                let is_address = address.contains(':') && cluster.contains(part);
                is_address.then(|| address.to_owned())
            })
            .collect();
        found.sort();
        found.dedup();
        Ok(found)
    }
}
