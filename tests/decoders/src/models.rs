//! What creators publish, and what users' files become.

use crate::{messages::canonical, target::is_one_in};
use encompute_audit::PublishedReport;
use encompute_head::{HeadPlan, HeadWeights, SegmentState};
use encompute_model::preamble::{Fit, ImagePreamble, SliceNumber, TextPreamble};
use encompute_model::{Lexicon, OnnxModel, Preamble, PublishedAttack, TailError, TailLimits, TailModel};
use encompute_protocol::wire::Message;
use encompute_protocol::{BlobDigest, VersionManifest};
use image::ImageReader;
use std::{io::Cursor, sync::LazyLock};

/// Most values of a tensor for which a preamble's grid is made.
const VALUES_LIMIT: usize = 4_096;
/// Of larger pictures only one in 1,024 is decoded: 513 bytes may promise 8192 × 8192 pixels, which are allowed, and
/// take seconds to clear and transform.
const SIDE_PIXELS: u32 = 64;
/// Most numbers that go into a tail.
const WIDTH_LIMIT: usize = 64;

/// The digits model's.
const DIGITS: Preamble = Preamble::Image(ImagePreamble {
    channels: 1,
    height: 28,
    width: 28,
    fit: Fit::InkCentred { box_pixels: 20 },
    scale_numerator: 1,
    scale_denominator: 255,
});

/// A model of grey pictures that are not looked into.
const SCANS: Preamble = Preamble::Image(ImagePreamble {
    channels: 1,
    height: 32,
    width: 32,
    fit: Fit::Whole,
    scale_numerator: 1,
    scale_denominator: 255,
});

/// The breast-cancer model's.
static ROW: LazyLock<Preamble> = LazyLock::new(|| {
    Preamble::from_wire(include_bytes!("../../fuzz/corpus/preambles/breast-cancer")).expect("a seed; qed")
});

pub(crate) fn manifests(bytes: &[u8]) -> bool {
    canonical::<VersionManifest>(bytes)
}

/// JSON may be written in many ways: what is accepted reads as the same report when it is written again.
pub(crate) fn reports(bytes: &[u8]) -> bool {
    let Ok(report) = PublishedReport::from_json(bytes) else { return false };
    let again = serde_json::to_vec(&report).expect("numbers and text; qed");
    assert_eq!(PublishedReport::from_json(&again).ok(), Some(report));
    true
}

/// The plans and the preamble inside a manifest.
pub(crate) fn parts(bytes: &[u8]) {
    if let Ok(manifest) = VersionManifest::from_wire(bytes) {
        let _ = Preamble::from_wire(manifest.preamble.as_slice());
        for split in &manifest.splits {
            let _ = HeadPlan::from_bytes(split.plan.as_slice());
        }
    }
}

/// The first byte, modulo three, says what follows: a plan, weights, or what lies between two segments.
pub(crate) fn plans(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else { return false };
    let again = match kind % 3 {
        0 => HeadPlan::from_bytes(bytes).ok().map(|plan| plan.to_bytes()),
        1 => HeadWeights::from_bytes(bytes).ok().map(|weights| weights.to_bytes()),
        _ => SegmentState::from_bytes(bytes).ok().map(|state| state.to_bytes()),
    };
    if let Some(again) = &again {
        assert_eq!(again, bytes);
    }
    again.is_some()
}

/// A plan that was accepted has a layout for every round, or a reason why not.
pub(crate) fn layouts(bytes: &[u8]) {
    if let Ok(plan) = HeadPlan::from_bytes(bytes.get(1..).unwrap_or_default()) {
        for round in plan.rounds() {
            let _ = round.input_layout(plan.parameter_set());
        }
    }
}

pub(crate) fn preambles(bytes: &[u8]) -> bool {
    canonical::<Preamble>(bytes)
}

/// Grids of other people's preambles, and a file read as they say.
pub(crate) fn grids(bytes: &[u8]) {
    if let Ok(preamble) = Preamble::from_wire(bytes) {
        let values: usize = preamble.shape().iter().product();
        if preamble.is_sound() && values <= VALUES_LIMIT {
            assert_eq!(preamble.grid().step.len(), values);
            let _ = preamble.read(b"1,2,3\n");
        }
    }
}

/// Lexicons of texts.
pub(crate) fn lexicons(bytes: &[u8]) -> bool {
    let lexicon = Lexicon::from_bytes(bytes);
    if let Ok(lexicon) = &lexicon {
        assert!(lexicon.to_bytes() == bytes);
    }
    lexicon.is_ok()
}

/// A text read with a lexicon, by a preamble that fits it.
pub(crate) fn lookups(bytes: &[u8]) {
    if let Ok(lexicon) = Lexicon::from_bytes(bytes) {
        let word = |size: usize| u16::try_from(size).unwrap_or(u16::MAX);
        let preamble = Preamble::Text(TextPreamble {
            tokens: word(lexicon.places()),
            width: word(lexicon.width()),
            step: 0.01,
            lexicon: BlobDigest::of(bytes),
            lexicon_bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        });
        let values: usize = preamble.shape().iter().product();
        if values <= VALUES_LIMIT
            && let Ok(reader) = preamble.reader(Some(bytes))
        {
            let read = reader.read("The heart's [SEP] sc\u{e1}n \u{5fc3} s\u{301}".as_bytes());
            assert!(read.is_ok_and(|read| read.tensor.values().len() == values), "there are words in it");
        }
    }
}

/// Users' pictures, as the digits model reads them.
pub(crate) fn pictures(bytes: &[u8]) -> bool {
    if is_large(bytes) && !is_one_in(1_024, bytes) {
        return false;
    }
    let tensor = DIGITS.read(bytes);
    if let Ok(tensor) = &tensor {
        assert_eq!(tensor.values().len(), 28 * 28);
    }
    tensor.is_ok()
}

/// Users' scans, the middle slice or the one that the first byte says, if there is one.
pub(crate) fn scans(bytes: &[u8]) -> bool {
    let Some((slice, bytes)) = bytes.split_first() else { return false };
    let Ok(reader) = SCANS.reader(None) else { return false };
    let read = match slice {
        0 => reader.read(bytes),
        slice => reader.read_slice(bytes, SliceNumber((*slice).into())),
    };
    if let Ok(read) = &read {
        assert_eq!(read.tensor.values().len(), 32 * 32);
    }
    read.is_ok()
}

/// A picture that says it has a side above [`SIDE_PIXELS`].
fn is_large(bytes: &[u8]) -> bool {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let sides = reader.ok().and_then(|reader| reader.into_dimensions().ok());
    sides.is_some_and(|(width, height)| width.max(height) > SIDE_PIXELS)
}

/// Attacks that creators publish.
pub(crate) fn attacks(bytes: &[u8]) -> bool {
    canonical::<PublishedAttack>(bytes)
}

/// An attack, tried.
pub(crate) fn rebuilds(bytes: &[u8]) {
    if let Ok(attack) = PublishedAttack::from_wire(bytes) {
        for map in (0..attack.releases()).filter_map(|index| attack.release(index)) {
            let rebuilt = map.rebuilt(&vec![-7; map.features()]);
            assert_eq!(rebuilt.map(|values| values.len()), Some(map.usual_errors().len()));
        }
    }
}

/// Users' table rows, as the breast-cancer model reads them.
pub(crate) fn tables(bytes: &[u8]) -> bool {
    let tensor = ROW.read(bytes);
    if let Ok(tensor) = &tensor {
        assert_eq!(tensor.values().len(), 30);
    }
    tensor.is_ok()
}

/// Creators' models, as the bench imports them.
pub(crate) fn onnx(bytes: &[u8]) -> bool {
    OnnxModel::read(bytes).is_ok()
}

/// A model cut after every node that may be one, and without what its exporter put around it.
pub(crate) fn cuts(bytes: &[u8]) {
    if let Ok(cleaned) = OnnxModel::cleaned(bytes) {
        assert!(OnnxModel::read(&cleaned.to_bytes()).is_ok(), "a cleaned model is a model");
    }
    if let Ok(model) = OnnxModel::read(bytes) {
        let again = OnnxModel::read(&model.to_bytes());
        assert_eq!(again.map(|again| again.to_bytes()).ok(), Some(model.to_bytes()));
        for name in model.node_names().into_iter().take(8) {
            let _ = model.head_until(name);
            if let Ok(Some(tail)) = model.tail_after(name, 4, 1.0) {
                assert!(OnnxModel::read(&tail).is_ok(), "a tail that was cut off is a model");
            }
        }
    }
}

/// Tails up to the inference engine: a model that takes no number at all is refused just before it.
pub(crate) fn tails(bytes: &[u8]) -> bool {
    let limits = TailLimits { width: 0, ..TailLimits::default() };
    matches!(TailModel::load(bytes, limits), Err(TailError::Width { found, .. }) if found <= WIDTH_LIMIT)
}

/// Tails as the creator's service loads and runs them.
pub(crate) fn inference(bytes: &[u8]) {
    let limits = TailLimits { width: WIDTH_LIMIT, ..TailLimits::default() };
    if let Ok(tail) = TailModel::load(bytes, limits) {
        let _ = tail.run(&vec![0.5; tail.width()]);
    }
}
