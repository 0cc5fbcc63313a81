//! The head program: the encrypted first layers of a model, as integers.
//!
//! A head is a public [`HeadPlan`] (shapes, layouts, what the client does between rounds) and secret
//! [`HeadWeights`]. [`compile`] refuses a head whose outputs would not all be exact, and says which
//! layer; a [`CompiledHead`] carries its [`NoiseProof`]s and its [`Cost`].
//!
//! The worker calls [`evaluate_round`], or takes a [`RoundRun`] from segment to segment, where a round is more than one
//! call; the client's half is a [`Program`] of real tensors, which a [`ClientRun`]
//! takes from round to round: what it asks for is encrypted, what is decrypted it goes on with. [`ClearBackend`]
//! runs the same rounds on integers.
//!
//! ```
//! use encompute_fhe::ParameterSet;
//! use encompute_head::*;
//!
//! let layer = Layer::Dense { inputs: 3, outputs: 2 };
//! let weights = HeadWeights::new(vec![vec![1, -2, 3, 0, 5, -6]]);
//! let round = RoundPlan::fitted(ParameterSet::Glwe2048V1, layer, Domain::U8, weights.layer(0)?)?;
//! let program = Program::single_round(Domain { bits: 16, signed: true });
//! let plan = HeadPlan::new(ParameterSet::Glwe2048V1, Mode::Linear, vec![round], program)?;
//!
//! let head = compile(plan, weights, &CompileOptions::default())?;
//! assert!(head.proofs()[0].failure_log2 <= -128);
//! let mut run = head.plan().run(&[10, 20, 30])?;
//! while let Some((round, values)) = run.request() {
//!     run.answer(&ClearBackend.evaluate(&head, round, &values.to_vec())?)?;
//! }
//! assert_eq!(run.features().unwrap().expose(), [60, -80]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod blinding;
mod chain;
mod compile;
mod cost;
pub mod exactness;
mod geometry;
mod layer;
pub mod measure;
mod noise;
mod operations;
mod plan;
mod program;
mod run;
mod segment;
mod stepwise;
mod weights;

pub use backend::{Backend, ClearBackend, EncryptedBackend, EvaluateError, evaluate_round, evaluate_unblinded};
pub use blinding::BlindedFor;
pub use chain::{Chain, ChainError, ChainIndex, Function, Link, LookupProof, Step};
pub use compile::{CompileError, CompileOptions, CompiledHead, compile};
pub use cost::{BOOTSTRAP_MICROSECONDS, Cost, REFERENCE_MACHINE};
pub use geometry::{GeometryError, Tiling};
pub use layer::{Axis, Layer, Shape};
pub use noise::{FAILURE_LOG2_LIMIT, NoiseProof};
pub use operations::compute;
pub use plan::{Domain, HeadPlan, Mode, PlanError, RoundIndex, RoundPlan};
pub use program::{Activation, Draft, Features, Join, Node, NodeError, Program, Real, TensorIndex, Unit, side_by_side};
pub use run::{ClientRun, QuantisedValues, StepError, quantised, request_units};
pub use segment::{Segment, SegmentState};
pub use stepwise::{Given, RoundRun};
pub use weights::{HeadWeights, WeightsError, head_digest};
