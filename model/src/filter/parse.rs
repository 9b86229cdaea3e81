//! From words to a question.

use super::words::{Kind, Word, words};
use super::{Field, MAX_DEPTH, Question, Test};
use crate::Regular;

/// The fields, as an error lists them.
const FIELDS: &str = "Service.ID, Service.Service, Service.Namespace, Service.Address, Service.Port, Service.Tags, \
                      Service.Meta, Node.ID, Node.Node, Node.Address, Node.Datacenter, Node.Partition, Node.Meta";

pub(super) fn question(text: &str) -> Result<Question, String> {
    let words = words(text)?;
    let mut parser = Parser {
        words: &words,
        next: 0,
    };
    let question = parser.any(0)?;
    match parser.peek() {
        None => Ok(question),
        Some(word) => Err(format!("at byte {}: expected 'and', 'or' or the end", word.at)),
    }
}

struct Parser<'w> {
    words: &'w [Word],
    next: usize,
}

impl<'w> Parser<'w> {
    fn peek(&self) -> Option<&'w Word> {
        self.words.get(self.next)
    }

    fn take(&mut self) -> Result<&'w Word, String> {
        let word = self.peek().ok_or("ends too early, a comparison is missing")?;
        self.next += 1;
        Ok(word)
    }

    /// Takes the bare word `text` if it comes next.
    fn eat(&mut self, text: &str) -> bool {
        let found = matches!(self.peek(), Some(Word { kind: Kind::Bare(word), .. }) if word == text);
        if found {
            self.next += 1;
        }
        found
    }

    fn any(&mut self, depth: usize) -> Result<Question, String> {
        let mut question = self.all(depth)?;
        while self.eat("or") {
            question = Question::Or(Box::new(question), Box::new(self.all(depth)?));
        }
        Ok(question)
    }

    fn all(&mut self, depth: usize) -> Result<Question, String> {
        let mut question = self.one(depth)?;
        while self.eat("and") {
            question = Question::And(Box::new(question), Box::new(self.one(depth)?));
        }
        Ok(question)
    }

    fn one(&mut self, depth: usize) -> Result<Question, String> {
        if depth > MAX_DEPTH {
            return Err(format!("is nested deeper than {MAX_DEPTH} levels"));
        }
        if self.eat("not") {
            return Ok(Question::Not(Box::new(self.one(depth + 1)?)));
        }
        if matches!(self.peek(), Some(Word { kind: Kind::Open, .. })) {
            self.next += 1;
            let inner = self.any(depth + 1)?;
            return match self.take()? {
                Word {
                    kind: Kind::Close, ..
                } => Ok(inner),
                other => Err(format!("at byte {}: expected ')'", other.at)),
            };
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Question, String> {
        let first = self.take()?;
        let (mut name, quoted) = match &first.kind {
            Kind::Bare(text) => (text.clone(), false),
            Kind::Quoted(text) => (text.clone(), true),
            _ => return Err(format!("at byte {}: expected a field or a value", first.at)),
        };
        // `value in field` has the value first.
        if let Some(inverted) = self.membership() {
            let word = self.take()?;
            let Kind::Bare(field) = &word.kind else {
                return Err(format!("at byte {}: expected a field", word.at));
            };
            let field = self.field(word.at, field)?;
            return Ok(asked(field, Test::Contains(name), inverted));
        }
        if quoted {
            return Err(format!(
                "at byte {}: a value in quotes may only come first in 'value in field'",
                first.at
            ));
        }
        let field = self.field(first.at, &name)?;
        name.clear();
        let operator = self.take()?;
        let (test, inverted) = match &operator.kind {
            Kind::Equal => (Test::Equal(self.value()?), false),
            Kind::Unequal => (Test::Equal(self.value()?), true),
            Kind::Bare(word) => {
                let inverted = word == "not";
                let word = match inverted {
                    true => self.bare()?,
                    false => word.as_str(),
                };
                match word {
                    "is" if !inverted => {
                        let inverted = self.eat("not");
                        match self.eat("empty") {
                            true => (Test::Empty, inverted),
                            false => return Err(format!("at byte {}: expected 'is empty'", operator.at)),
                        }
                    }
                    "contains" => (Test::Contains(self.value()?), inverted),
                    "matches" => {
                        let expression = Regular::new(&self.value()?);
                        let expression = expression.map_err(|error| format!("the expression {error}"))?;
                        (Test::Matches(expression), inverted)
                    }
                    _ => return Err(unknown_operator(operator.at)),
                }
            }
            _ => return Err(unknown_operator(operator.at)),
        };
        if matches!(test, Test::Equal(_)) && field.is_many() {
            return Err(format!(
                "at byte {}: a field with several values cannot be compared, use 'contains'",
                operator.at
            ));
        }
        Ok(asked(field, test, inverted))
    }

    /// Takes `in` or `not in`; whether it was the latter.
    fn membership(&mut self) -> Option<bool> {
        let before = self.next;
        let inverted = self.eat("not");
        if self.eat("in") {
            return Some(inverted);
        }
        self.next = before;
        None
    }

    fn bare(&mut self) -> Result<&'w str, String> {
        match self.take()? {
            Word {
                kind: Kind::Bare(text),
                ..
            } => Ok(text),
            other => Err(format!("at byte {}: expected a word", other.at)),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.take()? {
            Word {
                kind: Kind::Bare(text) | Kind::Quoted(text),
                ..
            } => Ok(text.clone()),
            other => Err(format!("at byte {}: expected a value", other.at)),
        }
    }

    /// The field of this name, with the index that may follow.
    fn field(&mut self, at: usize, name: &str) -> Result<Field, String> {
        let index = match self.peek() {
            Some(Word {
                kind: Kind::Index(key),
                ..
            }) => {
                self.next += 1;
                Some(key.clone())
            }
            _ => None,
        };
        let unknown = || format!("at byte {at}: {name:?} is not a field, known are {FIELDS}");
        for (prefix, pairs) in [
            ("Service.Meta", Field::ServiceMeta as fn(Option<String>) -> Field),
            ("Node.Meta", Field::NodeMeta),
        ] {
            match (name.strip_prefix(prefix), index.clone()) {
                (Some(""), key) => return Ok(pairs(key)),
                (Some(rest), None) if rest.len() > 1 && rest.starts_with('.') => {
                    return Ok(pairs(Some(rest[1..].to_owned())));
                }
                _ => {}
            }
        }
        if index.is_some() {
            return Err(unknown());
        }
        Ok(match name {
            "Service.ID" => Field::ServiceId,
            "Service.Service" => Field::ServiceName,
            "Service.Namespace" => Field::ServiceNamespace,
            "Service.Address" => Field::ServiceAddress,
            "Service.Port" => Field::ServicePort,
            "Service.Tags" => Field::ServiceTags,
            "Node.ID" => Field::NodeId,
            "Node.Node" => Field::NodeName,
            "Node.Address" => Field::NodeAddress,
            "Node.Datacenter" => Field::NodeDatacenter,
            "Node.Partition" => Field::NodePartition,
            _ => return Err(unknown()),
        })
    }
}

fn asked(field: Field, test: Test, inverted: bool) -> Question {
    let question = Question::Is(field, test);
    match inverted {
        true => Question::Not(Box::new(question)),
        false => question,
    }
}

fn unknown_operator(at: usize) -> String {
    format!(
        "at byte {at}: expected '==', '!=', 'in', 'not in', 'contains', 'not contains', 'is empty', 'is not empty', \
         'matches' or 'not matches'"
    )
}
