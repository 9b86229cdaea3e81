//! Services and gateways as most end-to-end tests have them.

use anyhow::Result;
use peerway_cli::demo::cluster::Cluster;
use peerway_cli::demo::envoy::Envoy;
use peerway_cli::demo::stage::{Stage, free_port};

/// A service that says which cluster it is in, as `east-api`, and its sidecar, of which `proxy` says more.
///
/// # Errors
/// When one of them cannot be started or registered.
pub fn service(cluster: &Cluster, stage: &Stage, name: &str, proxy: &str) -> Result<Envoy> {
    let (port, sidecar) = (free_port()?, free_port()?);
    let called = format!("{}-{name}", cluster.name);
    let arguments = [
        "echo".to_owned(),
        format!("-listen=127.0.0.1:{port}"),
        format!("-name={called}"),
    ];
    stage.start(&format!("{called}-app"), &arguments)?;
    let text = format!(
        "service {{ name = \"{name}\" address = \"127.0.0.1\" port = {port}
            connect {{ sidecar_service {{ address = \"127.0.0.1\" port = {sidecar} {proxy} }} }} }}"
    );
    cluster.register(&format!("{called}.hcl"), &text)?;
    cluster.envoy(&called, &format!("-sidecar-for={name}"))
}

/// The mesh gateway of a cluster.
///
/// # Errors
/// When it cannot be started or registered.
pub fn mesh_gateway(cluster: &Cluster) -> Result<Envoy> {
    let port = free_port()?;
    let text = format!(
        "service {{ kind = \"mesh-gateway\" name = \"mesh-gateway\" address = \"127.0.0.1\" port = {port} }}"
    );
    let name = format!("{}-gateway", cluster.name);
    cluster.register(&format!("{name}.hcl"), &text)?;
    cluster.envoy(&name, "-gateway=mesh")
}

/// Peers two clusters: the first one makes the token and exports everything to the second.
///
/// # Errors
/// When one of them refuses.
pub fn export_all(from: &Cluster, to: &Cluster) -> Result<()> {
    let exports = format!(
        "Kind = \"exported-services\" Name = \"default\" Services = [{{ Name = \"*\" Consumers = [{{ Peer = \"{}\" }}] }}]",
        to.name
    );
    from.write_config("exports.hcl", &exports)?;
    let token = from.cli(&["peering", "generate-token", &format!("-name={}", to.name)])?;
    let (name, token) = (format!("-name={}", from.name), format!("-peering-token={token}"));
    to.cli(&["peering", "establish", &name, &token])?;
    Ok(())
}
