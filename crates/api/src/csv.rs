//! Tables as CSV (RFC 4180).

use serde_json::Value;

/// What an answer of this kind is.
pub const CONTENT_TYPE: &str = "text/csv; charset=utf-8";

/// A header and a line for each row, from the fields that the columns name.
#[must_use]
pub fn table(columns: &[&str], rows: &[Value]) -> String {
    let mut text = format!("{}\n", columns.join(","));
    for row in rows {
        let cells = columns.iter().map(|column| match row.get(*column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => cell(text),
            Some(other) => other.to_string(),
        });
        text.push_str(&cells.collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    text
}

/// Quoted where it must be. What a spreadsheet would take for a formula is made a text.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_text_and_nothing_else() {
        let rows = [json!({"id": "a,\"b\"", "user": "=cmd()", "spend": 0.5, "more": 1}), json!({"id": null})];
        assert_eq!(
            table(&["id", "user", "spend"], &rows),
            "id,user,spend\n\"a,\"\"b\"\"\",'=cmd(),0.5\n,,\n"
        );
    }
}
