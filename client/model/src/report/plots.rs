//! Plots as SVG that needs no script and prints in black and white: points differ by shape as well as by colour.

use std::fmt::Write;

/// Width and height of a plot, in its own units; a page scales it.
const SIZE: [f64; 2] = [340.0, 220.0];
/// Left, top, right, bottom of the field.
const FIELD: [f64; 4] = [48.0, 14.0, 326.0, 178.0];
/// Lines of the grid, about.
const TICKS: f64 = 4.0;

/// What an axis shows.
pub struct Scale<'a> {
    pub title: &'a str,
    least: f64,
    most: f64,
    /// Distance between two lines of the grid: one, two or five of some power of ten.
    step: f64,
}

/// A point: where, how it looks, what it is.
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub series: usize,
    pub words: String,
}

/// Points, joined within a series where `lines` says so.
pub struct Plot<'a> {
    pub title: &'a str,
    pub x: Scale<'a>,
    pub y: Scale<'a>,
    pub series: &'a [&'a str],
    pub points: Vec<Point>,
    pub lines: bool,
}

impl Scale<'_> {
    /// From 0 or less to the largest of `values` or more, in steps of at least `least_step`.
    pub fn over(title: &str, least_step: f64, values: impl Iterator<Item = f64>) -> Scale<'_> {
        let (mut least, mut most) = (0.0f64, 0.0f64);
        for value in values.filter(|value| value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        let rough = ((most - least) / TICKS).max(least_step);
        let ten = 10f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].map(|of| of * ten).into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough);
        Scale { title, least: (least / step).floor() * step, most: (most / step).ceil().max(1.0) * step, step }
    }

    fn at(&self, value: f64, from: f64, to: f64) -> f64 {
        let span = (self.most - self.least).max(f64::MIN_POSITIVE);
        from + ((value - self.least) / span).clamp(0.0, 1.0) * (to - from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (least, step) = (self.least, self.step);
        let count = ((self.most - least) / step).round() as usize;
        (0..=count).map(move |tick| least + step * tick as f64)
    }

    /// Digits behind the point that tell two lines apart.
    fn digits(&self) -> usize {
        (-self.step.log10().floor()).max(0.0) as usize
    }
}

/// The plot as an `svg` element.
pub fn svg(plot: &Plot<'_>) -> String {
    let [width, height] = SIZE;
    let mut out = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">", escaped(plot.title));
    axes(&mut out, plot);
    for series in 0..plot.series.len() {
        let points: Vec<&Point> = plot.points.iter().filter(|point| point.series == series).collect();
        if plot.lines && points.len() > 1 {
            let path: Vec<String> = points
                .iter()
                .map(|point| {
                    let (x, y) = place(plot, point);
                    format!("{x:.1},{y:.1}")
                })
                .collect();
            line(&mut out, format_args!("<polyline class=\"s{series}\" points=\"{}\"/>", path.join(" ")));
        }
        points.iter().for_each(|point| mark(&mut out, plot, point));
    }
    let shown = plot.series.iter().enumerate().filter(|(_, name)| !name.is_empty());
    for (series, name) in shown {
        let x = FIELD[0] + 92.0 * series as f64;
        shape(&mut out, series, (x, 210.0), "");
        line(&mut out, format_args!("<text x=\"{:.1}\" y=\"213\">{}</text>", x + 7.0, escaped(name)));
    }
    out.push_str("</svg>");
    out
}

fn axes(out: &mut String, plot: &Plot<'_>) {
    let [left, top, right, bottom] = FIELD;
    for tick in plot.y.ticks() {
        let y = plot.y.at(tick, bottom, top);
        line(out, format_args!("<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>"));
        line(
            out,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" class=\"end\">{tick:.*}</text>",
                left - 4.0,
                y + 3.0,
                plot.y.digits()
            ),
        );
    }
    for tick in plot.x.ticks() {
        let x = plot.x.at(tick, left, right);
        line(
            out,
            format_args!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" class=\"mid\">{tick:.*}</text>",
                bottom + 11.0,
                plot.x.digits()
            ),
        );
    }
    line(out, format_args!("<path class=\"axis\" d=\"M{left} {top}V{bottom}H{right}\"/>"));
    line(
        out,
        format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"mid\">{}</text>",
            (left + right) / 2.0,
            bottom + 22.0,
            escaped(plot.x.title)
        ),
    );
    line(out, format_args!("<text x=\"{left}\" y=\"9\">{}</text>", escaped(plot.y.title)));
}

fn place(plot: &Plot<'_>, point: &Point) -> (f64, f64) {
    let [left, top, right, bottom] = FIELD;
    (plot.x.at(point.x, left, right), plot.y.at(point.y, bottom, top))
}

fn mark(out: &mut String, plot: &Plot<'_>, point: &Point) {
    shape(out, point.series, place(plot, point), &point.words);
}

fn shape(out: &mut String, series: usize, (x, y): (f64, f64), words: &str) {
    let title = if words.is_empty() { String::new() } else { format!("<title>{}</title>", escaped(words)) };
    let outline = match series {
        0 => format!("<circle class=\"s0\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\">{title}</circle>"),
        1 => format!(
            "<rect class=\"s1\" x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\">{title}</rect>",
            x - 3.5,
            y - 3.5
        ),
        _ => format!("<path class=\"s2\" d=\"M{x:.1} {:.1}l4 7h-8z\">{title}</path>", y - 4.0),
    };
    out.push_str(&outline);
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

/// Text as it may stand anywhere in a page.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_keeps_its_points_in_its_field_and_its_words_harmless() {
        let points = vec![
            Point { x: 1.0, y: f64::NAN, series: 0, words: "<script>".to_owned() },
            Point { x: 9e9, y: -5.0, series: 1, words: String::new() },
        ];
        let (x, y) = (Scale::over("x", 1.0, [1.0].into_iter()), Scale::over("y", 1e-3, [0.5, -0.2].into_iter()));
        let svg = svg(&Plot { title: "t", x, y, series: &["one", "two"], points, lines: true });
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;"));
        assert!(svg.contains("cx=\"") && !svg.contains("9000000000"));
    }

    #[test]
    fn lines_of_a_grid_stand_at_round_numbers() {
        let scale = Scale::over("", 1e-3, [0.087, -0.01].into_iter());
        let ticks: Vec<String> = scale.ticks().map(|tick| format!("{tick:.*}", scale.digits())).collect();
        assert_eq!(ticks, ["-0.05", "0.00", "0.05", "0.10"]);
        assert_eq!(Scale::over("", 1.0, [3.0].into_iter()).ticks().collect::<Vec<_>>(), [0.0, 1.0, 2.0, 3.0]);
    }
}
