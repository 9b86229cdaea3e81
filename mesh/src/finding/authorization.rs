//! Intentions as lists of whom, and what, to let in.

use super::{ClusterIdentity, Decides, InboundPeer};
use crate::fragment::{
    Authorization, Caller, CallerPattern, Condition, Fitting, GatewayPattern, Grant, KnownBy,
    RequestAuthorization, RequestCaller, Requests, Token,
};
use crate::read::Reading;
use peerway_model::config::{Action, JwtProvider, JwtRequirement, Pattern, Permission, Verdict};
use peerway_model::intention::{Callers, Rule, looked_at, rules_for};
use peerway_model::{ConfigEntry, ConfigKey, ConfigKind, GroupName, Origin, ProviderName, ServiceKey};
use std::collections::{BTreeMap, BTreeSet};

/// By which providers the tokens of requests to a service are verified, in order: those that its rules name and that
/// are there. None where there are no requests.
pub(super) fn providers(reading: &mut Reading<'_>, service: &ServiceKey) -> Vec<ProviderName> {
    if !reading.protocol(service).is_http() {
        return Vec::new();
    }
    let (rules, providers) = rules(reading, service);
    let named: BTreeSet<&ProviderName> = rules
        .iter()
        .flat_map(|rule| {
            let permissions = rule.verdict.permissions().iter();
            permissions
                .filter_map(|permission| permission.jwt.as_ref())
                .chain(&rule.jwt)
        })
        .flat_map(JwtRequirement::providers)
        .collect();
    named
        .into_iter()
        .filter(|name| providers.contains_key(name.as_str()))
        .cloned()
        .collect()
}

pub(super) fn of_service(reading: &mut Reading<'_>, service: &ServiceKey) -> Option<Decides> {
    let cluster = reading.cluster()?;
    let peers = reading.inbound(service);
    let (rules, providers) = rules(reading, service);
    let everybody = Everybody {
        cluster: &cluster,
        peers: &peers,
        default: reading.default_action(),
        issuers: providers
            .into_iter()
            .map(|(name, provider)| (name, provider.issuer.as_str()))
            .collect(),
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

/// The rules on a service, and the providers of tokens that its entries name and that are there.
fn rules<'a>(
    reading: &mut Reading<'a>,
    service: &ServiceKey,
) -> (Vec<Rule>, BTreeMap<&'a str, &'a JwtProvider>) {
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
    let named: BTreeSet<&ProviderName> = entries.iter().flat_map(|entry| entry.providers()).collect();
    let mut providers = BTreeMap::new();
    for name in named {
        if let Some(provider) = reading.provider(&service.partition, name) {
            providers.insert(provider.name.as_str(), provider);
        }
    }
    let groups_named: BTreeSet<&GroupName> = entries.iter().flat_map(|entry| entry.groups()).collect();
    let mut groups = BTreeMap::new();
    for name in groups_named {
        groups.insert(name, reading.members(&service.partition, name));
    }
    let rules = rules_for(
        entries,
        service,
        |name| providers.contains_key(name.as_str()),
        |name| groups.get(name).cloned().unwrap_or_default(),
    );
    (rules, providers)
}

/// Who can call at all, and what happens where no rule says anything.
pub(crate) struct Everybody<'a> {
    pub(crate) cluster: &'a ClusterIdentity,
    pub(crate) peers: &'a [InboundPeer],
    pub(crate) default: Action,
    /// The issuers of the tokens of providers that are there.
    pub(crate) issuers: BTreeMap<&'a str, &'a str>,
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

    /// What a requirement asks for, one of them. Providers that are not there do not get here.
    fn tokens(&self, jwt: &JwtRequirement) -> Vec<Token> {
        let wanted = jwt.tokens.iter();
        wanted
            .filter_map(|wanted| {
                Some(Token {
                    provider: wanted.provider.clone(),
                    issuer: (*self.issuers.get(wanted.provider.as_str())?).to_owned(),
                    claims: wanted.claims.clone(),
                })
            })
            .collect()
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
/// or about tokens denies.
pub(crate) fn flatten(rules: &[Rule], everybody: &Everybody<'_>) -> Authorization {
    let mut granted = grants(rules, everybody, |rule| match rule.verdict {
        Verdict::Always(Action::Allow) if rule.jwt.is_none() => Some(Requests::All),
        Verdict::Always(_) | Verdict::ByRequest(_) => None,
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
    let granted = grants(rules, everybody, |rule| {
        let wanted = rule.jwt.as_ref().map(|jwt| everybody.tokens(jwt));
        match &rule.verdict {
            Verdict::Always(Action::Allow) => Some(with_token(wanted)),
            Verdict::Always(Action::Deny) => None,
            Verdict::ByRequest(permissions) => requests(permissions, wanted, everybody),
        }
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
/// request passes. A request is allowed exactly when it fits a permission that allows and none before it that denies, and
/// has one of the `wanted` tokens, where any is.
fn requests(
    permissions: &[Permission],
    wanted: Option<Vec<Token>>,
    everybody: &Everybody<'_>,
) -> Option<Requests> {
    let mut denied: Vec<Condition> = Vec::new();
    let mut fitting = Vec::new();
    for permission in permissions {
        let own = permission.jwt.as_ref().map(|jwt| everybody.tokens(jwt));
        let condition = |tokens: Vec<Vec<Token>>| Condition {
            http: permission.http.clone(),
            tokens,
        };
        match permission.action {
            Action::Deny => denied.push(condition(own.into_iter().collect())),
            Action::Allow => fitting.push(Fitting {
                fits: condition(wanted.clone().into_iter().chain(own).collect()),
                except: denied.clone(),
            }),
        }
    }
    match everybody.default {
        Action::Allow if denied.is_empty() => return Some(with_token(wanted)),
        Action::Allow => fitting.push(Fitting {
            fits: Condition {
                tokens: wanted.into_iter().collect(),
                ..Condition::default()
            },
            except: denied,
        }),
        Action::Deny => {}
    }
    (!fitting.is_empty()).then_some(Requests::Fitting(fitting))
}

/// All requests, or those with one of the tokens.
fn with_token(wanted: Option<Vec<Token>>) -> Requests {
    match wanted {
        None => Requests::All,
        Some(tokens) => Requests::Fitting(vec![Fitting {
            fits: Condition {
                tokens: vec![tokens],
                ..Condition::default()
            },
            except: Vec::new(),
        }]),
    }
}

/// Who is granted what. What the first rule about a caller grants is what it gets, so each rule stands for its callers
/// minus those of the rules before it that grant something else. Rules about callers that nothing vouches for are left
/// out. A rule that names a provider of tokens that is not there grants nothing. The default comes last, as a rule about
/// everybody.
fn grants(
    rules: &[Rule],
    everybody: &Everybody<'_>,
    granted: impl Fn(&Rule) -> Option<Requests>,
) -> BTreeMap<Requests, BTreeSet<Caller>> {
    let mut steps: Vec<(CallerPattern, Option<Requests>)> = rules
        .iter()
        .filter_map(|rule| {
            let granted = rule.missing.is_none().then(|| granted(rule)).flatten();
            Some((everybody.pattern(&rule.callers)?, granted))
        })
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
