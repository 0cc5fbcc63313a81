//! DICOM files (PS3.5, PS3.10): grey of up to 16 bits, or eight bits each of red, green, blue; bare, in run lengths or JPEG.
//!
//! The parser walks over fields; of the dozen that say how pixels lie it is the bytes that are read here, and of no other.

use super::{
    Plane, Scan, ScanError, SliceNumber, Window, check_sides, choose, grey,
    packed::{Frame, Packing},
};
use dicom_core::Tag;
use dicom_encoding::{Endianness, TransferSyntax, TransferSyntaxIndex};
use dicom_parser::{
    StatefulDecode,
    dataset::{LazyDataToken, lazy_read::LazyDataSetReader},
};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use std::{borrow::Cow, io::Cursor};

/// Where the format's name stands, behind 128 bytes that may be anything.
const MAGIC: core::ops::Range<usize> = 128..132;
/// Sequences and items that lie in one another.
const DEPTH_LIMIT: usize = 64;
/// Most bytes of a field that is read, other than pixels.
const FIELD_LIMIT_BYTES: usize = 256;

const META_LENGTH: Tag = Tag(0x0002, 0x0000);
const TRANSFER_SYNTAX: Tag = Tag(0x0002, 0x0010);
const SAMPLES: Tag = Tag(0x0028, 0x0002);
const PHOTOMETRIC: Tag = Tag(0x0028, 0x0004);
const PLANAR: Tag = Tag(0x0028, 0x0006);
const FRAMES: Tag = Tag(0x0028, 0x0008);
const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const BITS_ALLOCATED: Tag = Tag(0x0028, 0x0100);
const BITS_STORED: Tag = Tag(0x0028, 0x0101);
const HIGH_BIT: Tag = Tag(0x0028, 0x0102);
const SIGNED: Tag = Tag(0x0028, 0x0103);
const CENTRE: Tag = Tag(0x0028, 0x1050);
const WIDTH: Tag = Tag(0x0028, 0x1051);
const INTERCEPT: Tag = Tag(0x0028, 0x1052);
const SLOPE: Tag = Tag(0x0028, 0x1053);
const FUNCTION: Tag = Tag(0x0028, 0x1056);
const MODALITY_TABLE: Tag = Tag(0x0028, 0x3000);
const PIXELS: Tag = Tag(0x7fe0, 0x0010);

const READ: [Tag; 19] = [
    META_LENGTH,
    TRANSFER_SYNTAX,
    SAMPLES,
    PHOTOMETRIC,
    PLANAR,
    FRAMES,
    ROWS,
    COLUMNS,
    BITS_ALLOCATED,
    BITS_STORED,
    HIGH_BIT,
    SIGNED,
    CENTRE,
    WIDTH,
    INTERCEPT,
    SLOPE,
    FUNCTION,
    MODALITY_TABLE,
    PIXELS,
];

pub(super) fn is_dicom(file: &[u8]) -> bool {
    file.get(MAGIC) == Some(b"DICM")
}

pub(super) fn read(file: &[u8], wanted: Option<SliceNumber>) -> Result<Scan, ScanError> {
    let (syntax, packing, start) = syntax(file)?;
    let fields = Fields::walk(file, start, syntax)?;
    let layout = Layout::of(&fields, packing)?;
    let (frame, slice) = choose(wanted, layout.frames, layout.frames)?;
    Ok(Scan { planes: layout.planes(&fields, frame)?, slice })
}

/// How the file's fields are written, how its pixels are packed, and where the fields begin.
fn syntax(file: &[u8]) -> Result<(&'static TransferSyntax, Packing, usize), ScanError> {
    let plain = TransferSyntaxRegistry.get("1.2.840.10008.1.2.1");
    let plain = plain.ok_or(ScanError::Missing { what: "how it is written" })?;
    // The first field is the length of those about the file itself, which are written in one way always.
    let head = Fields::walk(file.get(..MAGIC.end + 12).unwrap_or(file), MAGIC.end, plain)?;
    let missing = || ScanError::Missing { what: "how long its description is" };
    let length = head.bytes(META_LENGTH).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let start = (MAGIC.end + 12).checked_add(length.ok_or_else(missing)? as usize).ok_or_else(missing)?;
    let meta = Fields::walk(file.get(..start).ok_or_else(missing)?, MAGIC.end, plain)?;
    let uid = meta.text(TRANSFER_SYNTAX).ok_or(ScanError::Missing { what: "its transfer syntax" })?;
    let known = TransferSyntaxRegistry.get(&uid);
    match known.and_then(|syntax| Some((syntax, Packing::of(syntax.uid())?))) {
        Some((syntax, packing)) => Ok((syntax, packing, start)),
        None => Err(ScanError::Unread {
            what: "transfer syntax",
            found: known.map_or(uid, |syntax| syntax.name().to_owned()),
            read: "what is uncompressed, RLE Lossless, or JPEG Baseline, Extended of 8 bits or Lossless",
        }),
    }
}

/// The bytes of the fields that are read, where they lie in the file.
struct Fields<'a> {
    found: Vec<(Tag, &'a [u8])>,
    /// Of packed pixels: where frames begin, then the pieces that they lie in.
    pieces: Vec<&'a [u8]>,
    endianness: Endianness,
}

impl<'a> Fields<'a> {
    /// Every field up to the pixels.
    fn walk(file: &'a [u8], start: usize, syntax: &TransferSyntax) -> Result<Self, ScanError> {
        let damaged = |at, source| ScanError::Structure { at, source };
        let mut source = Cursor::new(file);
        source.set_position(start as u64);
        let reader = LazyDataSetReader::new_with_ts(source, syntax);
        let mut reader = reader.map_err(|error| damaged(start as u64, Some(Box::new(error))))?;
        let mut fields = Self { found: Vec::new(), pieces: Vec::new(), endianness: syntax.endianness() };
        // What is open: true for a sequence, false for an item of one. The parser panics where they do not nest.
        let mut open: Vec<bool> = Vec::new();
        // Whether what is open are the pixels, and not those of a small picture of them.
        let mut pixels = false;
        let mut at = start as u64;
        while let Some(token) = reader.advance() {
            let token = token.map_err(|error| damaged(at, Some(Box::new(error))))?;
            match token {
                LazyDataToken::SequenceStart { tag: MODALITY_TABLE, .. } if open.is_empty() => {
                    let (what, read) = ("way from numbers to greys", "a factor and an offset");
                    return Err(ScanError::Unread { what, found: "a table".into(), read });
                }
                LazyDataToken::SequenceStart { .. } => open.push(true),
                LazyDataToken::PixelSequenceStart => {
                    pixels = open.is_empty();
                    open.push(true);
                }
                LazyDataToken::ItemStart { .. } => {
                    if pixels {
                        fields.pieces.push(&[]);
                    }
                    open.push(false);
                }
                LazyDataToken::LazyItemValue { len, decoder } => {
                    at = decoder.position();
                    let value = value_at(file, at, len)?;
                    if let (true, Some(piece)) = (pixels, fields.pieces.last_mut()) {
                        *piece = value;
                    }
                    decoder.skip_bytes(len).map_err(|_| damaged(at, None))?;
                }
                LazyDataToken::SequenceEnd if open.pop() == Some(true) => {
                    if pixels {
                        break;
                    }
                }
                LazyDataToken::ItemEnd if open.pop() == Some(false) => {}
                LazyDataToken::ElementHeader(_) => {}
                LazyDataToken::LazyValue { header, decoder } => {
                    at = decoder.position();
                    let value = value_at(file, at, header.len.0)?;
                    if open.is_empty() && READ.contains(&header.tag) {
                        fields.found.push((header.tag, value));
                    }
                    if open.is_empty() && header.tag == PIXELS {
                        break;
                    }
                    let skipped = decoder.skip_bytes(header.len.0);
                    skipped.map_err(|_| damaged(at, None))?;
                }
                _ => return Err(damaged(at, None)),
            }
            if open.len() > DEPTH_LIMIT {
                return Err(damaged(at, None));
            }
        }
        Ok(fields)
    }

    fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        self.found.iter().find(|(found, _)| *found == tag).map(|(_, bytes)| *bytes)
    }

    /// The first of the values, without the blanks around it.
    fn text(&self, tag: Tag) -> Option<String> {
        let bytes = self.bytes(tag).filter(|bytes| bytes.len() <= FIELD_LIMIT_BYTES && bytes.is_ascii())?;
        let text = core::str::from_utf8(bytes).ok()?;
        let first = text.split('\\').next()?.trim_matches(['\0', ' ']);
        (!first.is_empty()).then(|| first.to_owned())
    }

    fn decimal(&self, tag: Tag) -> Option<f64> {
        self.text(tag)?.parse().ok().filter(|value: &f64| value.is_finite())
    }

    fn number(&self, tag: Tag) -> Option<u16> {
        Some(self.word(*self.bytes(tag)?.first_chunk()?))
    }

    fn word(&self, bytes: [u8; 2]) -> u16 {
        match self.endianness {
            Endianness::Little => u16::from_le_bytes(bytes),
            Endianness::Big => u16::from_be_bytes(bytes),
        }
    }
}

/// A value as long as it says it is.
fn value_at(file: &[u8], at: u64, length: u32) -> Result<&[u8], ScanError> {
    let left = file.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or_default();
    let (found_bytes, left_bytes) = (length, left.len() as u64);
    left.get(..length as usize).ok_or(ScanError::Length { at, found_bytes, left_bytes })
}

/// What a file says about its pixels.
struct Layout {
    width: usize,
    height: usize,
    frames: u32,
    packing: Packing,
    photometric: Photometric,
    /// 8 or 16.
    allocated: u16,
    /// Bits of a number, at most as many as are allocated; the lowest ones.
    stored: u16,
    signed: bool,
    slope: f64,
    intercept: f64,
    window: Window,
}

enum Photometric {
    Grey { inverted: bool },
    Colours { by_plane: bool, by_brightness: bool },
}

impl Layout {
    fn of(fields: &Fields<'_>, packing: Packing) -> Result<Self, ScanError> {
        let number = |tag, what| fields.number(tag).ok_or(ScanError::Missing { what });
        let (columns, rows) = (number(COLUMNS, "how wide it is")?, number(ROWS, "how high it is")?);
        let (width, height) = check_sides(columns.into(), rows.into())?;
        let frames = match fields.bytes(FRAMES) {
            None | Some([]) => 1,
            Some(_) => fields.text(FRAMES).and_then(|frames| frames.parse().ok()).unwrap_or(0),
        };
        if frames == 0 {
            return Err(ScanError::Missing { what: "how many frames it has" });
        }
        let photometric = photometric(fields, packing)?;
        let allocated = number(BITS_ALLOCATED, "how many bits a number has")?;
        let stored = fields.number(BITS_STORED).unwrap_or(allocated);
        let high = fields.number(HIGH_BIT).unwrap_or(stored.saturating_sub(1));
        let most = if matches!(photometric, Photometric::Grey { .. }) { 16 } else { 8 };
        if !matches!(allocated, 8 | 16)
            || allocated > most
            || !(1..=allocated).contains(&stored)
            || u32::from(high) + 1 != u32::from(stored)
        {
            let found = format!("{stored} of {allocated} bits, the highest at {high}");
            return Err(ScanError::Unread {
                what: "number",
                found,
                read: "one of 8 or 16 bits, in the lowest of them,",
            });
        }
        let signed = fields.number(SIGNED).unwrap_or(0) == 1;
        let (slope, intercept) = (fields.decimal(SLOPE).unwrap_or(1.0), fields.decimal(INTERCEPT).unwrap_or(0.0));
        let bare = stored <= 8 && !signed && slope == 1.0 && intercept == 0.0;
        let window = window(fields)?.unwrap_or(if bare { Window::Bytes } else { Window::Whole });
        Ok(Self { width, height, frames, packing, photometric, allocated, stored, signed, slope, intercept, window })
    }

    fn planes(&self, fields: &Fields<'_>, frame: u32) -> Result<Vec<Plane>, ScanError> {
        let area = self.width * self.height;
        let pixels = self.pixels(fields, frame)?;
        let pixels = pixels.as_ref();
        Ok(match self.photometric {
            Photometric::Grey { inverted } => {
                let value = |at: usize| self.slope * f64::from(self.stored_at(fields, pixels, at)) + self.intercept;
                let plane = grey(self.width, area, self.window, value);
                vec![if inverted { plane.inverted() } else { plane }]
            }
            Photometric::Colours { by_plane, .. } => {
                let at = |colour, pixel| if by_plane { colour * area + pixel } else { pixel * 3 + colour };
                let plane = |colour| Plane::new(self.width, (0..area).map(|pixel| pixels[at(colour, pixel)]).collect());
                (0..3).map(plane).collect()
            }
        })
    }

    /// The numbers of one frame.
    fn pixels<'a>(&self, fields: &Fields<'a>, frame: u32) -> Result<Cow<'a, [u8]>, ScanError> {
        let (samples, by_brightness) = match self.photometric {
            Photometric::Grey { .. } => (1, false),
            Photometric::Colours { by_brightness, .. } => (3, by_brightness),
        };
        let (width, height) = (self.width, self.height);
        let one = Frame { width, height, samples, bytes: usize::from(self.allocated / 8), by_brightness };
        let bytes = width * height * samples * one.bytes;
        if self.packing != Packing::Bare {
            let unpacked = one.unpacked(self.packing, &Frame::pieces(&fields.pieces, frame, self.frames)?)?;
            let found_bytes = unpacked.len() as u64;
            let enough = unpacked.len() >= bytes;
            return enough
                .then_some(Cow::Owned(unpacked))
                .ok_or(ScanError::Pixels { found_bytes, needed_bytes: bytes as u64 });
        }
        let pixels = fields.bytes(PIXELS).ok_or(ScanError::Missing { what: "its pixels" })?;
        let needed_bytes = bytes as u64 * u64::from(self.frames);
        if needed_bytes > pixels.len() as u64 {
            return Err(ScanError::Pixels { found_bytes: pixels.len() as u64, needed_bytes });
        }
        Ok(Cow::Borrowed(&pixels[bytes * frame as usize..][..bytes]))
    }

    /// A number as it is stored: what lies above its bits is somebody else's.
    fn stored_at(&self, fields: &Fields<'_>, pixels: &[u8], at: usize) -> i32 {
        let word = match self.allocated {
            8 => u16::from(pixels[at]),
            _ => fields.word([pixels[2 * at], pixels[2 * at + 1]]),
        };
        let unused = 16 - self.stored;
        let high = word << unused;
        if self.signed { i32::from(high as i16 >> unused) } else { i32::from(high >> unused) }
    }
}

fn photometric(fields: &Fields<'_>, packing: Packing) -> Result<Photometric, ScanError> {
    let found = fields.text(PHOTOMETRIC).ok_or(ScanError::Missing { what: "what its pixels mean" })?;
    let samples = fields.number(SAMPLES).unwrap_or(1);
    // Run lengths unpack to a plane a colour, JPEG to pixel after pixel, whatever the field says.
    let by_plane = match packing {
        Packing::Bare => fields.number(PLANAR) == Some(1),
        Packing::RunLengths => true,
        Packing::Jpeg => false,
    };
    match (found.as_str(), samples) {
        ("MONOCHROME1", 1) => Ok(Photometric::Grey { inverted: true }),
        ("MONOCHROME2", 1) => Ok(Photometric::Grey { inverted: false }),
        ("RGB", 3) => Ok(Photometric::Colours { by_plane, by_brightness: false }),
        ("YBR_FULL" | "YBR_FULL_422", 3) if packing == Packing::Jpeg => {
            Ok(Photometric::Colours { by_plane, by_brightness: true })
        }
        _ => Err(ScanError::Unread {
            what: "photometric interpretation",
            found: format!("{found}, {samples} samples a pixel"),
            read: "MONOCHROME1, MONOCHROME2, RGB, or in JPEG YBR_FULL or YBR_FULL_422",
        }),
    }
}

/// The first window that the file states (PS3.3, C.11.2.1.2).
fn window(fields: &Fields<'_>) -> Result<Option<Window>, ScanError> {
    let (Some(centre), Some(width)) = (fields.decimal(CENTRE), fields.decimal(WIDTH)) else { return Ok(None) };
    let (middle, reach) = match fields.text(FUNCTION).as_deref() {
        None | Some("LINEAR") if width >= 1.0 => (centre - 0.5, (width - 1.0) / 2.0),
        Some("LINEAR_EXACT") if width > 0.0 => (centre, width / 2.0),
        function => {
            let found = format!("{}, {width} wide", function.unwrap_or("LINEAR"));
            return Err(ScanError::Unread { what: "window", found, read: "a linear one that is not empty" });
        }
    };
    Ok(Some(if reach > 0.0 { Window::Between(middle - reach, middle + reach) } else { Window::Step(middle) }))
}
