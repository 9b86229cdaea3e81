//! Message tables: what is said to a stream, and what it answers.
//!
//! `> hold KIND:NAME@VERSION ...` replaces the holding. `> KIND WORD ...` is a request: `+name` subscribes,
//! `-name` unsubscribes, `=name@version` is kept from an earlier stream, `ack` and `nack` answer the last
//! response of the kind, `stale` answers one that never was. Each `< KIND ...` is a response that follows:
//! `name@version` for a resource, `-name` for a removal, `empty` for neither.

use super::{DeltaRequest, DeltaResponse, DeltaStream};
use crate::event::{Event, Nack};
use crate::holding::{Holding, Versioned};
use crate::kind::Kind;
use crate::limits::{Limits, ProtocolError};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    name: String,
    version: String,
    child: Option<Kind>,
}

impl Versioned for Item {
    fn name(&self) -> &str {
        &self.name
    }
    fn version(&self) -> &str {
        &self.version
    }
    fn child(&self) -> Option<(Kind, &str)> {
        self.child.map(|kind| (kind, self.name.as_str()))
    }
}

fn kind(label: &str) -> Kind {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.label() == label)
        .unwrap_or_else(|| panic!("no kind {label}"))
}

fn holding(words: &str) -> Holding<Item> {
    let item = |word: &str| {
        let (label, rest) = word.split_once(':').expect("kind:name@version");
        let (name, version) = rest.split_once('@').expect("name@version");
        let child = match kind(label) {
            Kind::Cluster => Some(Kind::Endpoints),
            Kind::Listener => Some(Kind::Route),
            _ => None,
        };
        (
            kind(label),
            Item {
                name: name.into(),
                version: version.into(),
                child,
            },
        )
    };
    words.split_whitespace().map(item).collect()
}

fn shown(response: &DeltaResponse<Item>) -> String {
    let mut line = response.kind.label().to_owned();
    for item in &response.resources {
        line += &format!(" {}@{}", item.name, item.version);
    }
    for name in &response.removed {
        line += &format!(" -{name}");
    }
    if response.resources.is_empty() && response.removed.is_empty() {
        line += " empty";
    }
    line
}

struct Bench {
    stream: DeltaStream<Item>,
    nonces: [String; Kind::COUNT],
    events: Vec<Event>,
}

impl Bench {
    fn new() -> Self {
        Self {
            stream: DeltaStream::new(Limits::default()),
            nonces: Default::default(),
            events: Vec::new(),
        }
    }

    fn step(&mut self, input: &str) -> Vec<String> {
        let (head, words) = input.split_once(' ').unwrap_or((input, ""));
        if head == "hold" {
            self.stream.set_holding(holding(words));
        } else {
            let request = self.request(kind(head), words);
            self.events
                .extend(self.stream.on_request(request).expect("within the limits"));
        }
        let responses = self.stream.next_responses();
        for response in &responses {
            self.nonces[response.kind.index()].clone_from(&response.nonce);
        }
        responses.iter().map(shown).collect()
    }

    fn request(&self, kind: Kind, words: &str) -> DeltaRequest {
        let mut request = plain(kind);
        for word in words.split_whitespace() {
            if let Some(name) = word.strip_prefix('+') {
                request.subscribe.push(name.into());
            } else if let Some(name) = word.strip_prefix('-') {
                request.unsubscribe.push(name.into());
            } else if let Some(known) = word.strip_prefix('=') {
                let (name, version) = known.split_once('@').expect("name@version");
                request.initial_versions.push((name.into(), version.into()));
            } else {
                let nonce = self.nonces[kind.index()].clone();
                request.nonce = if word == "stale" { "ffffffff".into() } else { nonce };
                if word == "nack" {
                    request.error = Some(Nack {
                        code: 13,
                        message: "no good".into(),
                    });
                }
            }
        }
        request
    }
}

fn plain(kind: Kind) -> DeltaRequest {
    DeltaRequest {
        kind,
        subscribe: Vec::new(),
        unsubscribe: Vec::new(),
        initial_versions: Vec::new(),
        nonce: String::new(),
        error: None,
    }
}

/// Plays a table and returns the bench for more questions. Every table ends settled.
fn play(table: &str) -> Bench {
    let mut bench = Bench::new();
    let mut lines = table
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .peekable();
    while let Some(line) = lines.next() {
        let input = line
            .strip_prefix("> ")
            .unwrap_or_else(|| panic!("not an input: {line}"));
        let mut expected = Vec::new();
        while let Some(answer) = lines.next_if(|line| line.starts_with("< ")) {
            expected.push(answer[2..].to_owned());
        }
        assert_eq!(bench.step(input), expected, "after `{input}`");
    }
    assert!(
        bench.stream.is_settled(),
        "left unsettled: {:#?}",
        bench.stream.status()
    );
    bench
}

#[test]
fn start_of_a_sidecar() {
    play(
        "> hold secret:s@1 cluster:a@1 endpoints:a@1 listener:l@1 route:l@1
          > cluster
          < cluster a@1
          > endpoints +a
          < endpoints a@1
          > endpoints ack
          > secret +s
          < secret s@1
          > cluster ack
          > listener
          > secret ack
          < listener l@1
          > route +l
          < route l@1
          > listener ack
          > route ack",
    );
}

#[test]
fn the_first_wildcard_request_is_answered_even_when_empty() {
    play(
        "> hold
          > cluster
          < cluster empty
          > cluster ack
          > listener +*
          < listener empty
          > listener ack",
    );
}

#[test]
fn nothing_is_said_before_the_first_holding() {
    play(
        "> cluster
          > endpoints +a
          > hold
          < cluster empty
          < endpoints -a
          > cluster ack
          > endpoints ack",
    );
}

#[test]
fn one_response_of_a_kind_at_a_time_and_the_newest_content_wins() {
    play(
        "> hold cluster:a@1
          > cluster
          < cluster a@1
          > hold cluster:a@2
          > hold cluster:a@3 cluster:b@1
          > cluster ack
          < cluster a@3 b@1
          > cluster ack",
    );
}

#[test]
fn a_name_that_does_not_exist_is_answered_once_and_sent_when_it_appears() {
    play(
        "> hold
          > endpoints +a +b
          < endpoints -a -b
          > endpoints ack
          > hold endpoints:b@1
          < endpoints b@1
          > endpoints ack
          > secret +s
          > hold endpoints:b@1 secret:s@1
          < secret s@1
          > secret ack
          > hold
          < secret -s
          < endpoints -b
          > endpoints ack
          > secret ack",
    );
}

#[test]
fn asking_again_forces_a_resend() {
    play(
        "> hold endpoints:a@1
          > endpoints +a
          < endpoints a@1
          > endpoints ack
          > endpoints +a
          < endpoints a@1
          > endpoints +a
          > endpoints ack
          < endpoints a@1
          > endpoints ack -a
          > endpoints +a
          < endpoints a@1
          > endpoints ack",
    );
}

#[test]
fn reconnecting_sends_differences_only() {
    play(
        "> hold cluster:a@1 cluster:b@2 endpoints:a@1
          > cluster =a@1 =b@1 =c@1
          < cluster b@2
          > endpoints +a +c =a@1 =c@1
          < endpoints empty
          > listener =l@1
          > endpoints ack
          > cluster ack
          < listener -l
          > listener ack
          < cluster -c
          > cluster ack
          < endpoints -c
          > endpoints ack",
    );
}

#[test]
fn what_was_kept_is_void_when_a_new_parent_is_on_its_way() {
    // The request for endpoints was written before the client saw the clusters, and it drops both then.
    play(
        "> hold cluster:a@2 cluster:b@2 endpoints:a@1
          > cluster =a@1 =b@1
          < cluster a@2 b@2
          > endpoints +a +b =a@1 =b@1
          < endpoints a@1 -b
          > endpoints ack
          > cluster ack",
    );
}

#[test]
fn endpoints_that_go_while_a_cluster_waits_for_them_are_answered_at_once() {
    play(
        "> hold cluster:a@1 cluster:b@1 endpoints:a@1 endpoints:b@1
          > cluster
          < cluster a@1 b@1
          > endpoints +a +b
          < endpoints a@1 b@1
          > hold cluster:a@1 cluster:b@1
          > endpoints nack
          < endpoints -a -b
          > endpoints ack
          > cluster ack",
    );
}

#[test]
fn an_older_answer_does_not_hide_that_a_cluster_waits() {
    // The answer for c@1 was written before the client took cluster c@2, which now waits for endpoints.
    play(
        "> hold cluster:c@1 endpoints:c@1
          > cluster
          < cluster c@1
          > endpoints +b +c
          < endpoints c@1 -b
          > cluster ack
          > hold cluster:c@2 endpoints:b@1
          < cluster c@2
          > endpoints ack
          < endpoints b@1 -c
          > endpoints nack
          < endpoints -c
          > endpoints ack
          < endpoints b@1
          > endpoints ack
          > cluster ack",
    );
}

#[test]
fn literal_wildcard_beside_names() {
    play(
        "> hold cluster:a@1 cluster:b@1
          > cluster +a
          < cluster a@1
          > cluster ack +*
          < cluster b@1
          > cluster ack
          > cluster -*
          > hold cluster:a@2 cluster:b@2
          < cluster a@2
          > cluster ack +*
          < cluster b@2
          > cluster -a
          > cluster ack
          < cluster a@2
          > cluster ack",
    );
}

#[test]
fn a_wildcard_of_a_kind_that_is_usually_asked_by_name() {
    play(
        "> hold route:a@1 route:b@1
          > route
          < route a@1 b@1
          > route ack
          > hold route:b@1
          < route -a
          > route ack",
    );
}

#[test]
fn a_new_cluster_brings_its_endpoints_again() {
    play(
        "> hold cluster:a@1 endpoints:a@1
          > cluster
          < cluster a@1
          > endpoints +a
          < endpoints a@1
          > cluster ack
          > hold cluster:a@2 endpoints:a@1
          < cluster a@2
          > endpoints ack
          < endpoints a@1
          > endpoints ack
          > cluster ack",
    );
}

#[test]
fn make_before_break() {
    play(
        "> hold cluster:a@1 endpoints:a@1 listener:l@1
          > cluster
          < cluster a@1
          > endpoints +a
          < endpoints a@1
          > endpoints ack
          > cluster ack
          > listener
          < listener l@1
          > listener ack
          > hold cluster:b@1 endpoints:b@1 listener:l@2
          < cluster b@1
          > endpoints +b
          < endpoints b@1
          > endpoints ack
          > cluster ack
          < listener l@2
          > listener ack
          < cluster -a
          > endpoints -a
          > cluster ack",
    );
}

#[test]
fn endpoints_go_after_their_cluster() {
    play(
        "> hold cluster:a@1 endpoints:a@1
          > cluster
          < cluster a@1
          > endpoints +a
          < endpoints a@1
          > endpoints ack
          > cluster ack
          > hold
          < cluster -a
          > cluster ack
          < endpoints -a
          > endpoints ack",
    );
}

#[test]
fn a_listener_on_the_port_of_a_removed_one_comes_with_the_removal() {
    play(
        "> hold listener:old@1
          > listener
          < listener old@1
          > listener ack
          > hold listener:new@1
          < listener new@1 -old
          > listener ack",
    );
}

#[test]
fn a_refused_resource_does_not_hold_back_the_good_ones() {
    let bench = play(
        "> hold cluster:a@1 cluster:bad@1 cluster:c@1
         > cluster
         < cluster a@1 bad@1 c@1
         > cluster nack
         < cluster a@1
         > cluster ack
         < cluster bad@1
         > cluster nack
         < cluster c@1
         > cluster ack
         > hold cluster:a@2 cluster:bad@1 cluster:c@1
         < cluster a@2
         > cluster ack",
    );
    let status = bench.stream.status();
    let [cluster] = status.kinds.as_slice() else {
        panic!("one kind")
    };
    assert_eq!(
        cluster.accepted,
        [("a".into(), "2".into()), ("c".into(), "1".into())]
    );
    assert_eq!(cluster.refused.len(), 1);
    assert_eq!(
        (cluster.refused[0].name.as_str(), cluster.refused[0].reason.code),
        ("bad", 13)
    );
    let isolated: Vec<bool> = bench
        .events
        .iter()
        .filter_map(|event| {
            if let Event::Nacked { isolated, .. } = event {
                Some(*isolated)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(isolated, [false, true]);
}

#[test]
fn a_refused_version_waits_for_new_content() {
    let bench = play(
        "> hold listener:l@1
         > listener
         < listener l@1
         > listener ack
         > hold listener:l@2
         < listener l@2
         > listener nack
         > hold listener:l@2 cluster:x@1
         > hold listener:l@3
         < listener l@3
         > listener ack
         > hold listener:l@4
         < listener l@4
         > listener nack
         > hold listener:l@3",
    );
    assert!(
        bench.stream.status().kinds[0].refused.is_empty(),
        "the wanted version is the accepted one"
    );
}

#[test]
fn content_that_went_back_after_a_split_refusal_is_sent_again() {
    // The client may have taken a@2 although it refused the response.
    play(
        "> hold listener:a@1 listener:b@1
          > listener
          < listener a@1 b@1
          > listener ack
          > hold listener:a@2 listener:b@2
          < listener a@2 b@2
          > hold listener:a@1 listener:b@3
          > listener nack
          < listener a@1
          > listener ack
          < listener b@3
          > listener ack",
    );
}

#[test]
fn removals_of_a_refused_response_are_retried_before_the_additions() {
    play(
        "> hold listener:a@1
          > listener
          < listener a@1
          > listener ack
          > hold listener:b@1 listener:c@1
          < listener b@1 c@1 -a
          > listener nack
          < listener -a
          > listener ack
          < listener b@1
          > listener ack
          < listener c@1
          > listener nack",
    );
}

#[test]
fn a_stale_answer_keeps_its_subscription_changes() {
    let bench = play(
        "> hold endpoints:a@1 endpoints:b@1
         > endpoints +a
         < endpoints a@1
         > endpoints stale +b
         > endpoints ack
         < endpoints b@1
         > endpoints ack",
    );
    assert!(
        bench
            .events
            .iter()
            .any(|event| matches!(event, Event::StaleNonce { reason: None, .. }))
    );
}

#[test]
fn busy_endpoints_delay_neither_listeners_nor_removals() {
    play(
        "> hold cluster:a@1 cluster:b@1 endpoints:a@1
          > cluster
          < cluster a@1 b@1
          > endpoints +a
          < endpoints a@1
          > endpoints ack
          > cluster ack
          > listener
          < listener empty
          > listener ack
          > hold cluster:a@1 cluster:b@1 endpoints:a@2
          < endpoints a@2
          > hold cluster:a@1 endpoints:a@3 listener:l@1
          > endpoints ack
          < endpoints a@3
          > hold cluster:a@1 endpoints:a@4 listener:l@1
          > endpoints ack
          < listener l@1
          < endpoints a@4
          > hold cluster:a@1 endpoints:a@5 listener:l@1
          > listener ack
          < cluster -b
          > cluster ack
          > endpoints ack
          < endpoints a@5
          > endpoints ack",
    );
}

#[test]
fn an_absent_secret_does_not_block_what_the_client_waits_for() {
    // The cluster warms, unanswered, until the secret appears; listeners wait meanwhile.
    play(
        "> hold cluster:a@1 endpoints:a@1 listener:l@1
          > listener
          < listener l@1
          > listener ack
          > cluster
          < cluster a@1
          > endpoints +a
          < endpoints a@1
          > secret +s
          > endpoints ack
          > hold cluster:a@1 endpoints:a@2 listener:l@2
          < endpoints a@2
          > endpoints ack
          > hold cluster:a@1 endpoints:a@2 listener:l@2 secret:s@1
          < secret s@1
          > secret ack
          > cluster ack
          < listener l@2
          > listener ack",
    );
}

#[test]
fn limits_are_named() {
    let limits = Limits {
        names_per_request: 2,
        subscriptions_per_kind: 3,
        name_bytes: 4,
    };
    let mut stream = DeltaStream::<Item>::new(limits);
    let ask = |names: &[&str]| DeltaRequest {
        subscribe: names.iter().map(|&name| name.into()).collect(),
        ..plain(Kind::Endpoints)
    };
    assert!(matches!(
        stream.on_request(ask(&["a", "b", "c"])),
        Err(ProtocolError::TooManyNames {
            field: "subscribe",
            count: 3,
            limit: 2,
            ..
        })
    ));
    assert!(matches!(
        stream.on_request(ask(&["abcde"])),
        Err(ProtocolError::TooLong { bytes: 5, .. })
    ));
    assert!(matches!(
        stream.on_request(ask(&[""])),
        Err(ProtocolError::EmptyName { .. })
    ));
    assert!(
        stream.status().kinds.is_empty(),
        "a refused request leaves no trace"
    );
    stream.on_request(ask(&["a", "b"])).expect("two names");
    stream
        .on_request(ask(&["a", "c"]))
        .expect("a is subscribed already");
    let error = stream.on_request(ask(&["d"])).expect_err("a fourth name");
    assert_eq!(
        error.to_string(),
        "too many endpoints names subscribed, subscriptions_per_kind allows 3; unsubscribe some or use `*`"
    );
}

#[test]
fn a_long_reason_is_cut_at_a_character() {
    let mut bench = Bench::new();
    bench.step("hold cluster:a@1");
    bench.step("cluster");
    let mut request = bench.request(Kind::Cluster, "nack");
    request.error = Some(Nack {
        code: 3,
        message: "\u{e4}".repeat(crate::MAX_NACK_MESSAGE_BYTES) + "x",
    });
    bench.stream.on_request(request).expect("taken");
    let kept = bench.stream.status().kinds[0].refused[0].reason.message.clone();
    assert_eq!(kept.len(), crate::MAX_NACK_MESSAGE_BYTES);
}

#[test]
fn of_equal_names_the_last_stays() {
    let both = holding("cluster:b@1 cluster:a@1 cluster:b@2");
    assert_eq!(both.names(Kind::Cluster).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(both.get(Kind::Cluster, "b").map(Versioned::version), Some("2"));
    assert_eq!(both.get(Kind::Endpoints, "b"), None);
    assert_eq!(Kind::from_type_url(Kind::Route.type_url()), Some(Kind::Route));
}

/// After each step: how far the stream is answered, of how many holdings.
#[track_caller]
fn answered(steps: &[(&str, u64, u64)]) -> Bench {
    let mut bench = Bench::new();
    for (step, answered, holdings) in steps {
        bench.step(step);
        let now = (bench.stream.answered(), bench.stream.holding_number());
        assert_eq!(now, (*answered, *holdings), "after {step}");
    }
    bench
}

#[test]
fn a_holding_is_answered_with_its_last_part() {
    answered(&[
        ("hold cluster:a@1 endpoints:a@1 listener:l@1", 0, 1),
        ("cluster", 0, 1),
        ("endpoints +a", 0, 1),
        ("cluster ack", 0, 1),
        // Listeners were not asked for yet.
        ("endpoints ack", 0, 1),
        ("listener", 0, 1),
        ("listener ack", 1, 1),
        // Nothing changes for the client.
        ("hold cluster:a@1 endpoints:a@1 listener:l@1", 2, 2),
        ("hold cluster:a@1 endpoints:a@2 listener:l@1", 2, 3),
        // Overtaken: the answer is for the third, and the fourth goes out.
        ("hold cluster:a@1 endpoints:a@3 listener:l@1", 2, 4),
        ("endpoints ack", 3, 4),
        ("endpoints ack", 4, 4),
        ("hold listener:l@2", 4, 5),
        ("listener ack", 4, 5),
        ("cluster ack", 4, 5),
        ("endpoints ack", 5, 5),
    ]);
}

#[test]
fn what_was_asked_for_because_of_a_holding_belongs_to_it() {
    answered(&[
        ("hold cluster:a@1", 0, 1),
        ("cluster", 0, 1),
        ("endpoints +a", 0, 1),
        ("endpoints ack", 0, 1),
        ("cluster ack", 1, 1),
        ("hold cluster:a@1 cluster:b@1 endpoints:b@1", 1, 2),
        // What is asked for now may belong to any of them.
        ("endpoints +b", 0, 2),
        ("cluster ack", 0, 2),
        ("endpoints ack", 2, 2),
    ]);
}

#[test]
fn a_refusal_is_an_answer_once_it_names_the_bad_part() {
    let mut bench = answered(&[
        ("hold cluster:a@1 cluster:b@1", 0, 1),
        ("cluster", 0, 1),
        ("cluster nack", 0, 1),
        ("cluster ack", 0, 1),
        ("cluster nack", 1, 1),
    ]);
    let refused = |bench: &Bench| -> Vec<(Kind, String, String)> {
        let refusals = bench.stream.refusals().into_iter();
        refusals
            .map(|(kind, item, reason)| (kind, format!("{}@{}", item.name, item.version), reason.message))
            .collect()
    };
    assert_eq!(
        refused(&bench),
        [(Kind::Cluster, "b@1".to_owned(), "no good".to_owned())]
    );
    bench.step("hold cluster:a@1 cluster:b@2");
    assert_eq!(refused(&bench), []);
}
