//! Words of a document, prepared for messages.

use std::fmt;

use sg_model::text::is_invisible;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// A piece of the document, quoted and truncated for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Longer texts are truncated.
    pub(super) const LONGEST: usize = 64;

    pub(super) fn of(text: &str) -> Self {
        let short: String = text.chars().take(Self::LONGEST).collect();
        let rest = if short.len() < text.len() { "…" } else { "" };
        Self(format!("{short:?}{rest}"))
    }

    /// An unknown key, quoted as far as it is a plain word: a file that is not a policy may hold secrets, and a YAML parser takes
    /// its lines for keys.
    pub(super) fn key(text: &str) -> Self {
        Self::part(text, plain_word(text))
    }

    /// An invalid value, likewise; addresses and ports are plain, too.
    pub(super) fn value(text: &str) -> Self {
        Self::part(text, plain_number(text).unwrap_or_else(|| plain_word(text)))
    }

    /// `shown` of `text`, which needs no escapes: `{:?}` would escape the marks of Indic scripts.
    fn part(text: &str, shown: &str) -> Self {
        let rest = if shown.len() < text.len() { "…" } else { "" };
        Self(format!("\"{shown}\"{rest}"))
    }

    /// A name of the document as it is written there: in quotes only if it needs them.
    pub(super) fn bare(name: &str) -> Self {
        if plain_word(name) == name { Self(name.to_owned()) } else { Self::of(name) }
    }

    /// Without quotes: for words that are not from the document.
    pub(super) fn unquoted(&self) -> &str {
        self.0.trim_matches('"')
    }

    /// Whether it is a number with a fraction or an exponent, which may be written otherwise.
    pub(super) fn is_fraction(&self) -> bool {
        !self.0.starts_with('"') && self.0.parse::<i64>().is_err() && self.0.parse::<f64>().is_ok()
    }

    /// A number as it is written. `None` if it is none: then it is not to be shown as one.
    pub(super) fn number(text: &str) -> Option<Self> {
        plain_number(text).map(|text| Self(text.to_owned()))
    }

    /// A word that is not from the text: a number, or the name of a kind.
    pub(super) fn word(word: impl fmt::Display) -> Self {
        Self(word.to_string())
    }
}

/// As much of a text as may be shown if it may not be a policy: somewhat more than the longest valid key, in any script.
pub(super) fn plain_word(text: &str) -> &str {
    const LONGEST: usize = 24;
    let is_plain = |letter: char| {
        let is_mark =
            || letter.general_category_group() == GeneralCategoryGroup::Mark && !is_invisible(letter);
        letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.') || is_mark()
    };
    let mut letters = text.char_indices();
    let length =
        letters.by_ref().take(LONGEST).find(|&(_, letter)| !is_plain(letter)).map(|(place, _)| place);
    let length = length.or_else(|| letters.next().map(|(place, _)| place));
    &text[..length.unwrap_or(text.len())]
}

/// A text that is written like an address, prefix, port or number, and is no longer than one.
fn plain_number(text: &str) -> Option<&str> {
    /// The length of an IPv6 address with an embedded IPv4 address and a prefix length.
    const LONGEST: usize = 49;
    let is_plain = |byte: u8| byte.is_ascii_hexdigit() || b":./,-+ ".contains(&byte);
    (text.len() <= LONGEST && text.bytes().all(is_plain)).then_some(text)
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The word that was probably meant, if one is close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near(pub(super) Option<Excerpt>);

impl Near {
    /// Among more words than these nobody is helped to find the one.
    const MOST_WORDS: usize = 10_000;

    /// What a word of other programs means here. Case and the kind of dash mean nothing.
    pub(super) fn meant(found: &str, words: &[(&str, &str)]) -> Self {
        let plain = |letter: char| if letter == '-' { '_' } else { letter.to_ascii_lowercase() };
        let is_found = |word: &str| found.chars().map(plain).eq(word.chars());
        Self(words.iter().find(|(word, _)| is_found(word)).map(|(_, meant)| Excerpt::of(meant)))
    }

    /// This word, or the closest of `words`.
    pub(super) fn or_to<'a>(self, found: &str, words: impl Iterator<Item = &'a str>) -> Self {
        if self.0.is_some() { self } else { Self::to(found, words) }
    }

    /// The closest of `words`, if it is a typing error away.
    pub(super) fn to<'a>(found: &str, words: impl Iterator<Item = &'a str>) -> Self {
        let words = words.take(Self::MOST_WORDS);
        let slips = |word: &str| {
            // Only words of similar length can be close: with many words this avoids nearly all work.
            (found.len().abs_diff(word.len()) <= 2 && word.len() <= Excerpt::LONGEST)
                .then(|| distance(found.as_bytes(), word.as_bytes()))
                .filter(|&slips| slips <= 2 && slips < word.len())
        };
        let best = words.filter_map(|word| Some((slips(word)?, word))).min_by_key(|&(slips, _)| slips);
        Self(best.map(|(_, word)| Excerpt::of(word)))
    }
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |word| write!(f, " (did you mean {word}?)"))
    }
}

/// The number of letters to change, insert or delete to get from `a` to `b` (Levenshtein).
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Existing names: a few of them, and how many more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    few: Vec<Excerpt>,
    more: usize,
}

impl Names {
    /// The first few of `names`.
    pub(super) fn few<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> Self {
        const FEW: usize = 5;
        let more = names.len().saturating_sub(FEW);
        Self { few: names.take(FEW).map(Excerpt::of).collect(), more }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { few, more } = self;
        let Some((first, rest)) = few.split_first() else { return f.write_str(": the document has none") };
        write!(f, ": the document has {first}")?;
        rest.iter().try_for_each(|name| write!(f, ", {name}"))?;
        if *more > 0 { write!(f, " and {more} more") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_close_and_another_word_is_not() {
        let near = |found| Near::to(found, ["ingress", "egress", "type"].into_iter()).to_string();
        assert_eq!(near("ingres"), " (did you mean \"ingress\"?)");
        assert_eq!(near("Egress"), " (did you mean \"egress\"?)");
        assert_eq!(near("rules"), "");
    }

    #[test]
    fn a_word_of_other_programs_is_known() {
        let meant = |found| Near::meant(found, &[("source_ip", "remote")]).to_string();
        assert_eq!(meant("Source-IP"), " (did you mean \"remote\"?)");
        assert_eq!(meant("source"), "");
        let near = Near::meant("x", &[("x", "y")]).or_to("x", ["xx"].into_iter());
        assert_eq!(near.to_string(), " (did you mean \"y\"?)");
    }

    #[test]
    fn of_a_key_only_a_plain_word_is_shown() {
        let shown = |key: &str| Excerpt::key(key).to_string();
        assert_eq!(shown("ingres"), "\"ingres\"");
        assert_eq!(shown("password = hunter2"), "\"password\"…");
        assert_eq!(shown("root:$6$HASH:19000"), "\"root\"…");
        assert_eq!(shown("$6$HASH"), "\"\"…");
        assert_eq!(shown("セキュリティ"), "\"セキュリティ\"");
        assert_eq!(shown("सर्वर = hunter2"), "\"सर्वर\"…");
        assert_eq!(shown("a\u{fe0f}b"), "\"a\"…");
        assert_eq!(shown("密码：hunter2"), "\"密码\"…");
        assert_eq!(shown("а\u{202e}б"), "\"а\"…");
        assert_eq!(shown(&"京".repeat(40)), format!("\"{}\"…", "京".repeat(24)));
        assert_eq!((shown(""), shown(&"a".repeat(24))), ("\"\"".to_owned(), format!("{:?}", "a".repeat(24))));
        assert_eq!(shown(&"a1".repeat(20)), format!("\"{}\"…", "a1".repeat(12)));
    }

    #[test]
    fn of_a_value_only_a_plain_word_or_numbers_are_shown() {
        let shown = |value: &str| Excerpt::value(value).to_string();
        for whole in [
            "acept",
            "10.0.0.0/33",
            "90-80",
            "22, 80",
            "2001:db8:0:0:1:2:3:4/129",
            "サーバー",
            "02:00:00:00:00:0",
            "",
        ] {
            assert_eq!(shown(whole), format!("{whole:?}"));
        }
        assert_eq!(shown("hunter2:$6$SALT$HASH:19000:0"), "\"hunter2\"…");
        assert_eq!(shown("correct horse battery staple"), "\"correct\"…");
        assert_eq!(shown("https://user:password@example.org"), "\"https\"…");
        assert_eq!(shown(&"0123456789abcdef".repeat(4)), "\"0123456789abcdef01234567\"…");
    }

    #[test]
    fn a_long_text_is_truncated() {
        let text = Excerpt::of(&"x".repeat(1000)).to_string();
        assert!(text.len() < 100 && text.ends_with("\"…"), "{text}");
    }
}
