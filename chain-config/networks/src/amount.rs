//! Amounts as people write them: whole tokens with a decimal point.

use crate::network::Token;
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
    /// An amount of another token, or of none that is named.
    #[error("{found:?} is no amount of {symbol}; write it with its token, such as `0.25 {symbol}`")]
    OtherToken {
        /// What was written.
        found: String,
        /// The token of the network.
        symbol: String,
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

impl Token {
    /// The amount in `text`, e.g. `1.5`: whole tokens, at most [`Token::decimals`] digits behind the point.
    ///
    /// # Errors
    /// [`ParseAmountError`], with the text.
    pub fn amount(&self, text: &str) -> Result<Plancks, ParseAmountError> {
        parse_amount(text, self.decimals)
    }

    /// The amount in `text`, e.g. `1.5 UNIT`: as [`Token::amount`], with the token's symbol behind it.
    ///
    /// # Errors
    /// [`ParseAmountError`]; an amount of another token is never taken for one of this.
    pub fn price(&self, text: &str) -> Result<Plancks, ParseAmountError> {
        let other = || ParseAmountError::OtherToken { found: text.to_owned(), symbol: self.symbol.clone() };
        let amount = text.strip_suffix(self.symbol.as_str()).ok_or_else(other)?;
        // `1.5 XPAS` is no amount of PAS.
        match amount.ends_with(|last: char| last.is_ascii_digit() || last == ' ') {
            true => self.amount(amount.trim_end()),
            false => Err(other()),
        }
    }

    /// The amount with its symbol, e.g. `1.5 UNIT`, as [`Token::price`] reads it.
    pub fn show(&self, amount: Plancks) -> String {
        format!("{} {}", format_amount(amount, self.decimals), self.symbol)
    }

    /// `text` with every amount in plancks, which libraries name because they know no network, in tokens.
    pub fn show_all_in(&self, text: &str) -> String {
        let mut words: Vec<String> = Vec::new();
        for word in text.split(' ') {
            // `plancks` may end a clause: what follows it stays.
            let amount = word.strip_prefix("plancks").filter(|rest| !rest.starts_with(char::is_alphanumeric));
            let number = words.last().and_then(|number| number.parse().ok()).map(Plancks);
            match (amount, number) {
                (Some(rest), Some(amount)) => {
                    words.pop();
                    words.push(format!("{}{rest}", self.show(amount)));
                }
                _ => words.push(word.to_owned()),
            }
        }
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn token(symbol: &str, decimals: u8) -> Token {
        Token { symbol: symbol.to_owned(), decimals, ss58_prefix: 0 }
    }

    #[test]
    fn the_same_words_are_another_amount_of_a_token_with_other_decimals() {
        let (unit, pas) = (token("UNIT", 12), token("PAS", 10));
        assert_eq!(unit.amount("1.5"), Ok(Plancks(1_500_000_000_000)));
        assert_eq!(pas.amount("1.5"), Ok(Plancks(15_000_000_000)));
        assert_eq!(
            (unit.show(Plancks(15_000_000_000)), pas.show(Plancks(15_000_000_000))),
            ("0.015 UNIT".into(), "1.5 PAS".into())
        );
        assert_eq!(unit.amount("0.00000000001"), Ok(Plancks(10)));
        assert!(matches!(pas.amount("0.00000000001"), Err(ParseAmountError::TooFine { decimals_allowed: 10, .. })));
    }

    #[test]
    fn a_price_names_its_token_and_a_price_in_another_is_refused() {
        let pas = token("PAS", 10);
        assert_eq!(
            (pas.price("0.25 PAS"), pas.price("2PAS")),
            (Ok(Plancks(2_500_000_000)), Ok(Plancks(20_000_000_000)))
        );
        for other in ["0.25 UNIT", "0.25", "0.25 XPAS", "PAS", "0.25 pas"] {
            assert!(matches!(pas.price(other), Err(ParseAmountError::OtherToken { .. })), "{other}");
        }
        assert!(matches!(pas.price("-1 PAS"), Err(ParseAmountError::NotANumber { .. })));
    }

    #[test]
    fn amounts_in_the_words_of_a_library_are_shown_in_tokens_and_nothing_else_changes() {
        let pas = token("PAS", 10);
        let shown = |text: &str| pas.show_all_in(text);
        assert_eq!(
            shown("account has 5000000000 plancks free, it needs 1 plancks: no"),
            "account has 0.5 PAS free, it needs 0.0000000001 PAS: no"
        );
        assert_eq!(shown("has 20000000000 plancks, block 7"), "has 2 PAS, block 7");
        for same in ["", "block 7", "plancks", "many plancks", "7 planckshaft", "a  b"] {
            assert_eq!(shown(same), same);
        }
    }

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
