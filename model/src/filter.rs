//! Filters: questions about an instance in the language of Consul's `Filter` (the part of `bexpr` that subsets use).
//!
//! `Service.Meta.version == "v2" and "canary" not in Service.Tags`. A filter is read once, when it is written; what
//! names no field of an instance is refused then. A field that an instance does not have is empty.

mod parse;
mod words;

#[cfg(test)]
mod tests;

use crate::instance::{Instance, Node};
use crate::{Invalid, Regular};
use std::fmt;
use std::hash::{Hash, Hasher};

/// Longest filter, in bytes.
pub const MAX_BYTES: usize = 2048;
/// Deepest nesting of parentheses and `not`.
pub const MAX_DEPTH: usize = 32;

/// A question about an instance. Compared by its text.
#[derive(Clone)]
pub struct Filter {
    text: String,
    question: Question,
}

#[derive(Clone)]
enum Question {
    And(Box<Question>, Box<Question>),
    Or(Box<Question>, Box<Question>),
    Not(Box<Question>),
    Is(Field, Test),
}

#[derive(Clone)]
enum Test {
    Equal(String),
    /// Of a text: has it inside; of a list or pairs: has it as an element or key.
    Contains(String),
    Empty,
    Matches(Regular),
}

/// What can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    ServiceId,
    ServiceName,
    ServiceNamespace,
    ServiceAddress,
    ServicePort,
    ServiceTags,
    ServiceMeta(Option<String>),
    NodeId,
    NodeName,
    NodeAddress,
    NodeDatacenter,
    NodePartition,
    NodeMeta(Option<String>),
}

impl Filter {
    /// Reads a filter; the error has an empty path and says where and what is wrong.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > MAX_BYTES {
            return Err(Invalid::new(
                "",
                format!("is {} bytes long, at most {MAX_BYTES} are allowed", text.len()),
            ));
        }
        Ok(Filter {
            text: text.to_owned(),
            question: parse::question(text).map_err(|problem| Invalid::new("", problem))?,
        })
    }

    /// The filter as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds for an instance on its node.
    pub fn holds(&self, instance: &Instance, node: &Node) -> bool {
        self.question.holds(instance, node)
    }
}

impl Question {
    fn holds(&self, instance: &Instance, node: &Node) -> bool {
        match self {
            Question::And(one, other) => one.holds(instance, node) && other.holds(instance, node),
            Question::Or(one, other) => one.holds(instance, node) || other.holds(instance, node),
            Question::Not(inner) => !inner.holds(instance, node),
            Question::Is(field, test) => test.holds(&field.value(instance, node)),
        }
    }
}

/// What an instance has in a field.
enum Value<'a> {
    Text(&'a str),
    Owned(String),
    /// Elements of a list, or keys of pairs.
    Many(Vec<&'a str>),
}

impl Field {
    fn value<'a>(&self, instance: &'a Instance, node: &'a Node) -> Value<'a> {
        let of_pairs = |pairs: &'a std::collections::BTreeMap<String, String>, key: &Option<String>| match key
        {
            Some(key) => Value::Text(pairs.get(key).map_or("", String::as_str)),
            None => Value::Many(pairs.keys().map(String::as_str).collect()),
        };
        match self {
            Field::ServiceId => Value::Text(instance.key.id.as_str()),
            Field::ServiceName => Value::Text(instance.service.as_str()),
            Field::ServiceNamespace => Value::Text(instance.namespace.as_str()),
            Field::ServiceAddress => Value::Text(&instance.address),
            Field::ServicePort => Value::Owned(instance.port.to_string()),
            Field::ServiceTags => Value::Many(instance.tags.iter().map(String::as_str).collect()),
            Field::ServiceMeta(key) => of_pairs(&instance.meta, key),
            Field::NodeId => Value::Text(node.id.as_deref().unwrap_or("")),
            Field::NodeName => Value::Text(node.key.name.as_str()),
            Field::NodeAddress => Value::Text(&node.address),
            Field::NodeDatacenter => Value::Text(node.datacenter.as_str()),
            Field::NodePartition => Value::Text(node.key.partition.as_str()),
            Field::NodeMeta(key) => of_pairs(&node.meta, key),
        }
    }

    /// Whether it has several values, which can be searched and not compared.
    fn is_many(&self) -> bool {
        matches!(
            self,
            Field::ServiceTags | Field::ServiceMeta(None) | Field::NodeMeta(None)
        )
    }
}

impl Test {
    fn holds(&self, value: &Value<'_>) -> bool {
        let text = match value {
            Value::Text(text) => text,
            Value::Owned(text) => text.as_str(),
            Value::Many(values) => {
                return match self {
                    Test::Empty => values.is_empty(),
                    Test::Contains(wanted) | Test::Equal(wanted) => values.contains(&wanted.as_str()),
                    Test::Matches(expression) => values.iter().any(|value| expression.matches(value)),
                };
            }
        };
        match self {
            Test::Equal(wanted) => text == wanted,
            Test::Contains(part) => text.contains(part.as_str()),
            Test::Empty => text.is_empty(),
            Test::Matches(expression) => expression.matches(text),
        }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}
