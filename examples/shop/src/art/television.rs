//! Televisions and a projector.

use super::paint::{Paint, Tone};
use super::pen::{INK, LIGHT, METAL, METAL_DARK, Pen};

pub(super) fn form(name: &str) -> Option<fn(&mut Pen, Paint)> {
    Some(match name {
        "easel" => easel,
        "frame" => frame,
        "panel" => panel,
        "portable" => portable,
        "projector" => projector,
        _ => return None,
    })
}

fn frame(pen: &mut Pen, finish: Paint) {
    pen.rect([40, 84, 320, 196], 4, Tone(0x6B, 0x7C, 0x66));
    pen.rect([34, 76, 320, 196], 4, finish.tone(100));
    pen.rect([34, 76, 320, 10], 2, finish.tone(118));
    pen.rect([344, 76, 10, 196], 2, finish.tone(84));
    pen.rect([50, 92, 288, 164], 0, Paint::Chalk.tone(100));
    // A still life of two forms and a horizon.
    pen.rect([68, 108, 252, 132], 0, Paint::Blush.tone(100));
    pen.rect([68, 190, 252, 50], 0, Paint::Tomato.tone(100));
    pen.path(
        "M120 208 C96 166 118 132 140 132 C162 132 184 166 160 208 Z",
        Paint::Cobalt.tone(100),
    );
    pen.rect([128, 116, 24, 22], 3, Paint::Cobalt.tone(100));
    pen.disc([214, 180], 32, Paint::Butter.tone(100));
    pen.path("M240 212 C240 168 300 168 300 212 Z", Paint::Plum.tone(100));
    pen.rect([60, 328, 280, 22], 4, Paint::Oak.tone(100));
    pen.rect([60, 344, 280, 6], 2, Paint::Oak.tone(78));
    pen.rect([84, 350, 12, 40], 2, Paint::Oak.tone(78));
    pen.rect([304, 350, 12, 40], 2, Paint::Oak.tone(78));
    pen.path("M262 328 h44 l-4 -26 h-36 Z", LIGHT);
    pen.line(
        "M284 302 C276 284 280 274 272 262 M284 302 C290 286 286 276 298 266",
        (Tone(0x3D, 0x68, 0x4C), 6),
    );
}

fn panel(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 322], 170);
    pen.rect([96, 300, 60, 18], 4, finish.tone(70));
    pen.rect([244, 300, 60, 18], 4, finish.tone(70));
    pen.rect([20, 84, 360, 222], 10, finish.tone(64));
    pen.rect([28, 92, 344, 206], 4, Paint::Butter.tone(120));
    pen.disc([272, 170], 42, Paint::Tomato.tone(108));
    pen.path(
        "M28 298 L28 206 C92 156 140 214 206 190 C262 170 310 204 372 176 L372 298 Z",
        Paint::Sage.tone(92),
    );
    pen.path(
        "M28 298 L28 246 C92 208 160 256 232 236 C292 220 330 244 372 226 L372 298 Z",
        Paint::Cobalt.tone(82),
    );
    pen.path(
        "M28 298 L28 276 C110 252 176 288 250 272 C306 262 340 274 372 266 L372 298 Z",
        Paint::Cobalt.tone(56),
    );
    pen.veil("M28 92 H150 L52 298 H28 Z", LIGHT, 12);
}

fn easel(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 372], 130);
    pen.line("M200 260 L200 366", (finish.tone(72), 11));
    pen.line("M138 240 L96 370", (finish.tone(100), 12));
    pen.line("M262 240 L304 370", (finish.tone(100), 12));
    pen.line("M158 62 L186 30 M242 62 L214 30", (finish.tone(100), 11));
    pen.rect([44, 60, 312, 196], 8, INK);
    pen.rect([51, 67, 298, 182], 3, Paint::Plum.tone(64));
    pen.path("M51 249 L51 180 Q126 120 200 190 T349 160 L349 249 Z", Paint::Plum.tone(100));
    pen.path("M51 249 L51 214 Q140 168 216 222 T349 206 L349 249 Z", Paint::Blush.tone(100));
    pen.disc([274, 114], 24, Paint::Chalk.tone(100));
    for (x, y) in [(92, 96), (130, 122), (178, 88), (214, 128), (322, 100)] {
        pen.disc([x, y], 3, LIGHT);
    }
    pen.rect([110, 268, 180, 10], 5, finish.tone(112));
}

fn portable(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 334], 134);
    pen.line(
        "M138 116 L138 86 Q138 72 152 72 L248 72 Q262 72 262 86 L262 116",
        (finish.tone(72), 15),
    );
    pen.rect([100, 316, 42, 16], 6, INK);
    pen.rect([258, 316, 42, 16], 6, INK);
    pen.rect([68, 110, 264, 212], 28, finish.tone(100));
    pen.rect([68, 286, 264, 36], 18, finish.tone(84));
    pen.rect([88, 130, 224, 146], 14, INK);
    pen.rect([96, 138, 208, 130], 8, Paint::Sage.tone(86));
    pen.rect([96, 196, 208, 72], 8, Tone(0x4E, 0x8A, 0x5B));
    pen.line("M200 138 V268", (LIGHT, 3));
    pen.ring([200, 212], 26, (LIGHT, 3));
    pen.disc([232, 226], 8, LIGHT);
    pen.disc([228, 224], 3, INK);
    pen.rect([96, 298, 60, 8], 4, finish.tone(60));
    pen.disc([292, 301], 7, METAL);
    pen.disc([268, 301], 7, METAL);
}

fn projector(pen: &mut Pen, finish: Paint) {
    pen.veil("M118 228 L-40 20 L-40 300 Z", Tone(0xFF, 0xF0, 0xC4), 55);
    pen.shadow([222, 332], 132);
    pen.rect([88, 300, 268, 30], 6, Paint::Oak.tone(100));
    pen.rect([88, 318, 268, 12], 4, Paint::Oak.tone(80));
    pen.rect([116, 170, 208, 130], 24, finish.tone(100));
    pen.path("M284 170 h16 a24 24 0 0 1 24 24 v82 a24 24 0 0 1 -24 24 h-16 Z", finish.tone(86));
    pen.rect([106, 190, 34, 76], 12, INK);
    pen.disc([120, 228], 26, METAL_DARK);
    pen.disc([116, 228], 20, INK);
    pen.disc([112, 226], 11, Paint::Butter.tone(140));
    for x in (214..284).step_by(14) {
        pen.rect([x, 254, 6, 26], 3, finish.tone(70));
    }
    pen.rect([176, 184, 62, 8], 4, METAL);
    pen.disc([262, 188], 5, Tone(0x8C, 0xE0, 0xA4));
}
