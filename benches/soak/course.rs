//! The course of a run as a picture: minutes across, small pictures below each other, each with an
//! axis from zero, and a line for each thing that was measured. Turns with trouble are shaded.

use std::fmt::Write;

use anyhow::Result;

const WIDTH: f64 = 760.0;
/// Of one small picture.
const HEIGHT: f64 = 150.0;
/// Room for words: left, right, above each picture, below all.
const MARGINS: (f64, f64, f64, f64) = (70.0, 140.0, 42.0, 40.0);
const STYLES: [(&str, &str); 3] = [("#0b4f6c", "none"), ("#c2410c", "5 2"), ("#4d7c0f", "2 2")];
/// Lines across a small picture, and about so many up.
const ACROSS: f64 = 6.0;
const UP: f64 = 4.0;

/// A small picture.
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// In what.
    pub unit: &'static str,
    /// Names, with minutes and values; at most as many as there are styles.
    pub lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

/// Times of the run, in minutes.
pub struct Spans {
    /// The end.
    pub end: f64,
    /// Where the parts meet that are compared.
    pub marks: Vec<f64>,
    /// When something went wrong, and what.
    pub shaded: Vec<(f64, f64)>,
}

/// Draws them.
pub fn draw(title: &str, spans: &Spans, panels: &[Panel]) -> Result<String> {
    let height = MARGINS.2 + panels.len() as f64 * (HEIGHT + MARGINS.2) + MARGINS.3;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>{title}</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{}\" y=\"20\" font-size=\"14\">{title}</text>\n",
        MARGINS.0
    );
    let mut top = MARGINS.2;
    for panel in panels {
        top += MARGINS.2;
        one(&mut svg, spans, panel, top)?;
        top += HEIGHT;
    }
    let middle = (MARGINS.0 + WIDTH - MARGINS.1) / 2.0;
    let bottom = top + 34.0;
    writeln!(svg, "<text x=\"{middle}\" y=\"{bottom}\" text-anchor=\"middle\">minutes</text>")?;
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn one(svg: &mut String, spans: &Spans, panel: &Panel, top: f64) -> Result<()> {
    let (left, right, bottom) = (MARGINS.0, WIDTH - MARGINS.1, top + HEIGHT);
    let values = panel.lines.iter().flat_map(|(_, points)| points.iter().map(|point| point.1));
    let step = round(values.fold(0.0, f64::max).max(f64::MIN_POSITIVE) / UP);
    let most = panel.lines.iter().flat_map(|(_, points)| points).map(|point| point.1);
    let most = (most.fold(0.0, f64::max) / step).ceil().max(1.0) * step;
    let x = |minutes: f64| left + minutes / spans.end * (right - left);
    let y = |value: f64| bottom - value / most * HEIGHT;
    writeln!(svg, "<text x=\"{left}\" y=\"{}\">{}</text>", top - 8.0, panel.title)?;
    for (from, to) in &spans.shaded {
        let (from, width) = (x(*from), x(*to) - x(*from));
        writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{HEIGHT}\" \
             fill=\"#f1f1f1\"/>"
        )?;
    }
    for mark in &spans.marks {
        let x = x(*mark);
        writeln!(svg, "<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"#888888\"/>")?;
    }
    for number in 0..=(most / step).round() as u32 {
        let value = f64::from(number) * step;
        let (y, label) = (y(value), short(value));
        writeln!(svg, "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#dddddd\"/>")?;
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label} {}</text>",
            left - 6.0,
            y + 4.0,
            panel.unit
        )?;
    }
    let minutes = round(spans.end / ACROSS);
    for number in 0..=(spans.end / minutes) as u32 {
        let at = f64::from(number) * minutes;
        let (x, y) = (x(at), bottom + 15.0);
        let label = short(at);
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>")?;
    }
    let mut below = f64::NEG_INFINITY;
    let mut ends: Vec<_> = panel.lines.iter().zip(STYLES).collect();
    ends.sort_by(|one, other| last(&one.0.1).total_cmp(&last(&other.0.1)).reverse());
    for ((name, points), (colour, dashes)) in ends {
        let path: Vec<_> =
            points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" \
             stroke-dasharray=\"{dashes}\"/>",
            path.join(" ")
        )?;
        // Names keep a line's height from each other.
        below = (y(last(points)) + 4.0).max(below + 14.0);
        let right = right + 8.0;
        writeln!(svg, "<text x=\"{right}\" y=\"{below:.1}\" fill=\"{colour}\">{name}</text>")?;
    }
    Ok(())
}

fn last(points: &[(f64, f64)]) -> f64 {
    points.last().map_or(0.0, |point| point.1)
}

/// One, two or five times a power of ten: not less than a value.
fn round(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value * 0.999).unwrap_or(power * 10.0)
}

fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        small if small < 1.0 => format!("{small:.2}"),
        small if small < 10.0 => format!("{}", (small * 10.0).round() / 10.0),
        _ => format!("{value:.0}"),
    }
}
