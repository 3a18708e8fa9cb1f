//! A value shared by successive catalogs, with its text in the file: a change of one group must not cost as much as writing the
//! whole file. Called by `numbers`.

use std::{
    ops::Deref,
    sync::{Arc, OnceLock},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use serde_json::value::{RawValue, to_raw_value};

/// An immutable value that is cheap to clone.
#[derive(Debug)]
pub struct Shared<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    value: T,
    /// The value as JSON, once it has been written.
    text: OnceLock<Box<RawValue>>,
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(Inner { value, text: OnceLock::new() }))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Eq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Shared<T> {}

/// JSON only, the format of the file.
impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = if let Some(text) = self.0.text.get() {
            text
        } else {
            let text = to_raw_value(&self.0.value).map_err(S::Error::custom)?;
            self.0.text.get_or_init(|| text)
        };
        text.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_value_is_written_like_any_other() {
        let value = vec![1, 2, 3];
        let shared = Shared::from(value.clone());
        let wrapped = serde_json::json!({ "a": value }).to_string();
        for _ in 0..2 {
            let map = std::collections::BTreeMap::from([("a", shared.clone())]);
            assert_eq!(serde_json::to_string(&map).unwrap(), wrapped);
        }
        assert_eq!(serde_json::from_str::<Shared<Vec<u8>>>("[1,2,3]").unwrap(), Shared::from(vec![1, 2, 3]));
        assert_ne!(shared, Shared::from(vec![1, 2]));
    }
}
