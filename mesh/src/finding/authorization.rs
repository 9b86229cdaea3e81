//! Intentions as lists of whom, and what, to let in.

use super::{ClusterIdentity, Decides, InboundPeer};
use crate::fragment::{
    Authorization, Caller, CallerPattern, Fitting, GatewayPattern, Grant, KnownBy, RequestAuthorization,
    RequestCaller, Requests,
};
use crate::read::Reading;
use peerway_model::config::{Action, Pattern, Permission, RequestCondition, Verdict};
use peerway_model::intention::{Callers, Rule, looked_at, rules_for};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, Origin, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn of_service(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Decides> {
    let cluster = reading.cluster()?;
    let peers = reading.inbound(service);
    // Every entry that can be about the service has one of these keys, so the entries of other services are not
    // read: a namespace `*` is valid with a name `*` only.
    let (namespace, name) = (service.namespace.as_str(), service.name.as_str());
    let mut entries = Vec::new();
    for (namespace, name) in [(namespace, name), (namespace, "*"), ("*", "*")] {
        let key = ConfigKey::new(ConfigKind::ServiceIntentions, &service.partition, namespace, name);
        if let Some(ConfigEntry::ServiceIntentions(entry)) = reading.config(key) {
            entries.push(entry);
        }
    }
    let rules = rules_for(entries, service);
    let everybody = Everybody {
        cluster: &cluster,
        peers: &peers,
        default: reading.default_action(),
    };
    Some(if reading.protocol(service).is_http() {
        let gateways = GatewayPattern {
            trust_domain: cluster.trust_domain.clone(),
            partition: service.partition.clone(),
        };
        Decides::Requests {
            authorization: flatten_requests(&rules, &everybody, gateways),
            single_lines: looked_at(&rules).into_iter().collect(),
        }
    } else {
        Decides::Connections(flatten(&rules, &everybody))
    })
}

/// Who can call at all, and what happens where no rule says anything.
pub(crate) struct Everybody<'a> {
    pub(crate) cluster: &'a ClusterIdentity,
    pub(crate) peers: &'a [InboundPeer],
    pub(crate) default: Action,
}

impl Everybody<'_> {
    /// `None` when nothing vouches for such callers: they are nobody.
    fn pattern(&self, callers: &Callers) -> Option<CallerPattern> {
        let (trust_domain, partition) = match &callers.origin {
            Origin::Local => (self.cluster.trust_domain.clone(), callers.partition.clone()?),
            Origin::Peer(name) => {
                let peer = self.peers.iter().find(|peer| peer.peering.name == *name)?;
                (peer.trust_domain.clone(), peer.exported_partition.clone())
            }
        };
        Some(CallerPattern {
            trust_domain,
            partition: Pattern::Exact(partition),
            namespace: callers.namespace.clone(),
            service: callers.name.clone(),
        })
    }

    /// All services of this cluster and of the peers in scope. An identity of another form is nobody's, also where
    /// the default is to allow.
    fn patterns(&self) -> impl Iterator<Item = CallerPattern> {
        let local = (self.cluster.trust_domain.clone(), Pattern::Any);
        let peers = self.peers.iter().map(|peer| {
            (
                peer.trust_domain.clone(),
                Pattern::Exact(peer.exported_partition.clone()),
            )
        });
        std::iter::once(local)
            .chain(peers)
            .map(|(trust_domain, partition)| CallerPattern {
                trust_domain,
                partition,
                namespace: Pattern::Any,
                service: Pattern::Any,
            })
    }
}

/// Everybody that `rules` (as ordered by `rules_for`) let connect. Where there are no requests, a rule about requests
/// denies.
pub(crate) fn flatten(rules: &[Rule], everybody: &Everybody<'_>) -> Authorization {
    let mut granted = grants(rules, everybody, |verdict| match verdict {
        Verdict::Always(Action::Allow) => Some(Requests::All),
        Verdict::Always(Action::Deny) | Verdict::ByRequest(_) => None,
    });
    Authorization {
        callers: granted.remove(&Requests::All).into_iter().flatten().collect(),
    }
}

/// The same for requests. A local caller is known by its certificate; one of a peer, whose TLS ends at our gateway, by
/// the gateway's word (xDS facts, section 3.7).
pub(crate) fn flatten_requests(
    rules: &[Rule],
    everybody: &Everybody<'_>,
    gateways: GatewayPattern,
) -> RequestAuthorization {
    let granted = grants(rules, everybody, |verdict| match verdict {
        Verdict::Always(Action::Allow) => Some(Requests::All),
        Verdict::Always(Action::Deny) => None,
        Verdict::ByRequest(permissions) => requests(permissions, everybody.default),
    });
    let known = |caller: Caller| RequestCaller {
        known_by: if caller.include.trust_domain == everybody.cluster.trust_domain {
            KnownBy::Certificate
        } else {
            KnownBy::Gateway
        },
        caller,
    };
    RequestAuthorization {
        gateways,
        grants: granted
            .into_iter()
            .map(|(requests, callers)| Grant {
                requests,
                callers: callers.into_iter().map(known).collect(),
            })
            .collect(),
    }
}

/// The requests that pass where the first permission that fits decides, and `default` where none does; `None` when no
/// request passes. A request is allowed exactly when it fits a permission that allows and none before it that denies.
fn requests(permissions: &[Permission], default: Action) -> Option<Requests> {
    let mut denied: Vec<RequestCondition> = Vec::new();
    let mut fitting = Vec::new();
    for permission in permissions {
        match permission.action {
            Action::Deny => denied.push(permission.http.clone()),
            Action::Allow => fitting.push(Fitting {
                fits: permission.http.clone(),
                except: denied.clone(),
            }),
        }
    }
    match default {
        Action::Allow if denied.is_empty() => return Some(Requests::All),
        Action::Allow => fitting.push(Fitting {
            fits: RequestCondition::default(),
            except: denied,
        }),
        Action::Deny => {}
    }
    (!fitting.is_empty()).then_some(Requests::Fitting(fitting))
}

/// Who is granted what. What the first rule about a caller grants is what it gets, so each rule stands for its callers
/// minus those of the rules before it that grant something else. Rules about callers that nothing vouches for are left
/// out. The default comes last, as a rule about everybody.
fn grants(
    rules: &[Rule],
    everybody: &Everybody<'_>,
    granted: impl Fn(&Verdict) -> Option<Requests>,
) -> BTreeMap<Requests, BTreeSet<Caller>> {
    let mut steps: Vec<(CallerPattern, Option<Requests>)> = rules
        .iter()
        .filter_map(|rule| Some((everybody.pattern(&rule.callers)?, granted(&rule.verdict))))
        .collect();
    if everybody.default == Action::Allow {
        steps.extend(everybody.patterns().map(|all| (all, Some(Requests::All))));
    }
    let mut grants: BTreeMap<Requests, BTreeSet<Caller>> = BTreeMap::new();
    for (at, (include, requests)) in steps.iter().enumerate() {
        let Some(own) = requests else {
            continue;
        };
        if let Some(caller) = left_over(include, own, &steps[..at]) {
            grants.entry(own.clone()).or_default().insert(caller);
        }
    }
    grants
}

/// The callers of `include` that no step of `before` gives anything else than `own`; `None` when there are none.
fn left_over(
    include: &CallerPattern,
    own: &Requests,
    before: &[(CallerPattern, Option<Requests>)],
) -> Option<Caller> {
    if before.iter().any(|(earlier, _)| earlier.contains(include)) {
        return None;
    }
    let overlapping: BTreeSet<&CallerPattern> = before
        .iter()
        .filter(|(earlier, requests)| requests.as_ref() != Some(own) && earlier.overlaps(include))
        .map(|(earlier, _)| earlier)
        .collect();
    let broadest = |one: &&&CallerPattern| {
        !overlapping
            .iter()
            .any(|other| other != *one && other.contains(one))
    };
    let except = overlapping
        .iter()
        .filter(broadest)
        .map(|pattern| (*pattern).clone())
        .collect();
    Some(Caller {
        include: include.clone(),
        except,
    })
}
