//! Requests and answers in HTTP/1.1 as they are written, by clients that are not part of the mesh.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);

/// A request, which says that its connection ends with it.
#[derive(Debug)]
pub struct Request {
    text: String,
}

impl Request {
    /// A `GET` of a path of a host.
    pub fn get(path: &str, host: &str) -> Self {
        Request::new("GET", path, host)
    }

    /// Any method, without a body.
    pub fn new(method: &str, path: &str, host: &str) -> Self {
        Request {
            text: format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n"
            ),
        }
    }

    /// One more header line; a name given twice is two lines.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.text.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// As it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        format!("{}\r\n", self.text).into_bytes()
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// An answer as it was received.
    ///
    /// # Errors
    /// When it is none, or its head is not whole.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
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

    /// The value of the first header of a name, which is given in lower case; the value is in lower case too.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The JSON object in the body, also of a chunked one; null when there is none.
    pub fn json(&self) -> Value {
        let (begin, end) = (self.body.find('{'), self.body.rfind('}'));
        begin
            .zip(end)
            .and_then(|(begin, end)| serde_json::from_str(self.body.get(begin..=end)?).ok())
            .unwrap_or_default()
    }
}

/// Sends a request to a port of loopback; the answer.
///
/// # Errors
/// When there is no connection, or no answer.
pub fn send(port: u16, request: &Request) -> Result<Answer> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(ANSWER))?;
    connection.write_all(&request.bytes())?;
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes)?;
    Answer::parse(&bytes)
}

/// The same over TLS, to a server whose certificate has to be for `host` and from `root`. The client has none.
///
/// # Errors
/// When the server's certificate is another one, or there is no answer.
pub fn over_tls(port: u16, host: &str, root: &Path, request: &Request) -> Result<Answer> {
    let root = root.to_string_lossy();
    let arguments = [
        "-verify_return_error",
        "-verify_hostname",
        host,
        "-CAfile",
        root.as_ref(),
    ];
    let (answer, told) = client(port, host, &arguments, request)?;
    if answer.is_empty() {
        bail!("no answer: {told}");
    }
    Answer::parse(&answer)
}

/// What the TLS client of OpenSSL with these arguments receives, and what it tells.
///
/// # Errors
/// When it cannot be run.
pub fn client(port: u16, sni: &str, arguments: &[&str], request: &Request) -> Result<(Vec<u8>, String)> {
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet"])
        .args(["-connect", &format!("127.0.0.1:{port}"), "-servername", sni])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("openssl is needed by this test, install it")?;
    let mut stdin = child.stdin.take().context("no way to say anything")?;
    // Whoever refuses closes before everything is read.
    let _ = stdin.write_all(&request.bytes());
    let output = child.wait_with_output()?;
    drop(stdin);
    Ok((
        output.stdout,
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}
