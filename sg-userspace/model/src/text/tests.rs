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
