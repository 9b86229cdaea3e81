//! How an `api-gateway` stands: as a whole, and each of its listeners.

use super::looking::Looking;
use super::{condition, named};
use peerway_model::ConfigEntry;
use peerway_model::condition::{Condition, ConditionKind, Part};
use peerway_model::config::{ApiGateway, Attached};

pub(super) fn conditions<'s>(looking: &mut Looking<'s>, entry: &'s ApiGateway) -> Vec<Condition> {
    let (requests, connections) = (looking.http_routes(), looking.tcp_routes());
    let listeners = looking.attached(entry, &requests, &connections);
    let mut all = vec![accepted(&listeners)];
    for one in &listeners {
        let part = Part {
            entry: ConfigEntry::ApiGateway(entry.clone()).key(),
            section: Some(one.listener.name.clone()),
        };
        all.push(resolved(one, part.clone()));
        all.push(conflicted(one, part));
    }
    all
}

fn accepted(listeners: &[Attached<'_>]) -> Condition {
    let closed: Vec<String> = listeners
        .iter()
        .filter(|one| !one.is_secure())
        .map(|one| format!("{} (port {})", one.listener.name, one.listener.port))
        .collect();
    let kind = ConditionKind::Accepted;
    if closed.is_empty() {
        return condition(kind, true, "Accepted", "gateway is valid", None);
    }
    let message = format!(
        "closed while none of their certificates is there: listeners {}",
        named(&closed, ", ")
    );
    condition(kind, false, "InvalidCertificates", message, None)
}

fn resolved(one: &Attached<'_>, part: Part) -> Condition {
    let kind = ConditionKind::ResolvedRefs;
    if one.absent.is_empty() {
        return condition(
            kind,
            true,
            "ResolvedRefs",
            "all that it names is there",
            Some(part),
        );
    }
    let absent: Vec<&str> = one.absent.iter().map(|name| name.as_str()).collect();
    let absent = named(&absent, ", ");
    let message = match one.is_secure() {
        true => format!("inline-certificate {absent} is not there, clients get the others"),
        false => format!(
            "inline-certificate {absent} is not there, port {} is closed until one is",
            one.listener.port
        ),
    };
    condition(kind, false, "InvalidCertificateRef", message, Some(part))
}

fn conflicted(one: &Attached<'_>, part: Part) -> Condition {
    let kind = ConditionKind::Conflicted;
    let routes: Vec<&str> = one.connections.iter().map(|route| route.name.as_str()).collect();
    match routes.as_slice() {
        [first, _, ..] => {
            let message = format!(
                "the tcp-routes {} ask for it, of which {first}, the first by name, has it",
                named(&routes, ", ")
            );
            condition(kind, true, "RouteConflict", message, Some(part))
        }
        _ => condition(
            kind,
            false,
            "NoConflict",
            "no two routes ask for the same",
            Some(part),
        ),
    }
}
