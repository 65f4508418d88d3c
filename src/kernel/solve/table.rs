//! The candidates as aligned text.

use std::collections::BTreeMap;
use std::fmt;

use super::super::universe::flavour;
use super::outcome::Candidate;
use crate::model::KernelRelease;

/// The candidates, newest first. Other flavours than that of `about` are only counted.
pub(super) struct Table<'a> {
    pub(super) candidates: &'a [Candidate],
    pub(super) about: &'a KernelRelease,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = flavour(self.about);
        let swaps = self.candidates.iter().any(|candidate| candidate.packages.is_some());
        let mut rows = vec![header(swaps)];
        let mut others: BTreeMap<String, usize> = BTreeMap::new();
        for candidate in self.candidates {
            let flavour = flavour(&candidate.release);
            // The base's kernel is always shown, also when another flavour is pinned.
            if flavour == wanted || candidate.kernel.is_some() {
                rows.push(row(candidate, swaps));
            } else {
                *others.entry(flavour).or_default() += 1;
            }
        }
        write_aligned(f, &rows)?;
        let others: Vec<_> = others.iter().map(|(flavour, count)| format!("{count} {}", or_main(flavour))).collect();
        if others.is_empty() { Ok(()) } else { write!(f, "\n  not shown, other flavours: {}", others.join(", ")) }
    }
}

fn or_main(flavour: &str) -> &str {
    if flavour.is_empty() { "main" } else { flavour }
}

/// The column about packages says nothing where no swap was considered.
fn header(swaps: bool) -> Vec<String> {
    let packages = if swaps { Some("packages") } else { None };
    let columns = ["kernel", "version", "in base", "headers"].into_iter().chain(packages);
    columns.chain(["against it"]).map(str::to_owned).collect()
}

fn row(candidate: &Candidate, swaps: bool) -> Vec<String> {
    let yes = |present: bool| if present { "yes" } else { "-" }.to_owned();
    let mut row = vec![
        candidate.release.to_string(),
        candidate.version().map(ToString::to_string).unwrap_or_default(),
        yes(candidate.kernel.is_some()),
        yes(candidate.headers.is_some()),
    ];
    if swaps {
        row.push(match &candidate.packages {
            Some(packages) if !packages.missing.is_empty() => "partly".to_owned(),
            packages => yes(packages.is_some()),
        });
    }
    row.push(candidate.rejection.as_ref().map(ToString::to_string).unwrap_or_default());
    row
}

fn write_aligned(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        write!(f, "{}  {}", if index == 0 { "" } else { "\n" }, line.trim_end())?;
    }
    Ok(())
}
