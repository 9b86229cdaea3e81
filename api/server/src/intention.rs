//! `/v1/connect/intentions`: who may call whom, and why.

use crate::answer::indexed;
use crate::ask::{Ask, query};
use crate::refusal::Refusal;
use crate::routes::App;
use axum::extract::State;
use axum::response::Response;
use peerway_api_types::intention::{answer_to_json, decision_to_json, intention_to_json};
use peerway_api_types::opaque::opaque_from_json;
use peerway_model::config::{
    Action, Claims, HeaderName, Member, Protocol, ServiceIntentions, Source, Verdict,
};
use peerway_model::instance::Opaque;
use peerway_model::intention::{Request, decide, rules_for};
use peerway_model::{
    ConfigEntry, ConfigKey, ConfigKind, GroupName, Namespace, Origin, Partition, PeerName, PeeringKey,
    ProviderName, ServiceKey, ServiceName, TrustBundle,
};
use peerway_state::{Snapshot, Topic, Versioned, chain_of, exports_of, members_of};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Whether `source` (of the peer `source-peer`) may call `destination`, by which rule, and why. With `path`, and perhaps
/// `method`, any number of `header` (`name: value`) and of `jwt` (`provider={"claim": "value"}`, what a verified token
/// says), a request is decided.
pub(crate) async fn check(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    if let Some(other) = ask.first("source-type").filter(|text| *text != "consul") {
        return Err(Refusal::bad(format!(
            "source-type: {other:?} is not known, use \"consul\""
        )));
    }
    let destination = service(&ask, "destination", None)?;
    let peer = ask
        .first("source-peer")
        .map(|text| PeerName::new(text).map_err(|error| query("source-peer", error)))
        .transpose()?;
    let caller = service(&ask, "source", peer)?;
    let request = request(&ask)?;
    let snapshot = app.newest();
    let default = app.parts.default_intention;
    indexed(
        &ask,
        &snapshot,
        &decided(&snapshot, default, &caller, &destination, request.as_ref()),
    )
}

/// The intentions on a destination or of a source (`by`), the deciding one of any two first.
pub(crate) async fn matching(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let by_source = match ask.first("by") {
        Some("source") => true,
        Some("destination") => false,
        _ => return Err(Refusal::bad("by: use \"source\" or \"destination\"")),
    };
    let names: Vec<&str> = ask.all("name").filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(Refusal::bad("name: is required, give a service"));
    }
    // A source may name a sameness group, whose members say of whom it is.
    let kinds = [ConfigKind::ServiceIntentions, ConfigKind::SamenessGroup];
    let topics = |_: &_| kinds.map(Topic::ConfigKind).to_vec();
    let snapshot = app.watch(&ask, topics).await?;
    let mut out = Map::new();
    for name in names {
        let wanted = named(&ask, "name", name, None)?;
        out.insert(name.to_owned(), json!(intentions(&snapshot, &wanted, by_source)));
    }
    indexed(&ask, &snapshot, &Value::Object(out))
}

/// A service in a parameter: `name`, `namespace/name` or `partition/namespace/name`.
fn service(ask: &Ask, parameter: &'static str, peer: Option<PeerName>) -> Result<ServiceKey, Refusal> {
    let text = ask
        .first(parameter)
        .ok_or_else(|| Refusal::bad(format!("{parameter}: is required, give a service")))?;
    named(ask, parameter, text, peer)
}

fn named(
    ask: &Ask,
    parameter: &'static str,
    text: &str,
    peer: Option<PeerName>,
) -> Result<ServiceKey, Refusal> {
    let tenancy = ask.tenancy()?;
    let parts: Vec<&str> = text.split('/').collect();
    let (partition, namespace, name) = match parts.as_slice() {
        [name] => (None, None, *name),
        [namespace, name] => (None, Some(*namespace), *name),
        [partition, namespace, name] => (Some(*partition), Some(*namespace), *name),
        _ => {
            return Err(Refusal::bad(format!(
                "{parameter}: {text:?} has too many parts, write partition/namespace/name"
            )));
        }
    };
    let refused = |error| query(parameter, error);
    Ok(ServiceKey {
        origin: peer.map_or(Origin::Local, Origin::Peer),
        partition: partition
            .map_or(Ok(tenancy.partition), Partition::new)
            .map_err(refused)?,
        namespace: namespace
            .map_or(Ok(tenancy.namespace), Namespace::new)
            .map_err(refused)?,
        name: ServiceName::new(name).map_err(refused)?,
    })
}

fn request(ask: &Ask) -> Result<Option<Request>, Refusal> {
    let mut headers = Vec::new();
    for text in ask.all("header").filter(|text| !text.is_empty()) {
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| Refusal::bad(format!("header: {text:?} is not name: value")))?;
        let name = HeaderName::new(name).map_err(|error| query("header", error))?;
        headers.push((name.as_str().to_owned(), value.trim().to_owned()));
    }
    let tokens = tokens(ask)?;
    let Some(path) = ask.first("path") else {
        return match ask.first("method").is_some() || !headers.is_empty() || !tokens.is_empty() {
            true => Err(Refusal::bad("path: is required to have a request decided")),
            false => Ok(None),
        };
    };
    if !path.starts_with('/') {
        return Err(Refusal::bad(format!("path: {path:?} does not begin with /")));
    }
    Ok(Some(Request {
        method: ask.first("method").unwrap_or("GET").to_owned(),
        path: path.to_owned(),
        headers,
        tokens,
    }))
}

fn tokens(ask: &Ask) -> Result<BTreeMap<ProviderName, Claims>, Refusal> {
    let mut tokens = BTreeMap::new();
    for text in ask.all("jwt").filter(|text| !text.is_empty()) {
        let refuse = || Refusal::bad(format!("jwt: {text:?} is not provider={{\"claim\": \"value\"}}"));
        let (name, claims) = text.split_once('=').ok_or_else(refuse)?;
        let name = ProviderName::new(name).map_err(|error| query("jwt", error))?;
        let claims: Value = serde_json::from_str(claims).map_err(|_| refuse())?;
        let Opaque::Map(claims) = opaque_from_json(&claims) else {
            return Err(refuse());
        };
        tokens.insert(name, claims);
    }
    Ok(tokens)
}

fn decided(
    snapshot: &Snapshot,
    default: Action,
    caller: &ServiceKey,
    destination: &ServiceKey,
    request: Option<&Request>,
) -> Value {
    if let Some(peer) = caller.origin.peer()
        && let Err((reason, explanation)) = comes_from(snapshot, peer, destination)
    {
        return answer_to_json(false, reason, &explanation, None);
    }
    let speaks_http = protocol(snapshot, destination).is_http();
    if request.is_some() && !speaks_http {
        let text = format!(
            "{} does not speak http, http2 or grpc, so there are no requests to decide about: leave path out",
            destination.name
        );
        return answer_to_json(false, "no-requests", &text, None);
    }
    let known = |name: &ProviderName| {
        let key = ConfigKey::of_provider(&destination.partition, name);
        snapshot.config(&key).is_some()
    };
    if let Some(name) = request.and_then(|request| request.tokens.keys().find(|name| !known(name))) {
        let text = format!("there is no jwt-provider {name}, so nobody can have verified its token");
        return answer_to_json(false, "no-provider", &text, None);
    }
    let members = |name: &GroupName| members_of(snapshot, &destination.partition, name);
    let rules = rules_for(entries(snapshot, destination), destination, known, members);
    let rule = rules.iter().find(|rule| rule.callers.include(caller));
    if let Some(rule) = rule
        && speaks_http
        && request.is_none()
        && rule.missing.is_none()
        && (rule.jwt.is_some() || matches!(rule.verdict, Verdict::ByRequest(_)))
    {
        let text = match &rule.jwt {
            Some(jwt) => format!(
                "the intention wants a JSON Web Token of {}, so each request is decided by itself: give path, method, headers \
                 and what its token says (jwt)",
                jwt.providers().map(ProviderName::as_str).collect::<Vec<_>>().join(" or ")
            ),
            None => {
                "the intention has permissions, so each request is decided by itself: give path, method and headers"
                    .to_owned()
            }
        };
        return answer_to_json(false, "depends-on-request", &text, Some(rule));
    }
    decision_to_json(&decide(&rules, default, caller, request))
}

/// Whether anybody vouches here for callers of a peer: only where the destination, or a service that leads to it, is
/// exported to it.
fn comes_from(
    snapshot: &Snapshot,
    peer: &PeerName,
    destination: &ServiceKey,
) -> Result<(), (&'static str, String)> {
    let key = PeeringKey {
        partition: destination.partition.clone(),
        name: peer.clone(),
    };
    if !snapshot.peering(&key).is_some_and(|peering| peering.is_live()) {
        return Err(("no-peering", format!("there is no peering with {peer}")));
    }
    let Some(exports) = exports_of(snapshot, &destination.partition) else {
        return Err(not_exported(peer, destination));
    };
    let exported = |service: &ServiceKey| exports.to(&service.namespace, &service.name, peer);
    let leads = || {
        let heads = chain_heads(snapshot, &destination.partition);
        heads.into_iter().any(|head| {
            exported(&head)
                && chain_of(snapshot, &head).is_ok_and(|chain| {
                    chain
                        .targets()
                        .iter()
                        .any(|target| target.service == *destination)
                })
        })
    };
    if !exported(destination) && !leads() {
        return Err(not_exported(peer, destination));
    }
    let vouched = |bundle: &TrustBundle| !bundle.root_pems.is_empty();
    match snapshot.bundle(&key) {
        Some(bundle) if vouched(bundle) => Ok(()),
        _ => Err((
            "no-trust",
            format!("{peer} has not said yet by which certificates its services are known"),
        )),
    }
}

fn not_exported(peer: &PeerName, destination: &ServiceKey) -> (&'static str, String) {
    let text = format!(
        "{} is not exported to {peer}, so nobody vouches for its callers here",
        destination.name
    );
    ("not-exported", text)
}

/// The services of a partition with a chain of their own.
fn chain_heads(snapshot: &Snapshot, partition: &Partition) -> Vec<ServiceKey> {
    let kinds = [
        ConfigKind::ServiceResolver,
        ConfigKind::ServiceRouter,
        ConfigKind::ServiceSplitter,
    ];
    let head = |entry: &ConfigEntry| {
        let key = entry.key();
        (key.partition == *partition).then_some(())?;
        Some(ServiceKey {
            origin: Origin::Local,
            partition: key.partition,
            namespace: Namespace::new(&key.namespace).ok()?,
            name: ServiceName::new(&key.name).ok()?,
        })
    };
    kinds
        .into_iter()
        .flat_map(|kind| snapshot.configs(kind))
        .filter_map(|held| head(held))
        .collect()
}

fn protocol(snapshot: &Snapshot, service: &ServiceKey) -> Protocol {
    let own = ConfigKey::new(
        ConfigKind::ServiceDefaults,
        &service.partition,
        service.namespace.as_str(),
        service.name.as_str(),
    );
    let own = match snapshot.config(&own).map(|held| &*held.row) {
        Some(ConfigEntry::ServiceDefaults(own)) => Some(own),
        _ => None,
    };
    let all = ConfigKey::singleton(ConfigKind::ProxyDefaults, &service.partition);
    let all = match snapshot.config(&all).map(|held| &*held.row) {
        Some(ConfigEntry::ProxyDefaults(all)) => Some(all),
        _ => None,
    };
    Protocol::of_service(own, all)
}

/// The entries that can be about a destination.
fn entries<'a>(
    snapshot: &'a Snapshot,
    destination: &'a ServiceKey,
) -> impl Iterator<Item = &'a ServiceIntentions> {
    let (namespace, name) = (destination.namespace.as_str(), destination.name.as_str());
    [(namespace, name), (namespace, "*"), ("*", "*")]
        .into_iter()
        .filter_map(move |(namespace, name)| {
            let kind = ConfigKind::ServiceIntentions;
            let key = ConfigKey::new(kind, &destination.partition, namespace, name);
            match snapshot.config(&key).map(|held| &*held.row) {
                Some(ConfigEntry::ServiceIntentions(entry)) => Some(entry),
                _ => None,
            }
        })
}

fn intentions(snapshot: &Snapshot, wanted: &ServiceKey, by_source: bool) -> Vec<Value> {
    let mut found: Vec<(&Versioned<ConfigEntry>, &ServiceIntentions, &Source)> = Vec::new();
    for held in snapshot.configs(ConfigKind::ServiceIntentions) {
        let ConfigEntry::ServiceIntentions(entry) = &*held.row else {
            continue;
        };
        let on_destination = entry.partition == wanted.partition
            && entry.name.matches(&wanted.name)
            && entry.namespace.matches(&wanted.namespace);
        for source in &entry.sources {
            let here = match &source.group {
                Some(group) => members_of(snapshot, &entry.partition, group)
                    .contains(&Member::Partition(wanted.partition.clone())),
                None => source.peer.is_none() && source.partition == wanted.partition,
            };
            let of_source =
                here && source.name.matches(&wanted.name) && source.namespace.matches(&wanted.namespace);
            if if by_source { of_source } else { on_destination } {
                found.push((held, entry, source));
            }
        }
    }
    // Stable: those of one precedence stay in the order of their entries.
    found.sort_by_key(|(_, entry, source)| std::cmp::Reverse(entry.precedence(source)));
    found
        .into_iter()
        .map(|(held, entry, source)| intention_to_json(entry, source, (held.create_index, held.modify_index)))
        .collect()
}
