//! Every node after which a model could be cut.

use crate::{
    bench::{Bench, BenchError},
    lower,
    onnx::{HeadGraph, Operation},
};

/// A node, and whether the model can be cut after it.
pub struct Cut {
    /// The node.
    pub after: String,
    /// What a cut there would be.
    pub state: CutState,
}

/// What a cut would be.
pub enum CutState {
    /// A head with this many linear layers; nothing follows it if `has_tail` is false.
    Possible {
        /// Linear layers before the cut.
        depth: usize,
        /// Whether it is one linear layer and nothing else.
        linear: bool,
        /// Whether anything follows.
        has_tail: bool,
    },
    /// Not possible, and why.
    Refused(BenchError),
}

impl Bench {
    /// All nodes in order; of those that cut at the same value the first alone.
    pub fn cuts(&self) -> Vec<Cut> {
        let mut seen: Vec<HeadGraph> = Vec::new();
        let mut cuts = Vec::new();
        for after in self.model().node_names() {
            let state = match self.possible(after) {
                Ok((graph, _)) if seen.contains(&graph) => continue,
                Ok((graph, has_tail)) => {
                    let depth = linear_layers(&graph);
                    let linear = graph.nodes.len() == 1;
                    seen.push(graph);
                    CutState::Possible { depth, linear, has_tail }
                }
                Err(error) => CutState::Refused(error),
            };
            cuts.push(Cut { after: after.to_owned(), state });
        }
        cuts
    }

    fn possible(&self, after: &str) -> Result<(HeadGraph, bool), BenchError> {
        let graph = self.graph(after)?;
        lower::check(&graph, false)?;
        // Neither width nor clip matter to whether it can be cut.
        let has_tail = self.model().tail_after(after, 1, 1.0)?.is_some();
        Ok((graph, has_tail))
    }
}

/// How many layers run under encryption.
pub fn linear_layers(graph: &HeadGraph) -> usize {
    graph.nodes.iter().filter(|node| matches!(node.operation, Operation::Linear { .. })).count()
}
