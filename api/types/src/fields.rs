//! Reads the fields of one object and remembers where it stands, so that every refusal has a path.

use crate::duration::duration_ms;
use peerway_model::config::{Meta, validate_meta};
use peerway_model::name::{Namespace, Partition};
use peerway_model::{Invalid, Tenancy};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How many letters may be wrong, missing or swapped in a key that is taken for a slip of another one.
const MAX_SLIPS: usize = 2;

/// The fields of an object that nobody has taken yet.
///
/// Take each known field under its PascalCase name, then call [`Fields::finish`], which refuses the rest.
/// A field that is `null` counts as not given.
pub(crate) struct Fields<'a> {
    path: String,
    left: BTreeMap<String, (&'a str, &'a Value)>,
    known: Vec<&'static str>,
    asked: Option<Asked>,
}

/// Which fields a reader asks for, whether they are given or not: so the reader itself is the list of what it accepts.
/// A field stands under its path without the places in lists and without free keys, such as `Subsets.Filter`.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    /// The path of the object that is read.
    below: String,
    names: Rc<RefCell<BTreeSet<String>>>,
}

impl Asked {
    fn note(&self, key: &str) {
        self.names.borrow_mut().insert(join(&self.below, key));
    }

    fn within(&self, key: &str) -> Self {
        Asked {
            below: join(&self.below, key),
            names: self.names.clone(),
        }
    }

    /// All that were asked for so far.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.names.borrow().clone()
    }
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which stands at `path` (empty for the document itself).
    pub(crate) fn new(path: impl Into<String>, value: &'a Value) -> Result<Self, Invalid> {
        Fields::noting(path.into(), value, None)
    }

    /// The fields of a document, noting which ones are asked for.
    pub(crate) fn asked(value: &'a Value, asked: &Asked) -> Result<Self, Invalid> {
        Fields::noting(String::new(), value, Some(asked.clone()))
    }

    fn noting(path: String, value: &'a Value, asked: Option<Asked>) -> Result<Self, Invalid> {
        let Value::Object(members) = value else {
            return Err(Invalid::new(
                path,
                format!("is {}, expected an object", kind_of(value)),
            ));
        };
        let mut left = BTreeMap::new();
        for (key, member) in members {
            if let Some((earlier, _)) = left.insert(fold(key), (key.as_str(), member)) {
                return Err(Invalid::new(
                    join(&path, key),
                    format!("is the same field as {earlier:?}, give it once"),
                ));
            }
        }
        Ok(Fields {
            path,
            left,
            known: Vec::new(),
            asked,
        })
    }

    /// An object inside the field `key`, which stands at `path`.
    fn inside(&self, key: &str, path: String, value: &'a Value) -> Result<Self, Invalid> {
        let asked = self.asked.as_ref().map(|asked| asked.within(key));
        Fields::noting(path, value, asked)
    }

    /// The path of this object.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The path of a field of this object.
    pub(crate) fn at(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Whether a field is given that nobody has taken yet.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.left
            .get(&fold(key))
            .is_some_and(|(_, value)| !value.is_null())
    }

    /// Takes a field.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'a Value> {
        self.ask(key);
        self.claim(key)
    }

    /// Notes a field that is accepted, or one inside an object whose keys are free and that means something.
    pub(crate) fn ask(&self, key: &str) {
        if let Some(asked) = &self.asked {
            asked.note(key);
        }
    }

    /// Takes a field that is not thereby accepted.
    fn claim(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        let (_, value) = self.left.remove(&fold(key))?;
        (!value.is_null()).then_some(value)
    }

    /// Takes a text; a number is read as its digits.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<String>, Invalid> {
        self.take(key)
            .map(|value| text_of(self.at(key), value))
            .transpose()
    }

    /// Takes a text, empty when it is not given.
    pub(crate) fn text_or_empty(&mut self, key: &'static str) -> Result<String, Invalid> {
        Ok(self.text(key)?.unwrap_or_default())
    }

    /// Takes a text that must be given and not be empty.
    pub(crate) fn required(&mut self, key: &'static str) -> Result<String, Invalid> {
        self.nonempty(key)?.ok_or_else(|| self.missing(key))
    }

    /// The refusal of an object without `key`; names a field that looks like it, should there be one.
    pub(crate) fn missing(&self, key: &str) -> Invalid {
        let folded = fold(key);
        let alike = |given: &&String| strsim::damerau_levenshtein(given, &folded) <= MAX_SLIPS;
        let near = self
            .left
            .keys()
            .find(alike)
            .and_then(|given| self.left.get(given));
        match near {
            Some((given, _)) => Invalid::new(
                self.at(key),
                format!("is required; {given} is not a known field, {key} is"),
            ),
            None => Invalid::new(self.at(key), "is required"),
        }
    }

    /// Takes a text; an empty one counts as not given.
    pub(crate) fn nonempty(&mut self, key: &'static str) -> Result<Option<String>, Invalid> {
        Ok(self.text(key)?.filter(|text| !text.is_empty()))
    }

    /// Takes a text and makes something of it; an empty one counts as not given.
    pub(crate) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, Invalid> {
        self.nonempty(key)?
            .map(|text| parse(&text).map_err(|error| error.within(&self.at(key))))
            .transpose()
    }

    /// Takes a boolean, false when it is not given.
    pub(crate) fn flag(&mut self, key: &'static str) -> Result<bool, Invalid> {
        match self.take(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            Some(other) => Err(Invalid::new(
                self.at(key),
                format!("is {}, expected true or false", kind_of(other)),
            )),
        }
    }

    /// Takes a whole number of at most `most`.
    pub(crate) fn number(&mut self, key: &'static str, most: u64) -> Result<Option<u64>, Invalid> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let number = match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if number <= most => Ok(Some(number)),
            _ => Err(Invalid::new(
                self.at(key),
                format!("is {}, expected a whole number from 0 to {most}", shown(value)),
            )),
        }
    }

    /// Takes a duration as Go writes it, in milliseconds; a number is one of nanoseconds, as Go's own JSON.
    pub(crate) fn duration_ms(&mut self, key: &'static str) -> Result<Option<u64>, Invalid> {
        let at = self.at(key);
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let ms = match value {
            Value::String(text) if text.is_empty() => return Ok(None),
            Value::String(text) => duration_ms(text),
            Value::Number(number) => number.as_u64().map(|nanos| nanos.div_ceil(1_000_000)),
            _ => None,
        };
        match ms {
            Some(ms) => Ok(Some(ms)),
            None => Err(Invalid::new(
                at,
                format!("is {}, write a duration like 5s, 250ms or 1m30s", shown(value)),
            )),
        }
    }

    /// Takes a port, 0 when it is not given.
    pub(crate) fn port(&mut self, key: &'static str) -> Result<u16, Invalid> {
        let number = self.number(key, u64::from(u16::MAX))?.unwrap_or(0);
        Ok(u16::try_from(number).unwrap_or(u16::MAX))
    }

    /// Takes an object.
    pub(crate) fn object(&mut self, key: &'static str) -> Result<Option<Fields<'a>>, Invalid> {
        self.take(key)
            .map(|value| self.inside(key, self.at(key), value))
            .transpose()
    }

    /// Takes a list, with the path of each element. An object stands for a list of one, as HCL writes it.
    pub(crate) fn list(&mut self, key: &'static str) -> Result<Vec<(String, &'a Value)>, Invalid> {
        let at = self.at(key);
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(elements)) => Ok(elements
                .iter()
                .enumerate()
                .map(|(index, element)| (format!("{at}[{index}]"), element))
                .collect()),
            Some(object @ Value::Object(_)) => Ok(vec![(format!("{at}[0]"), object)]),
            Some(other) => Err(Invalid::new(
                at,
                format!("is {}, expected a list", kind_of(other)),
            )),
        }
    }

    /// Takes a list of objects.
    pub(crate) fn objects(&mut self, key: &'static str) -> Result<Vec<Fields<'a>>, Invalid> {
        self.list(key)?
            .into_iter()
            .map(|(at, value)| self.inside(key, at, value))
            .collect()
    }

    /// Takes an object whose keys are free and whose members are objects.
    pub(crate) fn named_objects(&mut self, key: &'static str) -> Result<Vec<(&'a str, Fields<'a>)>, Invalid> {
        self.members(key)?
            .into_iter()
            .map(|(name, at, value)| Ok((name, self.inside(key, at, value)?)))
            .collect()
    }

    /// Takes a list of texts.
    pub(crate) fn texts(&mut self, key: &'static str) -> Result<Vec<String>, Invalid> {
        self.list(key)?
            .into_iter()
            .map(|(at, value)| text_of(at, value))
            .collect()
    }

    /// Takes an object whose keys are free.
    pub(crate) fn members(
        &mut self,
        key: &'static str,
    ) -> Result<Vec<(&'a str, String, &'a Value)>, Invalid> {
        let at = self.at(key);
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Object(members)) => Ok(members
                .iter()
                .map(|(name, value)| (name.as_str(), join(&at, name), value))
                .collect()),
            Some(other) => Err(Invalid::new(
                at,
                format!("is {}, expected an object", kind_of(other)),
            )),
        }
    }

    /// Takes pairs of texts.
    pub(crate) fn pairs(&mut self, key: &'static str) -> Result<BTreeMap<String, String>, Invalid> {
        self.members(key)?
            .into_iter()
            .map(|(name, at, value)| Ok((name.to_owned(), text_of(at, value)?)))
            .collect()
    }

    /// Takes the field `Meta` and holds it to Consul's bounds.
    pub(crate) fn meta(&mut self) -> Result<Meta, Invalid> {
        let meta = self.pairs("Meta")?;
        validate_meta(&meta).map_err(|error| error.within(&self.at("Meta")))?;
        Ok(meta)
    }

    /// Takes `Partition` and `Namespace`, which fall back to `defaults`.
    pub(crate) fn tenancy(&mut self, defaults: &Tenancy) -> Result<Tenancy, Invalid> {
        Ok(Tenancy {
            partition: self
                .parsed("Partition", Partition::new)?
                .unwrap_or_else(|| defaults.partition.clone()),
            namespace: self
                .parsed("Namespace", Namespace::new)?
                .unwrap_or_else(|| defaults.namespace.clone()),
        })
    }

    /// Takes fields that a client may send back and that mean nothing on input.
    pub(crate) fn tolerate(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.claim(key);
        }
    }

    /// Takes fields that Consul has and Peerway has not: refused when they say anything.
    pub(crate) fn not_offered(&mut self, keys: &[&'static str]) -> Result<(), Invalid> {
        for key in keys {
            if self.claim(key).is_some_and(says_something) {
                return Err(Invalid::new(self.at(key), "is not offered yet, remove it"));
            }
        }
        Ok(())
    }

    /// Takes a field that Peerway has not, for a reason: refused when it says anything.
    pub(crate) fn refused(&mut self, key: &'static str, why: &str) -> Result<(), Invalid> {
        match self.claim(key) {
            Some(value) if says_something(value) => Err(Invalid::new(self.at(key), why)),
            _ => Ok(()),
        }
    }

    /// Refuses the fields that nobody took.
    pub(crate) fn finish(self) -> Result<(), Invalid> {
        match self.left.values().next() {
            None => Ok(()),
            Some((key, _)) => Err(Invalid::new(
                self.at(key),
                format!("is not a known field, known are {}", self.known.join(", ")),
            )),
        }
    }
}

/// Whether a value is more than the zero value that some clients send for every field.
pub(crate) fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(members) => members.values().any(says_something),
    }
}

/// A text, or a number as its digits.
pub(crate) fn text_of(at: String, value: &Value) -> Result<String, Invalid> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(Invalid::new(
            at,
            format!("is {}, expected a text", kind_of(other)),
        )),
    }
}

/// Keys are compared without case and underscores: `DestinationPeer`, `destination_peer`, `destinationpeer`.
fn fold(key: &str) -> String {
    key.chars()
        .filter(|c| *c != '_')
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("{text:?}"),
        other => kind_of(other).to_owned(),
    }
}
