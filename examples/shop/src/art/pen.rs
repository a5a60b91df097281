//! Writes shapes as SVG text: whole units, plain colours, nothing that needs escaping.

use std::fmt::Write;

use super::paint::Tone;

/// Rubber, shadow gaps and everything that is black on a product.
pub(super) const INK: Tone = Tone(0x24, 0x29, 0x2E);
/// Shiny metal.
pub(super) const METAL: Tone = Tone(0xD9, 0xDE, 0xE1);
/// Metal in the shade.
pub(super) const METAL_DARK: Tone = Tone(0x8F, 0x99, 0xA1);
/// Marks and highlights.
pub(super) const LIGHT: Tone = Tone(0xFF, 0xFF, 0xFF);

/// Collects shapes from back to front.
#[derive(Debug, Default)]
pub(super) struct Pen {
    shapes: String,
}

impl Pen {
    /// All shapes so far.
    pub(super) fn into_shapes(self) -> String {
        self.shapes
    }

    /// A rectangle `[x, y, width, height]` with rounded corners.
    pub(super) fn rect(&mut self, [x, y, w, h]: [i32; 4], round: i32, fill: Tone) {
        self.put(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{round}\" fill=\"{fill}\"/>"
        ));
    }

    /// A disc around `[x, y]`.
    pub(super) fn disc(&mut self, [x, y]: [i32; 2], radius: i32, fill: Tone) {
        self.put(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\"/>"));
    }

    /// A ring around `[x, y]`.
    pub(super) fn ring(&mut self, [x, y]: [i32; 2], radius: i32, stroke: (Tone, i32)) {
        let (tone, width) = stroke;
        self.put(format_args!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"none\" stroke=\"{tone}\" stroke-width=\"{width}\"/>"
        ));
    }

    /// A filled path.
    pub(super) fn path(&mut self, d: &str, fill: Tone) {
        self.put(format_args!("<path d=\"{d}\" fill=\"{fill}\"/>"));
    }

    /// A line along a path with round ends.
    pub(super) fn line(&mut self, d: &str, stroke: (Tone, i32)) {
        let (tone, width) = stroke;
        self.put(format_args!(
            "<path d=\"{d}\" fill=\"none\" stroke=\"{tone}\" stroke-width=\"{width}\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/>"
        ));
    }

    /// A see-through path, for glass and shade; `percent` is how much of it is seen.
    pub(super) fn veil(&mut self, d: &str, fill: Tone, percent: u8) {
        self.put(format_args!("<path d=\"{d}\" fill=\"{fill}\" fill-opacity=\".{percent:02}\"/>"));
    }

    /// The shadow under a product: centre, half width.
    pub(super) fn shadow(&mut self, [x, y]: [i32; 2], half: i32) {
        let flat = (half / 12).max(5);
        self.put(format_args!(
            "<ellipse cx=\"{x}\" cy=\"{y}\" rx=\"{half}\" ry=\"{flat}\" fill=\"#1b2026\" fill-opacity=\".18\"/>"
        ));
    }

    fn put(&mut self, shape: std::fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        let _ = self.shapes.write_fmt(shape);
    }
}
