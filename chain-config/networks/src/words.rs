//! Words that network files use, each checked once.

use core::fmt;

/// What a network file must say to trust a development root.
pub const DEVELOPMENT_WORDS: &str = "i-understand-anybody-can-forge-these";

/// Intel's words for patch levels that a policy may allow. `Revoked` is not among them.
const TCB_STATUSES: [&str; 8] = [
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "TDRelaunchAdvised",
    "TDRelaunchAdvisedConfigurationNeeded",
];

/// Encryption parameter sets by name; a test of the client keeps this list equal to the sets it knows.
const PARAMETER_SETS: [&str; 3] = ["glwe-2048-v1", "glwe-4096-v1", "toy-256-v1"];

/// A word that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not allowed, allowed is {allowed}")]
pub struct WordError {
    /// What was written.
    pub found: String,
    /// What may be written.
    pub allowed: &'static str,
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The word.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The word, if it is one of them; else what would be.
            pub fn new(word: impl Into<String>) -> Result<Self, &'static str> {
                let word = word.into();
                match Self::refused(&word) {
                    None => Ok(Self(word)),
                    Some(allowed) => Err(allowed),
                }
            }
        }

        impl core::str::FromStr for $name {
            type Err = WordError;

            fn from_str(word: &str) -> Result<Self, WordError> {
                Self::new(word).map_err(|allowed| WordError { found: word.to_owned(), allowed })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word!(
    /// A network's name: 1 ..= 32 of `a-z`, `0-9` and `-`. It also names the network's file.
    NetworkName
);
word!(
    /// Where a node answers: `ws://` or `wss://`.
    RpcUrl
);
word!(
    /// Where a service answers: `http://` or `https://`.
    ServiceUrl
);
word!(
    /// A patch level in Intel's word, `Revoked` excluded.
    TcbStatusName
);
word!(
    /// A kind of quote: kind of enclave and version.
    QuoteKindName
);
word!(
    /// A security advisory by its number.
    AdvisoryName
);
word!(
    /// An encryption parameter set by name.
    ParameterName
);

impl NetworkName {
    fn refused(word: &str) -> Option<&'static str> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let good = (1..=32).contains(&word.len()) && word.chars().all(fits);
        (!good).then_some("1 to 32 of a-z, 0-9 and -")
    }
}

impl RpcUrl {
    fn refused(word: &str) -> Option<&'static str> {
        (!has_host(word, &["ws://", "wss://"])).then_some("a URL that begins with ws:// or wss://")
    }
}

impl ServiceUrl {
    fn refused(word: &str) -> Option<&'static str> {
        (!has_host(word, &["http://", "https://"])).then_some("a URL that begins with http:// or https://")
    }
}

impl TcbStatusName {
    fn refused(word: &str) -> Option<&'static str> {
        (!TCB_STATUSES.contains(&word)).then_some(
            "UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate, \
             OutOfDateConfigurationNeeded, TDRelaunchAdvised or TDRelaunchAdvisedConfigurationNeeded",
        )
    }
}

impl QuoteKindName {
    fn refused(word: &str) -> Option<&'static str> {
        (!["sgx-v3", "tdx-v4", "tdx-v5"].contains(&word)).then_some("sgx-v3, tdx-v4 or tdx-v5")
    }
}

impl AdvisoryName {
    fn refused(word: &str) -> Option<&'static str> {
        let number = word.strip_prefix("INTEL-SA-").unwrap_or_default();
        let fits = number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit());
        (!fits).then_some("INTEL-SA- and five digits")
    }
}

impl ParameterName {
    fn refused(word: &str) -> Option<&'static str> {
        (!PARAMETER_SETS.contains(&word))
            .then_some("glwe-2048-v1, glwe-4096-v1 or, under a development root, toy-256-v1")
    }

    /// False for sets that protect nothing.
    pub fn is_production(&self) -> bool {
        !self.0.starts_with("toy-")
    }
}

fn has_host(url: &str, schemes: &[&str]) -> bool {
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with('/') && !url.chars().any(|c| c.is_whitespace() || c.is_control())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_network_name_cannot_leave_its_folder() {
        assert!(NetworkName::new("paseo-hub").is_ok());
        for bad in ["", "..", "../x", "a/b", "Local", "a.toml"] {
            assert!(NetworkName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn revoked_is_no_status_that_a_file_can_allow() {
        assert!(TcbStatusName::new("Revoked").is_err());
        assert!(TcbStatusName::new("UpToDate").is_ok());
    }

    #[test]
    fn an_advisory_is_written_as_intel_writes_it() {
        assert!(AdvisoryName::new("INTEL-SA-00837").is_ok());
        for bad in ["", "intel-sa-00837", "INTEL-SA-837", "INTEL-SA-0083x", "INTEL-SA-008370", "CVE-2023-20569"] {
            assert_eq!(AdvisoryName::new(bad), Err("INTEL-SA- and five digits"), "{bad}");
        }
    }

    #[test]
    fn urls_need_their_scheme_and_a_host() {
        assert!(RpcUrl::new("ws://127.0.0.1:9944").is_ok());
        assert!(RpcUrl::new("http://127.0.0.1:9944").is_err());
        assert!(ServiceUrl::new("http://").is_err());
        assert!(ServiceUrl::new("https://a b").is_err());
    }
}
