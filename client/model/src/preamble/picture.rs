//! Pictures and slices of scans: decoded under limits, turned upright, made grey or cut into their colours, fitted.

use super::{
    Tensor, ink,
    ink::InkError,
    plane::Plane,
    scan::{self, ChosenSlice, Scan, ScanError, SliceNumber},
};
use codec::{Decode, Encode};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::{
    cell::Cell,
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
};

// What only sheets of samples need.
#[cfg(feature = "bench")]
use {
    super::plane::Area,
    image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder},
};

/// Longest side that is decoded, in pixels.
pub const SIDE_LIMIT_PIXELS: u32 = 8_192;
/// Most memory a decoder may take.
const DECODER_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
/// Shortest side from which a mark can be told from its ground, in pixels.
pub(super) const SIDE_LEAST_PIXELS: u32 = 8;

/// How a picture becomes `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ImagePreamble {
    /// 1: grey by Rec. 601 weights (299, 587, 114 thousandths). 3: red, green, blue. Transparency on white.
    pub channels: u8,
    /// Rows of the tensor.
    pub height: u16,
    /// Columns of the tensor.
    pub width: u16,
    /// How the picture is brought to that size.
    pub fit: Fit,
    /// The float model's input is the byte times this numerator …
    pub scale_numerator: u32,
    /// … over this denominator.
    pub scale_denominator: u32,
}

/// How a picture is brought to the model's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Fit {
    /// Scaled with its aspect kept, centred, padded with 0.
    #[codec(index = 0)]
    Whole,
    /// A picture that has the model's size and a dark border is taken as it is. In any other, the one mark on
    /// an even ground, dark or light, is found, cut out, scaled into a square box and centred by its mass:
    /// ink is 255, ground is 0.
    #[codec(index = 1)]
    InkCentred {
        /// Side of the box that the mark is scaled into, in pixels of the tensor.
        box_pixels: u16,
    },
}

/// Why a file is not a picture for this model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Neither PNG nor JPEG by its first bytes, nor a scan.
    #[error("neither a PNG, a JPEG, a DICOM nor a NIfTI file")]
    Format,
    /// A scan that cannot be read.
    #[error("read the scan")]
    Scan(#[from] ScanError),
    /// A slice was asked for.
    #[error("it is a picture, which has no slices to choose from")]
    NotAScan,
    /// The header promises more pixels than are decoded.
    #[error("{width}×{height} pixels, at most {limit}×{limit} are read")]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Pixels allowed on either side.
        limit: u32,
    },
    /// Nothing can be recognised in so few pixels.
    #[error("{width}×{height} pixels, at least {least}×{least} are needed")]
    TooSmall {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Pixels needed on either side.
        least: u32,
    },
    /// The decoder gave up.
    #[error("the file is damaged")]
    Damaged(#[from] image::ImageError),
    /// The decoder panicked, and was stopped there.
    #[error("the file is damaged in a way that its decoder does not know")]
    Undecodable,
    /// A sheet that is not made of whole tiles.
    #[error("{width}×{height} pixels are not whole tiles of {tile_width}×{tile_height}")]
    Tiles {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
        /// Pixels across a tile.
        tile_width: usize,
        /// Pixels down a tile.
        tile_height: usize,
    },
    /// No mark was found on the ground.
    #[error(transparent)]
    Ink(#[from] InkError),
}

impl ImagePreamble {
    /// Float distance between neighbouring bytes.
    pub(crate) fn step(&self) -> f64 {
        f64::from(self.scale_numerator) / f64::from(self.scale_denominator)
    }

    pub(super) fn is_sound(&self) -> bool {
        let sides = 1..=1024;
        let fits = match self.fit {
            Fit::Whole => true,
            Fit::InkCentred { box_pixels } => {
                self.channels == 1 && (4..=self.height.min(self.width)).contains(&box_pixels)
            }
        };
        matches!(self.channels, 1 | 3)
            && sides.contains(&self.height)
            && sides.contains(&self.width)
            && fits
            && self.scale_numerator > 0
            && self.scale_denominator > 0
    }

    /// A picture, or the middle slice of a scan.
    #[cfg(feature = "bench")]
    pub(crate) fn read(&self, file: &[u8]) -> Result<Tensor, ImageError> {
        Ok(self.read_slice(file, None)?.0)
    }

    /// A picture, or a slice of a scan; which one, where there was a choice.
    pub(super) fn read_slice(
        &self,
        file: &[u8],
        slice: Option<SliceNumber>,
    ) -> Result<(Tensor, Option<ChosenSlice>), ImageError> {
        let (height, width) = (usize::from(self.height), usize::from(self.width));
        let mut values = Vec::with_capacity(usize::from(self.channels) * height * width);
        let (planes, slice) = match scan::is_scan(file) {
            true => {
                let Scan { planes, slice } = contained(|| scan::read(file, slice))?;
                (in_channels(planes, self.channels.into()), slice)
            }
            false if slice.is_some() => return Err(ImageError::NotAScan),
            false => (decode(file, self.channels.into())?, None),
        };
        for plane in planes {
            let fitted = match self.fit {
                Fit::Whole => plane.fit_whole(width, height),
                Fit::InkCentred { .. } if is_ready(&plane, width, height) => plane,
                Fit::InkCentred { box_pixels } => ink::centre(&plane, width, height, box_pixels.into())?,
            };
            values.extend(fitted.into_values());
        }
        let tensor = Tensor::new([self.channels.into(), height, width], values);
        Ok((tensor.expect("a plane a channel, and every branch gives width · height values; qed"), slice))
    }
}

/// The pictures of shape `[channels, height, width]` on a sheet, row by row: how calibration and held-out sets are kept.
#[cfg(feature = "bench")]
pub(crate) fn sheet_tiles(file: &[u8], shape: [usize; 3]) -> Result<Vec<Tensor>, ImageError> {
    let [channels, tile_height, tile_width] = shape;
    let sheet = decode(file, channels)?;
    let (width, height) = (sheet[0].width(), sheet[0].height());
    if !width.is_multiple_of(tile_width) || !height.is_multiple_of(tile_height) {
        return Err(ImageError::Tiles { width, height, tile_width, tile_height });
    }
    let corners =
        (0..height).step_by(tile_height).flat_map(|top| (0..width).step_by(tile_width).map(move |left| (left, top)));
    let tile = |(left, top)| {
        let area = Area { left, top, right: left + tile_width, bottom: top + tile_height };
        let values = sheet.iter().flat_map(|plane| plane.cut(area).into_values()).collect();
        Tensor::new(shape, values).expect("a tile holds width · height values of each plane; qed")
    };
    Ok(corners.map(tile).collect())
}

/// Such a sheet of tiles of one size, as PNG; `None` if there are none or they do not fit.
#[cfg(feature = "bench")]
pub(crate) fn sheet_file(tiles: &[&Tensor]) -> Option<Vec<u8>> {
    let [channels, height, width] = tiles.first()?.shape();
    let most = SIDE_LIMIT_PIXELS as usize / width;
    let columns = ((tiles.len() * height).div_ceil(width).isqrt() + 1).min(most).min(tiles.len());
    let rows = tiles.len().div_ceil(columns);
    if rows * height > SIDE_LIMIT_PIXELS as usize {
        return None;
    }
    let area = width * height;
    let mut sheet = vec![0u8; columns * rows * area * channels];
    for (at, tile) in tiles.iter().enumerate() {
        let (left, top) = (at % columns * width, at / columns * height);
        for (place, value) in tile.values().iter().enumerate() {
            let (channel, pixel) = (place / area, place % area);
            let (x, y) = (left + pixel % width, top + pixel / width);
            sheet[(y * columns * width + x) * channels + channel] = *value;
        }
    }
    let colour = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut file = Vec::new();
    let (width, height) = ((columns * width) as u32, (rows * height) as u32);
    PngEncoder::new(&mut file).write_image(&sheet, width, height, colour).ok()?;
    Some(file)
}

/// A picture of exactly the model's size whose border is mostly dark is already what the model was trained on.
fn is_ready(plane: &Plane, width: usize, height: usize) -> bool {
    let border = plane.border();
    let dark = border.iter().filter(|value| **value < 64).count();
    plane.width() == width && plane.height() == height && dark * 4 >= border.len() * 3
}

/// A plane for each of `channels`: grey, or red, green and blue.
fn decode(file: &[u8], channels: usize) -> Result<Vec<Plane>, ImageError> {
    let format = image::guess_format(file).map_err(|_| ImageError::Format)?;
    if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg) {
        return Err(ImageError::Format);
    }
    let (width, height) = contained(|| ImageReader::with_format(Cursor::new(file), format).into_dimensions())?;
    if width.max(height) > SIDE_LIMIT_PIXELS {
        return Err(ImageError::TooLarge { width, height, limit: SIDE_LIMIT_PIXELS });
    }
    if width.min(height) < SIDE_LEAST_PIXELS {
        return Err(ImageError::TooSmall { width, height, least: SIDE_LEAST_PIXELS });
    }
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_LIMIT_PIXELS);
    limits.max_image_height = Some(SIDE_LIMIT_PIXELS);
    limits.max_alloc = Some(DECODER_LIMIT_BYTES);
    reader.limits(limits);
    let picture = contained(|| {
        let mut decoder = reader.into_decoder()?;
        // A camera's upright flag is the one piece of metadata that the picture cannot be read without.
        let orientation = decoder.orientation()?;
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        Ok::<_, image::ImageError>(picture)
    })?;
    Ok(if channels == 1 { vec![grey(&picture)] } else { colours(&picture) })
}

thread_local! {
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside somebody else's picture decoder. A panic hook may then stay silent: the panic is
/// caught, and whoever gave the file hears that it is damaged.
pub fn inside_decoder() -> bool {
    DECODING.get()
}

/// Runs a decoder of somebody else's, which refuses a file by panicking where it forgot to refuse it otherwise:
/// zune-jpeg 0.5.15 unwraps a row of a block that is not there.
fn contained<T, E: Into<ImageError>>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, ImageError> {
    let before = DECODING.replace(true);
    // Unwind safety: what was being decoded is dropped with the panic, and nothing else was touched.
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(before);
    decoded.map_err(|_| ImageError::Undecodable)?.map_err(Into::into)
}

/// A plane for each of `channels`, of one of grey or three of colours.
fn in_channels(planes: Vec<Plane>, channels: usize) -> Vec<Plane> {
    match (planes.as_slice(), channels) {
        ([red, green, blue], 1) => {
            let colours = red.values().iter().zip(green.values()).zip(blue.values());
            vec![Plane::new(red.width(), colours.map(|((red, green), blue)| luma(*red, *green, *blue) as u8).collect())]
        }
        ([grey], 3) => vec![grey.clone(); 3],
        _ => planes,
    }
}

/// By Rec. 601 in integers.
fn luma(red: u8, green: u8, blue: u8) -> u32 {
    (299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) + 500) / 1000
}

/// Grey by Rec. 601 in integers, over white where the picture is transparent.
fn grey(picture: &DynamicImage) -> Plane {
    let width = picture.width() as usize;
    let values = match picture {
        DynamicImage::ImageLuma8(pixels) => pixels.as_raw().clone(),
        // The common case of a photograph, without a copy four times as large.
        DynamicImage::ImageRgb8(pixels) => {
            pixels.pixels().map(|pixel| luma(pixel[0], pixel[1], pixel[2]) as u8).collect()
        }
        other => {
            let over_white = |pixel: &image::Rgba<u8>| {
                let alpha = u32::from(pixel[3]);
                ((luma(pixel[0], pixel[1], pixel[2]) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
            };
            other.to_rgba8().pixels().map(over_white).collect()
        }
    };
    Plane::new(width, values)
}

/// Red, green and blue, over white where the picture is transparent.
fn colours(picture: &DynamicImage) -> Vec<Plane> {
    let planes: [Vec<u8>; 3] = match picture {
        // The common case of a photograph, without a copy.
        DynamicImage::ImageRgb8(pixels) => {
            std::array::from_fn(|channel| pixels.pixels().map(|pixel| pixel[channel]).collect())
        }
        other => {
            let pixels = other.to_rgba8();
            let over_white = |pixel: &image::Rgba<u8>, channel: usize| {
                let alpha = u32::from(pixel[3]);
                ((u32::from(pixel[channel]) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
            };
            std::array::from_fn(|channel| pixels.pixels().map(|pixel| over_white(pixel, channel)).collect())
        }
    };
    planes.into_iter().map(|values| Plane::new(picture.width() as usize, values)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[test]
    fn a_decoder_that_panics_has_refused_the_file() {
        let found = contained::<(), ImageError>(|| panic!("a row that is not there"));
        assert!(matches!(found, Err(ImageError::Undecodable)));
        assert!(!inside_decoder());
        assert!(matches!(contained(|| Ok::<_, ImageError>(inside_decoder())), Ok(true)));
    }
}
