//! What a key does. It must never draw, nor ask the agent. `mod.rs` calls it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use sg_model::text::is_invisible;

use super::model::{Model, View};

/// What the keys do, for the help.
pub(super) const HELP: &[(&str, &str)] = &[
    ("1 2 3 4", "show NICs, rules, talkers (flows by bytes), denials"),
    ("Tab", "show the next of them; Shift-Tab the one before"),
    ("s", "sort by the next column"),
    ("r", "sort from the other end"),
    ("/", "show rows with this text only: Enter keeps it, Esc removes it"),
    ("p", "pause, and go on"),
    ("Up Down", "scroll; Page Up, Page Down, Home, End, too"),
    ("?", "show this, and go back"),
    ("q", "quit; Ctrl-C, too"),
];

/// The longest filter.
const LONGEST_FILTER: usize = 60;
/// What is to be done after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Show,
    End,
}

pub(super) fn press(model: &mut Model, key: KeyEvent) -> Then {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    // With Ctrl or Alt, a letter is another key.
    if control || key.modifiers.contains(KeyModifiers::ALT) {
        return if control && key.code == KeyCode::Char('c') { Then::End } else { Then::Show };
    }
    if model.edits_filter {
        edit(model, key.code);
        return Then::Show;
    }
    // Whatever is pressed, the table that it is about comes back.
    let showed_help = std::mem::take(&mut model.shows_help);
    match key.code {
        KeyCode::Char('q') => return Then::End,
        KeyCode::Esc | KeyCode::Char('?' | 'h') if showed_help => {}
        KeyCode::Esc => model.filter.clear(),
        KeyCode::Char('?' | 'h') => model.shows_help = true,
        KeyCode::Char(digit @ '1'..='4') => {
            if let Some(view) = View::ALL.into_iter().nth(digit as usize - '1' as usize) {
                model.choose(view);
            }
        }
        KeyCode::Tab => model.choose(neighbour(model.view, 1)),
        KeyCode::BackTab => model.choose(neighbour(model.view, View::ALL.len() - 1)),
        KeyCode::Char('s') => model.table_mut().sort_by_next(),
        KeyCode::Char('r') => model.table_mut().reverse(),
        KeyCode::Char('/') => model.edits_filter = true,
        KeyCode::Char('p') => model.is_paused = !model.is_paused,
        KeyCode::Down | KeyCode::Char('j') => model.table_mut().scroll(1),
        KeyCode::Up | KeyCode::Char('k') => model.table_mut().scroll(-1),
        KeyCode::PageDown => model.table_mut().scroll_pages(1),
        KeyCode::PageUp => model.table_mut().scroll_pages(-1),
        KeyCode::Home => model.table_mut().scroll(isize::MIN),
        KeyCode::End => model.table_mut().scroll(isize::MAX),
        _ => {}
    }
    Then::Show
}

fn edit(model: &mut Model, key: KeyCode) {
    match key {
        KeyCode::Enter => model.edits_filter = false,
        KeyCode::Esc => {
            model.edits_filter = false;
            model.filter.clear();
        }
        KeyCode::Backspace => drop(model.filter.pop()),
        KeyCode::Char(letter) => lengthen(&mut model.filter, letter),
        _ => {}
    }
    model.table_mut().scroll(isize::MIN);
}

/// What is pasted is a part of the filter, or nothing: its letters are no keys.
pub(super) fn paste(model: &mut Model, text: &str) {
    if model.edits_filter {
        text.trim().chars().for_each(|letter| lengthen(&mut model.filter, letter));
        model.table_mut().scroll(isize::MIN);
    }
}

fn lengthen(filter: &mut String, letter: char) {
    if !is_invisible(letter) && filter.chars().count() < LONGEST_FILTER {
        filter.push(letter);
    }
}

/// The view so many places behind another.
fn neighbour(view: View, places: usize) -> View {
    let place = View::ALL.iter().position(|one| *one == view).unwrap_or(0);
    View::ALL.into_iter().cycle().nth(place + places).unwrap_or(view)
}
