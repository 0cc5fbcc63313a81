//! Running the client's half of a head: real tensors, wiped when they are done with; never refusing a value.

use core::ops::Deref;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::layer::Shape;
use crate::operations;
use crate::plan::{Domain, HeadPlan, RoundIndex};
use crate::program::{Node, Real, Unit};

/// Values that come from an input or from decrypted sums: a round's request, or the features. Cannot be printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct QuantisedValues(Vec<i64>);

impl QuantisedValues {
    /// The values, for encryption or release.
    pub fn expose(&self) -> &[i64] {
        &self.0
    }
}

/// Another number of values than the head takes or its round gives, or an answer that was not asked for: a fault of
/// the program, not of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} {what}, {wanted} are taken")]
pub struct StepError {
    /// What was counted.
    pub what: &'static str,
    /// Number found.
    pub found: usize,
    /// Number taken.
    pub wanted: usize,
}

/// One input on its way through a head.
///
/// Whatever the sums are, each request and the features are values of their domains: what the client does next
/// must not depend on whether a decrypted value looks right. It cannot be printed:
/// ```compile_fail
/// fn print(run: &encompute_head::ClientRun<&encompute_head::HeadPlan>) { println!("{run:?}"); }
/// ```
pub struct ClientRun<P> {
    plan: P,
    /// What is known so far, the input first.
    tensors: Vec<Zeroizing<Vec<f64>>>,
    rounds: u16,
    asked: Option<Asked>,
}

/// A round's request, and what an integer of it is worth: one number, or one for each position.
struct Asked {
    values: QuantisedValues,
    units: Zeroizing<Vec<f64>>,
}

impl<P: Deref<Target = HeadPlan>> ClientRun<P> {
    /// Begins with an input, which is the first request as it is.
    ///
    /// # Errors
    /// [`StepError`] if it has another number of values than the head takes.
    pub fn start(plan: P, input: &[i64]) -> Result<Self, StepError> {
        let (found, wanted) = (input.len(), plan.input_count());
        if found != wanted {
            return Err(StepError { what: "inputs", found, wanted });
        }
        let input = input.iter().map(|value| *value as f64).collect();
        let mut run = Self { plan, tensors: vec![Zeroizing::new(input)], rounds: 0, asked: None };
        run.advance();
        Ok(run)
    }

    /// The round that is to be asked for next, and its values; none once the features are known.
    pub fn request(&self) -> Option<(RoundIndex, &[i64])> {
        self.asked.as_ref().map(|asked| (RoundIndex(self.rounds), asked.values.expose()))
    }

    /// How many rounds have been answered.
    pub fn answered(&self) -> usize {
        usize::from(self.rounds)
    }

    /// Goes on with the sums of the round that was asked for.
    ///
    /// # Errors
    /// [`StepError`] if the number of sums is not the round's, or none was asked for.
    pub fn answer(&mut self, sums: &[i64]) -> Result<(), StepError> {
        let wanted = self.plan.round(RoundIndex(self.rounds)).map_or(0, |round| round.sums().len());
        let (Some(node), Some(asked)) = (self.node(), self.asked.as_ref().filter(|_| sums.len() == wanted)) else {
            return Err(StepError { what: "sums", found: sums.len(), wanted });
        };
        let shape = self.plan.shape(self.tensors.len());
        let sums = real_sums(node, shape, sums, &asked.units);
        self.tensors.push(sums);
        self.asked = None;
        self.rounds += 1;
        self.advance();
        Ok(())
    }

    /// What the head gives, once every round has been answered.
    pub fn features(&self) -> Option<QuantisedValues> {
        if self.node().is_some() {
            return None;
        }
        let features = self.plan.program().features();
        let tensor = self.tensors.get(usize::from(features.of.0))?;
        Some(quantised(tensor, &[features.unit.get()], features.domain))
    }

    /// The node that gives the next tensor.
    fn node(&self) -> Option<&Node> {
        self.plan.program().nodes().get(self.tensors.len() - 1)
    }

    /// Computes up to the next round, or to the end.
    fn advance(&mut self) {
        while let Some(node) = self.node() {
            if let (Node::Round { of, unit, .. }, Some(round)) = (node, self.plan.round(RoundIndex(self.rounds))) {
                let tensor = &self.tensors[usize::from(of.0)];
                let units = request_units(unit, tensor, round.layer.input_shape(), round.input);
                let values = quantised(tensor, &units, round.input);
                self.asked = Some(Asked { values, units });
                return;
            }
            let tensor = self.computed(node);
            self.tensors.push(tensor);
        }
    }

    fn computed(&self, node: &Node) -> Zeroizing<Vec<f64>> {
        let read = |of: crate::program::TensorIndex| {
            let place = usize::from(of.0);
            (self.tensors[place].as_slice(), self.plan.shape(place))
        };
        let reads: Vec<_> = node.reads().into_iter().map(read).collect();
        Zeroizing::new(operations::compute(node, &reads))
    }
}

/// What a round's sums are worth.
fn real_sums(node: &Node, shape: Shape, sums: &[i64], units: &[f64]) -> Zeroizing<Vec<f64>> {
    let Node::Round { scale, bias, .. } = node else { return Zeroizing::default() };
    let positions = (shape.rows * shape.columns).max(1);
    let real = sums.iter().enumerate().map(|(at, sum)| {
        let (channel, position) = (at / positions, at % positions);
        let unit = each(units, position).unwrap_or(1.0) * of_channel(scale, channel, 1.0);
        *sum as f64 * unit + of_channel(bias, channel, 0.0)
    });
    Zeroizing::new(real.collect())
}

/// What an integer of a request is worth for a tensor of this shape: one number, or one for each position.
pub fn request_units(unit: &Unit, tensor: &[f64], shape: Shape, domain: Domain) -> Zeroizing<Vec<f64>> {
    let of_largest = |largest: f64| if largest > 0.0 { largest / domain.max() as f64 } else { 1.0 };
    let largest =
        |values: &mut dyn Iterator<Item = &f64>| values.fold(0.0f64, |largest, value| largest.max(value.abs()));
    let positions = (shape.rows * shape.columns).max(1);
    Zeroizing::new(match unit {
        Unit::Fixed(unit) => vec![unit.get()],
        Unit::Dynamic => vec![of_largest(largest(&mut tensor.iter()))],
        Unit::DynamicPosition => {
            (0..positions).map(|at| of_largest(largest(&mut tensor.iter().skip(at).step_by(positions)))).collect()
        }
    })
}

/// A tensor as a request or as features: `floor(x / unit + ½)`, held to the domain; what is no number becomes 0.
/// `units` is one number, or one for each position.
pub fn quantised(tensor: &[f64], units: &[f64], domain: Domain) -> QuantisedValues {
    let positions = units.len().max(1);
    let (least, most) = (domain.min() as f64, domain.max() as f64);
    let integer = |(at, value): (usize, &f64)| {
        let scaled = (value / each(units, at % positions).unwrap_or(1.0) + 0.5).floor();
        // A cast takes what is no number for 0, which every domain holds.
        scaled.clamp(least, most) as i64
    };
    QuantisedValues(tensor.iter().enumerate().map(integer).collect())
}

/// The only one, or the one at a place.
fn each(numbers: &[f64], place: usize) -> Option<f64> {
    match numbers {
        [one] => Some(*one),
        each => each.get(place).copied(),
    }
}

pub(crate) fn of_channel(numbers: &[Real], channel: usize, none: f64) -> f64 {
    match numbers {
        [one] => one.get(),
        each => each.get(channel).map_or(none, |number| number.get()),
    }
}

impl HeadPlan {
    /// The client's half for one input.
    ///
    /// # Errors
    /// [`StepError`] if it has another number of values than the head takes.
    pub fn run(&self, input: &[i64]) -> Result<ClientRun<&Self>, StepError> {
        ClientRun::start(self, input)
    }
}
