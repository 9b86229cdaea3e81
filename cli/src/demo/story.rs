//! East calls west: the story of the demo, each step checked by real requests through real Envoys.
//!
//! web (east) -> its sidecar -> east's mesh gateway -> west's mesh gateway -> api's sidecar -> api (west)

mod calls;
mod topology;

use super::cluster::Cluster;
use super::envoy::Envoy;
use super::report::{Report, tell};
use super::stage::{Process, Stage, now, wait_for};
use anyhow::{Result, bail, ensure};
pub use calls::{Dialled, Steady};
use std::time::Duration;
use topology::{ALLOW_WEB, EXPORT_API};

/// How long something that travels through both control planes and an Envoy may take.
const SETTLE: Duration = Duration::from_secs(20);
/// How soon a deleted intention must refuse new connections.
const REVOKE: Duration = Duration::from_secs(1);

/// Everything that runs.
pub struct Scene {
    /// The cluster that calls.
    pub east: Cluster,
    /// The cluster that is called.
    pub west: Cluster,
    /// api's sidecar in west.
    pub api: Envoy,
    /// west's mesh gateway.
    pub west_gateway: Envoy,
    /// web's sidecar in east; reaches west through east's gateway.
    pub web: Envoy,
    /// other's sidecar in east; reaches west's gateway itself.
    pub other: Envoy,
    /// east's mesh gateway.
    pub east_gateway: Envoy,
    /// Where web dials api.
    pub web_dials: u16,
    /// Where other dials api.
    pub other_dials: u16,
    /// Port of api's sidecar, which nothing in east may know.
    pub api_sidecar: u16,
    /// Further Envoys and services, by the steps.
    extra: Vec<Process>,
}

impl Scene {
    /// Every Envoy.
    pub fn envoys(&self) -> [&Envoy; 5] {
        [
            &self.api,
            &self.west_gateway,
            &self.web,
            &self.other,
            &self.east_gateway,
        ]
    }

    /// web's port for api.
    pub fn web(&self) -> Dialled {
        Dialled { port: self.web_dials }
    }

    fn other(&self) -> Dialled {
        Dialled {
            port: self.other_dials,
        }
    }
}

/// Starts both clusters and all Envoys, without telling a story about it.
///
/// # Errors
/// When something does not start.
pub fn set(stage: &Stage) -> Result<Scene> {
    set_with(stage, "")
}

/// The same with further settings of west, as HCL.
///
/// # Errors
/// When something does not start.
pub fn set_with(stage: &Stage, west: &str) -> Result<Scene> {
    topology::set(stage, west).map(|(scene, _)| scene)
}

/// Peers the two clusters: east calls west "west", west calls east "east".
///
/// # Errors
/// When they do not become active.
pub fn introduce(scene: &Scene) -> Result<()> {
    peer(scene).map(|_| ())
}

/// Peers the clusters again after the story's end, so that there is something to try: export and intention still stand.
///
/// # Errors
/// When web's call does not arrive.
pub fn introduce_again(scene: &Scene) -> Result<()> {
    scene.east.cli(&["peering", "delete", "-name=west"])?;
    wait_for("the ended peering to be gone in east", SETTLE, || {
        match scene.east.peering_state("west")? {
            None => Ok(()),
            Some(state) => bail!("it is {state}"),
        }
    })?;
    introduce(scene)?;
    wait_for("web's call to arrive", SETTLE, || scene.web().call()).map(|_| ())
}

/// Exports api to east and lets east's web call it; returns when a call has arrived.
///
/// # Errors
/// When no call arrives.
pub fn allow(scene: &Scene) -> Result<()> {
    scene.west.write_config("exported-services.hcl", EXPORT_API)?;
    scene.west.write_config("service-intentions.hcl", ALLOW_WEB)?;
    wait_for("web's call to arrive", SETTLE, || scene.web().call()).map(|_| ())
}

/// Tells the whole story on `stage`; the report is complete up to the first failed step. The scene is left running.
///
/// # Errors
/// The first step that did not do what it should.
pub fn tell_all(stage: &Stage, report: &mut Report) -> Result<Scene> {
    let mut scene = None;
    report.step(
        "start",
        "two clusters, each with its own authority and data, and five Envoys",
        || {
            let (set, seen) = topology::set(stage, "")?;
            scene = Some(set);
            Ok(seen)
        },
    )?;
    let Some(mut scene) = scene else {
        bail!("nothing was started")
    };
    let played = play(stage, &mut scene, report);
    if let Err(error) = played {
        for process in stage.fallen() {
            println!("    {} has ended:\n{}", process.name(), process.tail(5));
        }
        return Err(error);
    }
    Ok(scene)
}

fn play(stage: &Stage, scene: &mut Scene, report: &mut Report) -> Result<()> {
    report.step("peer", "west makes a token, east uses it", || peer(scene))?;
    report.step("a", "peered but not exported: the call fails", || {
        not_exported(scene)
    })?;
    report.step("b", "exported, no intention: api's sidecar refuses", || {
        no_intention(scene)
    })?;
    report.step("c", "an intention for east's web: the call arrives", || {
        allowed(scene)
    })?;
    report.step(
        "gateways",
        "both gateways carry the bytes, east knows no sidecar of west",
        || gateways(scene),
    )?;
    report.step("d", "another service of east stays refused", || {
        other_refused(scene)
    })?;
    report.step(
        "e",
        "intention deleted: refused within a second; written again: works",
        || revoked(scene),
    )?;
    report.step(
        "f",
        "east's control plane killed: calls go on; started again: nothing is lost",
        || killed(scene),
    )?;
    report.step("g", "an instance of api comes and goes: no call fails", || {
        instance(stage, scene)
    })?;
    report.step(
        "accepted",
        "no Envoy has rejected anything or warned of a deprecated field",
        || accepted(stage),
    )?;
    report.step(
        "h",
        "west deletes the peering: east sees it and the call fails",
        || deleted(scene),
    )?;
    report.step(
        "end",
        "still nothing rejected, and nothing has ended by itself",
        || {
            let fallen: Vec<String> = stage
                .fallen()
                .iter()
                .map(|process| process.name().to_owned())
                .collect();
            ensure!(fallen.is_empty(), "ended by themselves: {}", fallen.join(", "));
            accepted(stage)
        },
    )
}

fn peer(scene: &Scene) -> Result<String> {
    tell("peerway peering generate-token -name east          # in west");
    let token = scene.west.cli(&["peering", "generate-token", "-name=east"])?;
    tell(&format!(
        "peerway peering establish -name west -peering-token {:.12}...   # in east",
        token
    ));
    scene
        .east
        .cli(&["peering", "establish", "-name=west", "-peering-token", &token])?;
    scene.east.wait_peering("west", "ACTIVE", SETTLE)?;
    scene.west.wait_peering("east", "ACTIVE", SETTLE)?;
    Ok("ACTIVE on both sides".to_owned())
}

fn not_exported(scene: &Scene) -> Result<String> {
    let error = scene.web().must_fail()?;
    Ok(format!("web's call failed: {error}"))
}

fn no_intention(scene: &Scene) -> Result<String> {
    tell("peerway config write exported-services.hcl          # in west: api to peer east");
    scene.west.write_config("exported-services.hcl", EXPORT_API)?;
    wait_for("api to be imported", SETTLE, || {
        match scene.east.imported("api", "west")? {
            1 => Ok(()),
            count => bail!("{count} instances"),
        }
    })?;
    let before = scene.api.denied()?;
    wait_for("api's sidecar to refuse a call", SETTLE, || {
        scene.web().must_fail()?;
        let denied = scene.api.denied()?;
        if denied > before {
            Ok(())
        } else {
            bail!("its RBAC counter is {denied}")
        }
    })?;
    Ok(format!(
        "refused, rbac.denied went from {before} to {}",
        scene.api.denied()?
    ))
}

fn allowed(scene: &Scene) -> Result<String> {
    tell("peerway config write service-intentions.hcl         # in west: peer east's web may call api");
    scene.west.write_config("service-intentions.hcl", ALLOW_WEB)?;
    let body = wait_for("web's call to arrive", SETTLE, || scene.web().call())?;
    tell(&format!("curl http://127.0.0.1:{}/hello", scene.web_dials));
    Ok(format!("200 {body}"))
}

fn gateways(scene: &Scene) -> Result<String> {
    let carried = |envoy: &Envoy, part: &str| -> Result<u64> {
        let stats = envoy.stats("upstream_cx_rx_bytes_total")?;
        Ok(stats
            .iter()
            .filter(|(name, _)| name.contains(part))
            .map(|(_, value)| value)
            .sum())
    };
    let before = [
        carried(&scene.east_gateway, ".external.")?,
        carried(&scene.west_gateway, "exported~api.")?,
    ];
    scene.web().call()?;
    let after = wait_for("the gateways' counters to move", SETTLE, || {
        let after = [
            carried(&scene.east_gateway, ".external.")?,
            carried(&scene.west_gateway, "exported~api.")?,
        ];
        ensure!(
            after[0] > before[0] && after[1] > before[1],
            "bytes went from {before:?} to {after:?}"
        );
        Ok(after)
    })?;
    for envoy in [&scene.web, &scene.other] {
        let known = envoy.endpoints("")?;
        let sidecar = format!(":{}", scene.api_sidecar);
        ensure!(
            !known.iter().any(|address| address.ends_with(&sidecar)),
            "{known:?} has west's sidecar {sidecar}"
        );
    }
    Ok(format!(
        "bytes received by east's and west's gateway: {before:?}, then {after:?}"
    ))
}

fn other_refused(scene: &Scene) -> Result<String> {
    let before = scene.api.denied()?;
    for _ in 0..5 {
        scene.other().must_fail()?;
    }
    let denied = scene.api.denied()?;
    ensure!(
        denied > before,
        "other's calls failed, but api's sidecar did not refuse them (rbac.denied {denied})"
    );
    scene.web().call()?;
    Ok(format!(
        "5 of 5 calls of other refused, rbac.denied {before} -> {denied}; web's go through"
    ))
}

fn revoked(scene: &Scene) -> Result<String> {
    tell("peerway config delete -kind service-intentions -name api   # in west");
    scene
        .west
        .cli(&["config", "delete", "-kind=service-intentions", "-name=api"])?;
    let begun = now();
    wait_for("new connections to be refused", REVOKE, || {
        scene.web().must_fail()
    })?;
    let refused = begun.elapsed();
    for _ in 0..5 {
        scene.web().must_fail()?;
    }
    tell("peerway config write service-intentions.hcl         # again");
    scene.west.write_config("service-intentions.hcl", ALLOW_WEB)?;
    wait_for("web's call to arrive again", SETTLE, || scene.web().call())?;
    Ok(format!("refused after {} ms, works again", refused.as_millis()))
}

fn killed(scene: &mut Scene) -> Result<String> {
    let streams = scene.east.metric("peerway_xds_streams")?;
    tell("kill -9 (east's control plane)");
    scene.east.process.kill();
    for _ in 0..10 {
        scene.web().call()?;
    }
    let steady = Steady::start(scene.web());
    scene.east.restart()?;
    scene.east.wait_peering("west", "ACTIVE", SETTLE)?;
    scene.west.wait_peering("east", "ACTIVE", SETTLE)?;
    wait_for("every proxy of east to be back", SETTLE, || {
        let now = scene.east.metric("peerway_xds_streams")?;
        if (now - streams).abs() < 0.5 {
            Ok(())
        } else {
            bail!("{now} of {streams} streams")
        }
    })?;
    let calls = steady.stop()?;
    Ok(format!(
        "10 calls while it was down, {calls} while it came back, none failed; {streams} proxies are back"
    ))
}

fn instance(stage: &Stage, scene: &mut Scene) -> Result<String> {
    let steady = Steady::start(scene.web());
    tell("peerway services register api-2.hcl                 # in west");
    let second = topology::second_api(stage, &scene.west)?;
    scene
        .extra
        .extend([second.service.clone(), second.envoy.process.clone()]);
    wait_for("east to see two instances", SETTLE, || {
        match scene.east.imported("api", "west")? {
            2 => Ok(()),
            count => bail!("it sees {count}"),
        }
    })?;
    wait_for("west's gateway to have two endpoints", SETTLE, || {
        let endpoints = scene.west_gateway.endpoints("exported~api.")?;
        if endpoints.len() == 2 {
            Ok(())
        } else {
            bail!("it has {endpoints:?}")
        }
    })?;
    wait_for("the second instance to answer", SETTLE, || {
        let body = scene.web().call()?;
        if body.contains("api-2") {
            Ok(())
        } else {
            bail!("only the first answers")
        }
    })?;
    tell("peerway services deregister -id api-2               # in west");
    scene.west.cli(&["services", "deregister", "-id=api-2"])?;
    wait_for("west's gateway to have one endpoint", SETTLE, || {
        let endpoints = scene.west_gateway.endpoints("exported~api.")?;
        if endpoints.len() == 1 {
            Ok(())
        } else {
            bail!("it has {endpoints:?}")
        }
    })?;
    wait_for("the second sidecar to be idle", SETTLE, || {
        match second.envoy.sum("tcp.public_listener.downstream_cx_active")? {
            0 => Ok(()),
            count => bail!("{count} connections"),
        }
    })?;
    second.envoy.has_rejected_nothing()?;
    second.envoy.process.stop();
    second.service.stop();
    let calls = steady.stop()?;
    ensure!(
        scene.east.imported("api", "west")? == 1,
        "east still sees the second instance"
    );
    Ok(format!("{calls} calls meanwhile, none failed"))
}

fn accepted(stage: &Stage) -> Result<String> {
    let count = stage.nothing_rejected()?;
    Ok(format!("update_rejected is 0 on all {count} Envoys"))
}

fn deleted(scene: &Scene) -> Result<String> {
    tell("peerway peering delete -name east                   # in west");
    scene.west.cli(&["peering", "delete", "-name=east"])?;
    scene.east.wait_peering("west", "TERMINATED", SETTLE)?;
    wait_for("the peering to be gone in west", SETTLE, || {
        match scene.west.peering_state("east")? {
            None => Ok(()),
            Some(state) => bail!("it is {state}"),
        }
    })?;
    wait_for("the imported service to be gone", SETTLE, || {
        match scene.east.imported("api", "west")? {
            0 => Ok(()),
            count => bail!("{count} instances are left"),
        }
    })?;
    wait_for("web's call to fail", SETTLE, || scene.web().must_fail())?;
    Ok("TERMINATED in east, gone in west, api is gone from east's catalog, the call fails".to_owned())
}
