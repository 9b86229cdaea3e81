//! Reads what a cluster says of a peer, and holds it to what that peer has acknowledged.

use super::course::Course;
use super::ledger::{Kind, Ledger, Untrue};
use super::writes::{lock, versions};
use anyhow::{Context, Result};
use fastrand::Rng;
use peerway_cli::client::{Answer, Client};
use peerway_cli::demo::stage::Stage;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// Time between two readings.
const EVERY: Duration = Duration::from_millis(250);
/// What is `ACTIVE` was proven not longer ago (`docs/freshness.md`).
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(45);
/// What a commit may take until the stream that sends it hears of it, on a machine that has other things to do: only
/// what is untrue by more than that is held against anybody.
pub(crate) const HEARING: Duration = Duration::from_secs(5);
/// Every so many readings the command line is asked as well.
const BY_COMMAND: u64 = 20;

/// An export as its importer sees it.
pub(crate) struct Witness<'a> {
    pub(crate) exporter: &'a str,
    pub(crate) importer: &'a str,
    /// The importer's API.
    pub(crate) http: &'a str,
    /// The exporter's.
    pub(crate) ledger: &'a Mutex<Ledger>,
    pub(crate) stage: &'a Stage,
    pub(crate) course: &'a Course,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Readings by the state that they told.
    pub(crate) states: BTreeMap<String, u64>,
    /// Of the command line.
    pub(crate) commands: u64,
    /// Readings that were untrue, by less than [`HEARING`].
    pub(crate) nearly: u64,
    /// The oldest that what was `ACTIVE` was said to be, in milliseconds.
    pub(crate) oldest_active: u64,
    /// What was untrue.
    pub(crate) untrue: Vec<String>,
}

impl Witness<'_> {
    /// Reads until the run is over.
    pub(crate) fn watch(&self, seed: u64) -> Result<Seen> {
        let client = Client::new(self.http)?;
        let (mut random, mut seen) = (Rng::with_seed(seed), Seen::default());
        let mut count = 0;
        while self.course.sleep(EVERY) {
            count += 1;
            if self.read(&client, &mut random, &mut seen).is_err() {
                *seen.states.entry("unreadable".to_owned()).or_default() += 1;
            }
            if count % BY_COMMAND == 0 && self.ask(&client, &mut seen).is_ok() {
                seen.commands += 1;
            }
        }
        Ok(seen)
    }

    fn read(&self, client: &Client, random: &mut Rng, seen: &mut Seen) -> Result<()> {
        let begun = self.course.clock();
        let peering = client.get(&format!("/v1/peering/{}", self.exporter))?.json()?;
        let told = Told::read(&peering);
        let state = if told.state.is_empty() {
            "none yet"
        } else {
            &told.state
        };
        *seen.states.entry(state.to_owned()).or_default() += 1;
        seen.untrue
            .extend(told.contradiction().map(|text| self.says(&text)));
        if let Some(age) = told.age.filter(|_| told.state == "ACTIVE") {
            seen.oldest_active = seen.oldest_active.max(age.as_millis() as u64);
        }
        // What is held is read after what was said of it, and is only ever newer.
        let asked = self.course.clock();
        let answer = client.get(&format!("/v1/catalog/services?peer={}", self.exporter))?;
        let by_header = age_of(&answer);
        let found = held_in(&answer.json()?)?;
        let read = self.course.clock();
        for (begun, age) in [(begun, told.age), (asked, by_header)] {
            self.judge(None, &found, begun, age, read, seen);
        }
        // One service with its own state.
        let service = format!("s-{:02}", random.u8(..12));
        let asked = self.course.clock();
        let answer = client.get(&format!("/v1/health/service/{service}?peer={}", self.exporter))?;
        let age = age_of(&answer);
        let entries = answer.json()?;
        let entries = entries.as_array().into_iter().flatten();
        let tags = entries.flat_map(|entry| entry["Service"]["Tags"].as_array().into_iter().flatten());
        let found = versions(tags.filter_map(Value::as_str));
        let read = self.course.clock();
        self.judge(Some(&service), &found, asked, age, read, seen);
        Ok(())
    }

    /// As [`Witness::read`], of what `peerway peering read` prints for people.
    fn ask(&self, client: &Client, seen: &mut Seen) -> Result<()> {
        let begun = self.course.clock();
        let (http, name) = (
            format!("-http-addr={}", self.http),
            format!("-name={}", self.exporter),
        );
        let text = self.stage.run(&["peering", "read", &http, &name])?;
        let answer = client.get(&format!("/v1/catalog/services?peer={}", self.exporter))?;
        let found = held_in(&answer.json()?)?;
        let state = text.lines().find_map(|line| line.strip_prefix("State:"));
        let age = state.filter(|state| state.trim() == "ACTIVE").map(|_| FRESH_FOR);
        self.judge(None, &found, begun, age, self.course.clock(), seen);
        Ok(())
    }

    /// Judges what was held some time after `begun`, when it was said to be of that age.
    fn judge(
        &self,
        service: Option<&str>,
        found: &BTreeMap<String, u64>,
        begun: Duration,
        age: Option<Duration>,
        read: Duration,
        seen: &mut Seen,
    ) {
        let mut ledger = lock(self.ledger);
        let since = age.map_or(Duration::ZERO, |age| begun.saturating_sub(age));
        let exactly = ledger.judge(self.importer, service, found, since, read);
        let surely = ledger.judge(self.importer, service, found, since.saturating_sub(HEARING), read);
        let is_stale = |untrue: &&Untrue| untrue.kind == Kind::Stale;
        let nearly = exactly.iter().filter(is_stale).count() > surely.iter().filter(is_stale).count();
        seen.nearly += u64::from(nearly);
        // What went back or was never exported is so whatever the age; a second look would not find it again.
        let others = exactly.into_iter().filter(|untrue| untrue.kind != Kind::Stale);
        let stale = surely.into_iter().filter(|untrue| untrue.kind == Kind::Stale);
        let texts = others.chain(stale).map(|untrue| {
            let kind = match untrue.kind {
                Kind::Stale => "stale data was said to be newer",
                Kind::NeverExported => "data was held that was never exported",
                Kind::WentBack => "data went back in time",
            };
            self.says(&format!("{kind} (age {age:?}): {}", untrue.text))
        });
        seen.untrue.extend(texts);
    }

    fn says(&self, text: &str) -> String {
        format!("{} of {}: {text}", self.importer, self.exporter)
    }

    /// Whether everything is held as it is, and is said to be.
    ///
    /// # Errors
    /// What is not so.
    pub(crate) fn settled(&self) -> Result<()> {
        let client = Client::new(self.http)?;
        let told = Told::read(&client.get(&format!("/v1/peering/{}", self.exporter))?.json()?);
        let answer = client.get(&format!("/v1/catalog/services?peer={}", self.exporter))?;
        let found = held_in(&answer.json()?)?;
        let expected = lock(self.ledger).visible(self.importer);
        anyhow::ensure!(
            found == expected,
            self.says(&format!("it holds {found:?}, exported is {expected:?}"))
        );
        anyhow::ensure!(
            told.state == "ACTIVE",
            self.says(&format!("it is {}: {}", told.state, told.reason))
        );
        Ok(())
    }
}

/// What is said of a peering.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// In Consul's words.
    shown: String,
    /// Of `Freshness`; empty before the first attempt to reach the peer.
    state: String,
    reason: String,
    age: Option<Duration>,
}

impl Told {
    fn read(peering: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let fresh = &peering["Freshness"];
        Told {
            shown: text(&peering["State"]),
            state: text(&fresh["State"]),
            reason: text(&fresh["Reason"]),
            age: fresh["AgeMs"].as_u64().map(Duration::from_millis),
        }
    }

    /// Whether it contradicts itself or `docs/freshness.md`.
    fn contradiction(&self) -> Option<String> {
        if (self.shown == "ACTIVE") != (self.state == "ACTIVE") {
            return Some(format!(
                "State is {} and Freshness.State {}",
                self.shown, self.state
            ));
        }
        let is_old = self.age.is_none_or(|age| age > FRESH_FOR);
        (self.state == "ACTIVE" && is_old).then(|| format!("it is ACTIVE at an age of {:?}", self.age))
    }
}

/// The age that an answer about imported services tells, if any.
fn age_of(answer: &Answer) -> Option<Duration> {
    let millis = answer.header("x-peerway-age-ms")?.parse().ok()?;
    Some(Duration::from_millis(millis))
}

/// Versions by instance, from the tags of all services.
fn held_in(catalog: &Value) -> Result<BTreeMap<String, u64>> {
    let services = catalog.as_object().context("the catalog is no object")?;
    let tags = services
        .values()
        .flat_map(|tags| tags.as_array().into_iter().flatten());
    Ok(versions(tags.filter_map(Value::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_said_must_not_contradict_itself() {
        let told = |shown: &str, state: &str, age: Option<u64>| {
            Told::read(&json!({ "State": shown, "Freshness": { "State": state, "AgeMs": age } }))
        };
        for fine in [
            told("ACTIVE", "ACTIVE", Some(45_000)),
            told("FAILING", "STALE", Some(60_000)),
            told("ESTABLISHING", "", None),
        ] {
            assert_eq!(fine.contradiction(), None);
        }
        for wrong in [
            told("ACTIVE", "STALE", Some(1)),
            told("ACTIVE", "", None),
            told("FAILING", "ACTIVE", Some(1)),
            told("ACTIVE", "ACTIVE", Some(45_001)),
            told("ACTIVE", "ACTIVE", None),
        ] {
            assert!(wrong.contradiction().is_some(), "{wrong:?}");
        }
    }

    #[test]
    fn a_catalog_tells_versions() {
        let catalog = json!({ "s-01": ["s-01-1@4", "s-01-2@7"], "app": [], "app-sidecar-proxy": [] });
        let expected = [("s-01-1", 4), ("s-01-2", 7)];
        let expected = expected.map(|(id, version)| (id.to_owned(), version)).into();
        assert_eq!(held_in(&catalog).unwrap(), expected);
    }
}
