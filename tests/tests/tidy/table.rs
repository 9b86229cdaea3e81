//! Reading a table out of a Markdown file.

/// The rows of the table whose first header cell is `first_header`, without header and ruler, backticks removed.
/// `None` when there is no such table, or more than one: then it is not clear which is meant.
pub(crate) fn rows(markdown: &str, first_header: &str) -> Option<Vec<Vec<String>>> {
    let mut lines = markdown.lines().peekable();
    let mut found = None;
    while let Some(line) = lines.next() {
        let is_header = cells(line).is_some_and(|header| header[0] == first_header)
            && lines.peek().is_some_and(|next| next.starts_with("|---"));
        if !is_header {
            continue;
        }
        if found.is_some() {
            return None;
        }
        lines.next();
        let mut rows = Vec::new();
        while let Some(row) = lines.peek().and_then(|line| cells(line)) {
            rows.push(row);
            lines.next();
        }
        found = Some(rows);
    }
    found
}

fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(
        inner
            .split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect(),
    )
}

/// The words of a cell that lists things with commas; `-` is the empty list.
pub(crate) fn list(cell: &str) -> Vec<String> {
    cell.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty() && *word != "-")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod unit {
    use super::*;

    const TWO: &str = "text\n\n| room | may use |\n|---|---|\n| `a` | - |\n| `b/c` | a, d |\n\n| other | x |\n|---|---|\n| y | z |\n";

    #[test]
    fn the_named_table_and_no_other_is_read() {
        let rows = rows(TWO, "room").unwrap();
        assert_eq!(rows, [["a", "-"], ["b/c", "a, d"]]);
        assert_eq!(list(&rows[0][1]), Vec::<String>::new());
        assert_eq!(list(&rows[1][1]), ["a", "d"]);
    }

    #[test]
    fn a_missing_or_doubled_table_is_not_read_as_empty() {
        assert_eq!(rows(TWO, "rooms"), None);
        assert_eq!(rows(&TWO.repeat(2), "room"), None);
    }
}
