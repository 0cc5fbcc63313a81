//! NIfTI-1 files in one piece, packed or not. A slice is all numbers of one place on the third axis, the second axis
//! pointing up, the first to the right: what stands behind and left in a file whose axes run right, ahead and up.

use super::{Scan, ScanError, SliceNumber, Window, check_sides, choose, grey};
use flate2::bufread::MultiGzDecoder;
use nifti::{InMemNiftiVolume, NiftiHeader, NiftiType, RandomAccessNiftiVolume};
use std::io::Read;

/// Bytes of a header.
const HEADER_BYTES: usize = 348;
/// Where the format's name stands.
const MAGIC: core::ops::Range<usize> = 344..348;
/// Most bytes of a volume, unpacked: a megabyte may promise a gigabyte.
const VOLUME_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// Most bytes between header and volume.
const OFFSET_LIMIT_BYTES: f32 = 1024.0 * 1024.0;

/// Most bytes behind a volume that are looked at: unpacking checks its sum when it comes to the end.
const TRAILER_LIMIT_BYTES: u64 = 1024;
/// What packed files begin with.
const PACKED: [u8; 2] = [0x1f, 0x8b];

/// By name, or because it is packed, as no other file that is read is.
pub(super) fn is_nifti(file: &[u8]) -> bool {
    matches!(file.get(MAGIC), Some(b"n+1\0" | b"ni1\0")) || file.starts_with(&PACKED)
}

pub(super) fn read(file: &[u8], wanted: Option<SliceNumber>) -> Result<Scan, ScanError> {
    match file.starts_with(&PACKED) {
        true => unpacked(MultiGzDecoder::new(file), wanted),
        false => unpacked(file, wanted),
    }
}

fn unpacked(mut source: impl Read, wanted: Option<SliceNumber>) -> Result<Scan, ScanError> {
    let mut header = [0; HEADER_BYTES];
    source.read_exact(&mut header).map_err(ScanError::Unpack)?;
    match &header[MAGIC] {
        b"n+1\0" => {}
        b"ni1\0" => return Err(unread("form", "a header without its volume".into(), "a file in one piece")),
        _ => return Err(unread("content", "something packed".into(), "NIfTI-1")),
    }
    let header = NiftiHeader::from_reader(header.as_slice())?;
    let layout = Layout::of(&header)?;
    let (slice, chosen) = choose(wanted, layout.volume, layout.slices)?;
    let before = layout.slice_bytes * u64::from(slice);
    let mut found_bytes = skip(&mut source, layout.offset + before)?.saturating_sub(layout.offset);
    let mut bytes = Vec::new();
    source.by_ref().take(layout.slice_bytes).read_to_end(&mut bytes).map_err(ScanError::Unpack)?;
    // To the end, for what lacks some of its slices, or does not unpack to what it was, is damaged.
    found_bytes += bytes.len() as u64 + skip(&mut source, layout.bytes() - before - layout.slice_bytes)?;
    std::io::copy(&mut source.take(TRAILER_LIMIT_BYTES), &mut std::io::sink()).map_err(ScanError::Unpack)?;
    if found_bytes < layout.bytes() {
        return Err(ScanError::Pixels { found_bytes, needed_bytes: layout.bytes() });
    }
    let (width, height) = (layout.width, layout.height);
    let dim = [2, width as u16, height as u16, 1, 1, 1, 1, 1];
    // Unscaled, for the library scales single numbers in single precision.
    let plane = InMemNiftiVolume::from_raw_fields(dim, layout.kind, 0.0, 0.0, bytes, header.endianness)?;
    let value = |at: usize| {
        let place = [(at % width) as u16, (height - 1 - at / width) as u16];
        layout.slope * plane.get_f64(&place).unwrap_or(f64::NAN) + layout.intercept
    };
    Ok(Scan { planes: vec![grey(width, width * height, layout.window, value)], slice: chosen })
}

/// What a header says about its numbers.
struct Layout {
    width: usize,
    height: usize,
    /// Slices of the first volume, and of all.
    volume: u32,
    slices: u32,
    kind: NiftiType,
    slice_bytes: u64,
    /// From the end of the header to the first number.
    offset: u64,
    slope: f64,
    intercept: f64,
    window: Window,
}

impl Layout {
    /// Of all numbers.
    fn bytes(&self) -> u64 {
        self.slice_bytes * u64::from(self.slices)
    }

    fn of(header: &NiftiHeader) -> Result<Self, ScanError> {
        let kind = header.data_type()?;
        let whole = matches!(
            kind,
            NiftiType::Uint8
                | NiftiType::Int8
                | NiftiType::Uint16
                | NiftiType::Int16
                | NiftiType::Uint32
                | NiftiType::Int32
        );
        if !whole && !matches!(kind, NiftiType::Float32 | NiftiType::Float64) {
            return Err(unread("number", format!("{kind:?}"), "one of 8, 16 or 32 bits, or a float,"));
        }
        let [first, second, rest @ ..] = header.dim()? else {
            return Err(unread("form", "a line of numbers".into(), "a picture or a volume"));
        };
        let (width, height) = check_sides(u64::from(*first), u64::from(*second))?;
        let slice_bytes = (width * height * kind.size_of()) as u64;
        let slices = rest.iter().try_fold(1u64, |slices, side| slices.checked_mul(u64::from(*side)));
        let found_bytes = slices.and_then(|slices| slices.checked_mul(slice_bytes)).unwrap_or(u64::MAX);
        if found_bytes > VOLUME_LIMIT_BYTES {
            return Err(ScanError::Volume { found_bytes, limit_bytes: VOLUME_LIMIT_BYTES });
        }
        let offset = header.vox_offset;
        if !(HEADER_BYTES as f32..=OFFSET_LIMIT_BYTES).contains(&offset) {
            return Err(ScanError::Missing { what: "where its numbers begin" });
        }
        let scaled = header.scl_slope.is_finite() && header.scl_inter.is_finite() && header.scl_slope != 0.0;
        let (slope, intercept) = if scaled { (header.scl_slope.into(), header.scl_inter.into()) } else { (1.0, 0.0) };
        let (least, most) = (f64::from(header.cal_min), f64::from(header.cal_max));
        let window = match kind {
            _ if least.is_finite() && most.is_finite() && least < most => Window::Between(least, most),
            NiftiType::Uint8 if slope == 1.0 && intercept == 0.0 => Window::Bytes,
            _ => Window::Whole,
        };
        Ok(Self {
            width,
            height,
            volume: rest.first().copied().unwrap_or(1).into(),
            slices: (found_bytes / slice_bytes) as u32,
            kind,
            slice_bytes,
            offset: offset as u64 - HEADER_BYTES as u64,
            slope,
            intercept,
            window,
        })
    }
}

/// Passes over at most that many bytes; how many there were.
fn skip(source: &mut impl Read, bytes: u64) -> Result<u64, ScanError> {
    std::io::copy(&mut source.by_ref().take(bytes), &mut std::io::sink()).map_err(ScanError::Unpack)
}

fn unread(what: &'static str, found: String, read: &'static str) -> ScanError {
    ScanError::Unread { what, found, read }
}
