//! Pictures of a few held-out inputs, and what attackers made of them.

use super::ReportError;
use base64::{Engine, prelude::BASE64_STANDARD};
use encompute_leakage::{Kind, Strip};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use serde::Serialize;

/// The same inputs side by side, as they are or as one attacker sees them.
#[derive(Clone, Debug, Serialize)]
pub struct StripRow {
    /// What the row shows.
    pub name: &'static str,
    /// A PNG, in base64.
    pub png: String,
}

/// The rows of a strip; none where inputs are no pictures of one or three channels.
///
/// # Errors
/// [`ReportError::Picture`].
pub fn rows(strip: &Strip) -> Result<Vec<StripRow>, ReportError> {
    let Some(Kind::Picture { channels, height, width }) = strip.kind else { return Ok(Vec::new()) };
    if !matches!(channels, 1 | 3) {
        return Ok(Vec::new());
    }
    let of_row = |(name, row): (&&'static str, &Vec<Vec<f32>>)| {
        let side = (row.len() * width) as u32;
        let mut pixels = vec![0u8; row.len() * width * height * channels];
        for (at, picture) in row.iter().enumerate() {
            for (place, value) in picture.iter().enumerate() {
                let (channel, y, x) = (place / (height * width), place / width % height, place % width);
                let to = ((y * row.len() + at) * width + x) * channels + channel;
                pixels[to] = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
            }
        }
        let colour = if channels == 3 { ExtendedColorType::Rgb8 } else { ExtendedColorType::L8 };
        let mut png = Vec::new();
        PngEncoder::new(&mut png).write_image(&pixels, side, height as u32, colour).map_err(ReportError::Picture)?;
        Ok::<_, ReportError>(StripRow { name, png: BASE64_STANDARD.encode(&png) })
    };
    strip.names.iter().zip(&strip.rows).map(of_row).collect()
}
