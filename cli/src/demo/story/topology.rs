//! Who is where: the registrations and config entries of the demo.

use super::Scene;
use crate::demo::cluster::Cluster;
use crate::demo::envoy::Envoy;
use crate::demo::report::tell;
use crate::demo::stage::{Process, Stage, free_port, wait_for};
use anyhow::Result;
use std::time::Duration;

/// How long an Envoy may take until it serves.
const LIVE: Duration = Duration::from_secs(30);

/// west offers api to its peer east.
pub(super) const EXPORT_API: &str = include_str!("../../../../demo/west/exported-services.hcl");
/// west lets east's web call api.
pub(super) const ALLOW_WEB: &str = include_str!("../../../../demo/west/service-intentions.hcl");
const API: &str = include_str!("../../../../demo/west/api.hcl");
const GATEWAY: &str = include_str!("../../../../demo/gateway.hcl");
const WEB: &str = include_str!("../../../../demo/east/web.hcl");
const OTHER: &str = include_str!("../../../../demo/east/other.hcl");

/// Fills the ports into a registration: `PORT` is the service's, `SIDECAR` its sidecar's, `UPSTREAM` where it dials.
fn filled(text: &str, id: &str, port: u16, sidecar: u16, upstream: u16) -> String {
    text.replace("$ID", id)
        .replace("$PORT", &port.to_string())
        .replace("$SIDECAR", &sidecar.to_string())
        .replace("$UPSTREAM", &upstream.to_string())
}

/// Starts everything, with further settings of west; what runs, and a line about it.
pub(super) fn set(stage: &Stage, settings: &str) -> Result<(Scene, String)> {
    tell("peerway server -config-file west.hcl");
    let west = Cluster::start_with(stage, "west", settings)?;
    tell("peerway server -config-file east.hcl");
    let east = Cluster::start(stage, "east")?;

    let (api_port, api_sidecar) = (free_port()?, free_port()?);
    start_echo(stage, "api", api_port)?;
    tell("peerway services register api.hcl gateway.hcl       # in west");
    west.register("api.hcl", &filled(API, "api", api_port, api_sidecar, 0))?;
    west.register(
        "west-gateway.hcl",
        &filled(GATEWAY, "gateway", free_port()?, 0, 0),
    )?;

    let (web_dials, other_dials) = (free_port()?, free_port()?);
    tell("peerway services register web.hcl other.hcl gateway.hcl   # in east");
    east.register(
        "web.hcl",
        &filled(WEB, "web", free_port()?, free_port()?, web_dials),
    )?;
    east.register(
        "other.hcl",
        &filled(OTHER, "other", free_port()?, free_port()?, other_dials),
    )?;
    east.register(
        "east-gateway.hcl",
        &filled(GATEWAY, "gateway", free_port()?, 0, 0),
    )?;

    tell("peerway connect envoy -sidecar-for api              # in west, and four more");
    let scene = Scene {
        api: west.envoy("west-api-sidecar", "-sidecar-for=api")?,
        west_gateway: west.envoy("west-gateway", "-gateway=mesh")?,
        web: east.envoy("east-web-sidecar", "-sidecar-for=web")?,
        other: east.envoy("east-other-sidecar", "-sidecar-for=other")?,
        east_gateway: east.envoy("east-gateway", "-gateway=mesh")?,
        east,
        west,
        web_dials,
        other_dials,
        api_sidecar,
        extra: Vec::new(),
    };
    for envoy in scene.envoys() {
        envoy.wait_live(LIVE)?;
    }
    let seen = "two servers and five Envoys are live".to_owned();
    Ok((scene, seen))
}

fn start_echo(stage: &Stage, name: &str, port: u16) -> Result<Process> {
    let args = [
        "echo",
        &format!("-listen=127.0.0.1:{port}"),
        &format!("-name={name}"),
    ]
    .map(str::to_owned);
    stage.start(&format!("west-{name}"), &args)
}

/// The second instance of api.
pub(super) struct SecondApi {
    pub(super) service: Process,
    pub(super) envoy: Envoy,
}

/// Starts and registers a second instance of api with its sidecar.
pub(super) fn second_api(stage: &Stage, west: &Cluster) -> Result<SecondApi> {
    let (port, sidecar) = (free_port()?, free_port()?);
    let service = start_echo(stage, "api-2", port)?;
    // The sidecar must serve before anyone is told of it: it is told last, as a deployment would after its probe.
    let text = filled(API, "api-2", port, sidecar, 0);
    west.register("api-2.hcl", &text)?;
    let envoy = west.envoy("west-api-2-sidecar", "-sidecar-for=api-2")?;
    envoy.wait_live(LIVE)?;
    wait_for("the second sidecar to listen", LIVE, || {
        std::net::TcpStream::connect(("127.0.0.1", sidecar))
            .map(|_| ())
            .map_err(Into::into)
    })?;
    Ok(SecondApi { service, envoy })
}
