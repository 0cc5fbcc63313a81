//! Finds the one mark on an even ground and brings it to the middle of a small picture.
//!
//! 1. Shrink to 256 pixels. Tell dark ink from light by which way pixels stray furthest from the mean of their
//!    surroundings: strokes are few and far off, the ground is wide and near, whatever the light.
//! 2. Ink strength = ground − pixel, where the ground is what remains when everything narrower than a quarter of
//!    the picture is filled (a closing). So a shadow over half the page does not count as ink.
//! 3. Split ink from ground by Otsu's threshold, keep the marks that are not specks, cut around them with a
//!    margin, and do 2 and 3 once more on the cut, which now has all its detail.
//! 4. Thicken pen strokes to what the model has seen, scale into the box, put the centre of mass in the middle.

use super::plane::{Area, Plane};

/// Side to which pictures are shrunk before marks are looked for.
const WORK_PIXELS: usize = 256;
/// Least difference between the mean of ink and the mean of ground.
const CONTRAST_LEAST: u32 = 24;
/// A mark's part below this share of the largest part's area is a speck: 1 / 20.
const SPECK_SHARE: usize = 20;
/// Least length of the mark on the shrunk picture.
const MARK_LEAST_PIXELS: usize = 5;
/// Stroke width that thin strokes are brought to, in tenths of a pixel of the tensor.
const STROKE_TENTHS: usize = 24;

/// Why no mark was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InkError {
    /// The picture is empty, or too faint.
    #[error("no mark stands out from the ground: contrast {found} of 255, at least {least} is needed")]
    Faint {
        /// Difference of the two groups' means.
        found: u32,
        /// Difference needed.
        least: u32,
    },
    /// What stands out is too small a part of the picture.
    #[error("the largest mark is {found} pixels long where {least} are needed, in a picture shrunk to {side}")]
    Small {
        /// Length of its longer side.
        found: usize,
        /// Length needed.
        least: usize,
        /// Side of the shrunk picture.
        side: usize,
    },
}

/// The mark of `plane` as ink (255) on ground (0), `width × height`, scaled into a box of side `box_pixels`.
pub(super) fn centre(plane: &Plane, width: usize, height: usize, box_pixels: usize) -> Result<Plane, InkError> {
    let dark = if ink_is_dark(&plane.shrunk(WORK_PIXELS)) { plane.clone() } else { plane.clone().inverted() };
    let coarse = Mark::find(&dark.shrunk(WORK_PIXELS))?;
    let around = scaled_up(coarse.area, &coarse.strength, &dark);
    let fine = Mark::find(&dark.cut(around).shrunk(WORK_PIXELS))?;
    let mark = fine.thickened(box_pixels).strength.cut(fine.area);
    let longest = mark.width().max(mark.height());
    let side = |length: usize| ((length * box_pixels + longest / 2) / longest).max(1);
    let small = mark.resized(side(mark.width()), side(mark.height()));
    let (across, down) = centre_of_mass(&small);
    let left = place(across, small.width(), width);
    let top = place(down, small.height(), height);
    Ok(small.placed(width, height, left, top))
}

/// True where the pixels that stray furthest from the mean around them are darker than it.
fn ink_is_dark(plane: &Plane) -> bool {
    let around = plane.smoothed(plane.width().max(plane.height()) / 4);
    let strays = plane.values().iter().zip(around.values()).map(|(value, mean)| i64::from(*value) - i64::from(*mean));
    strays.map(|stray| stray.pow(3)).sum::<i64>() <= 0
}

/// Ink on ground, and where it lies.
struct Mark {
    /// 0 ground … 255 full ink, specks removed.
    strength: Plane,
    /// Smallest area around the ink.
    area: Area,
    /// Pixels that are ink.
    inked: Vec<bool>,
}

impl Mark {
    fn find(dark: &Plane) -> Result<Self, InkError> {
        let even = dark.smoothed(usize::from(dark.width().min(dark.height()) >= WORK_PIXELS / 2));
        let radius = even.width().max(even.height()) / 8;
        let ground = even.dilated(radius).eroded(radius);
        let ink: Vec<u8> = ground.values().iter().zip(even.values()).map(|(g, v)| g.saturating_sub(*v)).collect();
        let threshold = otsu(&ink);
        let contrast = contrast(&ink, threshold);
        if contrast < CONTRAST_LEAST {
            return Err(InkError::Faint { found: contrast, least: CONTRAST_LEAST });
        }
        let inked = without_specks(ink.iter().map(|value| *value > threshold).collect(), even.width());
        let area = bounds(&inked, even.width());
        let longest = area.width().max(area.height());
        if longest < MARK_LEAST_PIXELS {
            let side = even.width().max(even.height());
            return Err(InkError::Small { found: longest, least: MARK_LEAST_PIXELS, side });
        }
        let strength = stretch(&ink, &inked, even.width(), threshold);
        Ok(Self { strength, area, inked })
    }

    /// Pen strokes are thinner than the felt-tip strokes of the training data: widen them to the same width.
    fn thickened(&self, box_pixels: usize) -> Self {
        let width = self.strength.width();
        let area = self.inked.iter().filter(|inked| **inked).count();
        let edge = (0..self.inked.len()).filter(|index| self.inked[*index] && self.is_edge(*index, width)).count();
        let longest = self.area.width().max(self.area.height());
        // A stroke of length l and width s has area l·s and an edge of about 2·l pixels.
        let stroke_tenths = 20 * area / edge.max(1) * box_pixels / longest;
        let missing = STROKE_TENTHS.saturating_sub(stroke_tenths) * longest / box_pixels;
        Self { strength: self.strength.dilated(missing / 20), area: self.area, inked: self.inked.clone() }
    }

    fn is_edge(&self, index: usize, width: usize) -> bool {
        let (row, column) = (index / width, index % width);
        let inked =
            |row: usize, column: usize| column < width && *self.inked.get(row * width + column).unwrap_or(&false);
        row == 0
            || column == 0
            || !inked(row - 1, column)
            || !inked(row + 1, column)
            || !inked(row, column - 1)
            || !inked(row, column + 1)
    }
}

/// The threshold that best separates two groups of values (N. Otsu, 1979).
fn otsu(values: &[u8]) -> u8 {
    let mut counts = [0u64; 256];
    values.iter().for_each(|value| counts[usize::from(*value)] += 1);
    let total = values.len() as u64;
    let total_sum: u64 = counts.iter().zip(0u64..).map(|(count, value)| count * value).sum();
    let (mut below, mut below_sum) = (0u64, 0u64);
    let (mut best, mut best_spread) = (0u8, 0u128);
    for value in 0..=255u8 {
        below += counts[usize::from(value)];
        below_sum += counts[usize::from(value)] * u64::from(value);
        let above = total - below;
        if below == 0 || above == 0 {
            continue;
        }
        // Between-group spread times total², to stay in integers: (total_sum·below − below_sum·total)² / (below·above).
        let distance = u128::from((total_sum * below).abs_diff(below_sum * total));
        let spread = distance * distance / u128::from(below * above);
        if spread > best_spread {
            (best, best_spread) = (value, spread);
        }
    }
    best
}

/// Mean above the threshold less the mean up to it; 0 if either group is empty.
fn contrast(values: &[u8], threshold: u8) -> u32 {
    let mean = |above: bool| {
        let group = values.iter().filter(|value| (**value > threshold) == above).map(|value| u64::from(*value));
        let (count, sum) = group.fold((0u64, 0u64), |(count, sum), value| (count + 1, sum + value));
        sum.checked_div(count)
    };
    match (mean(true), mean(false)) {
        (Some(ink), Some(ground)) => (ink - ground) as u32,
        _ => 0,
    }
}

/// Drops connected parts (8 neighbours) far smaller than the largest.
fn without_specks(mut inked: Vec<bool>, width: usize) -> Vec<bool> {
    let mut part_of = vec![usize::MAX; inked.len()];
    let mut sizes = Vec::new();
    let mut open = Vec::new();
    for start in 0..inked.len() {
        if !inked[start] || part_of[start] != usize::MAX {
            continue;
        }
        let part = sizes.len();
        let mut size = 0;
        part_of[start] = part;
        open.push(start);
        while let Some(index) = open.pop() {
            size += 1;
            for next in neighbours(index, width, inked.len()) {
                if inked[next] && part_of[next] == usize::MAX {
                    part_of[next] = part;
                    open.push(next);
                }
            }
        }
        sizes.push(size);
    }
    let largest = sizes.iter().copied().max().unwrap_or(0);
    for (inked, part) in inked.iter_mut().zip(part_of) {
        *inked &= sizes.get(part).is_some_and(|size: &usize| size * SPECK_SHARE >= largest);
    }
    inked
}

fn neighbours(index: usize, width: usize, size: usize) -> impl Iterator<Item = usize> {
    let (row, column) = (index / width, index % width);
    let rows = row.saturating_sub(1)..=(row + 1).min(size / width - 1);
    let columns = column.saturating_sub(1)..=(column + 1).min(width - 1);
    rows.flat_map(move |row| columns.clone().map(move |column| row * width + column))
}

/// Smallest area around all ink; a mark always has some.
fn bounds(inked: &[bool], width: usize) -> Area {
    let mut area = Area { left: width, top: inked.len() / width, right: 0, bottom: 0 };
    for index in (0..inked.len()).filter(|index| inked[*index]) {
        let (row, column) = (index / width, index % width);
        area = Area {
            left: area.left.min(column),
            top: area.top.min(row),
            right: area.right.max(column + 1),
            bottom: area.bottom.max(row + 1),
        };
    }
    area
}

/// Ink strength from half the threshold (0) to the ink's 75th percentile (255), near the mark only.
fn stretch(ink: &[u8], inked: &[bool], width: usize, threshold: u8) -> Plane {
    let mut strong: Vec<u8> = ink.iter().zip(inked).filter(|(_, inked)| **inked).map(|(value, _)| *value).collect();
    strong.sort_unstable();
    let full = u32::from(strong.get(strong.len() * 3 / 4).copied().unwrap_or(u8::MAX));
    let none = u32::from(threshold) / 2;
    let near = Plane::new(width, inked.iter().map(|inked| u8::from(*inked)).collect()).dilated(2);
    let strength = ink.iter().zip(near.values()).map(|(value, near)| {
        let above = u32::from(*value).saturating_sub(none) * u32::from(*near);
        (above * 255 / (full - none).max(1)).min(255) as u8
    });
    Plane::new(width, strength.collect())
}

/// An area found on the shrunk picture, on the full one, with a margin of a quarter of its length.
fn scaled_up(area: Area, shrunk: &Plane, full: &Plane) -> Area {
    let margin = area.width().max(area.height()) / 4 + 2;
    let low = |edge: usize, small: usize, large: usize| edge.saturating_sub(margin) * large / small;
    let high = |edge: usize, small: usize, large: usize| ((edge + margin) * large).div_ceil(small).min(large);
    Area {
        left: low(area.left, shrunk.width(), full.width()),
        top: low(area.top, shrunk.height(), full.height()),
        right: high(area.right, shrunk.width(), full.width()),
        bottom: high(area.bottom, shrunk.height(), full.height()),
    }
}

/// Centre of mass across and down, in thousandths of a pixel.
fn centre_of_mass(plane: &Plane) -> (usize, usize) {
    let (mut mass, mut across, mut down) = (0, 0, 0);
    for row in 0..plane.height() {
        for column in 0..plane.width() {
            let value = usize::from(plane.at(column, row));
            mass += value;
            across += value * (2 * column + 1) * 500;
            down += value * (2 * row + 1) * 500;
        }
    }
    let mass = mass.max(1);
    (across / mass, down / mass)
}

/// Where a stretch of `length` starts so that its centre of mass lies in the middle of `side`, all of it inside.
fn place(mass_thousandths: usize, length: usize, side: usize) -> usize {
    ((side * 500 + 500).saturating_sub(mass_thousandths) / 1000).min(side - length)
}
