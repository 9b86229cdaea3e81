//! One cluster of the run: its server, its services and what it exports.

use super::shop::{self, Change, Shop};
use anyhow::{Context, Result};
use peerway_cli::client::Client;
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::stage::{Stage, free_port};
use serde_json::{Value, json};

/// The cluster in the middle, which all others peer with.
pub(crate) const HUB: &str = "hub";

/// A cluster with services that nobody runs: their registrations are what this is about.
pub(crate) struct Town {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    pub(crate) shop: Shop,
    /// Where its mesh gateway is said to be.
    pub(crate) gateway: u16,
}

impl Town {
    /// Starts the server.
    pub(crate) fn start(stage: &Stage, name: &str, services: usize, seed: u64) -> Result<Self> {
        let cluster = Cluster::start(stage, name)?;
        Ok(Town {
            client: cluster.api()?,
            cluster,
            shop: Shop::new(services, seed),
            gateway: free_port()?,
        })
    }

    /// Registers the gateway and all services, and exports them to `consumers`: with a list of names, or all that there
    /// are.
    pub(crate) fn fill(&self, services: usize, consumers: &[String], listed: bool) -> Result<()> {
        let at = json!({ "Address": "127.0.0.1", "Port": self.gateway });
        let gateway = json!({
            "Kind": "mesh-gateway",
            "Name": "mesh-gateway",
            "ID": "gateway",
            "Address": "127.0.0.1",
            "Port": self.gateway,
            "TaggedAddresses": { "lan": at, "wan": at },
        });
        self.put("/v1/agent/service/register", &gateway)?;
        for change in self.shop.all() {
            self.make(&change)?;
        }
        let consumers: Vec<Value> = consumers.iter().map(|peer| json!({ "Peer": peer })).collect();
        let names = if listed {
            (0..services).map(shop::name).collect()
        } else {
            vec!["*".to_owned()]
        };
        let exported: Vec<Value> = names
            .iter()
            .map(|name| json!({ "Name": name, "Consumers": consumers }))
            .collect();
        let entry = json!({ "Kind": "exported-services", "Name": "default", "Services": exported });
        self.put("/v1/config", &entry)
    }

    /// Makes a change.
    pub(crate) fn make(&self, change: &Change) -> Result<()> {
        self.put(&change.path, &change.body)
    }

    fn put(&self, path: &str, body: &Value) -> Result<()> {
        let answer = self.client.put(path, body).and_then(|answer| answer.ok());
        answer.map(|_| ()).with_context(|| self.cluster.name.clone())
    }
}

/// The state of each peering of a cluster.
pub(crate) fn states(client: &Client) -> Result<Vec<String>> {
    let all = client.get("/v1/peerings")?.json()?;
    let all = all.as_array().context("the peerings are no list")?;
    let state = |peering: &Value| {
        let fresh = peering["Freshness"]["State"].as_str();
        fresh.unwrap_or("UNKNOWN").to_owned()
    };
    Ok(all.iter().map(state).collect())
}
