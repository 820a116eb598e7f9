//! Growth as a picture: devices across, time upwards, both logarithmic, one line for each thing
//! that was measured. A law is then a slope: flat is independent, one to one is proportional.

use std::fmt::Write;

use anyhow::{Context, Result};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
/// Room for the axes' words: left, right, top, bottom.
const MARGINS: (f64, f64, f64, f64) = (64.0, 150.0, 36.0, 44.0);
/// Colours that differ in lightness too, with the dashes they are drawn in.
const STYLES: [(&str, &str); 4] =
    [("#0b4f6c", "none"), ("#c2410c", "7 3"), ("#4d7c0f", "2 3"), ("#7e22ce", "9 3 2 3")];

/// A line's name, with what was measured at which number of devices.
pub type Line = (String, Vec<(f64, f64)>);

/// Draws lines, of at most [`STYLES`] and of positive values alone.
pub fn growth(title: &str, unit: &str, lines: &[Line]) -> Result<String> {
    anyhow::ensure!(lines.len() <= STYLES.len(), "too many lines for one picture");
    let points = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let across = Axis::of(points().map(|(x, _)| x), (MARGINS.0, WIDTH - MARGINS.1))?;
    let upwards = Axis::of(points().map(|(_, y)| y), (HEIGHT - MARGINS.3, MARGINS.2))?;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{}\" y=\"20\" font-size=\"14\">{title}</text>\n",
        MARGINS.0
    );
    for exponent in across.decades() {
        let (x, top, bottom) = (across.at(10f64.powi(exponent)), MARGINS.2, HEIGHT - MARGINS.3);
        writeln!(svg, "<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"#dddddd\"/>")?;
        let (y, label) = (bottom + 18.0, label(exponent));
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>")?;
    }
    for exponent in upwards.decades() {
        let (y, left, right) = (upwards.at(10f64.powi(exponent)), MARGINS.0, WIDTH - MARGINS.1);
        writeln!(svg, "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#dddddd\"/>")?;
        let (x, label) = (left - 6.0, label(exponent));
        writeln!(
            svg,
            "<text x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\">{label} {unit}</text>",
            y + 4.0
        )?;
    }
    for ((name, points), (colour, dashes)) in lines.iter().zip(STYLES) {
        let places: Vec<_> = points.iter().map(|&(x, y)| (across.at(x), upwards.at(y))).collect();
        let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-dasharray=\"{dashes}\"/>",
            path.join(" ")
        )?;
        for (x, y) in &places {
            writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>")?;
        }
        let (x, y) = places.last().copied().context("a line has points")?;
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            x + 8.0,
            y + 4.0
        )?;
    }
    let (x, y) = ((MARGINS.0 + WIDTH - MARGINS.1) / 2.0, HEIGHT - 8.0);
    writeln!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">devices</text>\n</svg>")?;
    Ok(svg)
}

/// A logarithmic axis over whole decades.
struct Axis {
    from: i32,
    to: i32,
    /// Where it begins and ends in the picture.
    span: (f64, f64),
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, span: (f64, f64)) -> Result<Self> {
        let (mut low, mut high) = (f64::INFINITY, 0f64);
        for value in values {
            anyhow::ensure!(value > 0.0, "{value} has no place on a logarithmic axis");
            (low, high) = (low.min(value), high.max(value));
        }
        anyhow::ensure!(low <= high, "nothing to draw");
        let from = low.log10().floor() as i32;
        Ok(Self { from, to: (high.log10().ceil() as i32).max(from + 1), span })
    }

    fn decades(&self) -> impl Iterator<Item = i32> {
        self.from..=self.to
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.from)) / f64::from(self.to - self.from);
        self.span.0 + share * (self.span.1 - self.span.0)
    }
}

/// A power of ten as people write it.
fn label(exponent: i32) -> String {
    match exponent {
        6.. => format!("{} M", 10i64.pow(exponent as u32 - 6)),
        3.. => format!("{} k", 10i64.pow(exponent as u32 - 3)),
        _ => format!("{}", 10f64.powi(exponent)),
    }
}
