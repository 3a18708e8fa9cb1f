//! Colours of words and titles. A colour changes no letter.
//!
//! Called by tables and by the output.

use clap::builder::styling::{AnsiColor, Style};

/// The colour of a word that is alone in its cell.
pub(super) fn style_of(word: &str) -> Option<Style> {
    let colour = match word {
        "accept" | "add" | "added" | "running" => AnsiColor::Green,
        "drop" | "reject" | "remove" | "removed" | "refused" | "over-open" => AnsiColor::Red,
        "change" | "exists" | "shadowed" | "redundant" | "disabled" => AnsiColor::Yellow,
        _ => return None,
    };
    Some(colour.on_default())
}

pub(super) fn paint(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// Paints the words of a line that has its cells one after the other, with only blanks between them.
pub(super) fn paint_cells(line: &str, cells: &[String], painted: &mut String) {
    let mut rest = line;
    for text in cells {
        let Some(start) = rest.find(text.as_str()) else { break };
        painted.push_str(&rest[..start]);
        match style_of(text) {
            Some(style) => painted.push_str(&paint(text, style)),
            None => painted.push_str(text),
        }
        rest = &rest[start + text.len()..];
    }
    painted.push_str(rest);
}
