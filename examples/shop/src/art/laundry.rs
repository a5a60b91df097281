//! Washing machines and dryers.

use super::paint::{Paint, Tone};
use super::pen::{INK, LIGHT, METAL, METAL_DARK, Pen};

const WATER: Tone = Tone(0x9C, 0xC8, 0xE6);

pub(super) fn form(name: &str) -> Option<fn(&mut Pen, Paint)> {
    Some(match name {
        "dryer" => dryer,
        "front" => front,
        "front_wide" => front_wide,
        "slim" => slim,
        "top" => top,
        "tower" => tower,
        _ => return None,
    })
}

fn cabinet(pen: &mut Pen, [x, y, w, h]: [i32; 4], finish: Paint) {
    pen.rect([x, y, w, h], 12, finish.tone(100));
    let edge = x + w;
    pen.path(
        &format!(
            "M{} {y} h18 a12 12 0 0 1 12 12 v{} a12 12 0 0 1 -12 12 h-18 Z",
            edge - 30,
            h - 24
        ),
        finish.tone(91),
    );
}

fn feet(pen: &mut Pen, [left, right]: [i32; 2]) {
    pen.shadow([(left + right) / 2, 358], (right - left) * 58 / 100);
    pen.rect([left + 14, 344, 24, 14], 4, INK);
    pen.rect([right - 38, 344, 24, 14], 4, INK);
}

/// The round door with washing behind it: centre and radius.
fn porthole(pen: &mut Pen, [x, y, r]: [i32; 3], cloth: [Tone; 2]) {
    pen.disc([x, y], r, METAL_DARK);
    pen.disc([x, y], r - 5, METAL);
    let r = r - 16;
    pen.disc([x, y], r, Tone(0x2B, 0x33, 0x3B));
    // A heap that fills the lower half, then a second garment over its right side.
    let (left, right) = (x - r, x + r);
    let heap = format!(
        "M{left} {y} C{} {} {} {} {right} {y} A{r} {r} 0 0 1 {left} {y} Z",
        x - r / 2,
        y + r / 2,
        x - r / 8,
        y - r / 2
    );
    pen.path(&heap, cloth[0]);
    let (dx, dy) = (r * 28 / 100, r * 96 / 100);
    let over = format!(
        "M{} {} C{} {} {} {} {right} {y} A{r} {r} 0 0 1 {} {} Z",
        x - dx,
        y + dy,
        x - r / 4,
        y + r / 5,
        x + r / 2,
        y + r * 3 / 5,
        x - dx,
        y + dy
    );
    pen.path(&over, cloth[1]);
    let gleam = format!(
        "M{} {} Q{} {} {} {}",
        x - r * 78 / 100,
        y - r * 25 / 100,
        x - r * 68 / 100,
        y - r * 66 / 100,
        x - r * 22 / 100,
        y - r * 80 / 100
    );
    pen.line(&gleam, (LIGHT, 5));
}

fn panel(pen: &mut Pen, [x, y, w]: [i32; 3], finish: Paint) {
    pen.rect([x + 12, y + 12, w * 30 / 100, 30], 5, finish.tone(88));
    pen.rect([x + 20, y + 23, w * 12 / 100, 5], 2, finish.tone(70));
    pen.disc([x + w * 55 / 100, y + 27], 16, METAL_DARK);
    pen.disc([x + w * 55 / 100, y + 27], 12, METAL);
    pen.line(&format!("M{0} {1} l0 -8", x + w * 55 / 100, y + 25), (INK, 3));
    pen.rect([x + w * 70 / 100, y + 15, w * 22 / 100, 24], 4, INK);
    pen.rect([x + w * 74 / 100, y + 24, w * 9 / 100, 5], 2, Tone(0x8C, 0xE0, 0xA4));
}

fn front(pen: &mut Pen, finish: Paint) {
    feet(pen, [90, 310]);
    cabinet(pen, [90, 96, 220, 252], finish);
    panel(pen, [90, 96, 220], finish);
    pen.rect([90, 148, 220, 3], 0, finish.tone(84));
    porthole(pen, [200, 242, 80], [Paint::Tomato.tone(100), Paint::Butter.tone(100)]);
    pen.rect([274, 226, 12, 32], 5, METAL_DARK);
    pen.rect([114, 332, 40, 6], 3, finish.tone(84));
}

fn front_wide(pen: &mut Pen, finish: Paint) {
    feet(pen, [78, 322]);
    cabinet(pen, [78, 84, 244, 264], finish);
    pen.rect([78, 138, 244, 3], 0, finish.tone(70));
    pen.rect([96, 98, 74, 28], 5, finish.tone(124));
    pen.disc([210, 112], 17, METAL);
    pen.line("M210 112 l0 -10", (INK, 4));
    pen.rect([246, 98, 58, 28], 5, Tone(0x16, 0x1A, 0x1E));
    pen.rect([254, 109, 24, 6], 3, Tone(0xF5, 0xCB, 0x5C));
    porthole(pen, [200, 242, 90], [Paint::Sky.tone(100), Paint::Chalk.tone(100)]);
    pen.rect([282, 226, 12, 32], 5, INK);
}

fn slim(pen: &mut Pen, finish: Paint) {
    feet(pen, [112, 288]);
    cabinet(pen, [112, 118, 176, 230], finish);
    panel(pen, [112, 118, 176], finish);
    pen.rect([112, 170, 176, 3], 0, finish.tone(84));
    porthole(pen, [200, 254, 66], [Paint::Sage.tone(100), Paint::Plum.tone(120)]);
    // The shelf over it, with what stands in a bathroom.
    pen.rect([92, 88, 216, 10], 4, Paint::Oak.tone(100));
    pen.rect([128, 44, 26, 44], 8, Paint::Cobalt.tone(100));
    pen.rect([135, 34, 12, 12], 3, INK);
    pen.rect([166, 58, 54, 30], 6, LIGHT);
    pen.rect([166, 70, 54, 6], 0, Paint::Tomato.tone(100));
    pen.disc([254, 66], 22, Paint::Butter.tone(100));
    pen.disc([254, 66], 15, Paint::Mist.tone(100));
    pen.rect([250, 84, 8, 5], 1, INK);
}

fn dryer(pen: &mut Pen, finish: Paint) {
    feet(pen, [90, 310]);
    cabinet(pen, [90, 96, 220, 252], finish);
    pen.rect([90, 96, 220, 50], 12, INK);
    pen.rect([90, 130, 220, 18], 0, INK);
    pen.disc([200, 121], 15, METAL);
    pen.line("M200 121 l8 -6", (INK, 4));
    pen.rect([108, 112, 56, 18], 4, Tone(0x3A, 0x41, 0x49));
    pen.rect([240, 118, 50, 6], 3, Tone(0x8C, 0xE0, 0xA4));
    porthole(pen, [200, 236, 76], [Paint::Blush.tone(100), Paint::Sky.tone(100)]);
    for x in (206..290).step_by(12) {
        pen.rect([x, 326, 6, 12], 2, finish.tone(78));
    }
}

fn tower(pen: &mut Pen, finish: Paint) {
    feet(pen, [118, 282]);
    cabinet(pen, [118, 22, 164, 326], finish);
    pen.rect([118, 164, 164, 44], 0, INK);
    pen.disc([158, 186], 12, METAL);
    pen.disc([242, 186], 12, METAL);
    pen.line("M158 186 l0 -7 M242 186 l5 -5", (INK, 3));
    pen.rect([182, 178, 36, 16], 3, Tone(0x3A, 0x41, 0x49));
    pen.rect([188, 184, 16, 4], 2, Tone(0x8C, 0xE0, 0xA4));
    porthole(pen, [200, 94, 56], [Paint::Butter.tone(100), Paint::Chalk.tone(100)]);
    porthole(pen, [200, 278, 58], [Paint::Cobalt.tone(110), Paint::Mint.tone(100)]);
}

fn top(pen: &mut Pen, finish: Paint) {
    feet(pen, [116, 284]);
    // The lid stands open and lets the washing look out.
    pen.path("M128 118 L272 118 L262 52 Q261 46 254 46 L146 46 Q139 46 138 52 Z", finish.tone(94));
    pen.path("M140 112 L260 112 L252 58 L148 58 Z", finish.tone(80));
    pen.path("M148 132 C150 92 178 86 190 100 C204 82 246 92 250 132 Z", Paint::Tomato.tone(100));
    pen.path("M196 132 C200 104 230 102 240 132 Z", Paint::Butter.tone(100));
    cabinet(pen, [116, 128, 168, 220], finish);
    pen.rect([116, 128, 168, 34], 10, finish.tone(84));
    pen.disc([144, 145], 10, METAL_DARK);
    pen.disc([144, 145], 7, METAL);
    pen.rect([168, 138, 60, 14], 4, INK);
    pen.rect([174, 143, 20, 4], 2, Tone(0x8C, 0xE0, 0xA4));
    for y in [190, 212, 234] {
        pen.line(&format!("M140 {y} q15 -8 30 0 t30 0 t30 0 t30 0"), (WATER, 4));
    }
    pen.rect([136, 322, 46, 6], 3, finish.tone(84));
}
