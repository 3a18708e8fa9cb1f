//! What may be the value of a label. Ids may: they have a grammar. A name that an operator wrote into a document may be any text,
//! with an address or a secret in it, so it is a label only if it looks like an id; otherwise its digest is. It must never let
//! another text through. Called by `sample`.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

/// The maximum length of a name that is a label.
const LONGEST: usize = 64;
/// Bytes of a digest that are shown.
const SHOWN: usize = 8;

/// The name, if it looks like an id; otherwise `sha256:` and the first 16 hexadecimal digits of its SHA-256.
pub(crate) fn label(name: &str) -> Cow<'_, str> {
    if looks_like_id(name) {
        return Cow::Borrowed(name);
    }
    let digest = Sha256::digest(name.as_bytes());
    let mut label = String::from("sha256:");
    for byte in digest.iter().take(SHOWN) {
        let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
        label.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    Cow::Owned(label)
}

/// Whether it has letters, digits, `.`, `_`, `-` and `/` only, a letter among them, and cannot be or contain an IPv4 address: those of
/// IPv6 have colons.
fn looks_like_id(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    (1..=LONGEST).contains(&name.len())
        && name.bytes().all(fits)
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        && name.bytes().filter(|byte| *byte == b'.').count() < 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_devices_and_plain_names_stay_as_they_are() {
        for name in
            ["eth0", "eth0.100", "bond0.100.7", "sg-abcdefghijkmnpqrs", "sg-a/internet", "web/ingress/0", "a"]
        {
            assert_eq!(label(name), name);
        }
    }

    #[test]
    fn other_texts_become_their_digests() {
        let long = "a".repeat(65);
        for name in [
            "",
            "22",
            "10.0.0.1",
            "host-10.0.0.1",
            "fe80::1",
            "two words",
            "a\"b",
            "a\nb",
            "Zürich",
            "a\\b",
            "a,b",
            "1-2",
            &long,
        ] {
            let label = label(name);
            assert!(label.starts_with("sha256:") && label.len() == 23, "{name}: {label}");
        }
        // As `printf %s 22 | sha256sum | head -c 16` prints it.
        assert_eq!(label("22"), "sha256:785f3ec7eb32f30b");
        assert_ne!(label("two words"), label("two  words"));
    }
}
