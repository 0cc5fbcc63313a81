//! Plots, as SVG.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::error::Error;

const WIDTH: u32 = 860;
const BAR: u32 = 26;
/// Room for the title and for the axis.
const FRAME: u32 = 90;

/// What is drawn, by its name.
pub struct Bar {
    /// Beside the bar.
    pub name: String,
    /// How long it is: above zero.
    pub length: f64,
}

/// Why there is no plot.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// Nothing to draw, or a length without a logarithm.
    #[error("a plot on a logarithmic axis needs lengths above zero")]
    Lengths,
    /// The library could not draw it.
    #[error("it cannot be drawn")]
    Draw(#[source] Box<dyn Error + Send + Sync>),
}

/// Horizontal bars over a logarithmic axis.
///
/// # Errors
/// [`PlotError`].
pub fn bars(title: &str, axis: &str, bars: &[Bar]) -> Result<String, PlotError> {
    if bars.is_empty() || !bars.iter().all(|bar| bar.length.is_finite() && bar.length > 0.0) {
        return Err(PlotError::Lengths);
    }
    drawn(title, axis, bars).map_err(PlotError::Draw)
}

fn drawn(title: &str, axis: &str, bars: &[Bar]) -> Result<String, Box<dyn Error + Send + Sync>> {
    let lengths = || bars.iter().map(|bar| bar.length);
    let decade = |length: f64, round: fn(f64) -> f64| 10f64.powf(round(length.log10()));
    let least = lengths().map(|length| decade(length * 0.99, f64::floor)).fold(f64::MAX, f64::min);
    let most = lengths().map(|length| decade(length * 1.01, f64::ceil)).fold(0.0, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, FRAME + BAR * bars.len() as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        // The first bar stands on top, and the axis counts from below.
        let rows = 0..bars.len() as i32;
        let name = |row: i32| {
            let bar = usize::try_from(row).ok().and_then(|row| bars.iter().rev().nth(row));
            bar.map_or_else(String::new, |bar| bar.name.clone())
        };
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 16))
            .margin(10)
            .margin_right(70)
            .x_label_area_size(40)
            .y_label_area_size(190)
            .build_cartesian_2d((least..most).log_scale(), (0..rows.end - 1).into_segmented())?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .x_desc(axis)
            .x_label_formatter(&|value| value.to_string())
            .y_labels(bars.len() + 1)
            .y_label_formatter(&|row| match row {
                SegmentValue::CenterOf(row) => name(*row),
                SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
            })
            .label_style(("sans-serif", 13))
            .draw()?;
        let filled = RGBColor(44, 122, 96).filled();
        chart.draw_series(bars.iter().rev().zip(rows.clone()).map(|(bar, row)| {
            let corners = [(least, SegmentValue::Exact(row)), (bar.length, SegmentValue::Exact(row + 1))];
            let mut bar = Rectangle::new(corners, filled);
            bar.set_margin(4, 4, 0, 0);
            bar
        }))?;
        chart.draw_series(bars.iter().rev().zip(rows).map(|(bar, row)| {
            let told = if bar.length < 10.0 { format!("{:.2}", bar.length) } else { format!("{:.0}", bar.length) };
            let style = ("sans-serif", 13).into_text_style(&area).pos(Pos::new(HPos::Left, VPos::Center));
            Text::new(told, (bar.length * 1.03, SegmentValue::CenterOf(row)), style)
        }))?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_bar_stands_with_its_name_and_length() {
        let drawn = [("dense", 0.29), ("stem", 51.3)].map(|(name, length)| Bar { name: name.to_owned(), length });
        let svg = bars("Heads", "milliseconds", &drawn).unwrap();
        for words in ["<svg", "Heads", "milliseconds", "dense", "0.29", "stem", "51", "</svg>"] {
            assert!(svg.contains(words), "{words}: {svg}");
        }
        assert_eq!(svg, bars("Heads", "milliseconds", &drawn).unwrap());
    }

    #[test]
    fn a_length_without_a_logarithm_is_refused() {
        for length in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(bars("", "", &[Bar { name: String::new(), length }]).is_err(), "{length}");
        }
        assert!(bars("", "", &[]).is_err());
    }
}
