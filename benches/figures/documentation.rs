//! The tables of the documentation: the text between two marks is replaced by the figures of a run.
//!
//! ```text
//! <!-- machine -->            the machine
//! <!-- targets -->            the targets, beside the results
//! <!-- figures: a b c -->     a table of the families a, b and c
//! <!-- end -->
//! ```
//!
//! A table for which the run has no figure stays as it is.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use sg_benches::Figure;

use crate::{table, targets};

const END: &str = "<!-- end -->";

/// Fills the tables of the document `file`.
pub(crate) fn fill(file: &Path, machine: &str, figures: &[Figure]) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = filled(&text, machine, figures).with_context(|| file.display().to_string())?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn filled(text: &str, machine: &str, figures: &[Figure]) -> Result<String> {
    let mut filled = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        filled.push_str(line);
        filled.push('\n');
        let Some(mark) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let old: Vec<&str> = lines.by_ref().take_while(|line| *line != END).collect();
        let new = match mark.split_once(": ") {
            None if mark == "machine" => Some(machine.to_owned()),
            None if mark == "targets" => targets::markdown(figures),
            Some(("figures", families)) => {
                let families: Vec<&str> = families.split(' ').collect();
                let of = |figure: &Figure| {
                    families.iter().any(|family| figure.name.split('/').next() == Some(family))
                };
                figures.iter().any(of).then(|| table::markdown(figures, &families))
            }
            _ => bail!("`{line}` is no mark that is known"),
        };
        filled.push_str(&new.unwrap_or_else(|| old.join("\n")));
        filled.push('\n');
        filled.push_str(END);
        filled.push('\n');
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use sg_benches::{Figure, Unit};

    use super::filled;

    const TEXT: &str = "# A\n<!-- machine -->\nold\n<!-- end -->\nwords\n<!-- figures: deny -->\nold\n<!-- end -->\n\
                        <!-- figures: groups -->\nkept\nkept\n<!-- end -->\nlast\n";

    #[test]
    fn only_what_was_measured_is_replaced() {
        let figure = Figure::new("deny/1k", 70.0, Unit::Nanoseconds);
        let new = filled(TEXT, "a machine", &[figure]).unwrap();
        assert!(new.contains("<!-- machine -->\na machine\n<!-- end -->\nwords\n"), "{new}");
        assert!(new.contains("| `deny/1k` | 70 ns |"), "{new}");
        assert!(new.contains("<!-- figures: groups -->\nkept\nkept\n<!-- end -->\nlast\n"), "{new}");
        assert_eq!(filled(&new, "a machine", &[]).unwrap(), new, "nothing else changes");
        assert!(filled("<!-- other -->\n", "", &[]).is_err());
    }
}
