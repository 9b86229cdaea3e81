//! Intentions and what they name: providers of tokens, sameness groups.

use super::fixtures::World;
use crate::{Refused, Row, RowKey, Transaction};
use peerway_model::config::{
    Action, ConfigEntry, Consumer, Destination, ExportedService, ExportedServices, HeaderCheck,
    HeaderCondition, HeaderName, JwtProvider, JwtRequirement, KeySet, KeySource, Member, Meta, Pattern,
    Permission, RequestCondition, SamenessGroup, ServiceIntentions, ServiceResolver, Source, Verdict,
    WantedToken,
};
use peerway_model::{ConfigKey, GroupName, Namespace, Partition, PeerName, ProviderName, ServiceName};
use std::collections::BTreeMap;
use std::sync::Arc;

fn name(text: &str) -> ProviderName {
    ProviderName::new(text).unwrap()
}

fn row(entry: ConfigEntry) -> Row {
    Row::Config(Arc::new(entry))
}

fn provider(text: &str, issuer: &str) -> Row {
    row(ConfigEntry::JwtProvider(Box::new(JwtProvider {
        partition: Partition::default(),
        name: name(text),
        issuer: issuer.to_owned(),
        audiences: Vec::new(),
        keys: KeySource::Local(KeySet::new("{}").unwrap()),
        locations: Vec::new(),
        forwarding: None,
        clock_skew_seconds: 30,
        cache_size: 0,
        meta: Meta::new(),
    })))
}

fn jwt(provider: &str) -> JwtRequirement {
    JwtRequirement {
        tokens: vec![WantedToken {
            provider: name(provider),
            claims: Vec::new(),
        }],
    }
}

fn intentions(destination: &str, verdict: Verdict, wanted: Option<&str>) -> Row {
    let pattern = |text: &str| match text {
        "*" => Pattern::Any,
        text => Pattern::Exact(ServiceName::new(text).unwrap()),
    };
    row(ConfigEntry::ServiceIntentions(ServiceIntentions {
        name: pattern(destination),
        namespace: Pattern::Exact(Namespace::default()),
        partition: Partition::default(),
        sources: vec![Source {
            name: pattern("web"),
            namespace: Pattern::Exact(Namespace::default()),
            partition: Partition::default(),
            peer: None,
            group: None,
            verdict,
            description: String::new(),
        }],
        jwt: wanted.map(jwt),
        meta: Meta::new(),
    }))
}

/// A permission for requests with this header.
fn header(name: &str, wanted: Option<&str>) -> Verdict {
    Verdict::ByRequest(vec![Permission {
        action: Action::Allow,
        http: RequestCondition {
            headers: vec![HeaderCondition {
                name: HeaderName::new(name).unwrap(),
                test: HeaderCheck::Present,
                invert: false,
            }],
            ..RequestCondition::default()
        },
        jwt: wanted.map(jwt),
    }])
}

const ALLOW: Verdict = Verdict::Always(Action::Allow);

fn refused(world: &mut World, transaction: &Transaction) -> String {
    match world.commit(transaction) {
        Err(Refused::Invalid(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn put(row: Row) -> Transaction {
    Transaction::new().put(row)
}

fn delete(provider: &str) -> Transaction {
    Transaction::new().delete(RowKey::Config(ConfigKey::of_provider(
        &Partition::default(),
        &name(provider),
    )))
}

#[test]
fn a_provider_is_there_as_long_as_it_is_named() {
    let mut world = World::of([]);
    for (entry, place) in [
        (
            intentions("api", ALLOW, Some("idp")),
            "JWT.Providers[0].Name: is idp",
        ),
        (
            intentions("api", header("x-a", Some("idp")), None),
            "Sources[0].Permissions[0].JWT.Providers[0].Name: is idp",
        ),
    ] {
        let refused = refused(&mut world, &put(entry.clone()));
        assert!(refused.starts_with(place), "{refused}");
        // Together they are fine.
        world.commit(&put(entry).put(provider("idp", "one"))).unwrap();
        let refused = self::refused(&mut world, &delete("idp"));
        assert!(refused.contains("named by service-intentions api"), "{refused}");
        world
            .commit(&put(intentions("api", ALLOW, None)).op(delete("idp").ops[0].clone()))
            .unwrap();
    }
    // A provider of another partition is another one.
    let elsewhere = match provider("idp", "one") {
        Row::Config(entry) => match ConfigEntry::clone(&entry) {
            ConfigEntry::JwtProvider(own) => row(ConfigEntry::JwtProvider(Box::new(JwtProvider {
                partition: Partition::new("other").unwrap(),
                ..*own
            }))),
            other => row(other),
        },
        other => other,
    };
    world.commit(&put(elsewhere)).unwrap();
    assert!(refused(&mut world, &put(intentions("api", ALLOW, Some("idp")))).contains("partition default"));
}

#[test]
fn tokens_of_one_issuer_cannot_be_told_apart() {
    let mut world = World::of([]);
    let both = put(provider("a", "one")).put(provider("b", "one"));
    world.commit(&both).unwrap();
    world.commit(&put(intentions("*", ALLOW, Some("a")))).unwrap();
    // Both may decide about api.
    let error = refused(&mut world, &put(intentions("api", ALLOW, Some("b"))));
    assert!(
        error.contains("jwt-providers a and b have the same Issuer"),
        "{error}"
    );
    world.commit(&put(provider("b", "two"))).unwrap();
    world.commit(&put(intentions("api", ALLOW, Some("b")))).unwrap();
    let error = refused(&mut world, &put(provider("a", "two")));
    assert!(error.contains("proxies of api"), "{error}");
}

#[test]
fn policy_does_not_look_at_what_tokens_change() {
    let mut world = World::of([]);
    world.commit(&put(provider("idp", "one"))).unwrap();
    let by_header = intentions("api", header("authorization", None), None);
    world.commit(&put(by_header)).unwrap();
    let error = refused(&mut world, &put(intentions("*", ALLOW, Some("idp"))));
    assert!(
        error.starts_with(
            "Sources[0].Permissions[0].HTTP.Header[0].Name: is authorization in service-intentions api"
        ),
        "{error}"
    );
    world
        .commit(&put(intentions("api", header("x-a", None), None)))
        .unwrap();
    world.commit(&put(intentions("*", ALLOW, Some("idp")))).unwrap();
}

#[test]
fn a_group_is_there_as_long_as_it_is_named() {
    let mut world = World::of([]);
    let mut of_group = intentions("api", ALLOW, None);
    let Row::Config(entry) = &mut of_group else {
        panic!("not an entry");
    };
    let ConfigEntry::ServiceIntentions(entry) = Arc::make_mut(entry) else {
        panic!("not intentions");
    };
    let all = GroupName::new("all").unwrap();
    entry.sources[0].group = Some(all.clone());
    let refusal = refused(&mut world, &put(of_group.clone()));
    assert!(refusal.starts_with("Sources[0].SamenessGroup: is all, but partition default has no"));
    let group = row(ConfigEntry::SamenessGroup(SamenessGroup {
        partition: Partition::default(),
        name: all.clone(),
        default_for_failover: false,
        include_local: true,
        members: Vec::new(),
        meta: Meta::new(),
    }));
    let key = RowKey::Config(ConfigKey::of_group(&Partition::default(), &all));
    world
        .commit(&Transaction::new().put(of_group).put(group))
        .unwrap();
    let refusal = refused(&mut world, &Transaction::new().delete(key.clone()));
    assert!(refusal.contains("sameness-group all is named by service-intentions api"));
    world.commit(&put(intentions("api", ALLOW, None))).unwrap();
    let exports = |consumer| {
        row(ConfigEntry::ExportedServices(ExportedServices {
            partition: Partition::default(),
            services: vec![ExportedService {
                name: Pattern::Any,
                namespace: Pattern::Any,
                consumers: vec![consumer],
            }],
            meta: Meta::new(),
        }))
    };
    let to = |group: &str| put(exports(Consumer::Group(GroupName::new(group).unwrap())));
    let refusal = refused(&mut world, &to("some"));
    assert!(
        refusal.starts_with("Services[0].Consumers[0].SamenessGroup: is some, but partition default has no"),
        "{refusal}"
    );
    world.commit(&to("all")).unwrap();
    let refusal = refused(&mut world, &Transaction::new().delete(key.clone()));
    assert!(refusal.contains("sameness-group all is named by exported-services default"));
    let nobody = Consumer::Partition(Partition::new("billing").unwrap());
    world.commit(&put(exports(nobody))).unwrap();
    world.commit(&Transaction::new().delete(key)).unwrap();
}

/// Who may not be led out of its partition by a chain is not by a change of a group either.
#[test]
fn a_group_exports_only_what_stays_in_the_partition() {
    let all = GroupName::new("all").unwrap();
    let group = |members| {
        row(ConfigEntry::SamenessGroup(SamenessGroup {
            partition: Partition::default(),
            name: all.clone(),
            default_for_failover: false,
            include_local: true,
            members,
            meta: Meta::new(),
        }))
    };
    let api = ServiceName::new("api").unwrap();
    let exports = row(ConfigEntry::ExportedServices(ExportedServices {
        partition: Partition::default(),
        services: vec![ExportedService {
            name: Pattern::Exact(api.clone()),
            namespace: Pattern::Exact(Namespace::default()),
            consumers: vec![Consumer::Group(all.clone())],
        }],
        meta: Meta::new(),
    }));
    let elsewhere = row(ConfigEntry::ServiceResolver(Box::new(ServiceResolver {
        partition: Partition::default(),
        namespace: Namespace::default(),
        name: api,
        default_subset: None,
        subsets: BTreeMap::new(),
        redirect: Some(Destination {
            partition: Some(Partition::new("billing").unwrap()),
            ..Destination::default()
        }),
        failover: BTreeMap::new(),
        connect_timeout_ms: None,
        request_timeout_ms: None,
        load_balancer: None,
        by_locality: None,
        meta: Meta::new(),
    })));
    let mut world = World::of([group(Vec::new()), exports, elsewhere]);
    let peer = Member::Peer(PeerName::new("west").unwrap());
    let refusal = refused(&mut world, &put(group(vec![peer])));
    assert!(
        refusal.contains("is exported to a peer, so its chain may not lead to"),
        "{refusal}"
    );
}
