//! What may be said about a sidecar in three places: in its registration, in the defaults of its service, and in those
//! of all proxies. Whatever the first of them leaves open is said by the next one, setting by setting.

use crate::Invalid;
use crate::config::{ProxyDefaults, ServiceDefaults};
use crate::expose::{self, ExposedPath};

/// Port of the outbound listener unless somebody says otherwise (Consul's).
pub const DEFAULT_OUTBOUND_PORT: u16 = 15_001;

/// How an application and its sidecar come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyMode {
    /// The application dials ports of its sidecar.
    Direct,
    /// The application knows nothing of its sidecar: the kernel redirects its connections.
    Transparent,
}

impl ProxyMode {
    /// All modes.
    pub const ALL: [ProxyMode; 2] = [ProxyMode::Direct, ProxyMode::Transparent];

    /// Consul's text.
    pub fn as_str(self) -> &'static str {
        match self {
            ProxyMode::Direct => "direct",
            ProxyMode::Transparent => "transparent",
        }
    }

    /// The mode of this text, or `None`.
    pub fn parse(text: &str) -> Option<Self> {
        ProxyMode::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// What one of the three says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct SidecarSettings {
    /// The mode; `None` leaves it open.
    pub mode: Option<ProxyMode>,
    /// The port on loopback that connections are redirected to, never 0; `None` leaves it open. Counts in mode
    /// `transparent`.
    pub outbound_port: Option<u16>,
    /// Whether others may dial an instance at its own address and not only at its service's virtual one. Once it is
    /// said, nobody else can take it back; it counts in mode `transparent`.
    pub dialed_directly: bool,
    /// What is passed to the application from outside the mesh; nothing leaves it open.
    pub exposed: Vec<ExposedPath>,
}

/// How a sidecar takes calls that its application did not make to it, but that were redirected to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transparent {
    /// The port on loopback that connections are redirected to.
    pub outbound_port: u16,
    /// Whether others may dial this instance at its own address and not only at its service's virtual one.
    pub dialed_directly: bool,
}

impl SidecarSettings {
    /// What counts for a sidecar whose registration says `own`. `service` are the defaults of the service that it stands
    /// for, `all` those of all proxies of its partition.
    pub fn of_sidecar(
        own: &SidecarSettings,
        service: Option<&ServiceDefaults>,
        all: Option<&ProxyDefaults>,
    ) -> SidecarSettings {
        let further = [
            service.map(|service| &service.sidecar),
            all.map(|all| &all.sidecar),
        ];
        further
            .into_iter()
            .flatten()
            .fold(own.clone(), SidecarSettings::or)
    }

    fn or(self, other: &SidecarSettings) -> SidecarSettings {
        SidecarSettings {
            mode: self.mode.or(other.mode),
            outbound_port: self.outbound_port.or(other.outbound_port),
            dialed_directly: self.dialed_directly || other.dialed_directly,
            exposed: match self.exposed.is_empty() {
                true => other.exposed.clone(),
                false => self.exposed,
            },
        }
    }

    /// Refuses what no sidecar could do.
    ///
    /// # Errors
    /// What is wrong, with its path.
    pub fn validate(&self) -> Result<(), Invalid> {
        expose::validate(&self.exposed).map_err(|error| error.within("Expose"))
    }

    /// How redirected calls are taken; `None` when none are redirected.
    pub fn transparent(&self) -> Option<Transparent> {
        (self.mode == Some(ProxyMode::Transparent)).then(|| Transparent {
            outbound_port: self.outbound_port.unwrap_or(DEFAULT_OUTBOUND_PORT),
            dialed_directly: self.dialed_directly,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inbound, Meta, Protocol, Upstreams};
    use crate::name::{Namespace, Partition, ServiceName};

    fn said(mode: Option<ProxyMode>, outbound_port: Option<u16>, dialed_directly: bool) -> SidecarSettings {
        SidecarSettings {
            mode,
            outbound_port,
            dialed_directly,
            ..SidecarSettings::default()
        }
    }

    fn counts(own: SidecarSettings, service: SidecarSettings, all: SidecarSettings) -> Option<Transparent> {
        let service = ServiceDefaults {
            partition: Partition::default(),
            namespace: Namespace::default(),
            name: ServiceName::new("web").unwrap(),
            protocol: None,
            mesh_gateway: None,
            inbound: Inbound::default(),
            upstreams: Upstreams::default(),
            sidecar: service,
            meta: Meta::new(),
        };
        let all = ProxyDefaults {
            sidecar: all,
            ..ProxyDefaults::default()
        };
        SidecarSettings::of_sidecar(&own, Some(&service), Some(&all)).transparent()
    }

    #[test]
    fn the_nearest_says_the_mode_and_each_setting_by_itself() {
        use ProxyMode::{Direct, Transparent as Redirected};
        let nothing = SidecarSettings::default();
        assert_eq!(
            SidecarSettings::of_sidecar(&nothing, None, None).transparent(),
            None
        );
        let port =
            |found: Option<Transparent>| found.map(|found| (found.outbound_port, found.dialed_directly));
        let all = said(Some(Redirected), None, true);
        assert_eq!(
            port(counts(nothing.clone(), nothing.clone(), all.clone())),
            Some((DEFAULT_OUTBOUND_PORT, true))
        );
        let service = said(None, Some(15_002), false);
        assert_eq!(
            port(counts(nothing.clone(), service.clone(), all.clone())),
            Some((15_002, true))
        );
        let own = said(None, Some(15_003), false);
        assert_eq!(port(counts(own, service, all.clone())), Some((15_003, true)));
        // Saying "direct" is not the same as saying nothing.
        let direct = said(Some(Direct), None, false);
        assert_eq!(counts(direct.clone(), nothing.clone(), all.clone()), None);
        assert_eq!(counts(nothing.clone(), direct.clone(), all.clone()), None);
        let own = said(Some(Redirected), None, false);
        assert_eq!(
            port(counts(own, direct, nothing)),
            Some((DEFAULT_OUTBOUND_PORT, false))
        );
    }

    #[test]
    fn the_nearest_that_exposes_anything_says_all_of_it() {
        let paths = |names: &[&str]| SidecarSettings {
            exposed: names
                .iter()
                .zip(9_100..)
                .map(|(path, port)| ExposedPath {
                    path: (*path).to_owned(),
                    local_port: 8_080,
                    listener_port: port,
                    protocol: Protocol::Http,
                })
                .collect(),
            ..SidecarSettings::default()
        };
        let all = paths(&["/health", "/metrics"]);
        assert_eq!(SidecarSettings::default().or(&all), all);
        assert_eq!(paths(&["/live"]).or(&all), paths(&["/live"]));
    }

    #[test]
    fn modes_have_consuls_texts() {
        for mode in ProxyMode::ALL {
            assert_eq!(ProxyMode::parse(mode.as_str()), Some(mode));
        }
        assert_eq!(ProxyMode::parse(""), None);
    }
}
