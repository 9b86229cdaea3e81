//! Copying a subject, so that it has the same bytes again: verifiers chain certificates by them.

use rcgen::string::{Ia5String, PrintableString};
use rcgen::{DistinguishedName, DnType, DnValue};
use std::collections::HashSet;
use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::x509::X509Name;

/// `name` for the certificate library, whose names are shorter of expression than those of X.509.
///
/// # Errors
/// What it cannot express, as a clause that completes "the subject ...".
pub(crate) fn copy(name: &X509Name<'_>) -> Result<DistinguishedName, &'static str> {
    let (mut copied, mut seen) = (DistinguishedName::new(), HashSet::new());
    for relative in name.iter() {
        let mut attributes = relative.iter();
        let (Some(attribute), None) = (attributes.next(), attributes.next()) else {
            return Err("has several attributes in one relative name");
        };
        let unreadable = "has an attribute that cannot be read";
        let kind: Vec<u64> = attribute.attr_type().iter().ok_or(unreadable)?.collect();
        if !seen.insert(kind.clone()) {
            return Err("has an attribute twice");
        }
        let value = attribute.attr_value();
        let text = std::str::from_utf8(value.data).map_err(|_| unreadable)?;
        let value = match value.header.tag() {
            Tag::Utf8String => DnValue::Utf8String(text.to_owned()),
            Tag::PrintableString => {
                DnValue::PrintableString(PrintableString::try_from(text).map_err(|_| unreadable)?)
            }
            Tag::Ia5String => DnValue::Ia5String(Ia5String::try_from(text).map_err(|_| unreadable)?),
            _ => return Err("has an attribute that is no UTF8String, PrintableString or IA5String"),
        };
        copied.push(DnType::CustomDnType(kind), value);
    }
    if seen.is_empty() {
        return Err("is empty");
    }
    Ok(copied)
}
