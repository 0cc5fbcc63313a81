//! Scans: one slice of a DICOM or NIfTI file, as bytes. Nothing else of the file goes on: who was scanned, when and
//! where stands in fields that are passed over unread.
//!
//! Numbers become bytes in this order: the file's own factor and offset; then the window that it states, if it does;
//! whole bytes without either are taken as they are; of anything else the slice's least number is 0 and its largest 255.

mod dicom;
mod nifti;
mod packed;

use super::plane::Plane;
use core::fmt;

/// A scan's slice or frame, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceNumber(pub u32);

impl fmt::Display for SliceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which slice of a scan was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChosenSlice {
    /// The slice.
    pub number: SliceNumber,
    /// How many there are; more than one.
    pub slices: u32,
}

/// Why a file is not a scan for this model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The structure of a DICOM file breaks off or contradicts itself.
    #[error("the DICOM file is damaged at byte {at}")]
    Structure {
        /// Where.
        at: u64,
        /// Why, if its parser says.
        #[source]
        source: Option<Box<dicom_parser::dataset::lazy_read::Error>>,
    },
    /// A field claims more bytes than there are.
    #[error("the field at byte {at} says that it has {found_bytes} bytes, {left_bytes} are left of the file")]
    Length {
        /// Where.
        at: u64,
        /// Bytes claimed.
        found_bytes: u32,
        /// Bytes that follow.
        left_bytes: u64,
    },
    /// A field that pixels cannot be read without.
    #[error("it does not say {what}, or not in a way that can be read")]
    Missing {
        /// Which.
        what: &'static str,
    },
    /// A field that says what is not read.
    #[error("its {what} is `{found}`; {read} is read")]
    Unread {
        /// Which.
        what: &'static str,
        /// What it says.
        found: String,
        /// What is read instead.
        read: &'static str,
    },
    /// Fewer bytes than pixels need.
    #[error("its pixels have {found_bytes} bytes, {needed_bytes} are needed for what it says it holds")]
    Pixels {
        /// Bytes found.
        found_bytes: u64,
        /// Bytes needed.
        needed_bytes: u64,
    },
    /// Packed frames that cannot be told apart.
    #[error("its pixels lie in {pieces} pieces, and nothing says which are of which of its {frames} frames")]
    Pieces {
        /// Pieces found.
        pieces: u64,
        /// Frames that the file says it has.
        frames: u32,
    },
    /// Run lengths that break off or contradict themselves.
    #[error("its run lengths are damaged")]
    RunLengths,
    /// JPEG pixels that do not unpack.
    #[error("its JPEG pixels cannot be unpacked")]
    Jpeg(#[from] jpeg_decoder::Error),
    /// A volume beyond what is unpacked.
    #[error("its volume has {found_bytes} bytes, at most {limit_bytes} are read")]
    Volume {
        /// Bytes promised.
        found_bytes: u64,
        /// Bytes allowed.
        limit_bytes: u64,
    },
    /// A slice that is not there.
    #[error("it has {slices} slices, number {wanted} is none of them")]
    NoSlice {
        /// Asked for.
        wanted: SliceNumber,
        /// How many there are.
        slices: u32,
    },
    /// A header that is not one.
    #[error("the NIfTI file is damaged")]
    Nifti(#[from] ::nifti::NiftiError),
    /// Packed bytes that do not unpack.
    #[error("the NIfTI file cannot be unpacked")]
    Unpack(#[source] std::io::Error),
    /// More or fewer pixels on a side than are read.
    #[error("{width}×{height} pixels, {least}×{least} to {most}×{most} are read")]
    Sides {
        /// Pixels across.
        width: u64,
        /// Pixels down.
        height: u64,
        /// Fewest on a side.
        least: u32,
        /// Most on a side.
        most: u32,
    },
}

/// One slice: one plane of grey, or red, green and blue.
pub(super) struct Scan {
    pub planes: Vec<Plane>,
    /// Where there was a choice.
    pub slice: Option<ChosenSlice>,
}

/// Whether a file says that it is a scan: by what stands at byte 128 or 344, or because it is packed.
pub(super) fn is_scan(file: &[u8]) -> bool {
    dicom::is_dicom(file) || nifti::is_nifti(file)
}

/// The slice that is asked for, or the middle one.
pub(super) fn read(file: &[u8], wanted: Option<SliceNumber>) -> Result<Scan, ScanError> {
    if dicom::is_dicom(file) { dicom::read(file, wanted) } else { nifti::read(file, wanted) }
}

/// The index of the slice that is asked for, of `slices`; the middle of the first `volume` if none is.
fn choose(wanted: Option<SliceNumber>, volume: u32, slices: u32) -> Result<(u32, Option<ChosenSlice>), ScanError> {
    let number = wanted.unwrap_or(SliceNumber(volume / 2 + 1));
    if !(1..=slices).contains(&number.0) {
        return Err(ScanError::NoSlice { wanted: number, slices });
    }
    Ok((number.0 - 1, (slices > 1).then_some(ChosenSlice { number, slices })))
}

fn check_sides(width: u64, height: u64) -> Result<(usize, usize), ScanError> {
    let (least, most) = (super::picture::SIDE_LEAST_PIXELS, super::picture::SIDE_LIMIT_PIXELS);
    let fits = |side: u64| (u64::from(least)..=u64::from(most)).contains(&side);
    match fits(width) && fits(height) {
        true => Ok((width as usize, height as usize)),
        false => Err(ScanError::Sides { width, height, least, most }),
    }
}

/// Which numbers are shown between black and white.
#[derive(Clone, Copy)]
enum Window {
    /// Bytes as they are.
    Bytes,
    /// From the least number (0) to the largest (255).
    Whole,
    /// From this number (0) to that (255), which is larger.
    Between(f64, f64),
    /// 0 up to this number, 255 above.
    Step(f64),
}

/// A plane of `count` numbers in rows of `width`; what is no number is 0.
fn grey(width: usize, count: usize, window: Window, value: impl Fn(usize) -> f64) -> Plane {
    let finite = || (0..count).map(&value).filter(|value| value.is_finite());
    let (least, most) = match window {
        Window::Bytes => (0.0, 255.0),
        Window::Whole => (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max)),
        Window::Between(least, most) => (least, most),
        Window::Step(at) => (at, at),
    };
    let byte = |value: f64| match value {
        value if value.is_nan() || value <= least => 0,
        value if value >= most => 255,
        value => ((value - least) / (most - least) * 255.0).round() as u8,
    };
    Plane::new(width, (0..count).map(|at| byte(value(at))).collect())
}
