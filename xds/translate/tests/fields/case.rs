//! A case: one field of a config entry, an entry that has it, and what the field changes. One file each, at
//! `<kind>/<Field.Path>.txt`, which begins with a sentence on why the field is there, then has these parts:
//!
//! - `[world]`, any number of times: a further entry of the world, or one instead of the base's.
//! - `[before]`, where leaving the field out is not the point: the entry to compare with, or nothing for no entry.
//! - `[entry]`: the entry with the field, as an operator writes it.
//! - `[changes]`: what becomes another one. Written by `UPDATE_GOLDEN=1`, read by whoever reviews it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// One case.
#[allow(dead_code, reason = "who only counts the cases looks at few of its parts")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// The kind of the entry.
    pub(crate) kind: String,
    /// The path of the field, without places in lists and free keys.
    pub(crate) field: String,
    /// Why the field is there.
    pub(crate) why: String,
    /// Further entries.
    pub(crate) world: Vec<String>,
    /// What to compare with, where it is not the entry without the field.
    pub(crate) before: Option<String>,
    /// The entry.
    pub(crate) entry: String,
    /// What the field changes.
    pub(crate) changes: String,
}

impl Case {
    /// Reads the text of a file.
    pub(crate) fn parse(kind: &str, field: &str, text: &str) -> Result<Self, String> {
        let refuse = |problem: &str| Err(format!("{kind}/{field}.txt: {problem}"));
        let mut case = Case {
            kind: kind.to_owned(),
            field: field.to_owned(),
            why: String::new(),
            world: Vec::new(),
            before: None,
            entry: String::new(),
            changes: String::new(),
        };
        let mut parts: Vec<(&str, String)> = vec![("why", String::new())];
        for line in text.lines() {
            match line {
                "[world]" | "[before]" | "[entry]" | "[changes]" => {
                    parts.push((line.trim_matches(['[', ']']), String::new()));
                }
                line => {
                    if let Some((_, part)) = parts.last_mut() {
                        part.push_str(line);
                        part.push('\n');
                    }
                }
            }
        }
        for (name, text) in parts {
            let text = text.trim().to_owned();
            match name {
                "why" => case.why = text,
                "world" => case.world.push(text),
                "before" => case.before = Some(text),
                "entry" => case.entry = text,
                _ => case.changes = text,
            }
        }
        if case.why.is_empty() {
            return refuse("begins without a sentence on why the field is there");
        }
        if case.entry.is_empty() {
            return refuse("has no [entry]");
        }
        Ok(case)
    }

    /// The text of the file, with what the field was found to change.
    #[allow(dead_code, reason = "only who writes cases needs it")]
    pub(crate) fn text(&self, changes: &str) -> String {
        let mut text = format!("{}\n", self.why);
        let world = self.world.iter().map(|entry| ("world", entry.as_str()));
        let before = self.before.iter().map(|entry| ("before", entry.as_str()));
        let rest = [("entry", self.entry.as_str()), ("changes", changes)];
        for (name, part) in world.chain(before).chain(rest) {
            let part = part.trim();
            let _ = write!(
                text,
                "\n[{name}]\n{part}{}",
                if part.is_empty() { "" } else { "\n" }
            );
        }
        text
    }
}

/// All cases below a folder, by kind and field.
pub(crate) fn all(folder: &Path) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for kind in listed(folder)? {
        if !folder.join(&kind).is_dir() {
            continue;
        }
        for file in listed(&folder.join(&kind))? {
            let path = folder.join(&kind).join(&file);
            let Some(field) = file.strip_suffix(".txt") else {
                return Err(format!(
                    "{}: is not a case, name it <Field.Path>.txt",
                    path.display()
                ));
            };
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            cases.push(Case::parse(&kind, field, &text)?);
        }
    }
    Ok(cases)
}

fn listed(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
