//! ESP-IDF versions: the wording and some decisions of the second stage depend on which one built it.

use core::{fmt, str::FromStr};

/// An ESP-IDF release line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct IdfVersion {
    /// The part before the first dot.
    pub major: u8,
    /// The part after it.
    pub minor: u8,
}

impl IdfVersion {
    /// The newest release line that the model knows; taken where nothing says otherwise.
    pub const LATEST: Self = Self::new(6, 1);

    /// Builds a version from its parts.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }

    /// Whether this is `major.minor` or later.
    pub fn since(self, major: u8, minor: u8) -> bool {
        self >= Self::new(major, minor)
    }
}

impl fmt::Display for IdfVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The text does not begin with an ESP-IDF version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ESP-IDF version: write it like 5.4 or v5.4-dev-12")]
pub struct BadIdfVersion;

impl FromStr for IdfVersion {
    type Err = BadIdfVersion;
    /// Reads `5.4`, `v5.4`, and what `git describe` makes of a checkout: `v6.1-beta1-497-g14f663f003e`.
    fn from_str(text: &str) -> Result<Self, BadIdfVersion> {
        let text = text.trim_start_matches(['v', 'V']);
        let (major, rest) = text.split_once('.').ok_or(BadIdfVersion)?;
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
        match (major.parse(), minor.parse()) {
            (Ok(major), Ok(minor)) => Ok(Self { major, minor }),
            _ => Err(BadIdfVersion),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_images_carry() {
        assert_eq!("v6.1-beta1-497-g14f663f003e".parse(), Ok(IdfVersion::new(6, 1)));
        assert_eq!("5.2".parse(), Ok(IdfVersion::new(5, 2)));
        assert_eq!("five".parse::<IdfVersion>(), Err(BadIdfVersion));
        assert!(IdfVersion::new(5, 10).since(5, 4));
    }
}
