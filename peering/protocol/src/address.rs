//! Addresses of servers as the wire spells them: `host:port`, IPv6 in brackets.

use std::net::Ipv6Addr;

/// Longest address, in bytes: a DNS name (253), brackets, a colon and a port.
pub const MAX_ADDRESS_BYTES: usize = 262;

/// Splits `host:port` or `[v6]:port`. The error is a clause that completes "`address` ...", without the address.
pub fn split(text: &str) -> Result<(&str, u16), String> {
    if text.len() > MAX_ADDRESS_BYTES {
        return Err(format!(
            "is {} bytes long, at most {MAX_ADDRESS_BYTES} are allowed",
            text.len()
        ));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once("]:").ok_or("needs the form [ipv6]:port")?;
            if host.parse::<Ipv6Addr>().is_err() {
                return Err("has no IPv6 address between its brackets".to_owned());
            }
            (host, port)
        }
        None => text.rsplit_once(':').ok_or("has no port, use host:port")?,
    };
    if text.starts_with('[') || !host.contains(':') {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return Err("has no host name or IP address before the port".to_owned());
        }
    } else {
        return Err("looks like an IPv6 address without brackets, use [ipv6]:port".to_owned());
    }
    // `parse` alone would take "+80".
    let number = port
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| port.parse::<u16>());
    match number {
        Some(Ok(port)) if port != 0 => Ok((host, port)),
        _ => Err("needs a port from 1 to 65535".to_owned()),
    }
}

/// Joins host and port; an IPv6 address is put in brackets, which Consul forgets (wire facts, section 1.2).
pub fn join(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_what_can_be_dialled() {
        assert_eq!(split("10.0.0.5:8503"), Ok(("10.0.0.5", 8503)));
        assert_eq!(split("a_b.example-1.org:1"), Ok(("a_b.example-1.org", 1)));
        assert_eq!(split("[::1]:65535"), Ok(("::1", 65535)));
        for bad in [
            "", "a", "a:", ":1", "a:0", "a:65536", "a:+80", "a:-1", "a:x", "::1:80", "[::1]", "[::1]80",
            "[x]:1", "a b:1", "a/b:1", "[]:1", "a\0:1",
        ] {
            assert!(split(bad).is_err(), "{bad}");
        }
        assert!(split(&format!("{}:1", "a".repeat(MAX_ADDRESS_BYTES))).is_err());
    }

    #[test]
    fn joins_with_brackets_where_needed() {
        assert_eq!(join("::1", 8503), "[::1]:8503");
        assert_eq!(join("[::1]", 8503), "[::1]:8503");
        assert_eq!(join("h", 1), "h:1");
    }
}
