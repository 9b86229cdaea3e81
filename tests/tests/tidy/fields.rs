//! Every field that a config entry may have has a case that shows what it changes, and every case is about such a field.

#[path = "../../../xds/translate/tests/fields/case.rs"]
pub(crate) mod case;

use crate::Finding;
use case::Case;
use peerway_api_types::config::config_entry_fields;
use peerway_api_types::hcl;
use peerway_model::config::ConfigKind;
use peerway_model::{Invalid, Tenancy};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const CHECK: &str = "field-cases";
/// Where the cases are, from the root of the repository.
pub(crate) const FOLDER: &str = "xds/translate/tests/fields";
/// The field that says which kind an entry is; the folders stand for it.
const KIND: &str = "Kind";

/// The fields that the reader accepts, by kind: those that it asks for on its way through the entries of all cases. A
/// field that is an object is one that has no case as long as no case gives it, so nothing hides behind it.
pub(crate) fn accepted(cases: &[Case]) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let kinds = ConfigKind::ALL.map(|kind| (kind.as_str().to_owned(), BTreeSet::new()));
    let mut accepted = BTreeMap::from(kinds);
    for case in cases {
        let refused = |problem: String| format!("{FOLDER}/{}/{}.txt: {problem}", case.kind, case.field);
        let value = hcl::parse(&case.entry).map_err(|error| refused(error.to_string()))?;
        let fields = config_entry_fields(&value, &Tenancy::default())
            .map_err(|error: Invalid| refused(error.to_string()))?;
        let known = accepted.entry(case.kind.clone()).or_default();
        known.extend(fields.into_iter().filter(|field| field != KIND));
    }
    Ok(accepted)
}

/// Fields without a case, and cases without a field.
pub(crate) fn check(accepted: &BTreeMap<String, BTreeSet<String>>, cases: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, fields) in accepted {
        let own: BTreeSet<&str> = cases
            .iter()
            .filter(|(other, _)| other == kind)
            .map(|(_, field)| *field)
            .collect();
        if own.is_empty() {
            findings.push(uncovered(kind, "Name"));
        }
        for field in fields {
            let inner = format!("{field}.");
            let is_object = fields.iter().any(|other| other.starts_with(&inner));
            if !is_object && !own.contains(field.as_str()) {
                findings.push(uncovered(kind, field));
            }
        }
        for field in own.iter().filter(|field| !fields.contains(**field)) {
            let path = format!("{FOLDER}/{kind}/{field}.txt");
            let text = "is about a field that no reader asks for, rename or remove it";
            findings.push(Finding::new(CHECK, &path, text));
        }
    }
    let strange = cases.iter().filter(|(kind, _)| !accepted.contains_key(*kind));
    findings.extend(strange.map(|(kind, field)| {
        let path = format!("{FOLDER}/{kind}/{field}.txt");
        Finding::new(
            CHECK,
            &path,
            "is about a kind that does not exist, rename or remove it",
        )
    }));
    findings
}

fn uncovered(kind: &str, field: &str) -> Finding {
    let path = format!("{FOLDER}/{kind}/{field}.txt");
    let text = "is not there, though the field is accepted: write a sentence on why the field is there, a line [entry] \
         and an entry that has it, then run `UPDATE_GOLDEN=1 cargo test -p peerway-xds-translate --test fields` and \
         read what it adds (CONTRIBUTING.md, \"A config entry kind\")";
    Finding::new(CHECK, &path, text)
}

#[cfg(test)]
mod unit {
    use super::*;

    fn found(fields: &[&str], cases: &[(&str, &str)]) -> Vec<String> {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        let accepted = BTreeMap::from([("mesh".to_owned(), fields)]);
        check(&accepted, cases)
            .into_iter()
            .map(|finding| finding.path)
            .collect()
    }

    #[test]
    fn a_field_needs_a_case_and_a_case_a_field() {
        let none: [String; 0] = [];
        assert_eq!(
            found(&["Name", "A.B"], &[("mesh", "Name"), ("mesh", "A.B")]),
            none
        );
        let bare = format!("{FOLDER}/mesh/A.B.txt");
        assert_eq!(found(&["Name", "A", "A.B"], &[("mesh", "Name")]), [bare]);
        let object = format!("{FOLDER}/mesh/A.txt");
        assert_eq!(found(&["Name", "A"], &[("mesh", "Name")]), [object]);
        let odd = format!("{FOLDER}/mesh/C.txt");
        assert_eq!(found(&["Name"], &[("mesh", "Name"), ("mesh", "C")]), [odd]);
        let strange = format!("{FOLDER}/maze/Name.txt");
        assert_eq!(found(&["Name"], &[("mesh", "Name"), ("maze", "Name")]), [strange]);
        assert_eq!(found(&[], &[]).len(), 1, "a kind without any case");
    }

    #[test]
    fn what_is_asked_for_is_found_behind_what_is_given() {
        let entry = "Kind = \"mesh\"\nTransparentProxy {}";
        let case = Case::parse("mesh", "Name", &format!("why\n[entry]\n{entry}")).unwrap();
        let accepted = accepted(&[case]).unwrap();
        assert!(accepted["mesh"].contains("TransparentProxy.MeshDestinationsOnly"));
        assert!(!accepted["mesh"].contains(KIND));
        assert!(
            !accepted["mesh"].contains("ModifyIndex"),
            "which only means something in answers"
        );
        assert!(accepted["service-router"].is_empty());
        let bad = Case::parse("mesh", "Name", "why\n[entry]\nKind = \"maze\"").unwrap();
        assert!(super::accepted(&[bad]).unwrap_err().contains("mesh/Name.txt"));
    }
}
