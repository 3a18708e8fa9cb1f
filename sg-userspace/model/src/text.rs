//! What texts written by people may contain, wherever they are written: documents, requests, imported files.
//!
//! Texts are shown on terminals, and people decide by them. So a text has no invisible characters, and a name has none that make
//! it look like another name (Unicode Technical Standard 39): [`distinct`] checks one name by itself, and two names are distinct
//! if their [`look`]s differ. Called by `sg-document` and `sg-service`. It must never know the purpose of a text: its callers
//! choose lengths, alphabets, and which names are compared.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_write_is_right() {
        for text in [
            "web",
            "web-1_x.y:z",
            "web server 1",
            "Büro",
            "東京-web",
            "東京 web",
            "веб-сервер",
            "læge",
            "naïve",
            "サーバー",
            "ガード",
            "서버",
            "सर्वर",
            "เซิร์ฟเวอร์",
            "tiếng-việt",
            "عربي",
        ] {
            assert_eq!(distinct(text), Ok(()), "{text}");
        }
        for text in ["from inside, “quoted” — and 100 %", "日本　語", "عربي", ""] {
            assert_eq!(visible(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_nobody_sees_is_refused() {
        for letter in [
            '\0',
            '\n',
            '\t',
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\u{ad}',
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2028}',
            '\u{2060}',
            '\u{2066}',
            '\u{2800}',
            '\u{3164}',
            '\u{feff}',
            '\u{fe0f}',
            '\u{e000}',
            '\u{e0041}',
            '\u{ffff}',
        ] {
            let text = format!("we{letter}b");
            assert_eq!(visible(&text), Err(TextError::Invisible(CodePoint(letter))), "{letter:?}");
            assert!(distinct(&text).is_err(), "{letter:?}");
        }
        assert_eq!(
            visible("a\u{202e}b").unwrap_err().to_string(),
            "U+202E is invisible or a control character: leave it out, and write one line"
        );
    }

    #[test]
    fn a_terminal_gets_nothing_that_it_does() {
        assert_eq!(escaped("büro"), "büro");
        assert_eq!(escaped("a\u{1b}[2J\u{9b}\u{202e}\n"), "a\\u{1b}[2J\\u{9b}\\u{202e}\\n");
        assert_eq!(escaped_lines("a\u{7}\nb"), "a\\u{7}\nb");
    }

    proptest! {
        #[test]
        fn json_says_the_same_escaped(text in any::<String>(), hidden in "[\u{9b}\u{7f}\u{202e}\u{e0041}a]{0,4}") {
            let value = format!("{text}{hidden}");
            let json = serde_json::to_string(&value).unwrap();
            let shown = escaped_json(&json);
            prop_assert!(!shown.chars().any(is_invisible), "{shown:?}");
            prop_assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), value);
        }
    }

    #[test]
    fn twins_are_refused() {
        for (twin, why) in [
            ("w\u{435}b", "mixes letters"),
            ("\u{441}\u{43e}\u{440}", "looks like \"cop\""),
            ("w\u{131}de", "looks like \"wide\""),
            ("\u{ff57}eb", "another way to write \"web\""),
            ("cafe\u{301}", "another way to write \"café\""),
            ("\u{1d430}eb", "another way to write \"web\""),
            ("web\u{2010}1", "U+2010 is taken for \"-\": write that"),
            ("東京\u{2010}web", "U+2010 is taken for \"-\""),
            ("東京\u{2212}web", "U+2212 is taken for \"-\""),
            ("東京\u{301c}web", "U+301C is taken for \"-\""),
            ("東京\u{a789}1", "U+A789 is taken for \":\""),
            ("東\u{1680}京", "U+1680 is taken for a space"),
            ("we\u{a0}b", "U+00A0 is taken for a space"),
            ("web ", "begins or ends with a space"),
            (" web", "begins or ends with a space"),
            (" ", "begins or ends with a space"),
            ("we  b", "several in a row"),
            ("東京 ", "begins or ends with a space"),
            ("we\u{336}b", "U+0336 is a mark"),
            ("we\u{20dd}b", "U+20DD is a mark"),
            ("東\u{300}京", "U+0300 is a mark"),
            ("\u{94d}सर", "U+094D is a mark"),
            ("web\u{94d}", "U+094D is a mark"),
            ("सर्\u{94d}वर", "U+094D is a mark"),
            ("\u{3b1}lpha", "mixes letters"),
            ("w\u{13a1}b", "belongs to no script in use"),
        ] {
            let error = distinct(twin).map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|error| error.contains(why)), "{twin:?}: {error:?}");
        }
    }

    /// Characters that attackers would choose, among everything else.
    fn name() -> impl Strategy<Value = String> {
        let letters = "[a-cIl1O0mrn \\-.東ーロ口一ıüß\u{435}\u{441}\u{336}\u{300}\u{1680}\u{2010}\u{a0}\u{200b}\u{e33}\u{94d}\u{930}]{1,6}";
        prop_oneof![any::<String>(), letters, "\\PC{1,3}", "\\p{L}\\p{M}?\\p{Zs}?\\p{Pd}?\\p{L}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_name_that_is_let_through_looks_like_an_ascii_one(name in name()) {
            if distinct(&name).is_ok() && !name.is_ascii() {
                let like: String = skeleton(&name).collect();
                prop_assert!(!like.is_ascii() || like.chars().count() > name.chars().count(), "{like}");
            }
        }

        #[test]
        fn everything_in_a_name_that_is_let_through_is_seen(name in name()) {
            if distinct(&name).is_ok() {
                prop_assert!(!name.chars().any(|letter| is_invisible(letter) || letter.is_control()));
                prop_assert!(name.chars().all(|letter| letter == ' ' || !letter.is_whitespace()));
                prop_assert_eq!(name.split_whitespace().collect::<Vec<_>>().join(" "), &*name);
                let dash = |letter: char| letter.general_category() == GeneralCategory::DashPunctuation;
                prop_assert!(name.chars().all(|letter| letter == '-' || !dash(letter)));
                let inherited = |letter: char| letter.script() == Script::Inherited;
                prop_assert!(!name.chars().any(inherited), "{name:?}");
            }
        }

        #[test]
        fn a_look_is_the_skeleton_but_in_ascii(name in name()) {
            let like: String = if name.is_ascii() { name.clone() } else { skeleton(&name).collect() };
            prop_assert_eq!(look(&name), like);
        }
    }

    #[test]
    fn twins_have_one_look_and_others_have_not() {
        for (one, other) in
            [("Büri", "Bürı"), ("東ーx", "東一x"), ("ロロ", "口口"), ("Büro1", "Bürol"), ("læge", "laege")]
        {
            assert_eq!(look(one), look(other));
            assert_eq!((distinct(one), distinct(other)), (Ok(()), Ok(())), "each by itself is right");
        }
        for (one, other) in [
            ("web", "Web"),
            ("web1", "webl"),
            ("modem", "modern"),
            ("web-1", "web-2"),
            ("Büri", "Buri"),
            ("東京", "京東"),
        ] {
            assert_ne!(look(one), look(other));
        }
    }
}
