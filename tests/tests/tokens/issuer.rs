//! Who signs tokens, by the command line of OpenSSL, and servers that have the keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use peerway_tests::openssl::{openssl, self_signed};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[allow(
    clippy::disallowed_methods,
    reason = "Envoy goes by the time of the machine, so tokens have to"
)]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Somebody with a key of RSA. Its keys have the id `one`, whoever it is.
pub(crate) struct Issuer {
    key: PathBuf,
}

impl Issuer {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let key = dir.join(format!("{name}.pem"));
        let out = key.to_str().unwrap();
        let made = [
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
            out,
        ];
        openssl(dir, &made, &[]).unwrap();
        Issuer { key }
    }

    /// What OpenSSL says of the key.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let key = [self.key.to_str().unwrap()];
        openssl(Path::new("."), &[arguments, &key].concat(), input).unwrap()
    }

    pub(crate) fn key_set(&self) -> Value {
        let text = self.run(&["rsa", "-noout", "-modulus", "-in"], &[]);
        let text = String::from_utf8(text).unwrap();
        let digits = text.trim().strip_prefix("Modulus=").unwrap();
        let modulus: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect();
        json!({"keys": [{"kty": "RSA", "alg": "RS256", "kid": "one", "n": encoded(modulus), "e": "AQAB"}]})
    }

    /// A token with these claims, but for those that are null.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        let head = json!({"alg": "RS256", "typ": "JWT", "kid": "one"});
        let text = format!("{}.{}", encoded(head.to_string()), encoded(claims.to_string()));
        let signature = self.run(&["dgst", "-sha256", "-sign"], text.as_bytes());
        format!("{text}.{}", encoded(signature))
    }
}

fn answer(keys: &Value) -> String {
    let body = keys.to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// A server that has keys.
pub(crate) struct KeyServer {
    pub(crate) port: u16,
    asked: Arc<AtomicUsize>,
    /// By which it is known, where it speaks TLS.
    pub(crate) certificate: String,
    child: Option<Child>,
}

impl KeyServer {
    /// One without TLS, for as long as the test runs.
    pub(crate) fn plain(keys: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let (counter, text) = (asked.clone(), answer(keys));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::Relaxed);
                respond(connection, &text);
            }
        });
        KeyServer {
            port,
            asked,
            certificate: String::new(),
            child: None,
        }
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// A certificate with this name that vouches for itself; its key is beside it.
    pub(crate) fn certificate(dir: &Path, file: &str, name: &str) -> String {
        self_signed(dir, file, "keys", name).unwrap();
        std::fs::read_to_string(dir.join(format!("{file}.crt"))).unwrap()
    }

    /// One with TLS, whose certificate has this name.
    pub(crate) fn tls(dir: &Path, port: u16, name: &str, keys: &Value) -> Self {
        let certificate = KeyServer::certificate(dir, "server", name);
        std::fs::write(dir.join("keys"), answer(keys)).unwrap();
        let child = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-HTTP",
                "-accept",
                &format!("127.0.0.1:{port}"),
            ])
            .args(["-cert", "server.crt", "-key", "server.key"])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        KeyServer {
            port,
            asked: Arc::default(),
            certificate,
            child: Some(child),
        }
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn respond(mut connection: TcpStream, text: &str) {
    let mut read = Vec::new();
    let mut chunk = [0; 1024];
    while !read.windows(4).any(|four| four == b"\r\n\r\n") {
        match connection.read(&mut chunk) {
            Ok(count @ 1..) => read.extend_from_slice(&chunk[..count]),
            Ok(_) | Err(_) => return,
        }
    }
    let _ = connection.write_all(text.as_bytes());
}
