//! Whether bytes are the one encoding that DER allows, without knowing what they mean (X.690, sections 8 and 10).
//!
//! The reader of certificates is lenient in places where the TLS library of a proxy is not. What is strict here is let
//! through by both.

// Universal tags (X.690, section 8, and X.680, table 1).
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// Deepest nesting; a certificate has less than 12 levels.
const MAX_DEPTH: usize = 24;

/// Whether `bytes` are one element and nothing behind it.
pub(super) fn is_der(bytes: &[u8]) -> bool {
    matches!(element(bytes, MAX_DEPTH), Some([]))
}

/// The tag `[0]` around the version, and `[3]` around the extensions.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// Whether DER has the parts of a certificate of version 3 without unique identifiers, each under its very tag (RFC
/// 5280, section 4.1).
pub(super) fn has_shape(der: &[u8]) -> bool {
    let shape = || {
        let [(SEQUENCE, certificate)] = parts(der)?[..] else {
            return None;
        };
        let [(SEQUENCE, tbs), (SEQUENCE, algorithm), (BIT_STRING, _)] = parts(certificate)?[..] else {
            return None;
        };
        let [
            (VERSION, [INTEGER, 1, 2]),
            (INTEGER, _),
            (SEQUENCE, signature),
            (SEQUENCE, issuer),
            (SEQUENCE, validity),
            (SEQUENCE, subject),
            (SEQUENCE, key),
            (EXTENSIONS, extensions),
        ] = parts(tbs)?[..]
        else {
            return None;
        };
        let [(SEQUENCE, key_algorithm), (BIT_STRING, _)] = parts(key)?[..] else {
            return None;
        };
        let [(SEQUENCE, extensions)] = parts(extensions)?[..] else {
            return None;
        };
        let [(UTC_TIME | GENERALIZED_TIME, _), (UTC_TIME | GENERALIZED_TIME, _)] = parts(validity)?[..]
        else {
            return None;
        };
        let sound = [algorithm, signature, key_algorithm]
            .iter()
            .all(|one| is_algorithm(one))
            && [issuer, subject].iter().all(|name| is_name(name))
            && parts(extensions)?
                .iter()
                .all(|(tag, value)| *tag == SEQUENCE && is_extension(value));
        Some(sound)
    };
    shape() == Some(true)
}

/// A type, whether it is critical (which is left out when it is not), and the content.
fn is_extension(value: &[u8]) -> bool {
    matches!(
        parts(value).as_deref(),
        Some(
            [(OBJECT_IDENTIFIER, _), (OCTET_STRING, _)]
                | [(OBJECT_IDENTIFIER, _), (BOOLEAN, [0xff]), (OCTET_STRING, _)]
        )
    )
}

fn is_algorithm(value: &[u8]) -> bool {
    matches!(
        parts(value).as_deref(),
        Some([(OBJECT_IDENTIFIER, _)] | [(OBJECT_IDENTIFIER, _), _])
    )
}

/// A sequence of sets of pairs, each of a type and a text.
fn is_name(value: &[u8]) -> bool {
    let is_pair = |(tag, pair): &(u8, &[u8])| {
        *tag == SEQUENCE
            && matches!(
                parts(pair).as_deref(),
                Some([
                    (OBJECT_IDENTIFIER, _),
                    (UTF8_STRING | PRINTABLE_STRING | IA5_STRING, _)
                ])
            )
    };
    let is_set = |(tag, set): &(u8, &[u8])| {
        *tag == SET && parts(set).is_some_and(|pairs| !pairs.is_empty() && pairs.iter().all(is_pair))
    };
    parts(value).is_some_and(|sets| sets.iter().all(is_set))
}

/// The elements one behind the other, as tag and value.
fn parts(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut parts = Vec::new();
    while let Some((&tag, rest)) = bytes.split_first() {
        let (length, rest) = length(rest)?;
        let (value, rest) = rest.split_at_checked(length)?;
        parts.push((tag, value));
        bytes = rest;
    }
    Some(parts)
}

/// Reads one element; what is behind it.
fn element(bytes: &[u8], depth: usize) -> Option<&[u8]> {
    let depth = depth.checked_sub(1)?;
    let (&tag, rest) = bytes.split_first()?;
    // Certificates have no tags of several bytes.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = length(rest)?;
    let (value, rest) = rest.split_at_checked(length)?;
    let (universal, constructed) = (tag & 0xc0 == 0, tag & 0x20 != 0);
    let sound = match (universal, tag & 0x1f, constructed) {
        // SEQUENCE and SET.
        (true, 0x10 | 0x11, true) => elements(value, depth),
        (true, _, true) | (true, 0x10 | 0x11, false) => false,
        (true, number, false) => primitive(number, value),
        (false, _, true) => elements(value, depth),
        (false, _, false) => true,
    };
    sound.then_some(rest)
}

fn elements(mut bytes: &[u8], depth: usize) -> bool {
    while !bytes.is_empty() {
        match element(bytes, depth) {
            Some(rest) => bytes = rest,
            None => return false,
        }
    }
    true
}

/// The shortest form of a length, and what is behind it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((usize::from(first), rest));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=3).contains(&count) {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    let length = digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let shortest = length >= 0x80 && digits.first() != Some(&0);
    shortest.then_some((length, rest))
}

/// Whether the value of a universal type is spelt as DER wants it.
fn primitive(number: u8, value: &[u8]) -> bool {
    let printable = |byte: &u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(byte);
    match number {
        BOOLEAN => matches!(value, [0x00 | 0xff]),
        // No leading byte that says nothing.
        INTEGER | ENUMERATED => match value {
            [] => false,
            [0x00, next, ..] => *next >= 0x80,
            [0xff, next, ..] => *next < 0x80,
            _ => true,
        },
        // Unused bits are zero.
        BIT_STRING => match value {
            [0] => true,
            [unused @ 0..=7, .., last] => last & ((1 << unused) - 1) == 0,
            _ => false,
        },
        OCTET_STRING => true,
        NULL => value.is_empty(),
        OBJECT_IDENTIFIER => is_object_identifier(value),
        UTF8_STRING => std::str::from_utf8(value).is_ok(),
        PRINTABLE_STRING => value.iter().all(printable),
        IA5_STRING => value.is_ascii(),
        // To the second, in UTC (RFC 5280, section 4.1.2.5).
        UTC_TIME => value.len() == 13 && is_time(value),
        GENERALIZED_TIME => value.len() == 15 && is_time(value),
        // TeletexString, UniversalString and BMPString are older than any certificate of a mesh.
        _ => false,
    }
}

/// Numbers in base 128, each in its shortest form, the last one complete.
fn is_object_identifier(value: &[u8]) -> bool {
    let mut starts = true;
    for byte in value {
        if starts && *byte == 0x80 {
            return false;
        }
        starts = byte & 0x80 == 0;
    }
    starts && !value.is_empty()
}

fn is_time(value: &[u8]) -> bool {
    matches!(value, [digits @ .., b'Z'] if digits.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_one_spelling() {
        for good in [
            &[0x01, 1, 0xff][..],
            &[0x02, 1, 0],
            &[0x02, 2, 0, 0x80],
            &[0x02, 1, 0xff],
            &[0x03, 1, 0],
            &[0x03, 2, 4, 0xf0],
            &[0x04, 0],
            &[0x05, 0],
            &[0x06, 3, 0x55, 0x1d, 0x13],
            &[0x0c, 2, 0xc3, 0xa4],
            &[0x30, 0],
            &[0x30, 4, 0xa0, 2, 0x05, 0],
            &[0x82, 1, 0xff],
        ] {
            assert!(is_der(good), "{good:02x?}");
        }
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 0, 0],
            &[0x30, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 0],
            &[0x30, 0x81, 2, 0x05, 0],
            &[0x30, 2, 0x05, 1],
            &[0x10, 0],
            &[0x24, 0],
            &[0x01, 1, 1],
            &[0x01, 0],
            &[0x02, 0],
            &[0x02, 2, 0, 0x7f],
            &[0x02, 2, 0xff, 0x80],
            &[0x03, 0],
            &[0x03, 1, 1],
            &[0x03, 2, 4, 0xf1],
            &[0x03, 2, 8, 0],
            &[0x05, 1, 0],
            &[0x06, 0],
            &[0x06, 2, 0x80, 1],
            &[0x06, 1, 0x81],
            &[0x0c, 1, 0xc3],
            &[0x13, 1, b'*'],
            &[0x16, 1, 0x80],
            &[0x17, 0],
            &[0x1f, 1, 0],
            &[0x14, 1, b'a'],
        ] {
            assert!(!is_der(bad), "{bad:02x?}");
        }
        let mut time = vec![0x17, 13];
        time.extend(b"261125223110Z");
        assert!(is_der(&time));
        time[14] = b'+';
        assert!(!is_der(&time));
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |levels: usize| {
            (0..levels).fold(Vec::new(), |inner: Vec<u8>, _| {
                let mut outer = vec![0x30, u8::try_from(inner.len()).unwrap()];
                outer.extend(inner);
                outer
            })
        };
        assert!(is_der(&nested(MAX_DEPTH)));
        assert!(!is_der(&nested(MAX_DEPTH + 1)));
    }
}
