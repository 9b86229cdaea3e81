//! What one change costs as the catalog grows and the interested proxies stay the same: a check of a dialled service
//! flips, the state applies it and the mesh brings every view up to date. The budget is a flat time within 1.3x from
//! 1,000 to 100,000 services.

use crate::timing::{median, now};
use crate::world::{self, DIALLED, PROXIES};
use peerway_mesh::Mesh;
use peerway_model::health::CheckStatus;
use peerway_state::{ChangeSet, Row, Snapshot, Transaction, apply};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Catalog sizes, in services.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Rounds over all sizes. A round measures each size once, so that a slow moment of the machine hits all alike.
const ROUNDS: usize = 15;
/// Changes measured per size and round.
const CHANGES: usize = 200;

struct Subject {
    services: usize,
    snapshot: Snapshot,
    mesh: Mesh,
    /// Mean time of one change in each round.
    rounds: Vec<Duration>,
    views: usize,
}

pub(crate) fn run() -> Value {
    let mut subjects: Vec<Subject> = SIZES
        .iter()
        .filter_map(|services| subject(*services).ok())
        .collect();
    for round in 0..ROUNDS {
        for subject in &mut subjects {
            measure(subject, round);
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
                "services": subject.services,
                "proxies": PROXIES,
                "change_us": (median * 10.0).round() / 10.0,
                "ratio_to_smallest": (median / first * 100.0).round() / 100.0,
                "views_changed_per_change": subject.views / (ROUNDS * CHANGES),
            })
        })
        .collect();
    json!({ "benchmark": "change", "rounds": ROUNDS, "changes_per_round": CHANGES, "rows": rows })
}

fn subject(services: usize) -> anyhow::Result<Subject> {
    let snapshot = world::build(services)?;
    let mut mesh = Mesh::new(Arc::new(snapshot.clone()));
    for index in 0..PROXIES {
        mesh.watch(&world::sidecar_key(index)?);
    }
    Ok(Subject {
        services,
        snapshot,
        mesh,
        rounds: Vec::new(),
        views: 0,
    })
}

fn measure(subject: &mut Subject, round: usize) {
    let begun = now();
    for number in 0..CHANGES {
        // Every change is one: the status of each service alternates, also from round to round.
        let turn = (round * CHANGES + number) / DIALLED;
        let status = if turn.is_multiple_of(2) {
            CheckStatus::Critical
        } else {
            CheckStatus::Passing
        };
        let Ok(check) = world::check(PROXIES + number % DIALLED, status) else {
            return;
        };
        let transaction = Transaction::new().put(Row::Check(Arc::new(check)));
        let revision = subject.snapshot.revision() + 1;
        let changes = match apply(&mut subject.snapshot, &transaction, revision) {
            Ok(applied) => applied.changes,
            Err(_) => ChangeSet::default(),
        };
        subject.views += subject
            .mesh
            .update(Arc::new(subject.snapshot.clone()), &changes)
            .len();
    }
    subject
        .rounds
        .push(begun.elapsed() / u32::try_from(CHANGES).unwrap_or(1));
}
