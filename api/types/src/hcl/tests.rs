//! The language rule by rule, and its properties.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn ok(text: &str) -> Value {
    parse(text).unwrap_or_else(|error| panic!("{error}\nin {text}"))
}

#[track_caller]
fn refused(text: &str, line: usize, column: usize, message: &str) {
    let error = parse(text).expect_err(text);
    assert_eq!(
        (error.line, error.column, error.message.as_str()),
        (line, column, message),
        "{text}"
    );
}

#[test]
fn scalars() {
    let value = ok(
        "a = 1\nb = -9223372036854775808\nc = 18446744073709551615\nd = 1.5\ne = 1e3\nf = -2.5E-2\n\
                    g = true\nh = false\ni = null\nj = \"x\"\nk = 0\nl = 2.0e+2",
    );
    assert_eq!(value["b"].as_i64(), Some(i64::MIN));
    assert_eq!(value["c"].as_u64(), Some(u64::MAX));
    assert!(value["a"].is_u64() && value["e"].is_f64());
    assert_eq!(
        value,
        json!({"a": 1, "b": i64::MIN, "c": u64::MAX, "d": 1.5, "e": 1000.0, "f": -0.025, "g": true,
        "h": false, "i": null, "j": "x", "k": 0, "l": 200.0})
    );
}

#[test]
fn numbers_that_are_none_are_refused() {
    refused(
        "a = 10s",
        1,
        5,
        "found 10s, expected a number: put other text in double quotes",
    );
    refused(
        "a = 0644",
        1,
        5,
        "found 0644, expected a number without leading zeros: put a file mode in double quotes",
    );
    refused(
        "a = 18446744073709551616",
        1,
        5,
        "found 18446744073709551616, expected an integer of at most 64 bits",
    );
    refused(
        "a = 1e999",
        1,
        5,
        "found 1e999, expected a number that fits a double",
    );
    for text in [
        "a = -",
        "a = 1.",
        "a = 1.e3",
        "a = 1e",
        "a = 1e+",
        "a = 10.0.0.1",
        "a = 0x1f",
        "a = --1",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn strings_and_their_escapes() {
    assert_eq!(
        ok(r#"a = "q\"b\\n\n\t\r\u00e9\U0001f600\x41""#),
        json!({"a": "q\"b\\n\n\t\ré😀A"})
    );
    let kept = r#"${name.full} $${x} %{if} %REQ(X-ID?:ORIG)% %% {}[]#//"#;
    assert_eq!(ok(&format!("a = \"{kept}\"")), json!({"a": kept}));
    refused(
        r#"a = "\d""#,
        1,
        6,
        "found the escape \\d, expected one of n r t \" \\ a b f v x u U",
    );
    refused(
        r#"a = "\ud800""#,
        1,
        6,
        "escape \\u expects 4 hexadecimal digits of a Unicode character",
    );
    refused(
        "a = \"é\\u12é4\"",
        1,
        7,
        "escape \\u expects 4 hexadecimal digits of a Unicode character",
    );
    refused(
        "b = 1\n  a = \"x\ny\"",
        2,
        7,
        "string is not closed on its line, expected '\"'; use a heredoc for several lines",
    );
    assert!(parse("a = \"\\").is_err());
    assert!(parse("a = \"\\\"").is_err());
    refused(
        "a = 'x'",
        1,
        5,
        "found a single quote, expected text in double quotes",
    );
}

#[test]
fn heredocs() {
    assert_eq!(
        ok("a = <<EOF\nx \"y\" \\n ${z}\n  EOFX\nEOF\nb = 1"),
        json!({"a": "x \"y\" \\n ${z}\n  EOFX\n", "b": 1})
    );
    assert_eq!(ok("a = <<EOF\n    x\n  EOF\n"), json!({"a": "    x\n"}));
    assert_eq!(
        ok("a = <<-EOF\n    x\n      y\n\n    EOF\n"),
        json!({"a": "x\n  y\n\n"})
    );
    assert_eq!(
        ok("a = <<-EOF\n    x\n   y\n    EOF\n"),
        json!({"a": "    x\n   y\n"})
    );
    assert_eq!(ok("a = <<EOF\nEOF"), json!({"a": ""}));
    assert_eq!(ok("a = [<<EOF\r\nx\r\nEOF\r\n, 2]"), json!({"a": ["x\r\n", 2]}));
    refused(
        "a = <<EOF\nx\n",
        1,
        5,
        "heredoc is not closed, expected a line that holds only EOF",
    );
    refused(
        "a = <<\nx\n",
        1,
        5,
        "found \"\" after '<<', expected a word that ends the heredoc",
    );
    for text in ["a = <<", "a = <<-", "a = <<EOF", "a = <", "<<EOF\nEOF\n = 1"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn comments_and_blank_documents() {
    for text in ["", " \n\t\r\n", "# x", "// x", "/* x\n */", "\u{feff}"] {
        assert_eq!(ok(text), json!({}), "{text:?}");
    }
    assert_eq!(
        ok("a = 1 # x\n# y\nb /* = 3 */ = 2 // z\n/**/c=\"#\""),
        json!({"a": 1, "b": 2, "c": "#"})
    );
    refused("a = 1\n /* x", 2, 2, "comment is not closed, expected '*/'");
}

#[test]
fn lists_and_objects() {
    assert_eq!(
        ok("a = []\nb = [1, \"x\", [true,], {c = 1}, ]"),
        json!({"a": [], "b": [1, "x", [true], {"c": 1}]})
    );
    assert_eq!(
        ok("a = { b = 1, \"c d\" : 2\n e-f = 3 g.h = 4, }\nj: {}"),
        json!({"a": {"b": 1, "c d": 2, "e-f": 3, "g.h": 4}, "j": {}})
    );
    refused(
        "a = [1 2]",
        1,
        8,
        "found the number 2, expected ',' or ']' after an element of a list",
    );
    refused("a = [,]", 1, 6, "found ',', expected a value");
    refused(
        "a = [\n1",
        2,
        2,
        "found the end of the text, expected ']' for the '[', first on line 1",
    );
    refused(
        "a = {\nb = 1\n",
        3,
        1,
        "found the end of the text, expected '}' for the '{', first on line 1",
    );
    refused("a = { b = 1,, c = 2 }", 1, 13, "found ',', expected a key");
    refused("a = 1\n}", 2, 1, "found '}', expected a key: no '{' is open");
    refused("[1]", 1, 1, "found '[', expected a key");
    refused(
        "a = tru",
        1,
        5,
        "found the word tru, expected a value: put text in double quotes",
    );
    refused("a =\n", 2, 1, "found the end of the text, expected a value");
    refused(
        "é ü",
        1,
        4,
        "found the end of the text, expected '{' after the key é",
    );
    refused(
        "a\nb = 1",
        2,
        1,
        "found the word b, expected '=', ':' or '{' after the key a",
    );
}

#[test]
fn blocks() {
    assert_eq!(ok("a { }"), json!({"a": {}}));
    assert_eq!(ok("a\n{ b = 1 }"), json!({"a": {"b": 1}}));
    assert_eq!(
        ok("a { b = 1 }\na { b = 2 }\na {}"),
        json!({"a": [{"b": 1}, {"b": 2}, {}]})
    );
    assert_eq!(
        ok("connect { sidecar_service {} }"),
        json!({"connect": {"sidecar_service": {}}})
    );
    assert_eq!(
        ok("a { b { c { d = 1 } } e {} }"),
        json!({"a": {"b": {"c": {"d": 1}}, "e": {}}})
    );
    assert_eq!(
        ok("a = [ { HTTP { x = 1 } }, { HTTP { } } ]"),
        json!({"a": [{"HTTP": {"x": 1}}, {"HTTP": {}}]})
    );
    // The key's case is kept, so these are two keys; whoever normalises case sees both.
    assert_eq!(ok("Kind = 1\nkind = 2"), json!({"Kind": 1, "kind": 2}));
}

#[test]
fn labelled_blocks() {
    assert_eq!(
        ok("service \"web\" { port = 1 }"),
        json!({"service": {"web": {"port": 1}}})
    );
    assert_eq!(
        ok("service \"web\" { }\nservice api { }\nservice \"web\" { port = 2 }"),
        json!({"service": {"web": [{}, {"port": 2}], "api": {}}})
    );
    assert_eq!(
        ok("a b \"c\" { d = 1 }\na b e {}"),
        json!({"a": {"b": {"c": {"d": 1}, "e": {}}}})
    );
    refused("a \"b\" = 1", 1, 7, "found '=', expected '{' after the key a");
    refused(
        "a \"b\" {}\na {}",
        2,
        1,
        "key a is given with different numbers of labels, expected the same, first on line 1",
    );
    refused(
        "a b {}\na b c {}",
        2,
        3,
        "key b is given with different numbers of labels, expected the same, first on line 1",
    );
}

#[test]
fn clashes_name_both_lines() {
    refused(
        "a = 1\n\n  a = 1",
        3,
        3,
        "key a is given twice, expected once, first on line 1",
    );
    refused(
        "a = {}\na {}",
        2,
        1,
        "key a is given as an attribute and as a block, expected one of them, first on line 1",
    );
    refused(
        "a {}\na = {}",
        2,
        1,
        "key a is given as an attribute and as a block, expected one of them, first on line 1",
    );
    refused(
        "x {\n b = 1\n \"b\" = 2\n}",
        3,
        2,
        "key b is given twice, expected once, first on line 2",
    );
    assert_eq!(
        parse("a {}\na = 1").unwrap_err().to_string(),
        "line 2, column 1: key a is given as an attribute and as a block, expected one of them, first on line 1"
    );
}

#[test]
fn json_comes_in_by_the_same_door() {
    assert_eq!(
        ok(" \n{\"a\": [1, -2, 1.5, null, true, \"x\"], \"b\": {\"c\": {}}}"),
        json!({"a": [1, -2, 1.5, null, true, "x"], "b": {"c": {}}})
    );
    refused("{\n  \"a\" 1}", 2, 7, "expected `:`");
    refused("{\"a\": 1", 1, 7, "end of text while parsing an object");
    refused("{} x", 1, 4, "trailing characters");
    let twice = parse("{\"x\": {\"a\": 1,\n \"a\": 2}}").unwrap_err();
    assert_eq!(
        (twice.line, twice.message.as_str()),
        (2, "key \"a\" is given twice in one object")
    );
}

#[test]
fn size_is_bounded() {
    let comment = |bytes: usize| "#".repeat(bytes);
    assert_eq!(ok(&comment(MAX_BYTES)), json!({}));
    refused(
        &comment(MAX_BYTES + 1),
        1,
        1,
        "text has 4194305 bytes, expected at most 4194304",
    );
}

#[test]
fn depth_is_bounded_the_same_in_every_form() {
    let lists = |n: usize| format!("a = {}{}", "[".repeat(n), "]".repeat(n));
    ok(&lists(MAX_DEPTH - 1));
    refused(
        &lists(MAX_DEPTH),
        1,
        4 + MAX_DEPTH,
        "nesting is too deep, expected at most 127 levels",
    );

    let in_json = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    ok(&in_json(MAX_DEPTH - 1));
    assert_eq!(
        parse(&in_json(MAX_DEPTH)).unwrap_err().message,
        "recursion limit exceeded"
    );

    let blocks = |n: usize| format!("{}{}", "a {".repeat(n), "}".repeat(n));
    ok(&blocks(MAX_DEPTH / 2));
    assert!(parse(&blocks(MAX_DEPTH / 2 + 1)).is_err());

    let labels = |n: usize| format!("a {}{{}}", "b ".repeat(n));
    ok(&labels(MAX_DEPTH - 3));
    assert!(parse(&labels(MAX_DEPTH - 2)).is_err());

    for opening in ["a {", "a = {", "a = [", "a {b = [{", "{\"a\":", "{\"a\":["] {
        assert!(parse(&opening.repeat(100_000)).is_err());
    }
    assert!(parse(&format!("a = {}", "[".repeat(1_000_000))).is_err());
    // Depth is given back when a bracket closes.
    ok(&"a { b = [{}] }\n".repeat(1_000));
    ok(&"a b c { d e {} }\n".repeat(1_000));
}

/// Prints a value as HCL. `style` decides between the ways in which the same thing can be written.
fn print(value: &Value, style: u64, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push('{');
            print_members(members, style, out);
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "\n" });
                print(item, style.rotate_right(3), out);
            }
            out.push_str(if style & 1 == 0 || items.is_empty() {
                "]"
            } else {
                ",]"
            });
        }
        Value::String(text) => print_string(text, out),
        other => out.push_str(&other.to_string()),
    }
}

fn print_members(members: &serde_json::Map<String, Value>, style: u64, out: &mut String) {
    for (index, (key, value)) in members.iter().enumerate() {
        let style = style.rotate_right(index as u32 * 5 % 64);
        let separators = ["\n", " ", ", ", " # x\n", " /* y */ ", ",\n"];
        if index > 0 {
            out.push_str(separators[(style % 6) as usize]);
        }
        let bare = key.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && key
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if bare && style & 8 == 0 {
            out.push_str(key)
        } else {
            print_string(key, out)
        }
        match value {
            Value::Object(inner) if style & 16 == 0 => {
                out.push_str(" {");
                print_members(inner, style.rotate_right(7), out);
                out.push('}');
            }
            Value::Array(items)
                if items.len() > 1 && style & 16 == 0 && items.iter().all(Value::is_object) =>
            {
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push('\n');
                        print_string(key, out);
                    }
                    print(item, style.rotate_right(7), out);
                }
            }
            Value::String(text) if style & 32 == 0 && heredoc_fits(text) => {
                out.push_str(" = <<EOF\n");
                out.push_str(text);
                out.push_str("EOF\n");
            }
            other => {
                out.push_str(if style & 64 == 0 { " = " } else { ":" });
                print(other, style.rotate_right(7), out);
            }
        }
    }
}

fn heredoc_fits(text: &str) -> bool {
    text.ends_with('\n') && !text.lines().any(|line| line.trim() == "EOF")
}

fn print_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z_][a-zA-Z0-9_-]{0,6}", 1 => any::<String>(), 1 => Just("true".to_owned())]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ a-z$%{}\"\\\\#\n]{0,20}\n".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(any_key(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Texts that are nearly right, which arbitrary characters hardly ever are.
fn any_almost() -> impl Strategy<Value = String> {
    let pieces = proptest::sample::select(vec![
        "a", "b", " ", "\n", "=", ":", "{", "}", "[", "]", ",", "\"", "\"x\"", "\\", "\\u00", "1", "-", ".",
        "e", "+", "<<EOF\n", "<<-EOF\n", "EOF\n", "  EOF", "#", "//", "/*", "*/", "true", "null", "é",
        "\r\n", "${", "\u{2028}",
    ]);
    proptest::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

fn checked(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(value) => {
            prop_assert!(value.is_object());
            // Whatever is accepted can be stored and sent as JSON, and be read back.
            prop_assert!(serde_json::from_str::<Value>(&value.to_string()).is_ok());
        }
        Err(error) => {
            prop_assert!(error.line >= 1 && error.line <= text.matches('\n').count() + 1);
            prop_assert!(error.column >= 1 && error.column <= text.len() + 1);
            prop_assert!(!error.message.is_empty() && error.message.len() < 400);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn never_panics_on_any_text(text in any::<String>()) {
        checked(&text)?;
    }

    #[test]
    fn never_panics_on_almost_right_text(text in any_almost()) {
        checked(&text)?;
        checked(&format!("a {{ {text}"))?;
        checked(&format!("{{\"a\": {text}"))?;
    }

    #[test]
    fn what_is_printed_is_read_back(
        members in proptest::collection::btree_map(any_key(), any_value(), 0..5),
        style in any::<u64>(),
    ) {
        let value = Value::Object(members.into_iter().collect());
        let mut text = String::from("\n");
        if let Value::Object(members) = &value {
            print_members(members, style, &mut text);
        }
        let read = parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&value), "{}", text);
    }
}
