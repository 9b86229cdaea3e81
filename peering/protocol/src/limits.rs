//! What an importer lets in: how much of it, how fast, and under which names. All of it is the operator's choice; what
//! no operator can allow is in [`crate::admit`].

use crate::admit::MAX_SERVICES;
use crate::resource::SIDECAR_SUFFIX;
use std::time::Duration;

/// Most instances of all services of one peer together, mesh faces included, unless the operator says otherwise.
pub const DEFAULT_MAX_INSTANCES: usize = 100_000;
/// Most bytes of all services of one peer together, as they came over the wire, unless the operator says otherwise.
pub const DEFAULT_MAX_BYTES: usize = 256 * 1024 * 1024;
/// Most updates of one peer in a second, unless the operator says otherwise.
pub const DEFAULT_UPDATES_PER_SECOND: u32 = 1_000;
/// Bytes of one message that count as one update; a longer message counts once for each.
pub const UPDATE_BYTES: usize = 4 * 1024;
/// Seconds of updates that may come at once after a pause: the first synchronisation of a usual peer.
const BURST_SECONDS: f64 = 10.0;

/// How much is imported from one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportLimits {
    /// Most services; a service and its mesh face count as one. At most [`MAX_SERVICES`].
    pub max_services: usize,
    /// Most instances of all services together, mesh faces included.
    pub max_instances: usize,
    /// Most bytes of all services together, as they came over the wire.
    pub max_bytes: usize,
    /// Most updates in a second. More are not refused but wait, and the peer with them.
    pub updates_per_second: u32,
    /// Which services.
    pub filter: NameFilter,
}

impl Default for ImportLimits {
    fn default() -> Self {
        ImportLimits {
            max_services: MAX_SERVICES,
            max_instances: DEFAULT_MAX_INSTANCES,
            max_bytes: DEFAULT_MAX_BYTES,
            updates_per_second: DEFAULT_UPDATES_PER_SECOND,
            filter: NameFilter::default(),
        }
    }
}

/// Which services are imported, by name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NameFilter {
    /// Only these; empty means all.
    pub include: Vec<NamePattern>,
    /// Of those, not these.
    pub exclude: Vec<NamePattern>,
}

/// A name, or the beginning of names with a `*` after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    start: String,
    open: bool,
}

impl NamePattern {
    /// The pattern of this text, for example `web`, `web-*` or `*`.
    ///
    /// # Errors
    /// A clause when a star is not at the end or a character cannot be in a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (start, open) = match text.strip_suffix('*') {
            Some(start) => (start, true),
            None => (text, false),
        };
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if !start.bytes().all(fits) || (start.is_empty() && !open) {
            return Err(format!(
                "{text:?} is not a pattern: write a name in lower case, or the beginning of names followed by one *"
            ));
        }
        Ok(NamePattern {
            start: start.to_owned(),
            open,
        })
    }

    fn matches(&self, name: &str) -> bool {
        match name.strip_prefix(self.start.as_str()) {
            Some(rest) => self.open || rest.is_empty(),
            None => false,
        }
    }
}

impl NameFilter {
    /// Whether a service of this name is imported; a mesh face goes with its service.
    pub fn allows(&self, name: &str) -> bool {
        let service = name.strip_suffix(SIDECAR_SUFFIX).unwrap_or(name);
        let any = |patterns: &[NamePattern]| patterns.iter().any(|pattern| pattern.matches(service));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}

/// The pace of one peer's updates: a bucket that fills with time. It may go below nothing once, so that a message
/// longer than the bucket passes at all, and is paid for afterwards.
#[derive(Debug)]
pub struct Pace {
    per_second: f64,
    tokens: f64,
    at: Duration,
}

impl Pace {
    /// A full bucket.
    pub fn new(updates_per_second: u32, now: Duration) -> Self {
        let per_second = f64::from(updates_per_second.max(1));
        Pace {
            per_second,
            tokens: per_second * BURST_SECONDS,
            at: now,
        }
    }

    /// Takes note of an update of so many bytes.
    pub fn spend(&mut self, bytes: usize, now: Duration) {
        self.fill(now);
        let updates = bytes.div_ceil(UPDATE_BYTES).max(1);
        self.tokens -= updates as f64;
    }

    /// When the next message may be read; `None` means now.
    pub fn ready_at(&self, now: Duration) -> Option<Duration> {
        let missing = -(self.tokens + self.gained(now));
        let wait = Duration::from_secs_f64((missing / self.per_second).max(0.0));
        (missing > 0.0).then(|| now.saturating_add(wait).saturating_add(Duration::from_millis(1)))
    }

    fn gained(&self, now: Duration) -> f64 {
        now.saturating_sub(self.at).as_secs_f64() * self.per_second
    }

    fn fill(&mut self, now: Duration) {
        self.tokens = (self.tokens + self.gained(now)).min(self.per_second * BURST_SECONDS);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> NameFilter {
        let patterns = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| NamePattern::parse(text).unwrap())
                .collect()
        };
        NameFilter {
            include: patterns(include),
            exclude: patterns(exclude),
        }
    }

    #[test]
    fn a_filter_goes_by_the_name_of_the_service() {
        let all = NameFilter::default();
        let some = filter(&["web", "api-*"], &["api-secret*"]);
        for (name, by_some) in [
            ("web", true),
            ("web-sidecar-proxy", true),
            ("web2", false),
            ("api-", true),
            ("api-v1", true),
            ("api-v1-sidecar-proxy", true),
            ("api", false),
            ("api-secrets", false),
            ("api-secrets-sidecar-proxy", false),
        ] {
            assert!(all.allows(name));
            assert_eq!(some.allows(name), by_some, "{name}");
        }
        assert!(!filter(&[], &["*"]).allows("web"));
        for bad in ["", "a*b", "**", "Web", "a b"] {
            assert!(NamePattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_peer_gets_a_burst_and_then_its_rate() {
        let at = Duration::from_millis;
        let mut pace = Pace::new(100, at(0));
        let mut passed = 0;
        while pace.ready_at(at(0)).is_none() {
            pace.spend(10, at(0));
            passed += 1;
        }
        assert_eq!(
            passed, 1_001,
            "ten seconds of updates, and the one that empties the bucket"
        );
        let mut now = at(0);
        let mut waited = 0;
        while now < at(10_000) {
            match pace.ready_at(now) {
                Some(later) => now = later,
                None => {
                    pace.spend(UPDATE_BYTES, now);
                    waited += 1;
                }
            }
        }
        assert!((850..=1_010).contains(&waited), "{waited} in ten seconds");
        // Long messages cost more, and the bucket does not overflow.
        let mut pace = Pace::new(100, at(0));
        pace.spend(1_001 * UPDATE_BYTES, at(1_000_000));
        assert_eq!(pace.ready_at(at(1_000_000)), Some(at(1_000_011)));
    }
}
