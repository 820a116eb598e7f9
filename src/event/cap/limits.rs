//! What one document may cost, checked before anything is built from it.

use super::Violation;
use super::tree::Element;
use crate::domain::alert::Alert;

/// The limits of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes as received. Real alerts with embedded audio reach 460 kB.
    pub bytes: usize,
    /// Elements inside each other. CAP needs 5, a signature with certificates about 8.
    pub depth: usize,
    /// Elements in all, those of signatures included. A warning for 200 counties has about 2,000.
    pub elements: usize,
    /// Bytes of an element's name or namespace. Both are repeated for every element inside.
    pub name_bytes: usize,
    /// XML signatures. Each is given all the namespaces declared around it.
    pub signatures: usize,
    /// Bytes of one element's text, but for a `derefUri`, which only `bytes` bounds. The largest
    /// real polygon, 34,066 vertices, has about 600 kB.
    pub text_bytes: usize,
    /// `info` elements: one a language, for a few phases. The most seen is 8.
    pub infos: usize,
    /// `area` elements of the alert, in all infos together.
    pub areas: usize,
    /// `polygon` and `circle` elements of the alert. The most seen in one area is 212.
    pub polygons: usize,
    /// Pairs in all polygons together.
    pub vertices: usize,
}

impl Default for Limits {
    /// What agencies may send.
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            depth: 32,
            elements: 20_000,
            name_bytes: 200,
            signatures: 8,
            text_bytes: 700_000,
            infos: 64,
            areas: 1_000,
            polygons: 2_000,
            vertices: 60_000,
        }
    }
}

impl Limits {
    /// What feeds that Loa takes over may send: eight times as much of what grows with the area.
    pub fn feeds() -> Self {
        let base = Self::default();
        Self {
            bytes: base.bytes * 8,
            elements: base.elements * 8,
            text_bytes: base.text_bytes * 8,
            areas: base.areas * 8,
            polygons: base.polygons * 8,
            vertices: base.vertices * 8,
            ..base
        }
    }

    pub(super) fn check_bytes(&self, bytes: &[u8]) -> Result<(), Violation> {
        within("", "limit_bytes", "bytes", bytes.len(), self.bytes)
    }

    /// Counts what grows with the area. A pair is counted by its comma.
    pub(super) fn check_tree(&self, root: &Element) -> Result<(), Violation> {
        let mut counts = Counts::default();
        count(root, &mut counts);
        self.check_counts(&counts, "/alert")
    }

    /// The same for a model that was not read from XML.
    pub(super) fn check_alert(&self, alert: &Alert) -> Result<(), Violation> {
        let mut counts = Counts { infos: alert.infos.len(), ..Counts::default() };
        for area in alert.infos.iter().flat_map(|info| &info.areas) {
            counts.areas += 1;
            counts.polygons += area.polygons.len() + area.circles.len();
            counts.vertices += area.polygons.iter().map(|ring| ring.points().len()).sum::<usize>();
        }
        self.check_counts(&counts, "")
    }

    fn check_counts(&self, counts: &Counts, path: &str) -> Result<(), Violation> {
        within(path, "limit_infos", "info elements", counts.infos, self.infos)?;
        within(path, "limit_areas", "areas", counts.areas, self.areas)?;
        within(path, "limit_polygons", "polygons and circles", counts.polygons, self.polygons)?;
        within(path, "limit_vertices", "coordinate pairs", counts.vertices, self.vertices)
    }
}

#[derive(Default)]
struct Counts {
    infos: usize,
    areas: usize,
    polygons: usize,
    vertices: usize,
}

/// Recursion is as deep as [`Limits::depth`] at most.
fn count(element: &Element, counts: &mut Counts) {
    match element.name.as_str() {
        "info" => counts.infos += 1,
        "area" => counts.areas += 1,
        "circle" => counts.polygons += 1,
        "polygon" => {
            counts.polygons += 1;
            counts.vertices += commas(element.text.as_bytes());
        }
        _ => {}
    }
    for child in &element.children {
        count(child, counts);
    }
}

/// In chunks whose count fits in a byte: so sixteen are counted at a time.
fn commas(text: &[u8]) -> usize {
    let of = |chunk: &[u8]| chunk.iter().map(|&byte| u8::from(byte == b',')).sum::<u8>();
    text.chunks(usize::from(u8::MAX)).map(|chunk| usize::from(of(chunk))).sum()
}

/// A count against its limit.
pub(super) fn within(
    path: &str,
    rule: &'static str,
    what: &str,
    count: usize,
    most: usize,
) -> Result<(), Violation> {
    if count <= most {
        return Ok(());
    }
    Err(Violation::error(path, rule, format!("more than {most} {what}")))
}
