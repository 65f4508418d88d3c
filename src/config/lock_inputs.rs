//! The inputs of a kernel decision in the text of the lock: one kernel, one offer or one fact per line.

use std::fmt::{self, Write};

use toml::{Table, Value};

use super::lock_text::{key, quoted};

/// What says which thing a line is about comes first in it.
const FIRST: [&str; 4] = ["release", "name", "set", "version"];

/// Writes the table and those below it.
pub(super) fn write_inputs(out: &mut String, path: &str, inputs: &Table) -> fmt::Result {
    writeln!(out, "\n[{path}]")?;
    // A key after the head of a table below would be that table's.
    for (name, value) in inputs.iter().filter(|(_, value)| !value.is_table()) {
        match value {
            Value::Array(items) if items.iter().any(Value::is_table) => write_lines(out, name, items)?,
            value => writeln!(out, "{} = {}", key(name), inline(value))?,
        }
    }
    for (name, table) in inputs.iter().filter_map(|(name, value)| Some((name, value.as_table()?))) {
        writeln!(out, "\n[{path}.{}]", key(name))?;
        for (name, value) in table {
            writeln!(out, "{} = {}", key(name), inline(value))?;
        }
    }
    Ok(())
}

/// Lines in the order of their text, so that the order in which something was found does not show.
fn write_lines(out: &mut String, name: &str, items: &[Value]) -> fmt::Result {
    let mut lines: Vec<_> = items.iter().map(inline).collect();
    lines.sort();
    writeln!(out, "{} = [", key(name))?;
    lines.iter().try_for_each(|line| writeln!(out, "  {line},"))?;
    writeln!(out, "]")
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) if table.is_empty() => "{}".to_owned(),
        Value::Table(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
            let entries: Vec<_> =
                entries.into_iter().map(|(name, value)| format!("{} = {}", key(name), inline(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        number => number.to_string(),
    }
}
