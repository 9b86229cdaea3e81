//! Tokens to a JSON value.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value};

use super::lexer::{Kind, Lexer, Token, shorten};
use super::{Fault, MAX_DEPTH};

/// Returns the whole text as an object.
pub(super) fn parse(text: &str) -> Result<Value, Fault> {
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        depth: 1,
    };
    let members = parser.members(None)?;
    Ok(lower(members))
}

/// The members of an object while it is read.
type Members = BTreeMap<String, Member>;

#[derive(Debug)]
struct Member {
    /// Where its key first stood.
    at: usize,
    node: Node,
}

/// What a key holds, remembering how it was written so that clashes are seen.
#[derive(Debug)]
enum Node {
    Attribute(Value),
    /// Blocks without (further) labels: one or more.
    Blocks(Vec<Value>),
    /// Blocks by their next label.
    Labelled(Members),
}

#[derive(Debug)]
struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that is looked at, not yet taken.
    token: Token<'a>,
    /// Levels of nesting that are open; what bounds the recursion of this parser.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn take(&mut self) -> Result<Token<'a>, Fault> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn expected<T>(&self, what: &str) -> Result<T, Fault> {
        Err(Fault::new(
            self.token.at,
            format!("found {}, expected {what}", self.token.kind.describe()),
        ))
    }

    fn enter(&mut self, levels: usize, at: usize) -> Result<(), Fault> {
        self.depth += levels;
        if self.depth > MAX_DEPTH {
            return Err(Fault::new(
                at,
                format!("nesting is too deep, expected at most {MAX_DEPTH} levels"),
            ));
        }
        Ok(())
    }

    /// Reads members up to the closing brace of the object opened at `opened`, or to the end of the text.
    fn members(&mut self, opened: Option<usize>) -> Result<Members, Fault> {
        let mut members = Members::new();
        loop {
            match (&self.token.kind, opened) {
                (Kind::CloseBrace, Some(_)) => {
                    self.take()?;
                    return Ok(members);
                }
                (Kind::End, None) => return Ok(members),
                (Kind::End, Some(at)) => {
                    let message = "found the end of the text, expected '}' for the '{'";
                    return Err(Fault::after(self.token.at, message, at));
                }
                (Kind::CloseBrace, None) => return self.expected("a key: no '{' is open"),
                _ => self.member(&mut members)?,
            }
            if matches!(self.token.kind, Kind::Comma) {
                self.take()?;
            }
        }
    }

    fn member(&mut self, members: &mut Members) -> Result<(), Fault> {
        let at = self.token.at;
        let Some(key) = self.name()? else {
            return self.expected("a key");
        };
        if matches!(self.token.kind, Kind::Equals | Kind::Colon) {
            self.take()?;
            let value = self.value()?;
            return add(members, key, at, Node::Attribute(value));
        }
        let mut labels = Vec::new();
        while !self.token.starts_line && matches!(self.token.kind, Kind::Text(_) | Kind::Word(_)) {
            let label_at = self.token.at;
            self.enter(1, label_at)?;
            if let Some(label) = self.name()? {
                labels.push((label, label_at));
            }
        }
        if !matches!(self.token.kind, Kind::OpenBrace) {
            let after = if labels.is_empty() {
                "'=', ':' or '{'"
            } else {
                "'{'"
            };
            return self.expected(&format!("{after} after the key {}", shorten(&key)));
        }
        let opened = self.take()?.at;
        self.enter(2, opened)?;
        let block = lower(self.members(Some(opened))?);
        self.depth -= 2 + labels.len();
        let mut node = Node::Blocks(vec![block]);
        for (label, label_at) in labels.into_iter().rev() {
            node = Node::Labelled(Members::from([(label, Member { at: label_at, node })]));
        }
        add(members, key, at, node)
    }

    /// Takes a key or a label if one stands here.
    fn name(&mut self) -> Result<Option<String>, Fault> {
        if !matches!(self.token.kind, Kind::Text(_) | Kind::Word(_)) {
            return Ok(None);
        }
        Ok(match self.take()?.kind {
            Kind::Text(text) => Some(text),
            Kind::Word(word) => Some(word.to_owned()),
            _ => None,
        })
    }

    fn value(&mut self) -> Result<Value, Fault> {
        let at = self.token.at;
        match self.token.kind {
            Kind::Word("true" | "false" | "null")
            | Kind::Text(_)
            | Kind::Heredoc(_)
            | Kind::Number(_)
            | Kind::OpenBrace
            | Kind::OpenBracket => {}
            Kind::Word(_) => return self.expected("a value: put text in double quotes"),
            _ => return self.expected("a value"),
        }
        Ok(match self.take()?.kind {
            Kind::Word("true") => Value::Bool(true),
            Kind::Word("false") => Value::Bool(false),
            Kind::Text(text) | Kind::Heredoc(text) => Value::String(text),
            Kind::Number(number) => Value::Number(number),
            Kind::OpenBrace => {
                self.enter(1, at)?;
                let members = self.members(Some(at))?;
                self.depth -= 1;
                lower(members)
            }
            Kind::OpenBracket => {
                self.enter(1, at)?;
                let list = self.list(at)?;
                self.depth -= 1;
                Value::Array(list)
            }
            _ => Value::Null,
        })
    }

    fn list(&mut self, opened: usize) -> Result<Vec<Value>, Fault> {
        let mut list = Vec::new();
        loop {
            if matches!(self.token.kind, Kind::CloseBracket) {
                self.take()?;
                return Ok(list);
            }
            if matches!(self.token.kind, Kind::End) {
                let message = "found the end of the text, expected ']' for the '['";
                return Err(Fault::after(self.token.at, message, opened));
            }
            list.push(self.value()?);
            match self.token.kind {
                Kind::Comma => {
                    self.take()?;
                }
                Kind::CloseBracket | Kind::End => {}
                _ => return self.expected("',' or ']' after an element of a list"),
            }
        }
    }
}

/// Adds what was read under `key`, joining blocks with blocks of the same kind. It descends only along
/// labels, whose number the nesting limit bounds.
fn add(members: &mut Members, key: String, at: usize, node: Node) -> Result<(), Fault> {
    let mut entry = match members.entry(key) {
        Entry::Vacant(vacant) => {
            vacant.insert(Member { at, node });
            return Ok(());
        }
        Entry::Occupied(entry) => entry,
    };
    let first = entry.get().at;
    let clash = |what: &str, key: &str| {
        Err(Fault::after(
            at,
            format!("key {} is given {what}", shorten(key)),
            first,
        ))
    };
    match (&mut entry.get_mut().node, node) {
        (Node::Blocks(blocks), Node::Blocks(more)) => {
            blocks.extend(more);
            Ok(())
        }
        (Node::Labelled(labels), Node::Labelled(more)) => more
            .into_iter()
            .try_for_each(|(label, member)| add(labels, label, member.at, member.node)),
        (Node::Attribute(_), Node::Attribute(_)) => clash("twice, expected once", entry.key()),
        (Node::Attribute(_), _) | (_, Node::Attribute(_)) => clash(
            "as an attribute and as a block, expected one of them",
            entry.key(),
        ),
        _ => clash("with different numbers of labels, expected the same", entry.key()),
    }
}

fn lower(members: Members) -> Value {
    let object: Map<String, Value> = members
        .into_iter()
        .map(|(key, member)| (key, lower_node(member.node)))
        .collect();
    Value::Object(object)
}

fn lower_node(node: Node) -> Value {
    match node {
        Node::Attribute(value) => value,
        Node::Labelled(labels) => lower(labels),
        Node::Blocks(mut blocks) => match blocks.pop() {
            Some(only) if blocks.is_empty() => only,
            last => {
                blocks.extend(last);
                Value::Array(blocks)
            }
        },
    }
}
