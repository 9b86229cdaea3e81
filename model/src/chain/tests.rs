//! What chains amount to, and which contradictions are refused.

use super::*;
use crate::config::*;
use crate::key::Tenancy;
use crate::name::*;
use crate::{ConfigKey, Partition};

#[derive(Default)]
struct Written(Vec<ConfigEntry>);

impl<'e> Entries<'e> for &'e Written {
    fn entry(&mut self, key: ConfigKey) -> Option<&'e ConfigEntry> {
        self.0.iter().find(|entry| entry.key() == key)
    }

    fn groups(&mut self, partition: &Partition) -> Vec<&'e SamenessGroup> {
        self.0
            .iter()
            .filter_map(|entry| match entry {
                ConfigEntry::SamenessGroup(group) if group.partition == *partition => Some(group),
                _ => None,
            })
            .collect()
    }
}

impl Written {
    fn http() -> Self {
        Written(vec![ConfigEntry::ProxyDefaults(ProxyDefaults {
            config: [(
                "protocol".to_owned(),
                crate::instance::Opaque::Text("http".to_owned()),
            )]
            .into(),
            ..ProxyDefaults::default()
        })])
    }

    fn with(mut self, entry: ConfigEntry) -> Self {
        entry.validate().unwrap();
        self.0.push(entry);
        self
    }

    fn chain(&self, service: &str) -> Result<Chain, String> {
        let mut entries = self;
        compile(&mut entries, &local(service)).map_err(|error| error.to_string())
    }

    fn ends(&self, service: &str) -> Vec<String> {
        self.chain(service)
            .unwrap()
            .resolvers()
            .map(|resolver| shown(&resolver.target))
            .collect()
    }
}

fn shown(target: &Target) -> String {
    target.id(&Datacenter::new("dc1").unwrap())
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn local(service: &str) -> ServiceKey {
    ServiceKey::local(&Tenancy::default(), name(service))
}

fn to(service: &str, subset: Option<&str>, peer: Option<&str>) -> Destination {
    Destination {
        service: Some(name(service)),
        subset: subset.map(|text| SubsetName::new(text).unwrap()),
        peer: peer.map(|text| PeerName::new(text).unwrap()),
        ..Destination::default()
    }
}

fn splitter(service: &str, splits: &[(u32, Destination)]) -> ConfigEntry {
    ConfigEntry::ServiceSplitter(ServiceSplitter {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: name(service),
        splits: splits
            .iter()
            .map(|(weight, to)| Split {
                weight: *weight,
                to: to.clone(),
                request_headers: HeaderEdits::default(),
                response_headers: HeaderEdits::default(),
            })
            .collect(),
        meta: Meta::new(),
    })
}

fn plain_resolver(service: &str) -> ServiceResolver {
    ServiceResolver {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: name(service),
        default_subset: None,
        subsets: BTreeMap::new(),
        redirect: None,
        failover: BTreeMap::new(),
        connect_timeout_ms: None,
        request_timeout_ms: None,
        load_balancer: None,
        by_locality: None,
        meta: Meta::new(),
    }
}

fn resolver_entry(resolver: ServiceResolver) -> ConfigEntry {
    ConfigEntry::ServiceResolver(Box::new(resolver))
}

fn redirect(service: &str, to: Destination) -> ConfigEntry {
    resolver_entry(ServiceResolver {
        redirect: Some(to),
        ..plain_resolver(service)
    })
}

fn subsets(service: &str, names: &[&str], default: Option<&str>) -> ServiceResolver {
    ServiceResolver {
        subsets: names
            .iter()
            .map(|text| (SubsetName::new(text).unwrap(), Subset::default()))
            .collect(),
        default_subset: default.map(|text| SubsetName::new(text).unwrap()),
        ..plain_resolver(service)
    }
}

fn router(service: &str, routes: &[(&str, Destination)]) -> ConfigEntry {
    ConfigEntry::ServiceRouter(ServiceRouter {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: name(service),
        routes: routes
            .iter()
            .map(|(prefix, to)| ServiceRoute {
                request: RequestMatch {
                    path: PathTest::Prefix((*prefix).to_owned()),
                    ..RequestMatch::default()
                },
                destination: Some(RouteDestination {
                    to: to.clone(),
                    ..RouteDestination::default()
                }),
            })
            .collect(),
        meta: Meta::new(),
    })
}

#[test]
fn a_service_about_which_nothing_is_said_is_its_own_chain() {
    let chain = Written::default().chain("web").unwrap();
    assert!(chain.is_default());
    assert_eq!(chain.targets(), [Target::of(local("web"))]);
    assert_eq!(chain.protocol, Protocol::Tcp);
}

#[test]
fn routes_lead_through_splits_and_redirects_to_targets() {
    let written = Written::http()
        .with(router(
            "web",
            &[
                ("/a", to("api", None, None)),
                ("/p", to("api", None, Some("west"))),
            ],
        ))
        .with(splitter(
            "api",
            &[
                (9000, to("api", Some("v1"), None)),
                (1000, to("other", None, None)),
            ],
        ))
        .with(resolver_entry(subsets("api", &["v1"], None)))
        .with(redirect("other", to("far", None, Some("east"))));
    let chain = written.chain("web").unwrap();
    assert_eq!(chain.start, NodeId::Router(local("web")));
    let Some(Node::Router(routes)) = chain.nodes.get(&chain.start) else {
        panic!("no router");
    };
    assert_eq!(routes.len(), 3, "two written and the rest");
    assert_eq!(routes[0].next, NodeId::Splitter(local("api")));
    let legs: Vec<(String, u32)> = chain
        .legs(&routes[0].next)
        .iter()
        .map(|leg| (shown(&leg.target), leg.weight))
        .collect();
    assert_eq!(
        legs,
        [
            ("v1.api.default.default.dc1".to_owned(), 9000),
            ("far.default.default.external.east".to_owned(), 1000)
        ]
    );
    assert_eq!(chain.legs(&routes[1].next)[0].weight, WHOLE);
    assert_eq!(
        written.ends("web"),
        [
            "v1.api.default.default.dc1",
            "web.default.default.dc1",
            "far.default.default.external.east",
            "api.default.default.external.west"
        ]
    );
    assert!(!chain.is_default());
}

#[test]
fn shares_of_shares_are_multiplied_and_nothing_is_lost() {
    let third = |a: &str, b: &str, c: &str| {
        [
            (3333, to(a, None, None)),
            (3333, to(b, None, None)),
            (3334, to(c, None, None)),
        ]
    };
    let written = Written::http()
        .with(splitter("web", &third("web", "a", "b")))
        .with(splitter("a", &third("a", "b", "c")));
    let chain = written.chain("web").unwrap();
    let legs = chain.legs(&chain.start);
    assert_eq!(legs.iter().map(|leg| leg.weight).sum::<u32>(), WHOLE);
    let of = |service: &str| {
        legs.iter()
            .find(|leg| leg.target.service == local(service))
            .map(|leg| leg.weight)
    };
    assert_eq!(of("web"), Some(3333));
    assert!(of("a").is_some_and(|weight| (1110..=1112).contains(&weight)));
    assert!(of("b").is_some_and(|weight| (4444..=4446).contains(&weight)));
    let one = Written::http().with(splitter(
        "web",
        &[(WHOLE, to("web", None, None)), (0, to("a", None, None))],
    ));
    let chain = one.chain("web").unwrap();
    assert_eq!(chain.legs(&chain.start).len(), 1);
}

#[test]
fn what_stands_in_is_in_order_and_without_the_target_itself() {
    let group = |default| {
        ConfigEntry::SamenessGroup(SamenessGroup {
            partition: Partition::default(),
            name: GroupName::new("all").unwrap(),
            default_for_failover: default,
            include_local: true,
            members: vec![
                Member::Peer(PeerName::new("west").unwrap()),
                Member::Partition(Partition::default()),
                Member::Peer(PeerName::new("east").unwrap()),
            ],
            meta: Meta::new(),
        })
    };
    let of = |written: &Written, service: &str| -> Vec<String> {
        let chain = written.chain(service).unwrap();
        let resolver = chain.resolver(&chain.start).unwrap();
        resolver.settings.failover.iter().map(shown).collect()
    };
    let peers = [
        "web.default.default.external.west",
        "web.default.default.external.east",
    ];
    let by_default = Written::default().with(group(true));
    assert_eq!(of(&by_default, "web"), peers);
    assert!(!by_default.chain("web").unwrap().is_default());
    assert_eq!(of(&Written::default().with(group(false)), "web"), [""; 0]);
    let named = Written::default()
        .with(group(false))
        .with(resolver_entry(ServiceResolver {
            failover: [("*".to_owned(), Failover::Group(GroupName::new("all").unwrap()))].into(),
            ..plain_resolver("web")
        }));
    assert_eq!(of(&named, "web"), peers);
    let targets = Written::default().with(resolver_entry(ServiceResolver {
        failover: [(
            "*".to_owned(),
            Failover::Targets(vec![
                to("b", None, None),
                to("web", None, Some("west")),
                to("b", None, None),
            ]),
        )]
        .into(),
        connect_timeout_ms: Some(250),
        ..plain_resolver("web")
    }));
    assert_eq!(
        of(&targets, "web"),
        ["b.default.default.dc1", "web.default.default.external.west"]
    );
    let mut entries = &targets;
    let west = Target::of(ServiceKey {
        origin: Origin::Peer(PeerName::new("west").unwrap()),
        ..local("web")
    });
    let there = settings(&mut entries, &west).unwrap();
    assert_eq!((there.connect_timeout_ms, there.failover.len()), (Some(250), 0));
}

#[test]
fn contradictions_are_refused() {
    for (written, why) in [
        (
            Written::http()
                .with(splitter("web", &[(WHOLE, to("a", None, None))]))
                .with(splitter("a", &[(WHOLE, to("web", None, None))])),
            "the splits of default/default/web lead in a circle",
        ),
        (
            Written::http()
                .with(redirect("web", to("a", None, None)))
                .with(redirect("a", to("web", None, None))),
            "the redirects of default/default/web lead in a circle",
        ),
        (
            Written::http().with(router("web", &[("/", to("a", Some("v1"), None))])),
            "default/default/a has no subset \"v1\"",
        ),
        (
            Written::default().with(router("web", &[("/", to("a", None, None))])),
            "needs a protocol of requests",
        ),
        (
            Written::http()
                .with(redirect("web", to("a", None, None)))
                .with(ConfigEntry::ServiceDefaults(ServiceDefaults {
                    partition: Partition::default(),
                    namespace: Namespace::default(),
                    name: name("a"),
                    protocol: Some(Protocol::Grpc),
                    mesh_gateway: None,
                    inbound: Default::default(),
                    upstreams: Default::default(),
                    sidecar: Default::default(),
                    meta: Meta::new(),
                })),
            "leads to default/default/a, which speaks grpc and not http",
        ),
        (
            Written::http().with(resolver_entry(ServiceResolver {
                failover: [("*".to_owned(), Failover::Group(GroupName::new("none").unwrap()))].into(),
                ..plain_resolver("web")
            })),
            "sameness-group \"none\", which does not exist",
        ),
    ] {
        let error = written.chain("web").unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_default_subset_is_meant_when_none_is_named() {
    let written = Written::default().with(resolver_entry(subsets("web", &["v1", "v2"], Some("v2"))));
    assert_eq!(written.ends("web"), ["v2.web.default.default.dc1"]);
}

#[test]
fn whether_those_that_are_near_are_preferred_is_the_targets_own() {
    let mode = |written: &Written, target: &Target| {
        let mut entries = written;
        let alone = settings_alone(&mut entries, target).by_locality;
        assert_eq!(alone, by_locality(&mut entries, &target.service));
        alone
    };
    let (web, api) = (Target::of(local("web")), Target::of(local("api")));
    let mut theirs = web.clone();
    theirs.service.origin = Origin::Peer(PeerName::new("west").unwrap());
    let own = |service: &str, by_locality| {
        resolver_entry(ServiceResolver {
            by_locality,
            ..plain_resolver(service)
        })
    };
    let written = Written::default().with(own("web", Some(ByLocality::Failover)));
    assert_eq!(mode(&written, &web), Some(ByLocality::Failover));
    assert_eq!((mode(&written, &api), mode(&written, &theirs)), (None, None));
    let all = ConfigEntry::ProxyDefaults(ProxyDefaults {
        by_locality: Some(ByLocality::Failover),
        ..ProxyDefaults::default()
    });
    let written = Written::default()
        .with(all)
        .with(own("web", Some(ByLocality::Never)))
        .with(own("db", None));
    assert_eq!(mode(&written, &web), Some(ByLocality::Never));
    assert_eq!(mode(&written, &api), Some(ByLocality::Failover));
    assert_eq!(
        mode(&written, &Target::of(local("db"))),
        Some(ByLocality::Failover)
    );
    assert_eq!(mode(&written, &theirs), None);
    // It is nothing that makes a chain more than its service.
    assert!(written.chain("api").unwrap().is_default());
}
