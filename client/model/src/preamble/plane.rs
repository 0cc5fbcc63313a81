//! A picture of one channel and the few operations that preambles need, all in integers.

/// Grey bytes, row by row. Never empty.
#[derive(Clone)]
pub(super) struct Plane {
    width: usize,
    values: Vec<u8>,
}

/// Part of a plane: left and top included, right and bottom not.
#[derive(Clone, Copy)]
pub(super) struct Area {
    pub left: usize,
    pub top: usize,
    pub right: usize,
    pub bottom: usize,
}

impl Area {
    pub fn width(&self) -> usize {
        self.right - self.left
    }

    pub fn height(&self) -> usize {
        self.bottom - self.top
    }
}

impl Plane {
    /// `values` in rows of `width`.
    pub fn new(width: usize, values: Vec<u8>) -> Self {
        debug_assert!(width > 0 && !values.is_empty() && values.len().is_multiple_of(width));
        Self { width, values }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.values.len() / self.width
    }

    pub fn values(&self) -> &[u8] {
        &self.values
    }

    pub fn into_values(self) -> Vec<u8> {
        self.values
    }

    pub fn at(&self, column: usize, row: usize) -> u8 {
        self.values[row * self.width + column]
    }

    /// Values of the outermost ring.
    pub fn border(&self) -> Vec<u8> {
        let (width, height) = (self.width, self.height());
        (0..self.values.len())
            .filter(|index| {
                let (row, column) = (index / width, index % width);
                row == 0 || column == 0 || row + 1 == height || column + 1 == width
            })
            .map(|index| self.values[index])
            .collect()
    }

    pub fn inverted(mut self) -> Self {
        self.values.iter_mut().for_each(|value| *value = 255 - *value);
        self
    }

    pub fn cut(&self, area: Area) -> Self {
        let rows = (area.top..area.bottom).map(|row| &self.values[row * self.width..][area.left..area.right]);
        Self::new(area.width(), rows.flatten().copied().collect())
    }

    /// The mean over each target pixel's share of the source: exact area averaging, both ways.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        let across = self.average_rows(width);
        across.transposed().average_rows(height).transposed()
    }

    fn average_rows(&self, width: usize) -> Self {
        let source = self.width;
        let mut values = Vec::with_capacity(width * self.height());
        for row in self.values.chunks_exact(source) {
            for target in 0..width {
                // In units of 1 / (source · width): target pixel [from, to), source pixel i covers [i·width, (i+1)·width).
                let (from, to) = (target * source, (target + 1) * source);
                let mut sum = 0u64;
                for (index, value) in row.iter().enumerate().take(to.div_ceil(width)).skip(from / width) {
                    let share = to.min((index + 1) * width) - from.max(index * width);
                    sum += share as u64 * u64::from(*value);
                }
                values.push(((sum + source as u64 / 2) / source as u64).min(255) as u8);
            }
        }
        Self::new(width, values)
    }

    fn transposed(&self) -> Self {
        let (width, height) = (self.width, self.height());
        let values = (0..width).flat_map(|column| (0..height).map(move |row| self.at(column, row)));
        Self::new(height, values.collect())
    }

    /// Not larger than `side` on either side, its aspect kept.
    pub fn shrunk(&self, side: usize) -> Self {
        let longest = self.width.max(self.height());
        if longest <= side {
            return self.clone();
        }
        let scaled = |length: usize| (length * side).div_ceil(longest).max(1);
        self.resized(scaled(self.width), scaled(self.height()))
    }

    /// Scaled with its aspect kept to just fit, centred on 0.
    pub fn fit_whole(&self, width: usize, height: usize) -> Self {
        let wide = self.width * height >= self.height() * width;
        let (w, h) = if wide {
            (width, (self.height() * width / self.width).max(1))
        } else {
            ((self.width * height / self.height()).max(1), height)
        };
        self.resized(w, h).placed(width, height, (width - w) / 2, (height - h) / 2)
    }

    /// On a plane of zeros, its corner at (`left`, `top`).
    pub fn placed(&self, width: usize, height: usize, left: usize, top: usize) -> Self {
        let mut values = vec![0; width * height];
        for (row, source) in self.values.chunks_exact(self.width).enumerate() {
            let start = (top + row) * width + left;
            values[start..start + self.width].copy_from_slice(source);
        }
        Self::new(width, values)
    }

    /// Largest value within `radius` in both directions (a square window).
    pub fn dilated(&self, radius: usize) -> Self {
        self.windowed(radius, |window| window.iter().copied().max())
    }

    /// Smallest value within `radius` in both directions.
    pub fn eroded(&self, radius: usize) -> Self {
        self.windowed(radius, |window| window.iter().copied().min())
    }

    /// Mean within `radius` in both directions.
    pub fn smoothed(&self, radius: usize) -> Self {
        self.windowed(radius, |window| {
            let sum: u64 = window.iter().map(|value| u64::from(*value)).sum();
            let count = window.len() as u64;
            u8::try_from((sum + count / 2) / count).ok()
        })
    }

    fn windowed(&self, radius: usize, pick: impl Fn(&[u8]) -> Option<u8>) -> Self {
        let pass = |plane: &Self| {
            let mut values = Vec::with_capacity(plane.values.len());
            for row in plane.values.chunks_exact(plane.width) {
                values.extend((0..row.len()).map(|column| {
                    let window = &row[column.saturating_sub(radius)..(column + radius + 1).min(row.len())];
                    pick(window).unwrap_or_default()
                }));
            }
            Self::new(plane.width, values)
        };
        pass(&pass(self).transposed()).transposed()
    }
}
