//! What could stand in the place of an operator that the head does not know.

const KNOWN: &str = "known are Add, AveragePool, BatchNormalization, Clip, Concat, Constant, Conv, ConvTranspose, Div, Erf, Flatten, \
                     Gelu, Gemm, GlobalAveragePool, HardSigmoid, HardSwish, Identity, LayerNormalization, LeakyRelu, \
                     MatMul, MaxPool, Mul, ReduceMean, Relu, Reshape, Sigmoid, Softmax, Squeeze, Sub, Tanh, Transpose, \
                     Unsqueeze";

/// What is known, and for operators that creators meet most, what does the same or nearly so.
pub(super) fn of(operator: &str) -> String {
    let instead = match operator {
        "Elu" | "Selu" | "Celu" | "PRelu" | "ThresholdedRelu" | "Softplus" | "Softsign" | "Shrink" => {
            "Relu, LeakyRelu or Gelu in its place, trained again"
        }
        "Mish" | "Swish" => "HardSwish or Gelu in its place, trained again",
        "Sin" | "Cos" | "Exp" | "Log" | "Sqrt" | "Pow" | "Abs" => {
            "a Relu, Sigmoid or Tanh in its place, trained again; or cut the model before it"
        }
        "LSTM" | "GRU" | "RNN" => "convolutions over the readings (Conv) in its place; or cut the model before it",
        "Resize" | "Upsample" => "a ConvTranspose in its place",
        "InstanceNormalization" | "GroupNormalization" | "LRN" => "BatchNormalization in its place",
        "GlobalMaxPool" | "ReduceMax" | "ReduceSum" => "GlobalAveragePool or ReduceMean in its place",
        "Pad" => "the padding of the Conv or pool behind it (`pads`)",
        "Einsum" => "MatMul or Gemm in its place",
        "ArgMax" | "TopK" => "scores without it: the answer is the largest of them in any case",
        "Slice" | "Split" | "Gather" => "two layers that read the whole, in the place of parts of it",
        _ => return KNOWN.to_owned(),
    };
    format!("{instead} ({KNOWN})")
}
