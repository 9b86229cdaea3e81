//! Every kind of proxy in every gateway mode, with every kind of address, for every protocol, of local and of peered
//! services, on real Envoys. The cells are made by multiplication and not by hand, so none is forgotten.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "matrix/application.rs"]
mod application;
#[path = "matrix/caller.rs"]
mod caller;
#[path = "matrix/cell.rs"]
mod cell;
#[path = "matrix/world.rs"]
mod world;

use cell::{Addressing, Cell, cells};
use peerway_tests::{ENVOY_ENV, OLDEST_ENVOY_ENV};
use world::World;

/// Tries every cell with this kind of address; the outcomes are printed as a table.
fn holds(addressing: Addressing, envoy: &str) {
    let world = World::start(addressing, envoy);
    let cells: Vec<Cell> = cells()
        .into_iter()
        .filter(|cell| cell.addressing == addressing)
        .collect();
    let mut failed = Vec::new();
    for cell in &cells {
        let outcome = world.call(cell);
        match outcome {
            Ok(seen) => println!("{cell}: {seen}"),
            Err(error) => failed.push(format!("{cell}: {error:#}")),
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} cells failed\n{}",
        failed.len(),
        cells.len(),
        failed.join("\n")
    );
    world.finish();
}

#[test]
fn calls_by_ipv4_address() {
    holds(Addressing::Ipv4, ENVOY_ENV);
}

#[test]
fn calls_by_ipv4_address_with_the_oldest_envoy() {
    holds(Addressing::Ipv4, OLDEST_ENVOY_ENV);
}

#[test]
fn calls_by_ipv6_address() {
    holds(Addressing::Ipv6, ENVOY_ENV);
}

#[test]
fn calls_by_host_name() {
    holds(Addressing::Host, ENVOY_ENV);
}

#[test]
fn calls_by_host_name_with_the_oldest_envoy() {
    holds(Addressing::Host, OLDEST_ENVOY_ENV);
}

#[test]
fn calls_by_two_host_names() {
    holds(Addressing::Hosts, ENVOY_ENV);
}

#[test]
fn calls_by_two_host_names_with_the_oldest_envoy() {
    holds(Addressing::Hosts, OLDEST_ENVOY_ENV);
}

#[test]
fn no_combination_is_left_out() {
    let all = cells();
    let kinds = cell::ProxyKind::ALL.len() * cell::Mode::ALL.len() * Addressing::ALL.len();
    assert_eq!(
        all.len(),
        kinds * cell::Protocol::ALL.len() * cell::Target::ALL.len()
    );
    let distinct: std::collections::BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), all.len());
}
