//! `service-router`: which requests for a service go where (xDS facts, section 6.5).

use super::header_edits::header_name;
use super::{Destination, HeaderEdits, Meta};
use crate::name::{Namespace, Partition, ServiceName};
use crate::{Invalid, Regular};

/// Most routes of a router.
pub const MAX_ROUTES: usize = 256;
/// Most headers, parameters or methods that one route looks at.
pub const MAX_ROUTE_TESTS: usize = 32;
/// Longest path, value of a header or parameter that a route compares with, in bytes.
pub const MAX_COMPARED_BYTES: usize = 2048;
/// Longest name of a parameter that a route looks at (Envoy's bound), in bytes.
pub const MAX_PARAMETER_BYTES: usize = 1024;
/// Longest timeout of a request, in milliseconds.
pub const MAX_TIMEOUT_MS: u64 = 24 * 3600 * 1000;
/// Most retries of one request.
pub const MAX_RETRIES: u32 = 100;

/// The methods that a route may ask for.
pub const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE",
];
/// What may be tried again (Envoy, `x-envoy-retry-on` and `x-envoy-retry-grpc-on`).
pub const RETRY_CONDITIONS: [&str; 12] = [
    "5xx",
    "gateway-error",
    "reset",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// The path of a request, without its query.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum PathTest {
    /// Every path.
    #[default]
    Any,
    /// This one.
    Exact(String),
    /// Those that begin with it.
    Prefix(String),
    /// Those that it matches as a whole.
    Regex(Regular),
}

/// What is asked of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextTest {
    /// That it is there.
    Present,
    /// That it is this.
    Exact(String),
    /// That it begins so.
    Prefix(String),
    /// That it ends so.
    Suffix(String),
    /// That it matches as a whole.
    Regex(Regular),
}

/// What is asked of a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderTest {
    /// Its name.
    pub name: String,
    /// The question.
    pub test: TextTest,
    /// Whether the answer has to be no.
    pub invert: bool,
}

/// What is asked of a parameter of the query: present, exact or regex.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryTest {
    /// Its name.
    pub name: String,
    /// The question.
    pub test: TextTest,
}

/// Which requests a route takes: those of which everything holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct RequestMatch {
    /// The path.
    pub path: PathTest,
    /// Whether upper and lower case of an exact or prefix path are the same.
    pub case_insensitive: bool,
    /// All of them.
    pub headers: Vec<HeaderTest>,
    /// All of them.
    pub query: Vec<QueryTest>,
    /// One of them, in upper case; empty means any.
    pub methods: Vec<String>,
}

/// Where the requests of a route go, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct RouteDestination {
    /// Where.
    pub to: Destination,
    /// Replaces the matched path or prefix.
    pub prefix_rewrite: Option<String>,
    /// How long an answer may take, in milliseconds.
    pub request_timeout_ms: Option<u64>,
    /// How long nothing may move, in milliseconds.
    pub idle_timeout_ms: Option<u64>,
    /// How often a request is tried again.
    pub num_retries: Option<u32>,
    /// Tries again when no connection could be made.
    pub retry_on_connect_failure: bool,
    /// Further reasons, of [`RETRY_CONDITIONS`].
    pub retry_on: Vec<String>,
    /// Answers that are tried again.
    pub retry_on_status_codes: Vec<u16>,
    /// Headers towards the service.
    pub request_headers: HeaderEdits,
    /// Headers towards the caller.
    pub response_headers: HeaderEdits,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct ServiceRoute {
    /// Which requests.
    pub request: RequestMatch,
    /// Where to; `None` means the service itself.
    pub destination: Option<RouteDestination>,
}

/// The routes of a service. What no route takes goes to the service itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceRouter {
    /// The partition.
    pub partition: Partition,
    /// The namespace.
    pub namespace: Namespace,
    /// The service.
    pub name: ServiceName,
    /// The first one that takes a request has it.
    pub routes: Vec<ServiceRoute>,
    /// The operator's pairs.
    pub meta: Meta,
}

impl ServiceRouter {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        at_most("Routes", self.routes.len(), MAX_ROUTES)?;
        for (index, route) in self.routes.iter().enumerate() {
            route
                .validate()
                .map_err(|error| error.within(&format!("Routes[{index}]")))?;
        }
        Ok(())
    }
}

impl ServiceRoute {
    fn validate(&self) -> Result<(), Invalid> {
        self.request
            .validate()
            .map_err(|error| error.within("Match.HTTP"))?;
        let Some(destination) = &self.destination else {
            return Ok(());
        };
        let rewritable = matches!(self.request.path, PathTest::Exact(_) | PathTest::Prefix(_));
        if destination.prefix_rewrite.is_some() && !rewritable {
            return Err(Invalid::new(
                "Destination.PrefixRewrite",
                "needs a PathExact or PathPrefix in Match.HTTP to replace",
            ));
        }
        destination
            .validate()
            .map_err(|error| error.within("Destination"))
    }
}

impl RequestMatch {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        match &self.path {
            PathTest::Exact(path) => rooted("PathExact", path)?,
            PathTest::Prefix(path) => rooted("PathPrefix", path)?,
            PathTest::Any | PathTest::Regex(_) => {}
        }
        at_most("Header", self.headers.len(), MAX_ROUTE_TESTS)?;
        for (index, header) in self.headers.iter().enumerate() {
            let at = format!("Header[{index}]");
            header_name(&format!("{at}.Name"), &header.name)?;
            header.test.validate().map_err(|error| error.within(&at))?;
        }
        at_most("QueryParam", self.query.len(), MAX_ROUTE_TESTS)?;
        for (index, parameter) in self.query.iter().enumerate() {
            let at = format!("QueryParam[{index}]");
            bounded(&format!("{at}.Name"), &parameter.name)?;
            if parameter.name.is_empty() {
                return Err(Invalid::new(format!("{at}.Name"), "is required"));
            }
            if parameter.name.len() > MAX_PARAMETER_BYTES {
                return Err(Invalid::new(
                    format!("{at}.Name"),
                    format!("is longer than {MAX_PARAMETER_BYTES} bytes"),
                ));
            }
            parameter.test.validate().map_err(|error| error.within(&at))?;
        }
        at_most("Methods", self.methods.len(), METHODS.len())?;
        for (index, method) in self.methods.iter().enumerate() {
            let at = format!("Methods[{index}]");
            if !METHODS.contains(&method.as_str()) {
                return Err(Invalid::new(
                    at,
                    format!("is {method:?}, use one of {}", METHODS.join(", ")),
                ));
            }
            if self.methods[..index].contains(method) {
                return Err(Invalid::new(at, format!("{method} is given more than once")));
            }
        }
        Ok(())
    }
}

impl TextTest {
    fn validate(&self) -> Result<(), Invalid> {
        let (field, text) = match self {
            TextTest::Present | TextTest::Regex(_) => return Ok(()),
            TextTest::Exact(text) => ("Exact", text),
            TextTest::Prefix(text) => ("Prefix", text),
            TextTest::Suffix(text) => ("Suffix", text),
        };
        bounded(field, text)?;
        if text.is_empty() {
            return Err(Invalid::new(field, "must not be empty"));
        }
        Ok(())
    }
}

impl RouteDestination {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        self.to.validate()?;
        if let Some(rewrite) = &self.prefix_rewrite {
            rooted("PrefixRewrite", rewrite)?;
        }
        if self.num_retries.is_some_and(|count| count > MAX_RETRIES) {
            return Err(Invalid::new(
                "NumRetries",
                format!("must be at most {MAX_RETRIES}"),
            ));
        }
        at_most("RetryOn", self.retry_on.len(), RETRY_CONDITIONS.len())?;
        for (index, condition) in self.retry_on.iter().enumerate() {
            if !RETRY_CONDITIONS.contains(&condition.as_str()) {
                return Err(Invalid::new(
                    format!("RetryOn[{index}]"),
                    format!("is {condition:?}, use one of {}", RETRY_CONDITIONS.join(", ")),
                ));
            }
        }
        at_most(
            "RetryOnStatusCodes",
            self.retry_on_status_codes.len(),
            MAX_ROUTE_TESTS,
        )?;
        for (index, code) in self.retry_on_status_codes.iter().enumerate() {
            if !(100..600).contains(code) {
                return Err(Invalid::new(
                    format!("RetryOnStatusCodes[{index}]"),
                    format!("is {code}, expected 100 to 599"),
                ));
            }
        }
        for (field, timeout) in [
            ("RequestTimeout", self.request_timeout_ms),
            ("IdleTimeout", self.idle_timeout_ms),
        ] {
            short(field, timeout)?;
        }
        self.request_headers
            .validate()
            .map_err(|error| error.within("RequestHeaders"))?;
        self.response_headers
            .validate()
            .map_err(|error| error.within("ResponseHeaders"))
    }
}

/// Refuses more than `most` of what stands at `at`.
pub(super) fn at_most(at: &str, count: usize, most: usize) -> Result<(), Invalid> {
    if count > most {
        return Err(Invalid::new(
            at,
            format!("has {count} elements, at most {most} are allowed"),
        ));
    }
    Ok(())
}

/// Refuses a timeout above [`MAX_TIMEOUT_MS`].
pub(super) fn short(at: &str, timeout: Option<u64>) -> Result<(), Invalid> {
    if timeout.is_some_and(|ms| ms > MAX_TIMEOUT_MS) {
        return Err(Invalid::new(
            at,
            format!("must be at most {} hours", MAX_TIMEOUT_MS / 3_600_000),
        ));
    }
    Ok(())
}

/// Refuses what is too long to be compared with, or cannot be in a request at all.
pub(super) fn bounded(at: &str, text: &str) -> Result<(), Invalid> {
    if text.len() > MAX_COMPARED_BYTES || text.chars().any(char::is_control) {
        return Err(Invalid::new(
            at,
            format!("must be at most {MAX_COMPARED_BYTES} bytes without control characters"),
        ));
    }
    Ok(())
}

fn rooted(at: &str, path: &str) -> Result<(), Invalid> {
    bounded(at, path)?;
    if !path.starts_with('/') {
        return Err(Invalid::new(at, format!("is {path:?}, must begin with '/'")));
    }
    if path.contains(['?', '#', ' ']) {
        return Err(Invalid::new(
            at,
            "has a '?', '#' or space, which no path has; use QueryParam for parameters",
        ));
    }
    Ok(())
}
