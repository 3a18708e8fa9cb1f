//! What texts written by people may contain, wherever they are written: documents, requests, imported files.
//!
//! Texts are shown on terminals, and people decide by them. So a text has no invisible characters, and a name has none that make
//! it look like another name (Unicode Technical Standard 39): [`distinct`] checks one name by itself, and two names are distinct
//! if their [`look`]s differ. Called by whoever reads or shows a text. It must never know the purpose of one: its callers choose
//! lengths, alphabets, and which names are compared.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    str::FromStr,
};

use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};
use unicode_script::{Script, UnicodeScript as _};
use unicode_security::{
    GeneralSecurityProfile as _, RestrictionLevel, RestrictionLevelDetection as _, skeleton,
};

/// What is wrong with a text, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// A control character, or an invisible one.
    #[error("{0} is invisible or a control character: leave it out, and write one line")]
    Invisible(CodePoint),
    /// Spaces that cannot be seen: at an end, or several in a row.
    #[error("it begins or ends with a space, or has several in a row: leave them out")]
    Spaces,
    /// A space other than the ASCII space.
    #[error("{0} is taken for a space: write a space, or leave it out")]
    Space(CodePoint),
    /// A dash, dot or the like that looks like one of ASCII.
    #[error("{letter} is taken for {like:?}: write that")]
    Sign {
        /// The character.
        letter: CodePoint,
        /// The ASCII character that it looks like.
        like: String,
    },
    /// A mark over, under or around a letter that is not written with it.
    #[error("{0} is a mark on a letter that is written without: leave it out")]
    Mark(CodePoint),
    /// A letter that is not used in names.
    #[error("{0} belongs to no script in use: use usual letters")]
    Unusual(CodePoint),
    /// An unusual encoding of the same text.
    #[error("it is another way to write {usual:?}: write that")]
    NotNormal {
        /// The usual encoding.
        usual: String,
    },
    /// Letters of several scripts that have look-alikes of each other.
    #[error("it mixes letters of several scripts: use one")]
    Mixed,
    /// Letters of another script that look like Latin ones.
    #[error("it looks like {like:?} and is not: use letters that cannot be taken for others")]
    Twin {
        /// The text that it looks like.
        like: String,
    },
}

/// A character shown by its number, because it may not be fit to be displayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodePoint(
    /// The character.
    pub char,
);

impl fmt::Display for CodePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "U+{:04X}", u32::from(self.0))
    }
}

/// Whether a character is invisible, or controls a terminal.
#[must_use]
pub fn is_invisible(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_control();
    }
    let unseen = matches!(
        letter.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
    );
    // Default_Ignorable_Code_Point beyond those categories, and the blank of Braille.
    let ignorable = matches!(letter, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}')
        || matches!(letter, '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}')
        || matches!(letter, '\u{e0000}'..='\u{e0fff}' | '\u{2800}');
    unseen || ignorable
}

/// A number of ASCII digits only: `parse` alone would accept "+6", too.
#[must_use]
pub fn digits<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Escapes invisible characters, for display on one line of a terminal.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_invisible(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// Escapes invisible characters other than line breaks, for display on a terminal.
#[must_use]
pub fn escaped_lines(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

/// Escapes invisible characters in JSON text without changing its meaning, so that a terminal can show it: characters beyond
/// ASCII occur only in its strings.
#[must_use]
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    let hidden = |letter: char| letter == '\u{7f}' || (!letter.is_ascii() && is_invisible(letter));
    if !json.chars().any(hidden) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for letter in json.chars() {
        if hidden(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// Checks that every character of a text is visible.
///
/// # Errors
/// The first character that is not.
pub fn visible(text: &str) -> Result<(), TextError> {
    match text.chars().find(|letter| is_invisible(*letter)) {
        Some(letter) => Err(TextError::Invisible(CodePoint(letter))),
        None => Ok(()),
    }
}

/// Checks that a name cannot be mistaken for another, as far as the name alone shows; [`look`] covers the rest.
///
/// # Errors
/// What it can be mistaken for, or why.
pub fn distinct(name: &str) -> Result<(), TextError> {
    visible(name)?;
    if name.starts_with(' ') || name.ends_with(' ') || name.contains("  ") {
        return Err(TextError::Spaces);
    }
    if name.is_ascii() {
        return Ok(());
    }
    signs(name)?;
    let usual: String = name.nfkc().collect();
    if usual != name {
        return Err(TextError::NotNormal { usual });
    }
    marks(name)?;
    let is_written = |letter: &char| letter.is_alphanumeric() || is_mark(*letter);
    if let Some(letter) = name.chars().find(|letter| is_written(letter) && !letter.identifier_allowed()) {
        return Err(TextError::Unusual(CodePoint(letter)));
    }
    if !name
        .chars()
        .filter(is_written)
        .collect::<String>()
        .check_restriction_level(RestrictionLevel::HighlyRestrictive)
    {
        return Err(TextError::Mixed);
    }
    // Letter by letter: one that resembles two letters, as in `læge`, is not mistaken for them; and ASCII is never mistaken.
    let one = |letter: char| if letter.is_ascii() { Some(letter) } else { taken_for(letter) };
    match name.chars().map(one).collect() {
        Some(like) => Err(TextError::Twin { like }),
        None => Ok(()),
    }
}

/// What a name looks like: two names with the same look can be mistaken for one another (the skeleton of Unicode Technical
/// Standard 39). A name in ASCII is its own look: people who work with these names can tell `1` from `l`, and machines number
/// names with both. The result is not for display.
#[must_use]
pub fn look(name: &str) -> Cow<'_, str> {
    if name.is_ascii() { Cow::Borrowed(name) } else { Cow::Owned(skeleton(name).collect()) }
}

/// The single ASCII character that another one is mistaken for.
fn taken_for(letter: char) -> Option<char> {
    let alone = letter.to_string();
    let mut like = skeleton(&alone);
    let first = like.next().filter(char::is_ascii);
    first.filter(|_| like.next().is_none())
}

/// Checks that spaces, dashes and other characters that are not letters are those of ASCII, if ASCII has them.
fn signs(name: &str) -> Result<(), TextError> {
    for letter in name.chars().filter(|letter| !letter.is_ascii() && !letter.is_alphanumeric()) {
        let point = CodePoint(letter);
        let like = match letter.general_category() {
            GeneralCategory::SpaceSeparator => return Err(TextError::Space(point)),
            GeneralCategory::DashPunctuation => Some('-'),
            _ if is_mark(letter) => None,
            _ => taken_for(letter),
        };
        if let Some(like) = like {
            return Err(TextError::Sign { letter: point, like: like.to_string() });
        }
    }
    Ok(())
}

fn is_mark(letter: char) -> bool {
    matches!(
        letter.general_category(),
        GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark | GeneralCategory::EnclosingMark
    )
}

/// Checks that each mark is one that its script requires: it has a script, and follows a letter of that script. Marks that belong
/// to a Latin, Greek, Cyrillic, Japanese or Korean letter form one character with it in the usual encoding.
fn marks(name: &str) -> Result<(), TextError> {
    let mut before = None;
    for letter in name.chars() {
        if is_mark(letter) {
            let script = letter.script();
            let has_script = !matches!(script, Script::Inherited | Script::Common | Script::Unknown);
            let fits = before.is_some_and(|before: char| before != letter && before.script() == script);
            if letter.general_category() == GeneralCategory::EnclosingMark || !has_script || !fits {
                return Err(TextError::Mark(CodePoint(letter)));
            }
        }
        before = Some(letter);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
