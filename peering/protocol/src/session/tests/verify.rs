//! What is proven, what is found to differ, and what is done about it.

use super::*;
use crate::digest;
use crate::freshness::{Answer, Judgement, Standing, State};
use crate::limits::{ImportLimits, NameFilter, NamePattern};
use crate::message::Pulse;
use crate::offer::{OfferedNode, OfferedService};

fn offer(name: &str, id: &str) -> OfferedInstance {
    OfferedInstance {
        node: OfferedNode {
            name: "n".to_owned(),
            datacenter: "dc1".to_owned(),
            ..OfferedNode::default()
        },
        service: OfferedService {
            id: id.to_owned(),
            name: name.to_owned(),
            ..OfferedService::default()
        },
        checks: Vec::new(),
    }
}

fn offers(name: &str, count: usize) -> Arc<[OfferedInstance]> {
    (0..count)
        .map(|index| offer(name, &format!("{name}-{index}")))
        .collect()
}

/// An importer's session with an exporter that is played by the test, and what it stores.
struct Importer {
    session: Session,
    stored: Stored,
    offered: BTreeMap<String, u64>,
    nonces: u32,
    asked: usize,
    ended: Option<End>,
    answers: Vec<String>,
}

impl Importer {
    fn new(terms: Terms, digests: u32) -> Self {
        let mut session = Session::acceptor(terms, at(0)).0;
        for kind in ResourceType::ALL {
            let Message::Request(mut subscription) = request(kind, "", None) else {
                panic!("not a request");
            };
            subscription.digests = digests;
            session.on_message(Message::Request(subscription), at(0));
        }
        Importer {
            session,
            stored: Stored::default(),
            offered: BTreeMap::new(),
            nonces: 0,
            asked: 0,
            ended: None,
            answers: Vec::new(),
        }
    }

    fn act(&mut self, effects: Vec<Effect>, now: Duration) {
        for effect in effects {
            match effect {
                Effect::Import { ticket, resource } => {
                    self.store(&resource);
                    let more = self.session.on_applied(ticket, Ok(()), now);
                    self.act(more, now);
                }
                Effect::Verify => {
                    let more = self.session.on_verified(&self.stored.clone(), now);
                    self.act(more, now);
                }
                Effect::Send(Message::Request(request)) if request.resync => self.asked += 1,
                Effect::Ended(end) => self.ended = Some(end),
                Effect::Send(message) => self.answers.extend(told(vec![Effect::Send(message)])),
                _ => {}
            }
        }
    }

    fn store(&mut self, resource: &Resource) {
        match resource {
            Resource::ExportedService { name, instances } if instances.is_empty() => {
                self.stored.services.remove(name);
            }
            Resource::ExportedService { name, instances } => {
                let stored = StoredService {
                    digest: digest::of_offer(name, instances),
                    instances: instances.len(),
                };
                self.stored.services.insert(name.clone(), stored);
            }
            Resource::ExportedServiceList(names) => {
                let listed = crate::Listed::new(names);
                self.stored.services.retain(|name, _| listed.keeps(name));
            }
            Resource::TrustBundle(_) => self.stored.bundle = Some(digest::of_bundle("", "", &[])),
            Resource::ServerAddresses(_) => {}
        }
    }

    fn get(&mut self, resource: Resource, now: Duration) {
        self.nonces += 1;
        if let Resource::ExportedService { name, instances } = &resource {
            self.offered
                .insert(name.clone(), digest::of_offer(name, instances));
        }
        let message = Message::Response(Response {
            nonce: self.nonces.to_string(),
            url: resource.kind().url().to_owned(),
            id: resource.id().to_owned(),
            operation: OPERATION_UPSERT,
            bytes: 100,
            content: Content::Resource(resource),
        });
        let effects = self.session.on_message(message, now);
        self.act(effects, now);
    }

    fn service(&mut self, name: &str, count: usize, now: Duration) {
        let instances = offers(name, count);
        self.get(
            Resource::ExportedService {
                name: name.to_owned(),
                instances,
            },
            now,
        );
    }

    fn list(&mut self, names: &[&str], now: Duration) {
        let names: Arc<[String]> = names.iter().map(|name| (*name).to_owned()).collect();
        self.get(Resource::ExportedServiceList(names), now);
    }

    fn bundle(&mut self, now: Duration) {
        self.get(Resource::TrustBundle(Arc::default()), now);
    }

    fn pulse(&mut self, echo: u64, list: &[&str], withheld: &[&str], now: Duration) {
        let names: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
        let sent = self
            .offered
            .iter()
            .filter(|(name, _)| !withheld.contains(&name.as_str()));
        let pulse = Pulse {
            clock: 1,
            echo,
            digest: Some(digest::Digest {
                services: sent.map(|(_, digest)| *digest).fold(0, u64::wrapping_add),
                list: digest::of_list(&names),
                bundle: digest::of_bundle("", "", &[]),
            }),
            withheld: withheld
                .iter()
                .map(|name| ((*name).to_owned(), "too long".to_owned()))
                .collect(),
        };
        let effects = self.session.on_message(Message::Heartbeat(Some(pulse)), now);
        self.act(effects, now);
    }

    fn heartbeat(&mut self, now: Duration) {
        let effects = self.session.on_message(Message::Heartbeat(None), now);
        self.act(effects, now);
    }

    fn judge(&self, now: Duration) -> Judgement {
        self.session.freshness().judge(None, now)
    }

    fn state(&self, now: Duration) -> State {
        self.judge(now).state
    }

    fn standing(&self, name: &str) -> Standing {
        self.session.freshness().services_in[name].standing.clone()
    }
}

#[test]
fn a_peer_is_fresh_once_everything_listed_has_come() {
    for digests in [0, digest::VERSION] {
        let mut importer = Importer::new(Terms::default(), digests);
        importer.list(&["api", "web"], at(1));
        importer.service("web", 2, at(1));
        assert_eq!(importer.state(at(1)), State::Stale);
        importer.service("api", 0, at(2));
        importer.bundle(at(2));
        importer.heartbeat(at(3));
        assert_eq!(importer.state(at(3)), State::Active, "{digests}");
    }
}

#[test]
fn only_what_the_exporter_knew_is_proven() {
    let mut importer = Importer::new(Terms::default(), digest::VERSION);
    importer.service("web", 1, at(1));
    importer.bundle(at(1));
    importer.list(&["web"], at(1));
    assert_eq!(
        importer.judge(at(40)).age,
        Some(at(40)),
        "as of the start of the stream"
    );
    assert_eq!(importer.state(at(50)), State::Stale);
    // It comes late: what it proves is as old as the clock that it echoes.
    importer.pulse(30_001, &["web"], &[], at(70));
    assert_eq!(importer.judge(at(70)).age, Some(at(40)));
    assert_eq!(importer.state(at(76)), State::Stale);
    // An echo of a clock that we never sent proves no more than now.
    importer.pulse(u64::MAX, &["web"], &[], at(80));
    assert_eq!(importer.judge(at(80)).age, Some(at(0)));

    // Of a peer that knows no pulses nothing better is known than that it lives.
    let mut importer = Importer::new(Terms::default(), 0);
    importer.service("web", 1, at(1));
    importer.bundle(at(1));
    importer.list(&["web"], at(1));
    importer.heartbeat(at(60));
    assert_eq!(importer.judge(at(61)).age, Some(at(1)));
    assert_eq!(importer.state(at(106)), State::Stale);
}

#[test]
fn a_loss_is_found_and_got_anew_with_growing_pauses() {
    let mut importer = Importer::new(Terms::default(), digest::VERSION);
    importer.service("web", 1, at(1));
    importer.bundle(at(1));
    importer.list(&["web"], at(1));
    importer.stored.services.clear();
    importer.pulse(1, &["web"], &[], at(15));
    let judged = importer.judge(at(15));
    assert_eq!(
        (judged.state, judged.reason.as_str()),
        (
            State::Diverged,
            "exported service \"web\": it was applied, and is not there"
        )
    );
    assert!(matches!(importer.standing("web"), Standing::Diverged(_)));
    let mut asked = vec![importer.asked];
    for second in [16, 29, 30, 45, 60, 61, 119, 120] {
        importer.pulse(1, &["web"], &[], at(second));
        asked.push(importer.asked);
    }
    assert_eq!(asked, [1, 1, 1, 2, 2, 3, 3, 3, 4]);
    importer.service("web", 1, at(121));
    importer.list(&["web"], at(121));
    assert_eq!(importer.standing("web"), Standing::Applied);
    importer.pulse(120_001, &["web"], &[], at(122));
    assert_eq!(importer.state(at(122)), State::Active);
    let freshness = importer.session.freshness();
    assert_eq!((freshness.divergences_total, freshness.resync.total), (1, 4));
}

#[test]
fn what_never_arrived_is_found_by_the_digest() {
    let mut importer = Importer::new(Terms::default(), digest::VERSION);
    importer.service("web", 1, at(1));
    importer.bundle(at(1));
    importer.list(&["web"], at(1));
    importer.offered.insert("web".to_owned(), 7);
    importer.pulse(1, &["web"], &[], at(15));
    assert_eq!((importer.state(at(15)), importer.asked), (State::Diverged, 1));
    importer.service("web", 2, at(16));
    importer.pulse(1, &["web"], &[], at(30));
    assert_eq!((importer.state(at(30)), importer.asked), (State::Active, 1));
    importer.pulse(1, &["web", "api"], &[], at(45));
    assert_eq!(importer.state(at(45)), State::Diverged, "another list");
}

#[test]
fn a_peer_that_cannot_be_asked_gets_a_new_stream() {
    let mut importer = Importer::new(Terms::default(), 0);
    importer.service("web", 1, at(1));
    importer.bundle(at(1));
    importer.list(&["web"], at(1));
    let extra = StoredService {
        digest: 1,
        instances: 1,
    };
    importer.stored.services.insert("db".to_owned(), extra);
    importer.heartbeat(at(15));
    assert_eq!(importer.asked, 0, "an unknown message would be no use");
    let Some(End::Failed(refusal)) = &importer.ended else {
        panic!("the stream goes on");
    };
    assert!(refusal.message.contains("db"), "{refusal}");
    // The next stream remembers, and does not end at once again.
    let before = importer.session.freshness().clone();
    let mut importer = Importer::new(Terms::default(), 0);
    importer.session.succeed(&before);
    importer.stored.services.insert("db".to_owned(), extra);
    importer.bundle(at(16));
    importer.list(&[], at(16));
    importer.stored.services.insert("db".to_owned(), extra);
    importer.heartbeat(at(17));
    assert_eq!(
        (importer.state(at(17)), importer.ended.is_some()),
        (State::Diverged, false)
    );
}

#[test]
fn what_is_listed_has_to_come() {
    let mut importer = Importer::new(Terms::default(), 0);
    importer.service("web", 1, at(1));
    importer.bundle(at(1));
    importer.list(&["web"], at(1));
    importer.list(&["api", "web"], at(2));
    assert_eq!(
        importer.state(at(2)),
        State::Active,
        "a Consul server lists first"
    );
    importer.heartbeat(at(15));
    assert_eq!(importer.state(at(15)), State::Active);
    importer.heartbeat(at(30));
    assert!(importer.ended.is_some(), "it never came");
}

#[test]
fn what_the_peer_withholds_is_told_and_not_fresh() {
    let mut importer = Importer::new(Terms::default(), digest::VERSION);
    importer.bundle(at(1));
    importer.list(&["web"], at(1));
    assert_eq!(importer.state(at(1)), State::Stale);
    importer.pulse(1, &["web"], &["web"], at(2));
    assert_eq!(importer.judge(at(2)).reason, "the peer withholds web: too long");
    let shown = &importer.session.freshness().services_in["web"];
    assert_eq!(shown.withheld.as_deref(), Some("too long"));
    assert_eq!(importer.asked, 0, "asking would not help");
    importer.service("web", 1, at(3));
    importer.pulse(1, &["web"], &[], at(4));
    assert_eq!(importer.state(at(4)), State::Active);
}

#[test]
fn limits_refuse_by_name_and_let_in_when_there_is_room() {
    let limits = ImportLimits {
        max_services: 2,
        max_instances: 5,
        max_bytes: 300,
        ..ImportLimits::default()
    };
    let terms = Terms { limits, plain: false };
    let mut importer = Importer::new(terms, digest::VERSION);
    let everything = ["a", "b", "c", "d"];
    importer.service("a", 2, at(1));
    importer.service("a-sidecar-proxy", 0, at(1));
    importer.service("b", 4, at(1));
    assert!(
        importer.answers.last().unwrap().contains("6 instances"),
        "{:?}",
        importer.answers
    );
    importer.service("b", 3, at(1));
    importer.service("c", 1, at(1));
    assert!(
        importer.answers.last().unwrap().contains("3 services"),
        "{:?}",
        importer.answers
    );
    importer.service("d", 0, at(1));
    importer.bundle(at(1));
    importer.list(&everything, at(1));
    assert_eq!(importer.stored.services.len(), 2);
    assert!(matches!(importer.standing("c"), Standing::Refused(_)));
    importer.pulse(1, &everything, &[], at(2));
    let judged = importer.judge(at(2));
    assert_eq!(judged.state, State::Diverged);
    assert!(
        judged.reason.contains("peering.imports.max_services"),
        "{}",
        judged.reason
    );
    assert_eq!(importer.asked, 0, "there is no room");
    importer.offered.remove("b");
    importer.list(&["a", "c", "d"], at(3));
    assert_eq!(importer.asked, 1, "there is room");
    importer.service("c", 1, at(4));
    importer.pulse(1, &["a", "c", "d"], &[], at(5));
    assert_eq!(importer.state(at(5)), State::Active);
    // Bytes: two services of 100 are there.
    let big = OfferedInstance::clone(&offer("c", "c-0"));
    importer.nonces += 1;
    let message = Message::Response(Response {
        nonce: "x".to_owned(),
        url: ResourceType::ExportedService.url().to_owned(),
        id: "c".to_owned(),
        operation: OPERATION_UPSERT,
        bytes: 201,
        content: Content::Resource(Resource::ExportedService {
            name: "c".to_owned(),
            instances: Arc::from([big]),
        }),
    });
    let effects = importer.session.on_message(message, at(6));
    importer.act(effects, at(6));
    assert!(
        importer.answers.last().unwrap().contains("301 bytes"),
        "{:?}",
        importer.answers
    );
}

#[test]
fn what_the_operator_does_not_want_is_not_imported_and_nothing_is_wrong() {
    let filter = NameFilter {
        include: Vec::new(),
        exclude: vec![NamePattern::parse("secret*").unwrap()],
    };
    let limits = ImportLimits {
        filter,
        ..ImportLimits::default()
    };
    let terms = Terms { limits, plain: false };
    let mut importer = Importer::new(terms, digest::VERSION);
    for name in ["secret", "secret-sidecar-proxy", "web"] {
        importer.service(name, 1, at(1));
    }
    importer.bundle(at(1));
    importer.list(&["secret", "web"], at(1));
    importer.pulse(1, &["secret", "web"], &[], at(2));
    assert_eq!(importer.state(at(2)), State::Active);
    assert_eq!(importer.stored.services.keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(importer.session.freshness().imported.as_ref(), ["web".to_owned()]);
    assert_eq!(importer.standing("secret"), Standing::Filtered);
    assert!(
        importer.answers.iter().all(|answer| answer.starts_with("ack")),
        "{:?}",
        importer.answers
    );
}

#[test]
fn an_exporter_tells_what_it_withholds_and_sends_all_anew_when_asked() {
    let mut session = acceptor();
    let Message::Request(mut subscription) = request(ResourceType::ExportedService, "", None) else {
        panic!("not a request");
    };
    subscription.digests = digest::VERSION;
    session.on_message(Message::Request(subscription.clone()), at(0));
    let mut wanted = exports(&[], &["api", "big", "bad", "web"]);
    wanted.services = ["api", "big", "web"]
        .map(|name| (name.to_owned(), offers(name, 1)))
        .into();
    wanted.withheld = BTreeMap::from([("bad".to_owned(), "it has no name".to_owned())]);
    let sent = session.set_exports(wanted.clone(), 7, at(1));
    let mut ids = Vec::new();
    for effect in sent {
        let Effect::Send(Message::Response(response)) = effect else {
            panic!("{effect:?}");
        };
        if response.id == "big" {
            session.withhold(&response.nonce, "big", "too long".to_owned());
        }
        ids.push(response.id);
    }
    assert!(
        ids.contains(&"big".to_owned()) && !ids.contains(&"bad".to_owned()),
        "{ids:?}"
    );
    assert_eq!(session.next_tick(), Some(at(0)), "it is told at once");
    let heard = |session: &mut Session, now| match session.on_tick(now).pop() {
        Some(Effect::Send(Message::Heartbeat(Some(pulse)))) => pulse,
        other => panic!("{other:?}"),
    };
    let pulse = heard(&mut session, at(2));
    let ids: Vec<&str> = pulse.withheld.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["bad", "big"]);
    let of = |name: &str| digest::of_offer(name, &offers(name, 1));
    assert_eq!(pulse.digest.unwrap().services, of("api").wrapping_add(of("web")));
    assert_eq!(pulse.clock, 2_001);
    session.on_verified(&Stored::default(), at(2));
    assert_eq!(
        session.freshness().services_out["big"].answer,
        Answer::Withheld("too long".to_owned())
    );

    // Nothing changed, so nothing is sent; unless everything is asked for.
    assert!(session.set_exports(wanted, 8, at(3)).is_empty());
    assert!(
        session.freshness().withheld.contains_key("big"),
        "it is still too long"
    );
    subscription.resync = true;
    let again = session.on_message(Message::Request(subscription.clone()), at(3));
    assert_eq!(again.len(), 7, "three services and four mesh faces");
    let hurry = session.on_message(Message::Request(subscription), at(12));
    assert!(hurry.is_empty(), "not that often");
}

#[test]
fn nothing_new_is_said_to_a_peer_that_did_not_announce_it() {
    let mut session = acceptor();
    subscribe_all(&mut session);
    session.set_exports(exports(&[("web", 1)], &["web"]), 7, at(1));
    assert_eq!(told(session.on_tick(at(15))), ["heartbeat"]);
    let terms = Terms {
        plain: true,
        ..Terms::default()
    };
    let (_, effects) = Session::dialer(open(), terms, at(0));
    let announced =
        |effect: &Effect| matches!(effect, Effect::Send(Message::Request(request)) if request.digests > 0);
    assert!(!effects.iter().any(announced));
    let (_, effects) = Session::acceptor(Terms::default(), at(0));
    assert!(effects.iter().all(announced));
}
