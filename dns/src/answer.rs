//! From a question to an answer, without any I/O.

use crate::asked::{self, Asked};
use crate::find;
use crate::record::{self, DnsName, Rec};
use crate::service;
use crate::zone::{Domain, Zone};
use domain::base::iana::{Rcode, Rtype};
use domain::base::name::Label;
use peerway_model::PeeringKey;
use peerway_state::Snapshot;
use std::collections::BTreeSet;

/// What answers are made from.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The state.
    pub snapshot: &'a Snapshot,
    /// Whose names are answered, and how.
    pub zone: &'a Zone,
    /// The peerings of which what is held is too old.
    pub stale: &'a BTreeSet<PeeringKey>,
}

/// What is asked, of class IN.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name, in the case that it was asked in.
    pub name: DnsName,
    /// Which type of records.
    pub rtype: Rtype,
}

/// The records of an answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// NOERROR, NXDOMAIN or REFUSED.
    pub rcode: Rcode,
    /// Whether the name is in the zone.
    pub authoritative: bool,
    pub(crate) answers: Vec<Rec>,
    pub(crate) authority: Vec<Rec>,
    pub(crate) additional: Vec<Rec>,
}

impl Default for Answer {
    fn default() -> Self {
        Answer {
            rcode: Rcode::NOERROR,
            authoritative: true,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }
}

impl Answer {
    pub(crate) fn of(records: impl IntoIterator<Item = Rec>) -> Self {
        Answer {
            answers: records.into_iter().collect(),
            ..Answer::default()
        }
    }

    fn refused() -> Self {
        Answer {
            rcode: Rcode::REFUSED,
            authoritative: false,
            ..Answer::default()
        }
    }

    fn no_such_name() -> Self {
        Answer {
            rcode: Rcode::NXDOMAIN,
            ..Answer::default()
        }
    }
}

/// A question with what it is answered from.
pub(crate) struct Asking<'a> {
    pub(crate) known: Known<'a>,
    /// The domain that the name is in; names in the answer are in the same.
    pub(crate) domain: &'a Domain,
    /// The owner of the records.
    pub(crate) name: &'a DnsName,
    pub(crate) rtype: Rtype,
    /// Decides the order of instances.
    pub(crate) seed: u64,
}

/// The answer to a question. The same `seed` gives the same order of records.
///
/// A name outside the zone is REFUSED. A name that nothing has is NXDOMAIN, as is that of a service without an instance
/// that serves; one that has no records of the type asked for is NOERROR with no answer. Both come with the SOA.
pub fn answer(known: Known<'_>, question: &Question, seed: u64) -> Answer {
    let labels = question.name.iter().filter(|label| !label.is_root());
    let labels: Vec<&[u8]> = labels.map(Label::as_slice).collect();
    let Some((domain, before)) = known.zone.domain_of(&labels) else {
        return Answer::refused();
    };
    if matches!(question.rtype, Rtype::AXFR | Rtype::IXFR) {
        return Answer::refused();
    }
    let asking = Asking {
        known,
        domain,
        name: &question.name,
        rtype: question.rtype,
        seed,
    };
    // Names of rows are texts; what is none is nobody's name.
    let texts = labels.iter().take(before).map(|label| std::str::from_utf8(label));
    let mut answer = match texts.collect::<Result<Vec<&str>, _>>() {
        Ok(texts) => named(&asking, &asked::read(&texts)).unwrap_or_else(Answer::no_such_name),
        Err(_) => Answer::no_such_name(),
    };
    if answer.answers.is_empty() {
        let soa = record::soa(known.zone, domain, known.snapshot.revision());
        answer.authority.push(soa);
    }
    answer
}

/// `None` when there is no such name.
fn named(asking: &Asking<'_>, asked: &Asked) -> Option<Answer> {
    let known = &asking.known;
    match asked {
        Asked::Apex => Some(apex(asking)),
        Asked::Between(place) => {
            find::locate(known, place)?;
            Some(Answer::default())
        }
        Asked::Service { name, tag, place } => {
            let at = find::locate(known, place)?;
            service::instances(asking, &at, name, tag.as_deref())
        }
        Asked::Sidecars { name, place } => service::meshed(asking, &find::locate(known, place)?, name),
        Asked::LetIn { name, place, loose } => {
            let mut place = place.clone();
            if let Some(label) = loose {
                match label.eq_ignore_ascii_case(known.zone.datacenter.as_str()) {
                    true => place.datacenter = Some(label.clone()),
                    false => place.namespace = Some(label.clone()),
                }
            }
            service::let_in(asking, &find::locate(known, &place)?, name)
        }
        Asked::Virtual { name, place } => {
            service::virtual_address(asking, &find::locate(known, place)?, name)
        }
        Asked::Node { name, place } => service::node(asking, &find::locate(known, place)?, name),
        Asked::Address(ip) => {
            let wanted = service::is_wanted(asking.rtype, *ip);
            let ttl = known.zone.node_ttl;
            Some(Answer::of(wanted.then(|| record::address(asking.name, ttl, *ip))))
        }
        Asked::Nothing => None,
    }
}

/// The domain itself: who answers for it.
fn apex(asking: &Asking<'_>) -> Answer {
    let (zone, domain) = (asking.known.zone, asking.domain);
    let mut answer = Answer::default();
    if matches!(asking.rtype, Rtype::SOA | Rtype::ANY) {
        let revision = asking.known.snapshot.revision();
        answer.answers.push(record::soa(zone, domain, revision));
    }
    if matches!(asking.rtype, Rtype::NS | Rtype::ANY) {
        answer.answers.push(record::ns(zone, domain));
    }
    if !answer.answers.is_empty() {
        answer.additional.extend(service::glue(asking));
    }
    answer
}
