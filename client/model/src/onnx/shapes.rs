//! Nodes that change a value's shape, or take means along whole sides.

use super::{
    Operation,
    attributes::Attributes,
    head::{HeadReader, Read, Reason, Value},
    tensor,
};
use encompute_head::{Axis, Join, Node};
use tract_onnx::pb::NodeProto;

impl HeadReader<'_> {
    pub(super) fn flatten(&self, node: &NodeProto) -> Read {
        let value = self.value(node, 0)?;
        match Attributes(node).integer("axis", 1) {
            1 => reshaped(&value, vec![value.sides.iter().product()]),
            axis => Err(format!("axis is {axis}, only 1 is known")),
        }
    }

    pub(super) fn reshape(&self, node: &NodeProto) -> Read {
        let value = self.value(node, 0)?;
        let target = tensor::integers(self.weights(node, 1)?).ok_or("the shape must be 64-bit integers")?;
        let size: usize = value.sides.iter().product();
        let (batch, sides) = target.split_first().ok_or("the shape is empty")?;
        let free = sides.iter().filter(|side| **side == -1).count();
        let fixed: Option<Vec<usize>> =
            sides.iter().filter(|side| **side != -1).map(|side| usize::try_from(*side).ok()).collect();
        let product = fixed.and_then(|fixed| fixed.iter().try_fold(1usize, |size, side| size.checked_mul(*side)));
        let fits = matches!((product, free), (Some(product), 0) if product == size)
            || matches!((product, free), (Some(product), 1) if product > 0 && size.is_multiple_of(product) && *batch != -1);
        if !fits || !(-1..=1).contains(batch) || sides.is_empty() || sides.len() > 3 {
            return Err(format!("{target:?} must keep the batch and all {size} numbers of a sample"));
        }
        let filled = sides.iter().map(|side| usize::try_from(*side).unwrap_or(size / product.unwrap_or(1).max(1)));
        reshaped(&value, filled.collect())
    }

    /// Channels behind the other sides, or before them again.
    pub(super) fn turned(&mut self, node: &NodeProto) -> Read {
        let Value { tensor: of, sides } = self.value(node, 0)?;
        let order = Attributes(node).integers("perm");
        let (mut turned, split) = (sides.clone(), sides.len() as i64);
        let behind = || (2..=split).chain([1]);
        let before = || [split].into_iter().chain(1..split);
        let (first, given) = match order.split_first() {
            Some((0, order)) if split > 1 && order.iter().copied().eq(behind()) => {
                turned.rotate_left(1);
                (sides[0], turned)
            }
            Some((0, order)) if split > 1 && order.iter().copied().eq(before()) => {
                turned.rotate_right(1);
                (sides.iter().rev().skip(1).product(), turned)
            }
            _ => return Err(format!("perm is {order:?}; channels may go behind the other sides, or before them")),
        };
        let rest = sides.iter().product::<usize>() / first.max(1);
        let to = [first as u32, rest as u32, 1];
        let of = self.push(node, Operation::Client(Node::Reshape { of, to }))?;
        let tensor = self.push(node, Operation::Client(Node::Transpose { of }))?;
        reshaped(&Value { tensor, sides }, given)
    }

    /// The sides that a node names, counted with the batch: an attribute, or fixed numbers since opset 13 (18).
    fn axes(&self, node: &NodeProto, rank: usize) -> Result<Vec<usize>, Reason> {
        let axes = match node.input.get(1).filter(|name| !name.is_empty()) {
            Some(_) => tensor::integers(self.weights(node, 1)?).ok_or("the axes must be 64-bit integers")?,
            None => Attributes(node).integers("axes").to_vec(),
        };
        let side = |axis: &i64| {
            let axis = if *axis < 0 { axis + rank as i64 } else { *axis };
            usize::try_from(axis).ok().filter(|axis| (1..rank).contains(axis))
        };
        axes.iter().map(side).collect::<Option<_>>().ok_or_else(|| format!("axes are {axes:?} of {rank} sides"))
    }

    pub(super) fn squeezed(&mut self, node: &NodeProto) -> Read {
        let value = self.value(node, 0)?;
        let axes = self.axes(node, value.sides.len() + 1)?;
        if axes.is_empty() || axes.iter().any(|axis| value.sides[axis - 1] != 1) || axes.len() >= value.sides.len() {
            return Err(format!("axes {axes:?} of {:?} do not all have one value", value.sides));
        }
        let kept = value.sides.iter().enumerate().filter(|(at, _)| !axes.contains(&(at + 1))).map(|(_, side)| *side);
        let kept = kept.collect();
        reshaped(&value, kept)
    }

    pub(super) fn unsqueezed(&mut self, node: &NodeProto) -> Read {
        let value = self.value(node, 0)?;
        let mut axes = self.axes(node, value.sides.len() + 2)?;
        let (1, Some(axis)) = (axes.len(), axes.pop()) else {
            return Err("one side is added at a time".to_owned());
        };
        let mut sides = value.sides.clone();
        sides.insert(axis - 1, 1);
        if sides.len() > 3 {
            return Err(format!("a value has at most three sides beside the batch, these would be {sides:?}"));
        }
        reshaped(&value, sides)
    }

    /// The mean over all sides but the channels, as `mean` over a picture is exported.
    pub(super) fn mean(&mut self, node: &NodeProto) -> Read {
        let value = self.value(node, 0)?;
        let rank = value.sides.len() + 1;
        let mut axes = self.axes(node, rank)?;
        axes.sort_unstable();
        if rank < 3 || !axes.iter().copied().eq(2..rank) {
            return Err(format!(
                "means are taken over all sides but the channels, its axes are {axes:?} of {rank} sides"
            ));
        }
        let side = |at: usize| value.sides.get(at).map_or(1, |side| *side as u32);
        let whole = |at: usize| Axis::new(side(at), side(at));
        let pool = Node::Pool { of: value.tensor, join: Join::Average, rows: whole(1), columns: whole(2) };
        let channels = value.sides[0];
        match Attributes(node).integer("keepdims", 1) {
            0 => {
                let tensor = self.push(node, Operation::Client(pool))?;
                reshaped(&Value { tensor, sides: Vec::new() }, vec![channels])
            }
            _ => Ok(Some((Operation::Client(pool), [vec![channels], vec![1; rank - 2]].concat()))),
        }
    }
}

fn reshaped(value: &Value, sides: Vec<usize>) -> Read {
    let side = |at: usize| sides.get(at).map_or(1, |side| *side as u32);
    let to = [side(0), side(1), side(2)];
    Ok(Some((Operation::Client(Node::Reshape { of: value.tensor, to }), sides)))
}
