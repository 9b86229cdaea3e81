//! Callers outside the mesh.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// A request in HTTP/1.1, as written.
#[derive(Debug)]
pub(crate) struct Request {
    text: String,
}

impl Request {
    pub(crate) fn get(path: &str, host: &str) -> Self {
        Request {
            text: format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n"),
        }
    }

    /// One more header line.
    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.text.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        format!("{}\r\n", self.text).into_bytes()
    }
}

/// An answer in HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let parsed = || {
            let (head, body) = text.split_once("\r\n\r\n")?;
            let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
            Some(Answer {
                status,
                head: head.to_ascii_lowercase(),
                body: body.to_owned(),
            })
        };
        parsed().with_context(|| format!("not an answer: {text}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The JSON object in the body, also of a chunked one.
    pub(crate) fn json(&self) -> Value {
        let (begin, end) = (self.body.find('{'), self.body.rfind('}'));
        let (Some(begin), Some(end)) = (begin, end) else {
            panic!("no JSON in {self:?}");
        };
        serde_json::from_str(&self.body[begin..=end]).unwrap()
    }
}

/// Sends a request to a port of loopback; the answer.
pub(crate) fn send(port: u16, request: &Request) -> Result<Answer> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(ANSWER))?;
    connection.write_all(&request.bytes())?;
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes)?;
    Answer::parse(&bytes)
}

/// The same over TLS, to a server whose certificate has to be for `host` and from `root`. The client has none.
pub(crate) fn over_tls(port: u16, host: &str, root: &Path, request: &Request) -> Result<Answer> {
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-verify_return_error"])
        .args(["-connect", &format!("127.0.0.1:{port}"), "-servername", host])
        .args(["-verify_hostname", host, "-CAfile"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("openssl is needed by this test, install it")?;
    let mut stdin = child.stdin.take().context("no way to say anything")?;
    // A client that refuses closes before everything is read.
    let _ = stdin.write_all(&request.bytes());
    let output = child.wait_with_output()?;
    drop(stdin);
    if output.stdout.is_empty() {
        bail!("no answer: {}", String::from_utf8_lossy(&output.stderr));
    }
    Answer::parse(&output.stdout)
}
