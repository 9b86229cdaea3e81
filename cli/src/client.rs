//! A blocking client of the HTTP API.

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde_json::Value;
use std::time::Duration;

/// How long a call may take, in seconds. Establishing a peering may try several addresses.
const CALL_SECONDS: u64 = 30;
/// Most bytes of an answer that are read.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// Flags that every client command takes.
#[derive(Args, Clone, Debug)]
pub struct ClientFlags {
    /// Address of the HTTP API: `host:port` or `http://host:port`
    #[arg(
        long,
        env = "CONSUL_HTTP_ADDR",
        default_value = "127.0.0.1:8500",
        value_name = "ADDR"
    )]
    pub http_addr: String,

    /// Partition to work in
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub partition: String,

    /// Namespace to work in
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
}

/// An answer of the API.
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
    /// The id of the change that the request was, if it was a write to a Peerway.
    pub change: Option<u64>,
    headers: ureq::http::HeaderMap,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When the status is not 2xx (then with the body as message) or the body is not JSON.
    pub fn json(self) -> Result<Value> {
        let answer = self.ok()?;
        serde_json::from_str(&answer.body).context("the answer is not JSON")
    }

    /// The text of a header, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer itself, if its status is 2xx.
    ///
    /// # Errors
    /// Any other status, with the body as message.
    pub fn ok(self) -> Result<Self> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            bail!("{} (HTTP {})", self.body.trim(), self.status)
        }
    }
}

/// A client of one server.
pub struct Client {
    base: String,
    agent: ureq::Agent,
}

impl Client {
    /// A client of the server at `addr`.
    ///
    /// # Errors
    /// When the address is not `host:port` or `http://host:port`.
    pub fn new(addr: &str) -> Result<Self> {
        let addr = addr.strip_prefix("http://").unwrap_or(addr).trim_end_matches('/');
        if addr.contains("://") {
            bail!("address {addr:?} is not supported, write host:port or http://host:port");
        }
        if !addr.contains(':') {
            bail!("address {addr:?} has no port, write for example {addr}:8500");
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("peerway/", env!("CARGO_PKG_VERSION")))
            .timeout_global(Some(Duration::from_secs(CALL_SECONDS)))
            .build();
        Ok(Client {
            base: format!("http://{addr}"),
            agent: config.into(),
        })
    }

    /// A client as the flags say.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn from_flags(flags: &ClientFlags) -> Result<Self> {
        Client::new(&flags.http_addr)
    }

    /// GET `path`.
    ///
    /// # Errors
    /// When no answer came.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.finish(path, self.agent.get(format!("{}{path}", self.base)).call())
    }

    /// DELETE `path`.
    ///
    /// # Errors
    /// When no answer came.
    pub fn delete(&self, path: &str) -> Result<Answer> {
        self.finish(path, self.agent.delete(format!("{}{path}", self.base)).call())
    }

    /// PUT `body` to `path`.
    ///
    /// # Errors
    /// When no answer came.
    pub fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.finish(
            path,
            self.agent
                .put(format!("{}{path}", self.base))
                .send(body.to_string()),
        )
    }

    /// POST `body` to `path`.
    ///
    /// # Errors
    /// When no answer came.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.finish(
            path,
            self.agent
                .post(format!("{}{path}", self.base))
                .send(body.to_string()),
        )
    }

    fn finish(
        &self,
        path: &str,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer> {
        let mut response = result.map_err(|error| anyhow!("{error}")).with_context(|| {
            format!(
                "cannot reach {}{path}, is a server running there? (-http-addr)",
                self.base
            )
        })?;
        let headers = response.headers().clone();
        let change = headers.get("x-peerway-change");
        let change = change.and_then(|id| id.to_str().ok()?.parse().ok());
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_string()
            .with_context(|| format!("the answer of {}{path} broke off", self.base))?;
        Ok(Answer {
            status: response.status().as_u16(),
            body,
            change,
            headers,
        })
    }
}

/// `text` with everything but unreserved characters percent-encoded (RFC 3986 section 2.3), for a path segment.
pub fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

impl ClientFlags {
    /// The query that selects partition and namespace; empty for the defaults.
    pub fn tenancy_query(&self) -> String {
        let mut parts = Vec::new();
        if self.partition != "default" {
            parts.push(format!("partition={}", segment(&self.partition)));
        }
        if self.namespace != "default" {
            parts.push(format!("ns={}", segment(&self.namespace)));
        }
        if parts.is_empty() {
            String::new()
        } else {
            format!("?{}", parts.join("&"))
        }
    }
}
