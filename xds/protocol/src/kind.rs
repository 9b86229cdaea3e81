//! The resource types that are served.

/// The Envoy resource types that Peerway serves, in sending order.
///
/// Secrets come first because clusters and listeners refer to them; clusters before their endpoints, and both
/// before the listeners and routes that send traffic to them. Filters come
/// before listeners that are to decide by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// TLS certificates and validation contexts (SDS).
    Secret,
    /// Envoy clusters (CDS).
    Cluster,
    /// Cluster load assignments (EDS).
    Endpoints,
    /// Configurations of single filters (ECDS).
    Extension,
    /// Listeners (LDS).
    Listener,
    /// Route configurations (RDS).
    Route,
}

impl Kind {
    /// Every kind, in sending order.
    pub const ALL: [Self; 6] = [
        Self::Secret,
        Self::Cluster,
        Self::Endpoints,
        Self::Extension,
        Self::Listener,
        Self::Route,
    ];

    /// How many kinds there are.
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// The type URL of the kind, as in the `type_url` field of Envoy's v3 discovery messages.
    #[must_use]
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoints => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Extension => "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        }
    }

    /// The kind with this type URL; `None` for a type that Peerway does not serve.
    #[must_use]
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// A short lower-case word for logs, metric labels and status pages.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Cluster => "cluster",
            Self::Endpoints => "endpoints",
            Self::Listener => "listener",
            Self::Route => "route",
            Self::Extension => "extension",
        }
    }

    /// Whether Envoy asks for everything of this kind at once (clusters, listeners) instead of by name.
    #[must_use]
    pub const fn is_wildcard_capable(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }

    /// Whether a subscribed name that does not exist is answered with "does not exist".
    ///
    /// Envoy holds a cluster back until its endpoints are answered, so silence costs the whole start-up. A
    /// missing secret or route is better waited for: Envoy takes no useful step when told that it is absent.
    #[must_use]
    pub const fn answers_absence(self) -> bool {
        matches!(self, Self::Cluster | Self::Endpoints | Self::Listener)
    }

    /// Position in [`Kind::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
