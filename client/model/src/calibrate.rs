//! Clip norm and noise of a card's splits, from its samples.

use crate::{
    bench::{Bench, BenchError, BenchSplit},
    card::{PolicyCard, SplitCard},
    package::promised_bits,
    report::{features_of, fitted_clip, in_units_of},
    samples::Sample,
};
use encompute_leakage::{Matrix, bounds::fitted_sigma, clipped};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// Bits of a released code.
const CODE_BITS: u8 = 5;
/// The presets of a split, the default first.
const PRESETS: [&str; 3] = ["balanced", "private", "accurate"];
/// What `accurate` may tell beyond the label: more, and an archive names most inputs, which grades D.
const ACCURATE_BITS: f64 = 7.0;
/// Noise beyond what the bound asks for: a held-out set is not the next one.
const MARGIN: f64 = 1.02;

/// What was found of a split.
#[derive(Clone, Debug)]
pub struct Calibrated {
    /// The split with its new clip norm and policies.
    pub card: SplitCard,
    /// Numbers that are released.
    pub features: usize,
    /// Samples that it was fitted to.
    pub samples: usize,
}

impl Bench {
    /// Fits each split's clip norm so that nineteen of twenty features are shorter, and the noise of each preset so that
    /// it tells no more than its name promises. The noise of policies of other names stays as it is.
    ///
    /// # Errors
    /// [`BenchError`], naming the split's node where it cannot be cut.
    pub fn calibrate(&self) -> Result<Vec<Calibrated>, BenchError> {
        let (held_out, population) = (self.held_out()?, self.population()?.unwrap_or_default());
        let classes = self.card().labels.len();
        let calibrated = |card: &SplitCard| {
            let split = self.cut(&SplitCard { clip: 1.0, ..card.clone() })?;
            let sets = [population.as_slice(), held_out.as_slice()].map(|samples| features(&split, samples));
            let [population, held_out] = sets;
            let (population, held_out) = (population?, held_out?);
            let of = if population.0.rows() > 0 { &population.0 } else { &held_out.0 };
            let clip = rounded(fitted_clip(of));
            let policies = presets(card).into_iter().map(|policy| {
                let Some(bits) = bits(&policy.name, classes) else { return policy };
                let fitted = |(features, labels): &(Matrix, Vec<usize>)| match features.rows() {
                    0 => 0.0,
                    _ => fitted_sigma(&clipped(&in_units_of(clip, features.clone())), labels, bits),
                };
                PolicyCard { sigma: rounded(fitted(&population).max(fitted(&held_out)) * MARGIN * clip), ..policy }
            });
            let policies = policies.collect();
            let samples = population.0.rows() + held_out.0.rows();
            Ok(Calibrated {
                features: split.plan.feature_count(),
                samples,
                card: SplitCard { clip, policies, ..card.clone() },
            })
        };
        self.card().splits.iter().map(calibrated).collect()
    }
}

/// A card's text with the clip norms and policies that were found; all else, comments too, as it was.
///
/// # Errors
/// If it is no card.
pub fn rewritten(card: &str, found: &[Calibrated]) -> Result<String, toml_edit::TomlError> {
    let mut document: DocumentMut = card.parse()?;
    let splits = document.get_mut("splits").and_then(Item::as_array_of_tables_mut);
    for (split, found) in splits.into_iter().flat_map(ArrayOfTables::iter_mut).zip(found) {
        let decor = split.get("clip").and_then(Item::as_value).map(|old| old.decor().clone());
        split.insert("clip", value(found.card.clip));
        if let (Some(decor), Some(new)) = (decor, split.get_mut("clip").and_then(Item::as_value_mut)) {
            *new.decor_mut() = decor;
        }
        let policies = found.card.policies.iter().map(|policy| {
            let mut table = Table::new();
            table.insert("name", value(policy.name.as_str()));
            table.insert("sigma", value(policy.sigma));
            table.insert("bits", value(i64::from(policy.bits)));
            table
        });
        split.insert("policies", Item::ArrayOfTables(policies.collect()));
    }
    Ok(document.to_string())
}

fn presets(card: &SplitCard) -> Vec<PolicyCard> {
    let mut policies = card.policies.clone();
    for name in PRESETS {
        if !policies.iter().any(|policy| policy.name == name) {
            policies.push(PolicyCard { name: name.to_owned(), sigma: card.clip, bits: CODE_BITS });
        }
    }
    policies
}

/// What a preset may tell; nothing for policies of other names.
fn bits(policy: &str, classes: usize) -> Option<f64> {
    match policy {
        "accurate" => Some((classes as f64).log2() + ACCURATE_BITS),
        other => promised_bits(other, classes),
    }
}

fn features(split: &BenchSplit, samples: &[Sample]) -> Result<(Matrix, Vec<usize>), BenchError> {
    let features = features_of(split, &samples.iter().collect::<Vec<_>>())?;
    Ok((features, samples.iter().map(|sample| sample.label).collect()))
}

/// Three digits, upwards: what a person reads, and no less noise than was found.
fn rounded(value: f64) -> f64 {
    let unit = 10f64.powf(value.log10().floor() - 2.0);
    let digits = (value / unit).ceil();
    // Through text, so that it is the number which the card will hold.
    format!("{:.*}", (-unit.log10().round()).max(0.0) as usize, digits * unit).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_up_to_three_digits() {
        for (value, wanted) in [(0.123_41, 0.124), (12.0, 12.0), (1_234.5, 1_240.0), (0.000_999_9, 0.001), (1.0, 1.0)] {
            assert_eq!(rounded(value), wanted, "{value}");
        }
    }

    #[test]
    fn a_card_keeps_its_words_and_has_the_new_numbers() {
        let card = "# Mine.\nname = \"m\"\n\n[[splits]]\nname = \"a\" # first\nafter = \"x\"\nmode = \"rounds\"\nclip = 1.0 # norm\n\n\
                    [[splits.policies]]\nname = \"balanced\"\nsigma = 1.0\nbits = 5\n";
        let policies = ["balanced", "own"].map(|name| PolicyCard { name: name.to_owned(), sigma: 0.25, bits: 5 });
        let (name, after) = ("a".to_owned(), "x".to_owned());
        let mode = crate::card::ModeName::Rounds;
        let card_of = SplitCard {
            name,
            after,
            mode,
            inside: None,
            bootstraps_per_segment: None,
            clip: 2.5,
            policies: policies.to_vec(),
        };
        let found = [Calibrated { card: card_of, features: 4, samples: 9 }];
        let wanted = "# Mine.\nname = \"m\"\n\n[[splits]]\nname = \"a\" # first\nafter = \"x\"\nmode = \"rounds\"\nclip = 2.5 # norm\n\n\
                      [[splits.policies]]\nname = \"balanced\"\nsigma = 0.25\nbits = 5\n\n\
                      [[splits.policies]]\nname = \"own\"\nsigma = 0.25\nbits = 5\n";
        assert_eq!(rewritten(card, &found).as_deref(), Ok(wanted));
    }
}
