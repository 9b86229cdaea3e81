//! How many leaves one core issues in a second when a new root begins to sign: a key (ECDSA P-256), a serial and a
//! signature each, on one thread. The budget is 2,000 a second of a P-256 root.

use crate::timing::{median, now};
use peerway_certs::{BuiltIn, DEFAULT_LEAF_TTL, generate_root, issue_leaf};
use peerway_model::{CaRoots, Datacenter, RootKey, SpiffeId, TrustDomain};
use peerway_runtime::{SystemClock, UnixMillis};
use serde_json::{Value, json};
use std::time::Duration;

const CLUSTER: &str = "11111111-2222-3333-4444-555555555555";
/// Rounds over all kinds of roots. A round measures each once, so that a slow moment of the machine hits all alike.
const ROUNDS: usize = 15;
/// Leaves in one round.
const LEAVES: u32 = 400;

struct Subject {
    root: &'static str,
    authority: BuiltIn,
    /// Mean time of one leaf in each round.
    rounds: Vec<Duration>,
}

pub(crate) fn run() -> anyhow::Result<Value> {
    let now = SystemClock::shared().now();
    let mut subjects = vec![
        subject("ECDSA P-256", RootKey::P256, now)?,
        subject("ECDSA P-384", RootKey::P384, now)?,
    ];
    for _ in 0..ROUNDS {
        for subject in &mut subjects {
            measure(subject, now)?;
        }
    }
    let medians: Vec<f64> = subjects
        .iter_mut()
        .map(|subject| median(&mut subject.rounds))
        .collect();
    let first = medians.first().copied().unwrap_or(1.0);
    let rows: Vec<Value> = subjects
        .iter()
        .zip(&medians)
        .map(|(subject, median)| {
            json!({
                "root": subject.root,
                "leaf_us": (median * 10.0).round() / 10.0,
                "leaves_per_second_per_core": (1e6 / median).round(),
                "ratio_to_first": (median / first * 100.0).round() / 100.0,
            })
        })
        .collect();
    Ok(json!({ "benchmark": "rekey", "rounds": ROUNDS, "leaves_per_round": LEAVES, "rows": rows }))
}

fn subject(name: &'static str, kind: RootKey, now: UnixMillis) -> anyhow::Result<Subject> {
    let trust_domain = TrustDomain::of_cluster(CLUSTER)?;
    let (root, key) = generate_root(&trust_domain, now, kind)?;
    let roots = CaRoots {
        cluster_id: CLUSTER.to_owned(),
        trust_domain,
        datacenter: Datacenter::new("dc1")?,
        roots: vec![root],
        rotation: None,
    };
    Ok(Subject {
        root: name,
        authority: BuiltIn::new(&roots, &key)?,
        rounds: Vec::new(),
    })
}

fn measure(subject: &mut Subject, moment: UnixMillis) -> anyhow::Result<()> {
    let identities = (0..LEAVES)
        .map(|number| {
            SpiffeId::parse(&format!(
                "spiffe://{CLUSTER}.consul/ns/default/dc/dc1/svc/s{number}"
            ))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let begun = now();
    for identity in &identities {
        std::hint::black_box(issue_leaf(
            &subject.authority,
            identity,
            DEFAULT_LEAF_TTL,
            moment,
        )?);
    }
    subject.rounds.push(begun.elapsed() / LEAVES);
    Ok(())
}
