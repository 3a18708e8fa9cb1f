//! The entries of a prefix list: as they are written, and as prefixes, which is what packets are compared with.
//!
//! This file owns the expansion of ranges. It must never know who names the list. Documents and the service fill it; the oracle,
//! the compiler and whoever compares policies read its prefixes.

use ipnet::IpNet;

use super::{AddressRange, Addresses};

/// Entries of a prefix list, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// All prefixes, those of ranges included.
    prefixes: Vec<IpNet>,
    /// The ranges, each with the place of its first prefix. Most lists have none.
    ranges: Vec<(usize, AddressRange)>,
}

impl Prefixes {
    /// Adds an entry.
    pub fn push(&mut self, entry: impl Into<Addresses>) {
        match entry.into() {
            Addresses::Net(net) => self.prefixes.push(net),
            Addresses::Range(range) => {
                self.ranges.push((self.prefixes.len(), range));
                self.prefixes.extend(range.prefixes());
            }
        }
    }

    /// Every address of the list, as prefixes.
    #[must_use]
    pub fn as_slice(&self) -> &[IpNet] {
        &self.prefixes
    }

    /// The entries as they were added.
    pub fn entries(&self) -> impl Iterator<Item = Addresses> {
        let mut ranges = self.ranges.iter().peekable();
        let mut place = 0;
        std::iter::from_fn(move || {
            if let Some((begin, range)) = ranges.next_if(|(begin, _)| *begin == place) {
                place = begin + range.prefixes().count();
                return Some(Addresses::Range(*range));
            }
            let net = self.prefixes.get(place)?;
            place += 1;
            Some(Addresses::Net(*net))
        })
    }
}

impl<A: Into<Addresses>> FromIterator<A> for Prefixes {
    fn from_iter<I: IntoIterator<Item = A>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut all = Self { prefixes: Vec::with_capacity(entries.size_hint().0), ranges: Vec::new() };
        entries.for_each(|entry| all.push(entry));
        all
    }
}

/// Prefixes without ranges.
impl From<Vec<IpNet>> for Prefixes {
    fn from(prefixes: Vec<IpNet>) -> Self {
        Self { prefixes, ranges: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_added() {
        let texts =
            ["10.0.0.1-10.0.0.1", "10.0.0.0/8", "::1-::9", "::2-::3", "2001:db8::/32", "10.0.0.0-10.0.0.255"];
        let entries: Vec<Addresses> = texts.map(|text| text.parse().unwrap()).into();
        let list: Prefixes = entries.iter().copied().collect();
        assert_eq!(list.entries().collect::<Vec<_>>(), entries);
        let prefixes: Vec<String> = list.as_slice().iter().map(ToString::to_string).collect();
        let expanded = ["10.0.0.1/32", "10.0.0.0/8", "::1/128", "::2/127", "::4/126", "::8/127", "::2/127"];
        assert_eq!(prefixes[..7], expanded);
        assert_eq!(prefixes[7..], ["2001:db8::/32", "10.0.0.0/24"]);
        assert_eq!(Prefixes::default().entries().count(), 0);
    }
}
