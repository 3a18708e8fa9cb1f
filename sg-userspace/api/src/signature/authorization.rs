//! `Authorization: SCHEME Name=value,SignedHeaders=a;b,Signature=hex`, which two of the recipes share.

use axum::http::HeaderMap;

use super::{Malformed, Signed, from_hex};

/// A parsed `Authorization` header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authorization {
    /// The access key.
    pub key_id: String,
    /// The names of signed headers, in lower case, in the order of the header.
    pub signed_headers: Vec<String>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// The form of a recipe's header.
pub(super) struct Scheme {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    /// For the refusal.
    pub(super) fields: &'static str,
}

impl Scheme {
    pub(super) fn read(&self, header: &str) -> Result<Authorization, Malformed> {
        self.split(header).ok_or(Malformed::Authorization { scheme: self.name, fields: self.fields })
    }

    fn split(&self, header: &str) -> Option<Authorization> {
        let fields = header.strip_prefix(self.name)?.strip_prefix(' ')?;
        let (mut key_id, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let place = match name {
                _ if name == self.key => &mut key_id,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return None,
            };
            if value.is_empty() || place.replace(value).is_some() {
                return None;
            }
        }
        Some(Authorization {
            key_id: key_id?.to_owned(),
            signed_headers: signed_headers?.split(';').map(str::to_ascii_lowercase).collect(),
            signature: from_hex(signature?)?,
        })
    }
}

impl Authorization {
    /// `name:value\n` for each signed header, in the order of the header.
    pub(super) fn canonical_headers(&self, headers: &HeaderMap) -> Result<Vec<u8>, Malformed> {
        let mut text = Vec::new();
        for name in &self.signed_headers {
            let mut values = headers.get_all(name).iter();
            let value =
                values.next().ok_or_else(|| Malformed::MissingHeader { name: name.clone() })?.as_bytes();
            if values.next().is_some() {
                // Which of them was signed, and which one is meant, is ambiguous.
                return Err(Malformed::RepeatedHeader { name: name.clone() });
            }
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(value.trim_ascii());
            text.push(b'\n');
        }
        Ok(text)
    }

    /// Fails if one of `names` is not signed.
    pub(super) fn covers(&self, names: &[&'static str]) -> Result<(), Malformed> {
        match names.iter().find(|name| !self.signed_headers.iter().any(|signed| signed == **name)) {
            Some(name) => Err(Malformed::UnsignedHeader { name }),
            None => Ok(()),
        }
    }

    /// Fails if one of `names` is sent and not signed: it could have been added on the way.
    pub(super) fn covers_if_sent(
        &self,
        names: &[&'static str],
        headers: &HeaderMap,
    ) -> Result<(), Malformed> {
        names.iter().filter(|name| headers.contains_key(**name)).try_for_each(|name| self.covers(&[name]))
    }

    pub(super) fn signed(&self, text: Vec<u8>) -> Signed {
        Signed { text, or: None, signature: self.signature.clone(), recipe: super::Recipe::HmacSha256 }
    }
}
