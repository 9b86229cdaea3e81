//! Binding ports.

use std::net::SocketAddr;
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};

/// A port could not be bound.
#[derive(Debug, Error)]
#[error("cannot listen on {addr} (setting {setting}): {cause}{}", cure(.cause))]
pub struct ListenError {
    addr: SocketAddr,
    setting: &'static str,
    cause: std::io::Error,
}

fn cure(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::AddrInUse => "; another process uses the port, choose another one",
        std::io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege, choose a higher one",
        std::io::ErrorKind::AddrNotAvailable => "; the address is not one of this host's, see client_addr",
        _ => "",
    }
}

/// Listens on `addr`, which `setting` chose.
///
/// # Errors
/// [`ListenError`] with the address, the setting and a cure.
pub(crate) async fn listen(setting: &'static str, addr: SocketAddr) -> Result<TcpListener, ListenError> {
    let listener = TcpListener::bind(addr)
        .await
        .map_err(|cause| ListenError { addr, setting, cause })?;
    let bound = listener.local_addr().unwrap_or(addr);
    tracing::info!(setting, addr = %bound, "listening");
    if !bound.ip().is_loopback() && setting == "ports.grpc" {
        tracing::warn!(addr = %bound, "xDS is plaintext and gives private keys to proxies, bind it to loopback");
    }
    Ok(listener)
}

/// How often a port of the system's choice is tried that is to be free for TCP and for UDP.
const TRIES: usize = 16;

/// Listens on `addr`, which `setting` chose, over UDP and TCP, on the same port also when the system chooses it.
///
/// # Errors
/// As [`listen`].
pub(crate) async fn listen_both(
    setting: &'static str,
    addr: SocketAddr,
) -> Result<(UdpSocket, TcpListener), ListenError> {
    let failed = |addr| move |cause| ListenError { addr, setting, cause };
    let mut tries = if addr.port() == 0 { TRIES } else { 1 };
    loop {
        let tcp = listen(setting, addr).await?;
        let same = tcp.local_addr().map_err(failed(addr))?;
        tries -= 1;
        match UdpSocket::bind(same).await {
            Ok(udp) => return Ok((udp, tcp)),
            // Somebody else has it over UDP.
            Err(_) if tries > 0 => {}
            Err(cause) => return Err(failed(same)(cause)),
        }
    }
}
