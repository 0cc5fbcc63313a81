//! Numbers out of ONNX tensors.

use tract_onnx::pb::{
    TensorProto, ValueInfoProto, tensor_proto::DataType, tensor_shape_proto::dimension::Value as Size,
    type_proto::Value,
};

/// Largest side of an input, so that products of sides stay far from overflow.
const SIDE_LIMIT: i64 = 1 << 20;

/// Shape of a float input without its batch dimension; `None` unless every size after it is a fixed number.
pub(super) fn float_shape(info: &ValueInfoProto) -> Option<Vec<usize>> {
    let Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    if tensor.elem_type != DataType::Float as i32 {
        return None;
    }
    let (_, sides) = tensor.shape.as_ref()?.dim.split_first()?;
    let fixed = sides.iter().map(|side| match side.value {
        Some(Size::DimValue(size)) if (1..=SIDE_LIMIT).contains(&size) => usize::try_from(size).ok(),
        _ => None,
    });
    fixed.collect::<Option<Vec<_>>>().filter(|shape| !shape.is_empty() && shape.len() <= 3)
}

/// Sides of a tensor; `None` if one is negative or their product overflows.
pub(super) fn sides(tensor: &TensorProto) -> Option<Vec<usize>> {
    let sides: Vec<usize> = tensor.dims.iter().map(|side| usize::try_from(*side).ok()).collect::<Option<_>>()?;
    sides.iter().try_fold(1usize, |size, side| size.checked_mul(*side))?;
    Some(sides)
}

/// The tensor's floats; `None` if its type is another or their count is not its shape's.
pub(super) fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    let values: Vec<f32> = if tensor.data_type == DataType::Float as i32 {
        match tensor.raw_data.is_empty() {
            true => tensor.float_data.clone(),
            false => words(&tensor.raw_data)?.map(f32::from_le_bytes).collect(),
        }
    } else if tensor.data_type == DataType::Double as i32 {
        match tensor.raw_data.is_empty() {
            true => tensor.double_data.iter().map(|value| *value as f32).collect(),
            false => words(&tensor.raw_data)?.map(|word| f64::from_le_bytes(word) as f32).collect(),
        }
    } else {
        return None;
    };
    (values.len() == sides(tensor)?.iter().product::<usize>()).then_some(values)
}

/// The tensor's 64-bit integers: shapes are given so.
pub(super) fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    if tensor.data_type != DataType::Int64 as i32 {
        return None;
    }
    match tensor.raw_data.is_empty() {
        true => Some(tensor.int64_data.clone()),
        false => Some(words(&tensor.raw_data)?.map(i64::from_le_bytes).collect()),
    }
}

/// Little-endian words of `N` bytes; `None` if some are left over.
fn words<const N: usize>(bytes: &[u8]) -> Option<impl Iterator<Item = [u8; N]>> {
    let (words, rest) = bytes.as_chunks::<N>();
    rest.is_empty().then(|| words.iter().copied())
}
