//! The zone: which names are ours, and how answers about them are made.

use crate::record::DnsName;
use domain::base::name::{Label, Name};
use peerway_model::Invalid;
use peerway_model::name::{Datacenter, NodeName};
use std::collections::BTreeMap;

/// Longest that an answer may be kept, in seconds (RFC 2181 section 8).
pub const MAX_TTL: u32 = i32::MAX as u32;
/// Most bytes of a domain: names below it need room.
const MAX_DOMAIN_BYTES: usize = 127;

/// A domain that names are served under, such as `consul`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain(DnsName);

impl Domain {
    /// The domain of this text, with or without a dot at its end.
    ///
    /// # Errors
    /// When a label of it is empty, too long or has other characters than letters, digits, `-` and `_`, or when it is
    /// too long altogether.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let refused = |why: &str| Invalid::new("", format!("{text:?} is not a domain: {why}"));
        let bare = text.strip_suffix('.').unwrap_or(text);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        for label in bare.split('.') {
            if label.is_empty() || label.len() > Label::MAX_LEN || !label.bytes().all(plain) {
                return Err(refused(
                    "each label needs 1 to 63 letters, digits, '-' or '_', as in \"consul\"",
                ));
            }
        }
        if bare.len() > MAX_DOMAIN_BYTES {
            return Err(refused("it is longer than 127 characters"));
        }
        let name = Name::vec_from_str(bare).map_err(|error| refused(&error.to_string()))?;
        Ok(Domain(name))
    }

    pub(crate) fn name(&self) -> &DnsName {
        &self.0
    }

    /// How many labels of `labels` (without the root) are before this domain, if they end in it.
    pub(crate) fn labels_before(&self, labels: &[&[u8]]) -> Option<usize> {
        let own = self.0.iter().filter(|label| !label.is_root());
        let own: Vec<&[u8]> = own.map(Label::as_slice).collect();
        let before = labels.len().checked_sub(own.len())?;
        let tail = labels.get(before..)?;
        let same = tail
            .iter()
            .zip(&own)
            .all(|(one, other)| one.eq_ignore_ascii_case(other));
        same.then_some(before)
    }
}

/// How long answers about services may be kept, by the service's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceTtls {
    exact: BTreeMap<String, u32>,
    /// By what names begin with, the longest first.
    prefixes: Vec<(String, u32)>,
}

impl ServiceTtls {
    /// From pairs of a name, or the beginning of names followed by `*`, and seconds.
    pub fn new(pairs: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut ttls = ServiceTtls::default();
        for (name, seconds) in pairs {
            let name = name.to_ascii_lowercase();
            match name.strip_suffix('*') {
                Some(prefix) => ttls.prefixes.push((prefix.to_owned(), seconds)),
                None => {
                    ttls.exact.insert(name, seconds);
                }
            }
        }
        ttls.prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        ttls
    }

    /// Seconds that an answer about `service` may be kept: what is said of its name, else of the longest beginning of
    /// it, else 0.
    pub fn of(&self, service: &str) -> u32 {
        let name = service.to_ascii_lowercase();
        let by_prefix = || {
            let mut all = self.prefixes.iter();
            all.find(|(prefix, _)| name.starts_with(prefix))
                .map(|(_, seconds)| *seconds)
        };
        let exact = self.exact.get(&name).copied();
        exact.or_else(by_prefix).unwrap_or_default()
    }
}

/// What the zone says of itself, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soa {
    /// How often secondary servers would look; there are none.
    pub refresh: u32,
    /// How soon they would try again.
    pub retry: u32,
    /// When they would give up.
    pub expire: u32,
    /// How long the absence of a name may be kept.
    pub min_ttl: u32,
}

impl Default for Soa {
    /// Consul's.
    fn default() -> Self {
        Soa {
            refresh: 3600,
            retry: 600,
            expire: 86400,
            min_ttl: 0,
        }
    }
}

/// How names are answered.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The domain.
    pub domain: Domain,
    /// A second one with the same names.
    pub alt_domain: Option<Domain>,
    /// This cluster's; names of another are not answered.
    pub datacenter: Datacenter,
    /// The node of this server, which is the zone's name server.
    pub server: NodeName,
    /// How long addresses of nodes and virtual addresses may be kept, in seconds.
    pub node_ttl: u32,
    /// The same for services.
    pub service_ttl: ServiceTtls,
    /// Whether instances with a warning are left out.
    pub only_passing: bool,
    /// Most addresses in an answer; 0 is as many as fit.
    pub a_record_limit: usize,
    /// Most records in an answer over UDP; 0 is as many as fit.
    pub udp_answer_limit: usize,
    /// Whether an answer that `udp_answer_limit` has shortened says so, so that the asker tries TCP.
    pub enable_truncate: bool,
    /// What the zone says of itself.
    pub soa: Soa,
}

impl Zone {
    /// A zone with Consul's defaults.
    pub fn new(domain: Domain, datacenter: Datacenter, server: NodeName) -> Self {
        Zone {
            domain,
            alt_domain: None,
            datacenter,
            server,
            node_ttl: 0,
            service_ttl: ServiceTtls::default(),
            only_passing: false,
            a_record_limit: 0,
            udp_answer_limit: 3,
            enable_truncate: false,
            soa: Soa::default(),
        }
    }

    /// The domain that a name is in, and how many of its labels are before that; the longer domain when it is in both.
    pub(crate) fn domain_of(&self, labels: &[&[u8]]) -> Option<(&Domain, usize)> {
        let all = std::iter::once(&self.domain).chain(&self.alt_domain);
        all.filter_map(|domain| Some((domain, domain.labels_before(labels)?)))
            .min_by_key(|(_, before)| *before)
    }
}
