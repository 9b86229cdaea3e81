//! Whether what a cluster holds of a peer is what that one exports, as the catalogs of both say.

use super::shop::name;
use anyhow::{Context, Result};
use peerway_cli::client::Client;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Differences that are told in words; the others are counted.
const TOLD: usize = 5;

/// The two sides of one export.
pub(crate) struct Sides<'a> {
    pub(crate) exporter: (&'a str, &'a Client),
    pub(crate) importer: (&'a str, &'a Client),
    pub(crate) services: usize,
}

impl Sides<'_> {
    /// How many services were equal, of how many instances. Everything is compared: the names, and of each service the
    /// instances with nodes, tags, addresses, ports, metadata and weights, and whether it can be dialled.
    ///
    /// # Errors
    /// The first differences.
    pub(crate) fn compare(&self) -> Result<(usize, usize)> {
        let ((there, exporter), (here, importer)) = (self.exporter, self.importer);
        let mut instances = 0;
        let mut found = Vec::new();
        for service in 0..self.services {
            let name = name(service);
            let offered = of_service(exporter, &name, "")?;
            let held = of_service(importer, &name, &format!("?peer={there}"))?;
            instances += offered.len();
            if offered != held {
                found.push(format!("{name} is {}, held is {}", json!(offered), json!(held)));
            }
            let faces = entries(importer, &format!("/v1/health/connect/{name}?peer={there}"))?.len();
            // A wildcard offers no face of what has no instance, a list does.
            if faces > 1 || (faces == 0 && !offered.is_empty()) {
                found.push(format!("{name} can be dialled at {faces} places instead of one"));
            }
        }
        let listed = names(importer, there)?;
        let expected: BTreeSet<String> = (0..self.services).map(name).collect();
        for extra in listed.difference(&expected) {
            found.push(format!("{extra} is held and not exported"));
        }
        if found.is_empty() {
            return Ok((self.services, instances));
        }
        let count = found.len();
        found.truncate(TOLD);
        anyhow::bail!(
            "what {here} holds of {there} differs in {count} places: {}",
            found.join("; ")
        )
    }
}

/// The services that are held of a peer, without the faces that its gateways give them.
fn names(importer: &Client, peer: &str) -> Result<BTreeSet<String>> {
    let all = importer
        .get(&format!("/v1/catalog/services?peer={peer}"))?
        .json()?;
    let names = all.as_object().context("the catalog is no object")?.keys();
    Ok(names
        .filter(|name| !name.ends_with("-sidecar-proxy"))
        .cloned()
        .collect())
}

fn entries(client: &Client, path: &str) -> Result<Vec<Value>> {
    let answer = client.get(path)?.json()?;
    Ok(answer.as_array().context("the answer is no list")?.clone())
}

fn of_service(client: &Client, name: &str, query: &str) -> Result<Vec<Value>> {
    let entries = entries(client, &format!("/v1/health/service/{name}{query}"))?;
    Ok(comparable(&entries))
}

/// What both catalogs have to say of each instance, in the order of ids.
fn comparable(entries: &[Value]) -> Vec<Value> {
    let mut all: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let own = &entry["Service"];
            json!([
                own["ID"],
                entry["Node"]["Node"],
                own["Address"],
                own["Port"],
                own["Tags"],
                own["Meta"],
                own["Weights"],
            ])
        })
        .collect();
    all.sort_by_key(|entry| entry[0].as_str().map(str::to_owned));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_compared_in_everything_but_their_order_and_origin() {
        let entry = |id: &str, version: &str, peer: &str| {
            json!({
                "Node": { "Node": "n", "PeerName": peer },
                "Service": { "ID": id, "Port": 1, "Meta": { "version": version }, "PeerName": peer },
            })
        };
        let (a, b) = (entry("a", "1", ""), entry("b", "1", ""));
        let held = [entry("b", "1", "p0"), entry("a", "1", "p0")];
        assert_eq!(comparable(&[a.clone(), b.clone()]), comparable(&held));
        let older = [entry("a", "0", "p0"), entry("b", "1", "p0")];
        assert_ne!(comparable(&[a.clone(), b]), comparable(&older));
        assert_ne!(comparable(&[a]), comparable(&held));
    }
}
