//! `encompute model explain`: a head as a plan, like a database's query plan.

use crate::{
    failure::{Doing, Exit, Outcome},
    output, publish,
};
use encompute_head::{CompiledHead, Cost, Node, NoiseProof, REFERENCE_MACHINE, RoundPlan, Segment};
use encompute_model::{Bench, BenchSplit};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What to explain.
#[derive(clap::Args)]
pub struct Explain {
    /// A model's name in the models folder, or a folder with model.toml
    model: String,
    /// Split, by name; the model's first if not given
    #[arg(long)]
    split: Option<String>,
    /// Folder of the models
    #[arg(long, default_value = "scripts/models", value_name = "DIR")]
    models: PathBuf,
}

impl Explain {
    /// Cuts, quantises and compiles the split, and prints what it does and costs.
    pub fn run(self, json: bool) -> Outcome {
        let folder = publish::model_folder(&self.models, &self.model)?;
        let doing = format!("explain {}", self.model);
        let bench = Bench::open(&folder).doing(Exit::Failed, &doing)?;
        let index = publish::split_index(&bench, self.split.as_deref())?;
        output::say(&format!("compiling {} …", self.model));
        let split = bench.split(index).doing(Exit::Failed, &doing)?;
        match json {
            true => output::json(&as_json(&self.model, &split)),
            false => output::text(&words(&self.model, &split)),
        }
    }
}

fn words(model: &str, split: &BenchSplit) -> String {
    let (head, plan) = (&split.compiled, &split.plan);
    let cost = head.cost();
    let mut lines = vec![
        format!(
            "{model}, split {}: {} inputs -> {} features, parameters {}",
            split.card.name,
            plan.input_count(),
            plan.feature_count(),
            plan.parameter_set()
        ),
        format!(
            "{} rounds, {} products, {:.1} KB up, {:.1} KB down, about {:.2} ms on {REFERENCE_MACHINE}",
            plan.rounds().len(),
            cost.ring_products,
            kilobytes(cost.request_bytes),
            kilobytes(cost.response_bytes),
            milliseconds(&cost)
        ),
    ];
    if let Some(set) = plan.mode().bootstrap_set() {
        lines.push(format!(
            "{} bootstraps of {set} under an evaluation key of {:.1} MB, sent once a case",
            cost.bootstraps,
            kilobytes(cost.evaluation_key_bytes) / 1_000.0
        ));
    }
    lines.push(String::new());
    let mut round = 0;
    for (at, node) in plan.program().nodes().iter().enumerate() {
        lines.push(format!("t{} = {node}", at + 1));
        if matches!(node, Node::Round { .. }) {
            lines.extend(round_words(head, round).into_iter().map(|line| format!("       {line}")));
            round += 1;
        }
    }
    let features = plan.program().features();
    lines.push(format!("features = {} as {} in units of {:?}", features.of, features.domain, features.unit));
    lines.join("\n")
}

/// What runs under encryption in a round, why it is exact, what it costs.
fn round_words(head: &CompiledHead, index: usize) -> Vec<String> {
    let (plan, cost, proof) = (&head.plan().rounds()[index], head.round_costs()[index], &head.proofs()[index]);
    let (up, down) = ciphertexts(head, plan);
    let mut words = vec![format!("encrypted: {} of {}, {} weights", plan.layer, plan.input, plan.layer.weight_count())];
    words.extend(chain_words(plan, proof));
    words.extend(segment_words(head, index));
    let sent = if plan.chain.is_some() { "values" } else { "sums" };
    words.extend([
        format!(
            "exact: {sent} of at most {} bits in {}, noise of 2^{:.1} below 2^{}; wrong at most 2^{}",
            proof.worst_sum_bits,
            proof.accumulator_bits,
            proof.variance().log2() / 2.0,
            proof.margin_log2,
            proof.failure_log2
        ),
        format!(
            "costs: {up} + {down} ciphertexts, {:.1} KB up, {:.1} KB down, {} products, {:.2} ms",
            kilobytes(cost.request_bytes),
            kilobytes(cost.response_bytes),
            cost.ring_products,
            milliseconds(&cost)
        ),
    ]);
    words
}

/// The steps of a round's chain, and how often noise takes an integer to a table's neighbouring bin.
fn chain_words(plan: &RoundPlan, proof: &NoiseProof) -> Vec<String> {
    let steps = plan.chain.iter().flat_map(|chain| &chain.steps).enumerate();
    let words = steps.map(|(index, step)| {
        let lookup = proof.lookups.iter().find(|lookup| usize::from(lookup.step) == index);
        let words = format!("c{} = {step}", index + 1);
        match lookup {
            None => words,
            Some(lookup) => format!(
                "{words}: {} bootstraps, 2^{:.1} of integers a bin off, any farther at most 2^{}",
                lookup.bootstraps,
                f64::from(lookup.misrounded_log2_milli) / 1_000.0,
                lookup.farther_log2
            ),
        }
    });
    words.collect()
}

/// The segments that a round is cut into, with what each costs; none for a round that is one call.
fn segments_of(head: &CompiledHead, round: usize) -> impl Iterator<Item = (Segment, Cost)> {
    let segments = head.plan().segments().iter().copied().zip(head.segment_costs());
    segments.filter(move |(segment, _)| usize::from(segment.round.0) == round && segment.count > 1)
}

/// Where a round is cut: each segment is a call with a receipt of its own, and goes on from what the one before gave.
fn segment_words(head: &CompiledHead, index: usize) -> Vec<String> {
    let Some(chain) = &head.plan().rounds()[index].chain else { return Vec::new() };
    let words = segments_of(head, index).map(|(segment, cost)| {
        let steps = chain.segment_steps(segment.index.into());
        let gives = if segment.is_last() { "the response" } else { "sealed ciphertexts to go on from" };
        format!(
            "segment {} of {}: up to c{}, {} bootstraps, {:.1} s, gives {gives}, {:.1} KB",
            segment.index + 1,
            segment.count,
            steps.end,
            cost.bootstraps,
            milliseconds(&cost) / 1_000.0,
            kilobytes(cost.response_bytes),
        )
    });
    words.collect()
}

fn segments_json(head: &CompiledHead, index: usize) -> Vec<Value> {
    let segments = segments_of(head, index).map(|(segment, cost)| {
        json!({
            "segment": segment.index, "bootstraps": cost.bootstraps, "estimated_ms": milliseconds(&cost),
            "bytes_up": cost.request_bytes, "bytes_down": cost.response_bytes,
        })
    });
    segments.collect()
}

/// How many a request and a response of a round have.
fn ciphertexts(head: &CompiledHead, plan: &RoundPlan) -> (usize, usize) {
    let set = head.plan().parameter_set();
    let up = plan.input_layout(set).map_or(0, |layout| layout.ciphertext_count());
    (up, plan.output_layout(set).map_or(0, |layout| layout.pieces().len()))
}

fn as_json(model: &str, split: &BenchSplit) -> Value {
    let (head, plan) = (&split.compiled, &split.plan);
    let rounds: Vec<Value> = plan
        .rounds()
        .iter()
        .zip(head.round_costs().iter().zip(head.proofs()))
        .enumerate()
        .map(|(index, (round, (cost, proof)))| {
            let (up, down) = ciphertexts(head, round);
            json!({
                "layer": round.layer.to_string(), "input": round.input.to_string(), "weights": round.layer.weight_count(),
                "ciphertexts_up": up, "ciphertexts_down": down, "bytes_up": cost.request_bytes,
                "bytes_down": cost.response_bytes, "products": cost.ring_products,
                "estimated_ms": milliseconds(cost), "worst_sum_bits": proof.worst_sum_bits,
                "accumulator_bits": proof.accumulator_bits, "failure_log2": proof.failure_log2,
                "chain": chain_words(round, proof), "bootstraps": cost.bootstraps,
                "segments": segments_json(head, index),
            })
        })
        .collect();
    let nodes: Vec<String> = plan.program().nodes().iter().map(ToString::to_string).collect();
    json!({
        "model": model, "split": split.card.name, "head": head.digest().to_string(),
        "parameter_set": plan.parameter_set().to_string(), "inputs": plan.input_count(),
        "features": plan.feature_count(), "estimated_ms": milliseconds(&head.cost()),
        "evaluation_key_bytes": head.cost().evaluation_key_bytes,
        "reference_machine": REFERENCE_MACHINE, "rounds": rounds, "program": nodes,
    })
}

fn kilobytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000.0
}

fn milliseconds(cost: &Cost) -> f64 {
    cost.estimated_microseconds as f64 / 1_000.0
}
