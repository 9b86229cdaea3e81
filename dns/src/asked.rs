//! What a name below the domain asks for, by its labels alone.
//!
//! The forms are Consul's (wire facts, section 8.3). Behind the kind of thing comes where it is: a namespace, a
//! partition, and a peer or a datacenter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where what is asked for is; a part that the name does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) namespace: Option<String>,
    pub(crate) partition: Option<String>,
    pub(crate) peer: Option<String>,
    pub(crate) datacenter: Option<String>,
}

/// What a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The domain itself.
    Apex,
    /// Nothing of its own, but other names end in it if there is such a place.
    Between(Place),
    /// The instances of a service, all or those with a tag.
    Service {
        name: String,
        tag: Option<String>,
        place: Place,
    },
    /// The sidecars of a service.
    Sidecars { name: String, place: Place },
    /// The ingress gateways that let a service in. `loose` is a namespace or a datacenter.
    LetIn {
        name: String,
        place: Place,
        loose: Option<String>,
    },
    /// The virtual address of a service.
    Virtual { name: String, place: Place },
    /// A node.
    Node { name: String, place: Place },
    /// The address that the name spells.
    Address(IpAddr),
    /// No name of ours.
    Nothing,
}

/// The words that say what the label before them is.
const PLACES: [&str; 4] = ["ns", "ap", "peer", "dc"];

fn is(label: &str, word: &str) -> bool {
    label.eq_ignore_ascii_case(word)
}

/// What a single last label without a word behind it is.
#[derive(Clone, Copy)]
enum Bare {
    Datacenter,
    Peer,
}

impl Place {
    /// From the labels behind the kind; `None` when they are no place.
    fn read(mut labels: &[&str], bare: Bare) -> Option<Place> {
        let mut place = Place::default();
        while let [value, word, rest @ ..] = labels {
            let held = match PLACES.iter().position(|known| is(word, known))? {
                0 => &mut place.namespace,
                1 => &mut place.partition,
                2 => &mut place.peer,
                _ => &mut place.datacenter,
            };
            if held.replace((*value).to_owned()).is_some() {
                return None;
            }
            labels = rest;
        }
        if let [value] = labels {
            let held = match bare {
                Bare::Datacenter => &mut place.datacenter,
                Bare::Peer => &mut place.peer,
            };
            if PLACES.iter().any(|word| is(value, word)) || held.replace((*value).to_owned()).is_some() {
                return None;
            }
        }
        // A peer is another cluster, and so is a datacenter: not both.
        (place.peer.is_none() || place.datacenter.is_none()).then_some(place)
    }
}

/// What the labels before the domain ask for, the leftmost first.
pub(crate) fn read(labels: &[&str]) -> Asked {
    if labels.is_empty() {
        return Asked::Apex;
    }
    // The rightmost word that can be the kind is: names and tags may be any word.
    for (at, kind) in labels.iter().enumerate().rev() {
        let (before, after) = (labels.get(..at), labels.get(at + 1..));
        if let (Some(before), Some(after)) = (before, after)
            && let Some(asked) = of_kind(kind, before, after)
        {
            return asked;
        }
    }
    match labels {
        [name, tag, after @ ..] if name.starts_with('_') && tag.starts_with('_') => {
            match Place::read(after, Bare::Datacenter) {
                Some(place) => tagged(name, tag, place),
                None => Asked::Nothing,
            }
        }
        // What `_web._tcp` and `web.service.west.peer` end in.
        [first, after @ ..] if first.starts_with('_') || PLACES.iter().any(|word| is(first, word)) => {
            Place::read(after, Bare::Datacenter).map_or(Asked::Nothing, Asked::Between)
        }
        all => Place::read(all, Bare::Datacenter).map_or(Asked::Nothing, Asked::Between),
    }
}

fn of_kind(kind: &str, before: &[&str], after: &[&str]) -> Option<Asked> {
    let kinds = ["service", "connect", "virtual", "node", "addr", "ingress"];
    let kind = kinds.into_iter().find(|known| is(kind, known))?;
    if kind == "ingress" {
        return let_in(before, after);
    }
    let bare = match kind {
        "virtual" => Bare::Peer,
        _ => Bare::Datacenter,
    };
    let place = Place::read(after, bare)?;
    Some(match (kind, before) {
        (_, []) => Asked::Between(place),
        ("service", [name, tag]) if name.starts_with('_') && tag.starts_with('_') => tagged(name, tag, place),
        ("service", [one]) if one.starts_with('_') => Asked::Between(place),
        ("service", [tag @ .., name]) => Asked::Service {
            name: (*name).to_owned(),
            // A tag may have dots.
            tag: (!tag.is_empty()).then(|| tag.join(".")),
            place,
        },
        // Of a peer's service the sidecars are not known, only the gateways before them.
        ("connect", [name]) if place.peer.is_none() => Asked::Sidecars {
            name: (*name).to_owned(),
            place,
        },
        ("virtual", [name]) => Asked::Virtual {
            name: (*name).to_owned(),
            place,
        },
        ("node", all) => Asked::Node {
            name: all.join("."),
            place,
        },
        ("addr", [hex]) => address(hex).map_or(Asked::Nothing, Asked::Address),
        _ => Asked::Nothing,
    })
}

/// The hosts that ingress gateways know services by: a namespace stands alone there when nothing else does, and a
/// datacenter may follow it.
fn let_in(before: &[&str], after: &[&str]) -> Option<Asked> {
    let no_word = |label: &str| !PLACES.iter().any(|word| is(label, word));
    let (place, loose) = match after {
        [one] if no_word(one) => (Place::default(), Some((*one).to_owned())),
        [namespace, datacenter] if no_word(namespace) && no_word(datacenter) => {
            let place = Place {
                namespace: Some((*namespace).to_owned()),
                datacenter: Some((*datacenter).to_owned()),
                ..Place::default()
            };
            (place, None)
        }
        _ => (Place::read(after, Bare::Datacenter)?, None),
    };
    match before {
        [] => Some(Asked::Between(place)),
        [name] => Some(Asked::LetIn {
            name: (*name).to_owned(),
            place,
            loose,
        }),
        _ => Some(Asked::Nothing),
    }
}

/// RFC 2782: `_tcp` says nothing, as Consul has it; any other second label is a tag.
fn tagged(name: &str, tag: &str, place: Place) -> Asked {
    let bare = |label: &str| label.get(1..).unwrap_or_default().to_owned();
    Asked::Service {
        name: bare(name),
        tag: Some(bare(tag)).filter(|tag| !is(tag, "tcp")),
        place,
    }
}

fn address(hex: &str) -> Option<IpAddr> {
    if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    match hex.len() {
        8 => u32::from_str_radix(hex, 16)
            .ok()
            .map(|bits| Ipv4Addr::from(bits).into()),
        32 => u128::from_str_radix(hex, 16)
            .ok()
            .map(|bits| Ipv6Addr::from(bits).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Asked {
        let labels: Vec<&str> = text.split('.').filter(|label| !label.is_empty()).collect();
        read(&labels)
    }

    fn place(text: &str) -> Place {
        let mut place = Place::default();
        for pair in text.split_whitespace() {
            let (word, value) = pair.split_once('=').unwrap();
            let held = match word {
                "ns" => &mut place.namespace,
                "ap" => &mut place.partition,
                "peer" => &mut place.peer,
                _ => &mut place.datacenter,
            };
            *held = Some(value.to_owned());
        }
        place
    }

    #[test]
    fn services_and_where_they_are() {
        let cases = [
            ("web.service", "web", None, ""),
            ("web.service.dc1", "web", None, "dc=dc1"),
            ("web.service.dc1.dc", "web", None, "dc=dc1"),
            ("web.service.west.peer", "web", None, "peer=west"),
            ("web.SERVICE.west.Peer", "web", None, "peer=west"),
            ("v1.web.service", "web", Some("v1"), ""),
            ("v1.2.web.service", "web", Some("v1.2"), ""),
            (
                "web.service.a.ns.b.ap.west.peer",
                "web",
                None,
                "ns=a ap=b peer=west",
            ),
            ("web.service.a.ns.dc1", "web", None, "ns=a dc=dc1"),
            ("_web._tcp", "web", None, ""),
            ("_web._tcp.service", "web", None, ""),
            ("_web._v1.service.dc1", "web", Some("v1"), "dc=dc1"),
            ("_web._v1.west.peer", "web", Some("v1"), "peer=west"),
            // Words where names are.
            ("node.service", "node", None, ""),
            ("service.service", "service", None, ""),
            ("web.service.node.peer", "web", None, "peer=node"),
            ("web.service.service.peer", "web", None, "peer=service"),
        ];
        for (text, name, tag, at) in cases {
            let expected = Asked::Service {
                name: name.to_owned(),
                tag: tag.map(str::to_owned),
                place: place(at),
            };
            assert_eq!(asked(text), expected, "{text}");
        }
    }

    #[test]
    fn other_kinds() {
        let name = || "web".to_owned();
        let cases = [
            (
                "web.virtual",
                Asked::Virtual {
                    name: name(),
                    place: place(""),
                },
            ),
            (
                "web.virtual.west",
                Asked::Virtual {
                    name: name(),
                    place: place("peer=west"),
                },
            ),
            (
                "web.virtual.west.peer",
                Asked::Virtual {
                    name: name(),
                    place: place("peer=west"),
                },
            ),
            (
                "web.virtual.dc1.dc",
                Asked::Virtual {
                    name: name(),
                    place: place("dc=dc1"),
                },
            ),
            (
                "web.virtual.a.ns.west",
                Asked::Virtual {
                    name: name(),
                    place: place("ns=a peer=west"),
                },
            ),
            (
                "web.connect.dc1",
                Asked::Sidecars {
                    name: name(),
                    place: place("dc=dc1"),
                },
            ),
            (
                "web.ingress",
                Asked::LetIn {
                    name: name(),
                    place: place(""),
                    loose: None,
                },
            ),
            (
                "web.ingress.team",
                Asked::LetIn {
                    name: name(),
                    place: place(""),
                    loose: Some("team".to_owned()),
                },
            ),
            (
                "web.ingress.team.dc1",
                Asked::LetIn {
                    name: name(),
                    place: place("ns=team dc=dc1"),
                    loose: None,
                },
            ),
            (
                "web.ingress.team.ns.west.peer",
                Asked::LetIn {
                    name: name(),
                    place: place("ns=team peer=west"),
                    loose: None,
                },
            ),
            (
                "a.b.node.west.peer",
                Asked::Node {
                    name: "a.b".to_owned(),
                    place: place("peer=west"),
                },
            ),
            ("7f000001.addr.dc1", Asked::Address([127, 0, 0, 1].into())),
            (
                "00000000000000000000000000000001.addr",
                Asked::Address(Ipv6Addr::LOCALHOST.into()),
            ),
            ("", Asked::Apex),
            ("service", Asked::Between(place(""))),
            ("_tcp.service", Asked::Between(place(""))),
            ("_tcp", Asked::Between(place(""))),
            ("peer", Asked::Between(place(""))),
            ("west.peer", Asked::Between(place("peer=west"))),
            ("virtual.west.peer", Asked::Between(place("peer=west"))),
            ("dc1", Asked::Between(place("dc=dc1"))),
        ];
        for (text, expected) in cases {
            assert_eq!(asked(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_name() {
        for text in [
            "web.service.west.peer.dc1",
            "web.service.dc1.dc.west.peer",
            "web.service.a.ns.b.ns",
            "web.service.a.b",
            "web.connect.west.peer",
            "v1.web.connect",
            "v1.web.ingress",
            "web.ingress.a.b.c",
            "v1.web.virtual",
            "web.virtual.west.peer.east",
            "7f00001.addr",
            "7f00000g.addr",
            "+f000001.addr",
            "web.query",
        ] {
            assert_eq!(asked(text), Asked::Nothing, "{text}");
        }
    }
}
