//! Amounts as people write them: whole tokens with a decimal point.

use encompute_protocol::Plancks;

/// Text that is no amount of a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseAmountError {
    /// Something else than digits and one point.
    #[error("{found:?} is no amount; write whole tokens with a point, such as 1.5")]
    NotANumber {
        /// What was written.
        found: String,
    },
    /// More decimals than the token has.
    #[error("{found:?} has {decimals_found} decimals, the token has {decimals_allowed}")]
    TooFine {
        /// What was written.
        found: String,
        /// Decimals written.
        decimals_found: usize,
        /// Decimals of the token.
        decimals_allowed: u8,
    },
    /// More than can be counted.
    #[error("{found:?} is more than the chain can count")]
    TooLarge {
        /// What was written.
        found: String,
    },
}

/// The amount in `text`: whole tokens, at most `decimals` digits behind the point.
///
/// # Errors
/// [`ParseAmountError`], with the text.
pub fn parse_amount(text: &str, decimals: u8) -> Result<Plancks, ParseAmountError> {
    let found = || text.to_owned();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || (fraction.is_empty() && text.contains('.')) {
        return Err(ParseAmountError::NotANumber { found: found() });
    }
    if fraction.len() > usize::from(decimals) {
        let (decimals_found, decimals_allowed) = (fraction.len(), decimals);
        return Err(ParseAmountError::TooFine { found: found(), decimals_found, decimals_allowed });
    }
    let padded = format!("{whole}{fraction:0<width$}", width = usize::from(decimals));
    padded.parse().map(Plancks).map_err(|_| ParseAmountError::TooLarge { found: found() })
}

/// The amount as [`parse_amount`] reads it, without trailing zeros.
pub fn format_amount(amount: Plancks, decimals: u8) -> String {
    let width = usize::from(decimals);
    let digits = format!("{:0>width$}", amount.0, width = width + 1);
    let (whole, fraction) = digits.split_at(digits.len() - width);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn amounts_survive_writing_and_reading() {
        for plancks in [0, 1, 999_999_999_999, 1_000_000_000_000, 1_500_000_000_000, u128::MAX] {
            let text = format_amount(Plancks(plancks), 12);
            assert_eq!(parse_amount(&text, 12), Ok(Plancks(plancks)), "{text}");
        }
        assert_eq!(format_amount(Plancks(7), 0), "7");
    }

    #[test]
    fn amounts_that_would_be_rounded_or_guessed_are_refused() {
        for bad in ["", ".5", "1.", "1,5", "-1", "1e3", " 1", "0x1"] {
            assert!(matches!(parse_amount(bad, 12), Err(ParseAmountError::NotANumber { .. })), "{bad}");
        }
        let fine = parse_amount("0.001", 2);
        assert!(matches!(fine, Err(ParseAmountError::TooFine { decimals_found: 3, decimals_allowed: 2, .. })));
        let large = parse_amount(&"9".repeat(40), 12);
        assert!(matches!(large, Err(ParseAmountError::TooLarge { .. })));
    }
}
