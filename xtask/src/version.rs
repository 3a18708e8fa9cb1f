//! `Version`: three numbers that compare, read from what compilers, kernels and tools print.

use std::fmt;

/// `major.minor.patch`; the rest of the text is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32, pub(crate) u32);

impl Version {
    /// Parses the first three numbers of `text`; a missing minor or patch number counts as zero.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers =
            text.trim().split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
        Some(Self(numbers.next()?, numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn reads_what_is_printed() {
        assert_eq!(Version::parse("1.95.0"), Some(Version(1, 95, 0)));
        assert_eq!(Version::parse("6.18.44-fc-v595"), Some(Version(6, 18, 44)));
        assert_eq!(Version::parse("6.1-rc3"), Some(Version(6, 1, 0)));
        assert_eq!(Version::parse("22.1.2\n"), Some(Version(22, 1, 2)));
        assert_eq!(Version::parse("unknown"), None);
    }

    #[test]
    fn orders_by_number() {
        assert!(Version(6, 6, 0) < Version(6, 18, 0));
    }
}
