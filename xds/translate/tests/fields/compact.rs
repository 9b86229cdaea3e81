//! The text of a message in fewer lines: an object with one member stands on one line with it, as does a short one, and
//! `Some` is left out.

/// Longest line that a short object is put on, in bytes without its indentation.
const SHORT: usize = 100;

/// A line with the lines that are inside of it, and the line that ends it.
struct Block {
    open: String,
    inside: Vec<Block>,
    close: String,
}

/// The same text in fewer lines.
pub(crate) fn compact(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    let mut out = String::new();
    for block in blocks(&lines, &mut at) {
        write(&mut out, &block, 0);
    }
    out
}

fn closes(line: &str) -> bool {
    line.trim_start().starts_with(['}', ']', ')'])
}

fn blocks(lines: &[&str], at: &mut usize) -> Vec<Block> {
    let mut found = Vec::new();
    while let Some(line) = lines.get(*at).filter(|line| !closes(line)) {
        *at += 1;
        let mut block = Block {
            open: line.trim().to_owned(),
            inside: Vec::new(),
            close: String::new(),
        };
        if line.ends_with(['{', '[', '(']) {
            block.inside = blocks(lines, at);
            if let Some(end) = lines.get(*at).filter(|line| closes(line)) {
                *at += 1;
                end.trim().clone_into(&mut block.close);
            }
        }
        found.push(joined(block));
    }
    found
}

fn joined(mut block: Block) -> Block {
    if block.close.is_empty() {
        return block;
    }
    let option = block.open.ends_with("Some(");
    let list = block.open.ends_with('[');
    match block.inside.as_mut_slice() {
        [] => {
            block.open.push_str(&block.close);
            block.close.clear();
        }
        // A list stays one, or all that is in it would move when a second thing joins it.
        [only] if list && !only.close.is_empty() => {}
        [only] => {
            let (start, comma) = match option {
                true => (block.open.trim_end_matches("Some("), true),
                false => (block.open.as_str(), false),
            };
            let end = if comma {
                ",".to_owned()
            } else {
                block.close.clone()
            };
            let open = format!("{start}{}", only.open.trim_end_matches(','));
            if only.close.is_empty() {
                block.open = format!("{open}{end}");
                block.inside.clear();
                block.close.clear();
            } else {
                block.close = format!("{}{end}", only.close.trim_end_matches(','));
                block.open = format!("{start}{}", only.open);
                block.inside = std::mem::take(&mut only.inside);
            }
        }
        all => {
            let plain = all.iter().all(|inner| inner.close.is_empty());
            let inner: Vec<&str> = all.iter().map(|inner| inner.open.trim_end_matches(',')).collect();
            let line = format!("{}{}{}", block.open, inner.join(", "), block.close);
            if plain && line.len() <= SHORT {
                block.open = line;
                block.inside.clear();
                block.close.clear();
            }
        }
    }
    block
}

fn write(out: &mut String, block: &Block, indent: usize) {
    let mut line = |text: &str| {
        out.extend(std::iter::repeat_n(' ', indent));
        out.push_str(text);
        out.push('\n');
    };
    line(&block.open);
    for inner in &block.inside {
        write(out, inner, indent + 1);
    }
    if !block.close.is_empty() {
        out.extend(std::iter::repeat_n(' ', indent));
        out.push_str(&block.close);
        out.push('\n');
    }
}

#[test]
fn what_has_one_member_is_one_line() {
    let text = "A {\n b: Some(\n  B {\n   value: 1,\n  },\n ),\n c: [\n  C {\n   d: 2,\n   e: 3,\n  },\n ],\n f: D {\n  g: 4,\n  h: [\n   5,\n   LONG,\n  ],\n },\n}\n";
    let long = "x".repeat(SHORT);
    let short = "A {\n b: B {value: 1},\n c: [C {d: 2, e: 3}],\n f: D {\n  g: 4,\n  h: [\n   5,\n   LONG,\n  ],\n },\n}\n";
    assert_eq!(
        compact(&text.replace("LONG", &long)),
        short.replace("LONG", &long)
    );
}
