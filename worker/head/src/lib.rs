//! The head program: the encrypted first layers of a model, as integers.
//!
//! A head is a public [`HeadPlan`] (shapes, layouts, what the client does between rounds) and secret
//! [`HeadWeights`]. [`compile`] refuses a head whose outputs would not all be exact, and says which
//! layer; a [`CompiledHead`] carries its [`NoiseProof`]s and its [`Cost`].
//!
//! The worker calls [`evaluate_round`]; the client takes [`client_step`] on what it decrypts and
//! encrypts the next round's input. [`ClearBackend`] runs the same program on integers.
//!
//! ```
//! use encompute_fhe::ParameterSet;
//! use encompute_head::*;
//!
//! let layer = Layer::Dense { inputs: 3, outputs: 2 };
//! let weights = HeadWeights::new(vec![vec![1, -2, 3, 0, 5, -6]]);
//! let step = ClientStep::identity(Domain { bits: 16, signed: true });
//! let round = RoundPlan::fitted(ParameterSet::Glwe2048V1, layer, Domain::U8, step, weights.layer(0)?)?;
//! let plan = HeadPlan::new(ParameterSet::Glwe2048V1, Mode::Linear, vec![round])?;
//!
//! let head = compile(plan, weights, &CompileOptions::default())?;
//! assert!(head.proofs()[0].failure_log2 <= -128);
//! let sums = ClearBackend.evaluate(&head, RoundIndex(0), &vec![10, 20, 30])?;
//! assert_eq!(client_step(&head.plan().rounds()[0], &sums)?.expose(), [60, -80]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod compile;
mod cost;
mod geometry;
mod layer;
pub mod measure;
mod noise;
mod plan;
mod step;
mod weights;

pub use backend::{Backend, ClearBackend, EncryptedBackend, EvaluateError, evaluate_round, evaluate_unblinded};
pub use compile::{CompileError, CompileOptions, CompiledHead, compile};
pub use cost::{Cost, REFERENCE_MACHINE};
pub use geometry::{GeometryError, Tiling};
pub use layer::{Axis, Layer, Shape};
pub use noise::{FAILURE_LOG2_LIMIT, NoiseProof};
pub use plan::{Activation, ClientStep, Domain, HeadPlan, Mode, PlanError, Pooling, Rescale, RoundIndex, RoundPlan};
pub use step::{QuantisedValues, StepError, client_step};
pub use weights::{HeadWeights, WeightsError, head_digest};
