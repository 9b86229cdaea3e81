//! Messages: from bytes to a question, and from an answer to as many bytes as the asker takes (RFC 1035, RFC 6891).

use crate::answer::{Answer, Known, Question, answer};
use crate::record::{DnsName, Rec};
use domain::base::iana::{Class, Opcode, OptRcode, Rcode};
use domain::base::message_builder::{AnswerBuilder, MessageBuilder, PushError, TreeCompressor};
use domain::base::name::ToName;
use domain::base::opt::{Opt, OptRecord};
use domain::base::{Header, Message};
use domain::rdata::ZoneRecordData;
use std::collections::BTreeSet;

/// Most bytes of an answer over UDP to somebody who does not say how many it takes (RFC 1035 section 4.2.1); whoever
/// says less gets this many too (RFC 6891 section 6.2.3).
pub const MIN_UDP_BYTES: usize = 512;
/// Most bytes of an answer over UDP, however many the asker takes: an answer must not be a means to flood others.
pub const MAX_UDP_BYTES: usize = 4_096;
/// Bytes over UDP that we say we take: what passes everywhere in one packet.
const OWN_UDP_BYTES: u16 = 1_232;
/// Most bytes of an answer over TCP: its length has 16 bits.
const MAX_TCP_BYTES: usize = u16::MAX as usize;
/// Bytes of an OPT record without options.
const OPT_BYTES: usize = 11;
/// The version of EDNS that we speak.
const EDNS_VERSION: u8 = 0;

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// On a connection.
    Tcp,
}

impl Transport {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

/// What is sent back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The message, without a length before it.
    pub bytes: Vec<u8>,
    /// What came of it, for metrics: one of a closed set.
    pub outcome: &'static str,
}

/// A question and what its asker takes, or why it is none.
struct Asked {
    question: Result<Question, Rcode>,
    edns: Option<Edns>,
}

/// What an asker says of itself.
struct Edns {
    udp_bytes: usize,
    version: u8,
}

/// What is sent back to whoever sent `bytes`; nothing to what is no question at all.
pub fn respond(known: Known<'_>, bytes: &[u8], transport: Transport, seed: u64) -> Option<Reply> {
    let message = Message::from_slice(bytes).ok()?;
    // Whoever answers answers may do so for ever.
    if message.header().qr() {
        return None;
    }
    let asked = read(message);
    let limit = match (transport, &asked.edns) {
        (Transport::Tcp, _) => MAX_TCP_BYTES,
        (Transport::Udp, None) => MIN_UDP_BYTES,
        (Transport::Udp, Some(edns)) => edns.udp_bytes.clamp(MIN_UDP_BYTES, MAX_UDP_BYTES),
    };
    let too_new = asked
        .edns
        .as_ref()
        .is_some_and(|edns| edns.version != EDNS_VERSION);
    let found = match &asked.question {
        _ if too_new => Err(OptRcode::BADVERS),
        Err(rcode) => Err(OptRcode::from(*rcode)),
        Ok(question) => Ok(answer(known, question, seed)),
    };
    let shape = Shape {
        limit,
        edns: asked.edns.is_some(),
    };
    let built = match &found {
        Ok(answer) => {
            let records = match (transport, known.zone.udp_answer_limit) {
                (Transport::Tcp, _) | (_, 0) => usize::MAX,
                (Transport::Udp, limit) => limit,
            };
            let says_so = known.zone.enable_truncate;
            shape.answer(message, answer, records, says_so)
        }
        Err(code) => shape.error(message, *code),
    };
    // Header, question and OPT fit into any limit.
    let bytes = built.ok()?;
    let outcome = match &found {
        Ok(answer) => match answer.rcode {
            Rcode::NXDOMAIN => "nxdomain",
            Rcode::REFUSED => "refused",
            _ if answer.answers.is_empty() => "nodata",
            _ => "answered",
        },
        Err(OptRcode::FORMERR) => "malformed",
        Err(OptRcode::REFUSED) => "refused",
        Err(_) => "not_offered",
    };
    Some(Reply { bytes, outcome })
}

fn read(message: &Message<[u8]>) -> Asked {
    let edns = match edns(message) {
        Ok(edns) => edns,
        Err(rcode) => {
            return Asked {
                question: Err(rcode),
                edns: None,
            };
        }
    };
    let question = if message.header().opcode() == Opcode::QUERY {
        question(message)
    } else {
        Err(Rcode::NOTIMP)
    };
    Asked { question, edns }
}

/// The one question that a message may have (RFC 9619).
fn question(message: &Message<[u8]>) -> Result<Question, Rcode> {
    let asked = message.sole_question().map_err(|_| Rcode::FORMERR)?;
    match asked.qclass() {
        Class::IN | Class::ANY => Ok(Question {
            name: asked.qname().to_name(),
            rtype: asked.qtype(),
        }),
        _ => Err(Rcode::REFUSED),
    }
}

fn edns(message: &Message<[u8]>) -> Result<Option<Edns>, Rcode> {
    let mut found = None;
    let additional = message.additional().map_err(|_| Rcode::FORMERR)?;
    for record in additional.limit_to::<Opt<&[u8]>>() {
        let opt = OptRecord::from(record.map_err(|_| Rcode::FORMERR)?);
        let edns = Edns {
            udp_bytes: usize::from(opt.udp_payload_size()),
            version: opt.version(),
        };
        if found.replace(edns).is_some() {
            return Err(Rcode::FORMERR);
        }
    }
    Ok(found)
}

type Target = TreeCompressor<Vec<u8>>;

/// The host that a record names, whose address helps.
fn target(record: &Rec) -> Option<&DnsName> {
    match record.data() {
        ZoneRecordData::Srv(srv) => Some(srv.target()),
        ZoneRecordData::Ns(ns) => Some(ns.nsdname()),
        ZoneRecordData::Soa(soa) => Some(soa.mname()),
        _ => None,
    }
}

/// The limit that lets a message have `most` bytes: the library's is one that is not reached.
fn below(most: usize) -> usize {
    most.saturating_add(1)
}

/// What a message must be like.
struct Shape {
    /// Most bytes.
    limit: usize,
    /// Whether the asker speaks EDNS, and so are we.
    edns: bool,
}

impl Shape {
    /// A message with as many records as fit.
    fn answer(
        &self,
        asked: &Message<[u8]>,
        answer: &Answer,
        most: usize,
        says_so: bool,
    ) -> Result<Vec<u8>, PushError> {
        let mut builder = self.begin(asked, answer.rcode, true)?;
        builder.header_mut().set_aa(answer.authoritative);
        let kept = if self.edns { OPT_BYTES } else { 0 };
        builder.set_push_limit(below(self.limit.saturating_sub(kept)));
        let mut cut = says_so && answer.answers.len() > most;
        let mut given = Vec::new();
        for record in answer.answers.iter().take(most) {
            if builder.push(record).is_err() {
                cut = true;
                break;
            }
            given.push(record);
        }
        let mut builder = builder.authority();
        for record in &answer.authority {
            cut |= builder.push(record).is_err();
        }
        let mut builder = builder.additional();
        // What is only helpful is left out without a word (RFC 2181 section 9).
        let named: BTreeSet<&DnsName> = given.iter().filter_map(|record| target(record)).collect();
        for record in answer
            .additional
            .iter()
            .filter(|record| named.contains(record.owner()))
        {
            if builder.push(record).is_err() {
                break;
            }
        }
        builder.header_mut().set_tc(cut);
        if self.edns {
            builder.set_push_limit(below(self.limit));
            builder.opt(|opt| {
                opt.set_udp_payload_size(OWN_UDP_BYTES);
                Ok(())
            })?;
        }
        Ok(builder.finish().into_target())
    }

    /// A message that says why there is no answer.
    fn error(&self, asked: &Message<[u8]>, code: OptRcode) -> Result<Vec<u8>, PushError> {
        // What could not be read is not repeated.
        let repeated = code != OptRcode::FORMERR;
        let builder = self.begin(asked, code.rcode(), repeated)?;
        let mut builder = builder.additional();
        if self.edns {
            builder.opt(|opt| {
                opt.set_udp_payload_size(OWN_UDP_BYTES);
                opt.set_rcode(code);
                Ok(())
            })?;
        }
        Ok(builder.finish().into_target())
    }

    /// A message with the header, and with the question if that is `repeated`.
    fn begin(
        &self,
        asked: &Message<[u8]>,
        rcode: Rcode,
        repeated: bool,
    ) -> Result<AnswerBuilder<Target>, PushError> {
        let builder = MessageBuilder::from_target(TreeCompressor::new(Vec::with_capacity(MIN_UDP_BYTES)));
        let mut builder = match builder {
            Ok(builder) => builder.question(),
            Err(never) => match never {},
        };
        let from: Header = asked.header();
        let header = builder.header_mut();
        header.set_id(from.id());
        header.set_qr(true);
        header.set_opcode(from.opcode());
        header.set_rd(from.rd());
        header.set_rcode(rcode);
        if repeated && let Ok(question) = asked.sole_question() {
            builder.push(question)?;
        }
        Ok(builder.answer())
    }
}
