//! The kinds of config entries and what they have in common.

use super::{
    ApiGateway, ExportedServices, HttpRoute, IngressGateway, InlineCertificate, JwtProvider, Mesh,
    ProxyDefaults, SamenessGroup, ServiceDefaults, ServiceIntentions, ServiceResolver, ServiceRouter,
    ServiceSplitter, TcpRoute, TerminatingGateway,
};
use crate::Invalid;
use crate::name::{GroupName, Namespace, Partition, ProviderName, ServiceName};
use std::collections::BTreeMap;
use std::fmt;

/// Most pairs of an entry's or a peering's `Meta`.
pub const MAX_META_PAIRS: usize = 64;
/// Longest key of `Meta`, in bytes.
pub const MAX_META_KEY_BYTES: usize = 128;
/// Longest value of `Meta`, in bytes.
pub const MAX_META_VALUE_BYTES: usize = 512;

/// Free-form pairs by an operator.
pub type Meta = BTreeMap<String, String>;

/// The kinds that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigKind {
    /// Which services go to which peers.
    ExportedServices,
    /// Who may call a service.
    ServiceIntentions,
    /// Settings of the whole mesh.
    Mesh,
    /// Defaults of all proxies.
    ProxyDefaults,
    /// Defaults of one service.
    ServiceDefaults,
    /// Partitions and peers that have the same services.
    SamenessGroup,
    /// Which instances a service is, and what stands in for them.
    ServiceResolver,
    /// Which requests for a service go where.
    ServiceRouter,
    /// Which share of the requests for a service goes where.
    ServiceSplitter,
    /// Services outside the mesh that a gateway stands for.
    TerminatingGateway,
    /// What a gateway lets in from outside.
    IngressGateway,
    /// Who signs tokens, and how they are verified.
    JwtProvider,
    /// The listeners of a gateway that routes attach themselves to.
    ApiGateway,
    /// Where the requests of such listeners go.
    HttpRoute,
    /// Where their connections go.
    TcpRoute,
    /// A certificate of an operator's own, with its key.
    InlineCertificate,
}

impl ConfigKind {
    /// All kinds, in the order in which help texts list them.
    pub const ALL: [ConfigKind; 16] = [
        ConfigKind::ApiGateway,
        ConfigKind::ExportedServices,
        ConfigKind::HttpRoute,
        ConfigKind::IngressGateway,
        ConfigKind::InlineCertificate,
        ConfigKind::JwtProvider,
        ConfigKind::Mesh,
        ConfigKind::ProxyDefaults,
        ConfigKind::SamenessGroup,
        ConfigKind::ServiceDefaults,
        ConfigKind::ServiceIntentions,
        ConfigKind::ServiceResolver,
        ConfigKind::ServiceRouter,
        ConfigKind::ServiceSplitter,
        ConfigKind::TcpRoute,
        ConfigKind::TerminatingGateway,
    ];

    /// Consul's text.
    pub fn as_str(self) -> &'static str {
        match self {
            ConfigKind::ExportedServices => "exported-services",
            ConfigKind::ServiceIntentions => "service-intentions",
            ConfigKind::Mesh => "mesh",
            ConfigKind::ProxyDefaults => "proxy-defaults",
            ConfigKind::ServiceDefaults => "service-defaults",
            ConfigKind::SamenessGroup => "sameness-group",
            ConfigKind::ServiceResolver => "service-resolver",
            ConfigKind::ServiceRouter => "service-router",
            ConfigKind::ServiceSplitter => "service-splitter",
            ConfigKind::TerminatingGateway => "terminating-gateway",
            ConfigKind::IngressGateway => "ingress-gateway",
            ConfigKind::JwtProvider => "jwt-provider",
            ConfigKind::ApiGateway => "api-gateway",
            ConfigKind::HttpRoute => "http-route",
            ConfigKind::TcpRoute => "tcp-route",
            ConfigKind::InlineCertificate => "inline-certificate",
        }
    }

    /// The kind of this text; the error lists the offered ones.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        ConfigKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| {
                let offered: Vec<&str> = ConfigKind::ALL.iter().map(|kind| kind.as_str()).collect();
                Invalid::new(
                    "Kind",
                    format!(
                        "unknown config entry kind {text:?}, offered are {}",
                        offered.join(", ")
                    ),
                )
            })
    }
}

impl ConfigKind {
    /// Whether an entry of this kind belongs to a namespace; the others hold for a whole partition.
    pub fn has_namespace(self) -> bool {
        match self {
            ConfigKind::ExportedServices
            | ConfigKind::JwtProvider
            | ConfigKind::Mesh
            | ConfigKind::ProxyDefaults
            | ConfigKind::SamenessGroup => false,
            ConfigKind::ServiceIntentions
            | ConfigKind::ServiceDefaults
            | ConfigKind::ServiceResolver
            | ConfigKind::ServiceRouter
            | ConfigKind::ServiceSplitter
            | ConfigKind::TerminatingGateway
            | ConfigKind::IngressGateway
            | ConfigKind::ApiGateway
            | ConfigKind::HttpRoute
            | ConfigKind::TcpRoute
            | ConfigKind::InlineCertificate => true,
        }
    }
}

impl fmt::Display for ConfigKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The key of an entry. `name` is text because some kinds allow `*` or have a fixed name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigKey {
    /// The kind.
    pub kind: ConfigKind,
    /// The partition.
    pub partition: Partition,
    /// The namespace as text, `*` for intentions on all namespaces; `default` for kinds without one.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ConfigKey {
    /// A key in the given partition and namespace.
    pub fn new(kind: ConfigKind, partition: &Partition, namespace: &str, name: &str) -> Self {
        ConfigKey {
            kind,
            partition: partition.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The key of an entry about one service.
    pub fn of_service(
        kind: ConfigKind,
        partition: &Partition,
        namespace: &Namespace,
        name: &ServiceName,
    ) -> Self {
        ConfigKey::new(kind, partition, namespace.as_str(), name.as_str())
    }

    /// The key of a provider of tokens.
    pub fn of_provider(partition: &Partition, name: &ProviderName) -> Self {
        let kind = ConfigKind::JwtProvider;
        ConfigKey::new(kind, partition, Namespace::default().as_str(), name.as_str())
    }

    /// The key of a sameness group.
    pub fn of_group(partition: &Partition, name: &GroupName) -> Self {
        let kind = ConfigKind::SamenessGroup;
        ConfigKey::new(kind, partition, Namespace::default().as_str(), name.as_str())
    }

    /// The one entry of a kind that exists once a partition: `mesh/mesh`, `proxy-defaults/global`, `exported-services/PARTITION`.
    pub fn singleton(kind: ConfigKind, partition: &Partition) -> Self {
        let name = match kind {
            ConfigKind::Mesh => "mesh",
            ConfigKind::ProxyDefaults => "global",
            _ => partition.as_str(),
        };
        ConfigKey::new(kind, partition, Namespace::default().as_str(), name)
    }
}

/// Any config entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConfigEntry {
    /// Which services go to which peers.
    ExportedServices(ExportedServices),
    /// Who may call a service.
    ServiceIntentions(ServiceIntentions),
    /// Settings of the whole mesh.
    Mesh(Mesh),
    /// Defaults of all proxies.
    ProxyDefaults(ProxyDefaults),
    /// Defaults of one service.
    ServiceDefaults(ServiceDefaults),
    /// Partitions and peers that have the same services.
    SamenessGroup(SamenessGroup),
    /// Which instances a service is, and what stands in for them.
    ServiceResolver(Box<ServiceResolver>),
    /// Which requests for a service go where.
    ServiceRouter(ServiceRouter),
    /// Which share of the requests for a service goes where.
    ServiceSplitter(ServiceSplitter),
    /// Services outside the mesh that a gateway stands for.
    TerminatingGateway(TerminatingGateway),
    /// What a gateway lets in from outside.
    IngressGateway(IngressGateway),
    /// Who signs tokens, and how they are verified.
    JwtProvider(Box<JwtProvider>),
    /// The listeners of a gateway that routes attach themselves to.
    ApiGateway(ApiGateway),
    /// Where the requests of such listeners go.
    HttpRoute(Box<HttpRoute>),
    /// Where their connections go.
    TcpRoute(TcpRoute),
    /// A certificate of an operator's own, with its key.
    InlineCertificate(InlineCertificate),
}

impl ConfigEntry {
    /// The kind.
    pub fn kind(&self) -> ConfigKind {
        self.key().kind
    }

    /// The key that it is stored under.
    pub fn key(&self) -> ConfigKey {
        match self {
            ConfigEntry::ExportedServices(entry) => {
                ConfigKey::singleton(ConfigKind::ExportedServices, &entry.partition)
            }
            ConfigEntry::Mesh(entry) => ConfigKey::singleton(ConfigKind::Mesh, &entry.partition),
            ConfigEntry::ProxyDefaults(entry) => {
                ConfigKey::singleton(ConfigKind::ProxyDefaults, &entry.partition)
            }
            ConfigEntry::ServiceIntentions(entry) => ConfigKey {
                kind: ConfigKind::ServiceIntentions,
                partition: entry.partition.clone(),
                namespace: entry.namespace.to_string(),
                name: entry.name.to_string(),
            },
            ConfigEntry::ServiceDefaults(entry) => {
                let kind = ConfigKind::ServiceDefaults;
                ConfigKey::of_service(kind, &entry.partition, &entry.namespace, &entry.name)
            }
            ConfigEntry::SamenessGroup(entry) => ConfigKey::new(
                ConfigKind::SamenessGroup,
                &entry.partition,
                Namespace::default().as_str(),
                entry.name.as_str(),
            ),
            ConfigEntry::JwtProvider(entry) => ConfigKey::of_provider(&entry.partition, &entry.name),
            ConfigEntry::ServiceResolver(entry) => {
                let kind = ConfigKind::ServiceResolver;
                ConfigKey::of_service(kind, &entry.partition, &entry.namespace, &entry.name)
            }
            ConfigEntry::ServiceRouter(entry) => {
                let kind = ConfigKind::ServiceRouter;
                ConfigKey::of_service(kind, &entry.partition, &entry.namespace, &entry.name)
            }
            ConfigEntry::ServiceSplitter(entry) => {
                let kind = ConfigKind::ServiceSplitter;
                ConfigKey::of_service(kind, &entry.partition, &entry.namespace, &entry.name)
            }
            ConfigEntry::TerminatingGateway(entry) => {
                let kind = ConfigKind::TerminatingGateway;
                ConfigKey::of_service(kind, &entry.partition, &entry.namespace, &entry.name)
            }
            ConfigEntry::IngressGateway(entry) => {
                let kind = ConfigKind::IngressGateway;
                ConfigKey::of_service(kind, &entry.partition, &entry.namespace, &entry.name)
            }
            ConfigEntry::ApiGateway(entry) => {
                let kind = ConfigKind::ApiGateway;
                ConfigKey::of_service(kind, &entry.partition, &entry.namespace, &entry.name)
            }
            ConfigEntry::HttpRoute(entry) => {
                let kind = ConfigKind::HttpRoute;
                ConfigKey::of_service(kind, &entry.partition, &entry.namespace, &entry.name)
            }
            ConfigEntry::TcpRoute(entry) => {
                let kind = ConfigKind::TcpRoute;
                ConfigKey::of_service(kind, &entry.partition, &entry.namespace, &entry.name)
            }
            ConfigEntry::InlineCertificate(entry) => {
                let kind = ConfigKind::InlineCertificate;
                ConfigKey::of_service(kind, &entry.partition, &entry.namespace, &entry.name)
            }
        }
    }

    /// The operator's pairs.
    pub fn meta(&self) -> &Meta {
        match self {
            ConfigEntry::ExportedServices(entry) => &entry.meta,
            ConfigEntry::ServiceIntentions(entry) => &entry.meta,
            ConfigEntry::Mesh(entry) => &entry.meta,
            ConfigEntry::ProxyDefaults(entry) => &entry.meta,
            ConfigEntry::ServiceDefaults(entry) => &entry.meta,
            ConfigEntry::SamenessGroup(entry) => &entry.meta,
            ConfigEntry::ServiceResolver(entry) => &entry.meta,
            ConfigEntry::ServiceRouter(entry) => &entry.meta,
            ConfigEntry::ServiceSplitter(entry) => &entry.meta,
            ConfigEntry::TerminatingGateway(entry) => &entry.meta,
            ConfigEntry::IngressGateway(entry) => &entry.meta,
            ConfigEntry::JwtProvider(entry) => &entry.meta,
            ConfigEntry::ApiGateway(entry) => &entry.meta,
            ConfigEntry::HttpRoute(entry) => &entry.meta,
            ConfigEntry::TcpRoute(entry) => &entry.meta,
            ConfigEntry::InlineCertificate(entry) => &entry.meta,
        }
    }

    /// Refuses what the types alone cannot; the error carries the path of the field.
    pub fn validate(&self) -> Result<(), Invalid> {
        validate_meta(self.meta()).map_err(|error| error.within("Meta"))?;
        match self {
            ConfigEntry::ExportedServices(entry) => entry.validate(),
            ConfigEntry::ServiceIntentions(entry) => entry.validate(),
            ConfigEntry::ProxyDefaults(entry) => entry.validate(),
            ConfigEntry::SamenessGroup(entry) => entry.validate(),
            ConfigEntry::ServiceResolver(entry) => entry.validate(),
            ConfigEntry::ServiceRouter(entry) => entry.validate(),
            ConfigEntry::ServiceSplitter(entry) => entry.validate(),
            ConfigEntry::IngressGateway(entry) => entry.validate(),
            ConfigEntry::JwtProvider(entry) => entry.validate(),
            ConfigEntry::ApiGateway(entry) => entry.validate(),
            ConfigEntry::HttpRoute(entry) => entry.validate(),
            ConfigEntry::TcpRoute(entry) => entry.validate(),
            ConfigEntry::InlineCertificate(entry) => entry.validate(),
            ConfigEntry::Mesh(entry) => entry.validate(),
            ConfigEntry::ServiceDefaults(entry) => entry.validate(),
            ConfigEntry::TerminatingGateway(entry) => entry.validate(),
        }
    }
}

/// Refuses more pairs, or longer ones, than Consul accepts (wire facts, section 6.2).
pub fn validate_meta(meta: &Meta) -> Result<(), Invalid> {
    if meta.len() > MAX_META_PAIRS {
        return Err(Invalid::new(
            "",
            format!("has {} pairs, at most {MAX_META_PAIRS} are allowed", meta.len()),
        ));
    }
    for (key, value) in meta {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if key.is_empty() || key.len() > MAX_META_KEY_BYTES || !key.bytes().all(allowed) {
            return Err(Invalid::new(
                "",
                format!("key {key:?} must be 1 to {MAX_META_KEY_BYTES} letters, digits, '-' or '_'"),
            ));
        }
        if key.starts_with("consul-") {
            return Err(Invalid::new(
                "",
                format!("key {key:?} uses the reserved prefix 'consul-'"),
            ));
        }
        if value.len() > MAX_META_VALUE_BYTES {
            return Err(Invalid::new(
                "",
                format!("value of {key:?} is longer than {MAX_META_VALUE_BYTES} bytes"),
            ));
        }
    }
    Ok(())
}
