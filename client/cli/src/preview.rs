//! What a creator could rebuild of an input, shown to its user before anything is sent.
//!
//! Shown is a function of released codes, of the input that the user gave, and of a blob that the version pins: no
//! decrypted number comes here but through the releaser.

use crate::{
    commands::market::{self, Listing},
    context::{Context, blob_failure},
    failure::{Doing, Exit, Failure, Outcome},
    output,
};
use clap::Args;
use encompute_model::{LinearMap, Preamble, PublishedAttack, Tensor, preamble::side_by_side};
use encompute_protocol::{Plancks, PolicyId, SplitIndex, wire::Message};
use encompute_store::{Blobs, ByteLimit};
use std::{
    fmt::Write as _,
    io::IsTerminal,
    path::{Path, PathBuf},
};

/// Columns of a terminal that one picture takes at most.
const PICTURE_COLUMNS: usize = 38;
/// From dark to light, for terminals without colours.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// Whether to look before sending.
#[derive(Args, Clone, Default)]
pub struct Wish {
    /// Write what the creator could rebuild of the input beside the input itself, before anything is sent; of a model whose
    /// creator publishes the attack
    #[arg(long, value_name = "FILE.png")]
    pub preview: Option<PathBuf>,
    /// Send without asking. At a terminal it is asked where a model's creator publishes the attack; elsewhere it is not
    #[arg(long, short = 'y')]
    pub yes: bool,
}

/// What is shown, and whether it is asked.
pub struct Preview {
    map: LinearMap,
    preamble: Preamble,
    /// None of a job that is resumed: its journal keeps no input.
    input: Option<Tensor>,
    file: Option<PathBuf>,
    asks: bool,
    /// What comes back to whoever declines.
    back: String,
}

impl Wish {
    /// Whether anything would be shown, of a model that publishes an attack.
    pub fn is_wanted(&self) -> bool {
        self.preview.is_some() || self.asks()
    }

    fn asks(&self) -> bool {
        !self.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// The preview of a release under a policy, beside the input where it is at hand; none where nothing is shown.
    ///
    /// # Errors
    /// [`Exit::NotFound`] if one is wished for and the version publishes no attack; [`Exit::Verification`] for a blob that
    /// is none or does not fit.
    pub async fn prepare(
        &self,
        context: &Context,
        listing: &Listing,
        (split, policy): (SplitIndex, PolicyId),
        tensor: Option<&[u8]>,
    ) -> Outcome<Option<Preview>> {
        if !self.is_wanted() {
            return Ok(None);
        }
        let asks = self.asks();
        let named = listing.manifest.disclosure.as_ref().and_then(|told| told.attack.as_ref());
        let Some(named) = named else {
            return match &self.preview {
                None => Ok(None),
                Some(_) => Err(Failure::new(
                    Exit::NotFound,
                    format!("the creator of {} publishes no attack to try", listing.manifest.name),
                )
                .hint("its report says what attacks come to: encompute model show; submit without --preview")),
            };
        };
        let preamble = Preamble::from_wire(listing.manifest.preamble.as_slice())
            .doing(Exit::Verification, "read the model's preamble")?;
        if let Some(file) = &self.preview {
            if !matches!(preamble, Preamble::Image(_)) {
                return Err(Failure::new(Exit::Usage, "a preview as a file is of pictures alone")
                    .hint("of a row of numbers it is shown at a terminal, without --preview"));
            }
            output::is_free(file)?;
            output::has_folder(file)?;
        }
        let bytes = context.gateway()?.get(named.digest(), ByteLimit(named.bytes().into())).await;
        let bytes = bytes.map_err(|error| blob_failure("fetch the attack to preview", &error))?;
        let attack = PublishedAttack::from_wire(&bytes).doing(Exit::Verification, "read the attack to preview")?;
        let index = listing.manifest.release_index(split, policy);
        let map = index.and_then(|index| attack.release(index).cloned());
        let other = || Failure::new(Exit::Verification, "the attack to preview is not one of this release");
        let values = preamble.shape().iter().product::<usize>();
        let map = map.filter(|map| map.usual_errors().len() == values).ok_or_else(other)?;
        let input =
            tensor.map(|tensor| Tensor::new(preamble.shape(), tensor.to_vec()).ok_or_else(other)).transpose()?;
        let back = self.back(context, listing, (split, policy)).await?;
        Ok(Some(Preview { map, preamble, input, file: self.preview.clone(), asks, back }))
    }

    async fn back(
        &self,
        context: &Context,
        listing: &Listing,
        (split, policy): (SplitIndex, PolicyId),
    ) -> Outcome<String> {
        let of = listing.manifest.splits.get(usize::from(split.0));
        let policy = of.and_then(|split| split.policies.iter().find(|each| each.id == policy));
        let (name, policy) = (of.map(|split| split.name.as_str()), policy.map(|policy| policy.name.as_str()));
        let quote = market::quote(&context.chain().await?, listing, name, policy).await?;
        let back = quote.refunds().into_iter().find(|(outcome, _)| *outcome == market::STOPPED).map(|(_, back)| back);
        let paid = quote.fees.total().unwrap_or_default();
        Ok(format!(
            "{} of {} come back",
            context.token().show(back.unwrap_or(Plancks::ZERO)),
            context.token().show(paid)
        ))
    }
}

impl Preview {
    /// Shows what these released codes give away; true if they may be sent.
    pub async fn consents(&self, codes: &[i16]) -> bool {
        match self.show(codes) {
            // What was asked for could not be shown: nobody consented to that.
            Err(failure) => {
                output::say(&failure.text);
                false
            }
            Ok(()) if !self.asks => true,
            Ok(()) => {
                output::say(&format!(
                    "If you do not send: the worker has run the head and keeps its fee; {}.",
                    self.back
                ));
                eprint!("Send these numbers to the creator? [y/N] ");
                answer().await
            }
        }
    }

    fn show(&self, codes: &[i16]) -> Outcome {
        let rebuilt = self.map.rebuilt(codes).and_then(|values| Tensor::new(self.preamble.shape(), values));
        let rebuilt = rebuilt.ok_or_else(|| {
            Failure::new(Exit::Verification, "the attack to preview is of another number of features")
        })?;
        output::say(
            "What the creator could rebuild of this input, by the best linear map from what is about to be sent:",
        );
        let pictures: Vec<&Tensor> = self.input.iter().chain([&rebuilt]).collect();
        match &self.preamble {
            Preamble::Table(table) => {
                let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
                let guess = (&rebuilt, self.map.usual_errors());
                output::say(&rows(&names, &self.preamble, self.input.as_ref(), guess));
            }
            _ if std::io::stderr().is_terminal() => {
                let colours = std::env::var_os("NO_COLOR").is_none();
                let drawn: Vec<Vec<String>> = pictures.iter().map(|tensor| picture(tensor, colours)).collect();
                output::say(&beside(&drawn));
            }
            _ => {}
        }
        let usual = root_mean_square(self.map.usual_errors());
        output::say(&match &self.input {
            Some(input) => {
                format!("off by {:.0} of 255 on average; others are off by {usual:.0}", apart(input, &rebuilt))
            }
            None => format!("such guesses are off by {usual:.0} of 255 on average; the input itself is not kept"),
        });
        if let Some(file) = &self.file {
            write(file, &pictures)?;
        }
        Ok(())
    }
}

fn write(file: &Path, pictures: &[&Tensor]) -> Outcome {
    let none = || Failure::new(Exit::Failed, "the pictures are too large to be drawn beside each other");
    output::file(file, &side_by_side(pictures).ok_or_else(none)?)?;
    let first = if pictures.len() > 1 { "the input, and " } else { "" };
    output::say(&format!("{}: {first}what could be rebuilt of it", file.display()));
    Ok(())
}

/// A line from standard input: true for yes. On a thread of its own, so that Ctrl-C is heard meanwhile.
async fn answer() -> bool {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        let _ = tell.send(read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes"));
    });
    told.await.unwrap_or(false)
}

fn apart(one: &Tensor, other: &Tensor) -> f64 {
    let differences: Vec<u8> =
        one.values().iter().zip(other.values()).map(|(one, other)| one.abs_diff(*other)).collect();
    root_mean_square(&differences)
}

fn root_mean_square(values: &[u8]) -> f64 {
    let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    (squares / values.len().max(1) as f64).sqrt()
}

/// A table of values, in the units of the file.
fn rows(names: &[&str], preamble: &Preamble, input: Option<&Tensor>, guess: (&Tensor, &[u8])) -> String {
    let (grid, (rebuilt, errors)) = (preamble.grid(), guess);
    let mut rows = vec![["", "value", "rebuilt", "usually off by"].map(String::from).to_vec()];
    for (at, name) in names.iter().enumerate() {
        let (offset, step) = (grid.offset[at], grid.step[at]);
        let value = |tensor: &Tensor| format!("{:.4}", offset + step * f64::from(tensor.values()[at]));
        rows.push(vec![
            (*name).to_owned(),
            input.map_or_else(|| "not kept".to_owned(), value),
            value(rebuilt),
            format!("{:.4}", step * f64::from(errors[at])),
        ]);
    }
    output::table(&rows)
}

/// Lines of a picture, two rows of pixels a line: in colours by the upper half of a block, else in shades.
fn picture(tensor: &Tensor, colours: bool) -> Vec<String> {
    let [channels, height, width] = tensor.shape();
    let step = width.div_ceil(PICTURE_COLUMNS).max(1);
    let at = |channel: usize, row: usize, column: usize| {
        let channel = channel.min(channels - 1);
        tensor.values()[(channel * height + row.min(height - 1)) * width + column]
    };
    let colour = |row: usize, column: usize| [0, 1, 2].map(|channel| at(channel, row, column));
    let line = |row: usize| {
        let mut line = String::new();
        for column in (0..width).step_by(step) {
            let ([r, g, b], [lower_r, lower_g, lower_b]) = (colour(row, column), colour(row + step, column));
            // Writing to a string does not fail.
            let _ = if colours {
                write!(line, "\x1b[38;2;{r};{g};{b}m\x1b[48;2;{lower_r};{lower_g};{lower_b}m▀")
            } else {
                let mean = (u32::from(r) + u32::from(g) + u32::from(b)) / 3;
                write!(line, "{}", SHADES[(mean * (SHADES.len() as u32 - 1) / 255) as usize])
            };
        }
        if colours { line + "\x1b[0m" } else { line }
    };
    (0..height).step_by(2 * step).map(line).collect()
}

/// Pictures of as many lines each, from left to right.
fn beside(pictures: &[Vec<String>]) -> String {
    let lines = pictures.iter().map(Vec::len).min().unwrap_or_default();
    let line = |at: usize| pictures.iter().map(|lines| lines[at].as_str()).collect::<Vec<_>>().join("   ");
    (0..lines).map(|at| format!("  {}", line(at))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_half_as_many_lines_as_rows_and_every_pixel_in_it() {
        let tensor = Tensor::new([1, 4, 2], vec![0, 255, 10, 20, 64, 128, 200, 255]).expect("eight values");
        assert_eq!(picture(&tensor, false), [" █", "░▒"]);
        let coloured = picture(&tensor, true);
        assert!(coloured[0].contains("38;2;255;255;255m") && coloured[0].contains("48;2;20;20;20m"), "{coloured:?}");
        assert!(coloured.iter().all(|line| line.ends_with("\x1b[0m")));
    }

    #[test]
    fn a_wide_picture_is_thinned_to_the_columns_that_it_may_take() {
        let tensor = Tensor::new([1, 100, 100], vec![9; 10_000]).expect("as many values");
        let lines = picture(&tensor, false);
        assert!(lines.len() <= 19 && lines.iter().all(|line| line.chars().count() <= PICTURE_COLUMNS), "{lines:?}");
    }
}
