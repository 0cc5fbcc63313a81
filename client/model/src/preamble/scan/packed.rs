//! Compressed pixels of DICOM files (PS3.5, annexes A.4 and G): run lengths and JPEG.
//!
//! JPEG goes through a decoder that knows the lossless process, which archives use and photographs do not. Run lengths
//! are unpacked here: what there is for them panics where a file breaks off, and in a browser a panic ends the page.

use super::ScanError;
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};

/// Most pixels that one byte of run lengths stands for: two bytes for 128.
const RUN_LIMIT: usize = 64;

/// How pixels are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    Bare,
    /// RLE Lossless.
    RunLengths,
    /// JPEG Baseline, Extended of eight bits, Lossless.
    Jpeg,
}

impl Packing {
    /// Of a transfer syntax; none for one whose pixels are not read.
    pub fn of(uid: &str) -> Option<Self> {
        match uid.strip_prefix("1.2.840.10008.1.2")? {
            "" | ".1" | ".2" => Some(Self::Bare),
            ".5" => Some(Self::RunLengths),
            ".4.50" | ".4.51" | ".4.57" | ".4.70" => Some(Self::Jpeg),
            _ => None,
        }
    }
}

/// What one frame unpacks to.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub width: usize,
    pub height: usize,
    /// Numbers a pixel.
    pub samples: usize,
    /// Bytes a number: 1 or 2.
    pub bytes: usize,
    /// Whether colours are brightness and two differences of colour.
    pub by_brightness: bool,
}

impl Frame {
    fn area(&self) -> usize {
        self.width * self.height
    }

    /// The pieces that frame number `at` of `frames` lies in. The first piece of all is a table of where frames begin.
    pub fn pieces(pieces: &[&[u8]], at: u32, frames: u32) -> Result<Vec<u8>, ScanError> {
        let missing = ScanError::Missing { what: "its pixels" };
        let (table, pieces) = pieces.split_first().ok_or(missing)?;
        let (found, at) = (pieces.len(), at as usize);
        if found == frames as usize {
            return Ok(pieces[at].to_vec());
        }
        if frames == 1 {
            return Ok(pieces.concat());
        }
        let starts: Vec<u64> = table.chunks_exact(4).map(|start| u64::from(word(start))).collect();
        let none = ScanError::Pieces { pieces: found as u64, frames };
        let Some(start) = starts.get(at).filter(|_| starts.len() == frames as usize) else { return Err(none) };
        let end = starts.get(at + 1).copied().unwrap_or(u64::MAX);
        let mut place = 0;
        let mut frame = Vec::new();
        for piece in pieces {
            if (*start..end).contains(&place) {
                frame.extend_from_slice(piece);
            }
            // Each begins with a tag and its length.
            place += piece.len() as u64 + 8;
        }
        Ok(frame)
    }

    /// Numbers, the lower byte of two first: one plane of all pixels a sample from run lengths, pixel by pixel from JPEG.
    pub fn unpacked(&self, packing: Packing, packed: &[u8]) -> Result<Vec<u8>, ScanError> {
        match packing {
            Packing::Bare => Ok(packed.to_vec()),
            Packing::RunLengths => self.run_lengths(packed),
            Packing::Jpeg => self.jpeg(packed),
        }
    }

    /// Segment after segment: of each sample the higher byte of all pixels, then the lower.
    fn run_lengths(&self, packed: &[u8]) -> Result<Vec<u8>, ScanError> {
        let damaged = || ScanError::RunLengths;
        let number = |at: usize| packed.get(at..at + 4).map(word).ok_or_else(damaged);
        let (segments, area) = (self.samples * self.bytes, self.area());
        // Before memory is taken: a few bytes may promise a hundred megabytes.
        if number(0)? as usize != segments || packed.len().saturating_mul(RUN_LIMIT) < segments * area {
            return Err(damaged());
        }
        let mut numbers = vec![0; segments * area];
        for segment in 0..segments {
            let start = number(4 + 4 * segment)? as usize;
            let end = if segment + 1 < segments { number(8 + 4 * segment)? as usize } else { packed.len() };
            let (sample, byte) = (segment / self.bytes, self.bytes - 1 - segment % self.bytes);
            let source = packed.get(start..end).ok_or_else(damaged)?;
            let place = |pixel: usize| (sample * area + pixel) * self.bytes + byte;
            fill(source, area, |pixel, value| numbers[place(pixel)] = value)?;
        }
        Ok(numbers)
    }

    fn jpeg(&self, packed: &[u8]) -> Result<Vec<u8>, ScanError> {
        let mut decoder = Decoder::new(packed);
        decoder.read_info()?;
        let found = decoder.info().ok_or(ScanError::Missing { what: "how large its JPEG is" })?;
        let wanted = match (self.samples, found.pixel_format) {
            (1, PixelFormat::L8) => true,
            (1, PixelFormat::L16) => self.bytes == 2,
            (3, PixelFormat::RGB24) => self.bytes == 1,
            _ => false,
        };
        let sides = [usize::from(found.width), usize::from(found.height)];
        if !wanted || sides != [self.width, self.height] {
            let found = format!("{} by {} in {:?}", found.width, found.height, found.pixel_format);
            return Err(ScanError::Unread { what: "JPEG", found, read: "what the fields beside it say" });
        }
        if self.samples == 3 {
            // The field beside it decides: what stands in the JPEG itself is often missing, or left from before.
            let by_brightness = if self.by_brightness { ColorTransform::YCbCr } else { ColorTransform::RGB };
            decoder.set_color_transform(by_brightness);
        }
        decoder.set_max_decoding_buffer_size(self.area() * self.samples * 2);
        let pixels = decoder.decode()?;
        Ok(match found.pixel_format {
            PixelFormat::L16 => {
                pixels.chunks_exact(2).flat_map(|pair| u16::from_ne_bytes([pair[0], pair[1]]).to_le_bytes()).collect()
            }
            PixelFormat::L8 if self.bytes == 2 => pixels.into_iter().flat_map(|byte| [byte, 0]).collect(),
            _ => pixels,
        })
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// Unpacks runs for so many pixels; what pads them to an even length is not looked at.
fn fill(packed: &[u8], pixels: usize, mut set: impl FnMut(usize, u8)) -> Result<(), ScanError> {
    let mut rest = packed.iter().copied();
    let mut next = || rest.next().ok_or(ScanError::RunLengths);
    let mut pixel = 0;
    while pixel < pixels {
        let run = next()? as i8;
        if run == i8::MIN {
            continue;
        }
        let same = if run < 0 { Some(next()?) } else { None };
        for _ in 0..=run.unsigned_abs() {
            let value = same.map_or_else(&mut next, Ok)?;
            if pixel < pixels {
                set(pixel, value);
            }
            pixel += 1;
        }
    }
    Ok(())
}
