//! Attributes of a node, with ONNX's defaults.

use tract_onnx::pb::{AttributeProto, NodeProto};

pub(super) struct Attributes<'a>(pub &'a NodeProto);

impl<'a> Attributes<'a> {
    fn find(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub fn integer(&self, name: &str, default: i64) -> i64 {
        self.find(name).map_or(default, |attribute| attribute.i)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.find(name).map_or(default, |attribute| attribute.f)
    }

    pub fn text(&self, name: &str) -> &'a [u8] {
        self.find(name).map_or(&[], |attribute| attribute.s.as_slice())
    }

    pub fn integers(&self, name: &str) -> &'a [i64] {
        self.find(name).map_or(&[], |attribute| attribute.ints.as_slice())
    }

    /// A list of exactly `N` sizes, each at least `least`; `Err` with what is wrong.
    pub fn sizes<const N: usize>(&self, name: &str, default: [usize; N], least: usize) -> Result<[usize; N], String> {
        let Some(attribute) = self.find(name) else { return Ok(default) };
        let sizes: Option<Vec<usize>> = attribute.ints.iter().map(|size| usize::try_from(*size).ok()).collect();
        let sizes = sizes.filter(|sizes| sizes.iter().all(|size| (least..=65_536).contains(size)));
        sizes.and_then(|sizes| <[usize; N]>::try_from(sizes).ok()).ok_or_else(|| {
            format!("attribute `{name}` is {:?}, {N} numbers from {least} to 65536 are read", attribute.ints)
        })
    }
}
