//! The keys of a provider: here, or where they are fetched.

use super::uri::KeyUri;
use crate::Invalid;
use crate::config::MAX_CONNECT_TIMEOUT_MS;
use std::net::IpAddr;

/// Longest key set that is written here, in bytes of JSON.
pub const MAX_KEY_SET_BYTES: usize = 64 << 10;
/// Longest roots of a server with keys, in bytes of PEM.
pub const MAX_CA_BYTES: usize = 64 << 10;
/// Longest that fetching keys may be given, in milliseconds.
pub const MAX_KEY_FETCH_MS: u64 = 600_000;
/// Longest that keys may be said to be good for, in milliseconds.
pub const MAX_KEY_CACHE_MS: u64 = 86_400_000;
/// Most further attempts to fetch keys.
pub const MAX_KEY_RETRIES: u32 = 100;
/// Longest path of a file, in bytes.
const MAX_PATH_BYTES: usize = 4096;

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// Here.
    Local(KeySet),
    /// With a server, which proxies ask.
    Remote(Box<RemoteKeys>),
}

/// A JSON Web Key Set (RFC 7517, section 5), as JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySet(String);

impl KeySet {
    /// Takes the text of a key set; whoever reads it has looked at what is inside.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > MAX_KEY_SET_BYTES {
            return Err(Invalid::new(
                "",
                format!("must be 1 to {MAX_KEY_SET_BYTES} bytes of JSON"),
            ));
        }
        Ok(KeySet(text.to_owned()))
    }

    /// The JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A server that has the keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteKeys {
    /// Where.
    pub uri: KeyUri,
    /// How long an answer may take, in milliseconds; `None` is the usual time.
    pub request_timeout_ms: Option<u64>,
    /// How long keys are good for before they are fetched again, in milliseconds; `None` is the usual time.
    pub cache_ms: Option<u64>,
    /// Whether keys are fetched before the first token comes.
    pub fetch_early: bool,
    /// Further attempts; `None` is none.
    pub retries: Option<Retries>,
    /// How the server is found.
    pub discovery: KeyDiscovery,
    /// How long connecting may take, in milliseconds; `None` is the usual time.
    pub connect_timeout_ms: Option<u64>,
    /// Who may vouch for the server; `None` is whom the machine of the proxy trusts.
    pub trusted: Option<TrustedCa>,
}

/// Further attempts to fetch keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Retries {
    /// How many.
    pub count: u32,
    /// The time before the first one and the longest before any, in milliseconds; `None` is the usual times.
    pub backoff: Option<(u64, Option<u64>)>,
}

/// How a server is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum KeyDiscovery {
    /// By all addresses of its name.
    #[default]
    StrictDns,
    /// By one address of its name, whichever comes first when a connection is made.
    LogicalDns,
    /// It has an IP address.
    Static,
}

impl KeyDiscovery {
    /// All of them.
    pub const ALL: [KeyDiscovery; 3] = [
        KeyDiscovery::StrictDns,
        KeyDiscovery::LogicalDns,
        KeyDiscovery::Static,
    ];

    /// Consul's text.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyDiscovery::StrictDns => "STRICT_DNS",
            KeyDiscovery::LogicalDns => "LOGICAL_DNS",
            KeyDiscovery::Static => "STATIC",
        }
    }

    /// The kind of this text.
    pub fn parse(text: &str) -> Option<Self> {
        KeyDiscovery::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Who may vouch for a server with keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrustedCa {
    /// A file on the machine of every proxy that needs it.
    File(String),
    /// Certificates, as PEM.
    Inline(String),
    /// The same, given as bytes.
    InlineBytes(String),
}

impl KeySource {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        match self {
            KeySource::Local(_) => Ok(()),
            KeySource::Remote(remote) => remote.validate().map_err(|error| error.within("Remote")),
        }
    }
}

impl RemoteKeys {
    fn validate(&self) -> Result<(), Invalid> {
        bounded("RequestTimeoutMs", self.request_timeout_ms, MAX_KEY_FETCH_MS)?;
        bounded("CacheDuration", self.cache_ms, MAX_KEY_CACHE_MS)?;
        bounded(
            "JWKSCluster.ConnectTimeout",
            self.connect_timeout_ms,
            MAX_CONNECT_TIMEOUT_MS,
        )?;
        if let Some(Retries { count, backoff }) = self.retries {
            if count > MAX_KEY_RETRIES {
                return Err(Invalid::new(
                    "RetryPolicy.NumRetries",
                    format!("is above {MAX_KEY_RETRIES}"),
                ));
            }
            if let Some((base, max)) = backoff {
                let at = "RetryPolicy.RetryPolicyBackOff";
                bounded(&format!("{at}.BaseInterval"), Some(base), MAX_KEY_FETCH_MS)?;
                bounded(&format!("{at}.MaxInterval"), max, MAX_KEY_FETCH_MS)?;
                if max.is_some_and(|max| max < base) {
                    return Err(Invalid::new(
                        format!("{at}.MaxInterval"),
                        "is shorter than BaseInterval",
                    ));
                }
            }
        }
        let is_address = self.uri.host().parse::<IpAddr>().is_ok();
        if self.discovery == KeyDiscovery::Static && !is_address {
            return Err(Invalid::new(
                "JWKSCluster.DiscoveryType",
                format!(
                    "is STATIC, but {} is a name: write STRICT_DNS, or an IP address into URI",
                    self.uri.host()
                ),
            ));
        }
        let Some(trusted) = &self.trusted else {
            return Ok(());
        };
        let at = |field: &str| format!("JWKSCluster.TLSCertificates.TrustedCA.{field}");
        if !self.uri.is_https() {
            return Err(Invalid::new(
                "JWKSCluster.TLSCertificates",
                "is for a server that speaks TLS, but URI begins with http:; write https: or remove it",
            ));
        }
        match trusted {
            TrustedCa::File(path) => {
                let odd =
                    path.is_empty() || path.len() > MAX_PATH_BYTES || path.chars().any(char::is_control);
                match odd || !path.starts_with('/') {
                    true => Err(Invalid::new(
                        at("Filename"),
                        "must be an absolute path without control characters",
                    )),
                    false => Ok(()),
                }
            }
            TrustedCa::Inline(pem) => certificates(&at("InlineString"), pem),
            TrustedCa::InlineBytes(pem) => certificates(&at("InlineBytes"), pem),
        }
    }
}

fn bounded(field: &str, given: Option<u64>, most: u64) -> Result<(), Invalid> {
    match given {
        Some(ms) if !(1..=most).contains(&ms) => Err(Invalid::new(
            field,
            format!("is {ms}ms, must be from 1ms to {most}ms"),
        )),
        _ => Ok(()),
    }
}

/// Refuses what is not one or more certificates in PEM (RFC 7468). What is inside them is not looked at.
fn certificates(field: &str, pem: &str) -> Result<(), Invalid> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let refuse = |problem: String| Err(Invalid::new(field, problem));
    if pem.len() > MAX_CA_BYTES {
        return refuse(format!("is longer than {MAX_CA_BYTES} bytes"));
    }
    let (mut inside, mut count, mut body) = (false, 0_usize, String::new());
    for line in pem.lines().map(str::trim) {
        match (inside, line) {
            (false, BEGIN) => (inside, body) = (true, String::new()),
            (true, END) => {
                let known = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
                // A certificate is a sequence with a length of two bytes or more: 0x30 0x82, or 0x81.
                if !body.starts_with("MI") || body.len() % 4 != 0 || !body.bytes().all(known) {
                    return refuse(format!(
                        "has something else than a certificate as its number {}",
                        count + 1
                    ));
                }
                (inside, count) = (false, count + 1);
            }
            (true, line) => body.push_str(line),
            // Text between certificates is a comment.
            (false, line) if line.contains("PRIVATE KEY") => {
                return refuse("has a private key, remove it".to_owned());
            }
            (false, _) => {}
        }
    }
    match (inside, count) {
        (false, 1..) => Ok(()),
        _ => refuse("has no certificate in PEM, or one without an end".to_owned()),
    }
}
