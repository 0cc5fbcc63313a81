//! Tensors as pictures for people.

use super::{SIDE_LIMIT_PIXELS, Tensor};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// Height to which small pictures are brought, about.
const HEIGHT_PIXELS: usize = 256;

/// Pictures of one shape beside each other as PNG, each of their pixels a square; `None` for other tensors.
pub fn side_by_side(pictures: &[&Tensor]) -> Option<Vec<u8>> {
    let [channels, height, width] = pictures.first()?.shape();
    if !matches!(channels, 1 | 3)
        || height == 0
        || pictures.iter().any(|other| other.shape() != [channels, height, width])
    {
        return None;
    }
    let factor = (HEIGHT_PIXELS / height).max(1);
    let gap = 2 * factor;
    let across = pictures.len() * (width * factor + gap) - gap;
    if across.max(height * factor) > SIDE_LIMIT_PIXELS as usize {
        return None;
    }
    let mut sheet = vec![255u8; across * height * factor * channels];
    for (at, picture) in pictures.iter().enumerate() {
        let left = at * (width * factor + gap);
        for y in 0..height * factor {
            for x in 0..width * factor {
                let pixel = y / factor * width + x / factor;
                let values = (0..channels).map(|channel| picture.values()[channel * height * width + pixel]);
                let place = (y * across + left + x) * channels;
                sheet[place..place + channels].iter_mut().zip(values).for_each(|(shown, value)| *shown = value);
            }
        }
    }
    let colour = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(&sheet, across as u32, (height * factor) as u32, colour).ok()?;
    Some(file)
}
