//! One call through a sidecar, on a connection of its own, with a limit that fits a run in which paths are silent.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a call may take before its caller gives it up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer: an echo of a short request.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Calls whatever is behind `port`; the body of the answer.
pub(crate) fn call(port: u16) -> Result<String> {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).context("no connection to the sidecar")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /soak HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_string(&mut answer)
        .context("the answer broke off")?;
    body(&answer).map(str::to_owned)
}

/// The body of an answer with status 200.
fn body(answer: &str) -> Result<&str> {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        bail!("{} bytes came, and no whole answer", answer.len());
    };
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    let promised = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-length");
        is_it.then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    match promised {
        _ if status != "200" => bail!("answered {status}"),
        Some(length) if length != body.len() => bail!("{} of {length} bytes came", body.len()),
        _ => Ok(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_with_status_200_is_one() {
        for good in [
            "HTTP/1.1 200 OK\r\na: b\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        ] {
            assert_eq!(body(good).unwrap(), "hi");
        }
        for bad in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 503 No\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi",
        ] {
            assert!(body(bad).is_err(), "{bad:?}");
        }
    }
}
