//! Our own product illustrations: flat elevations in a square of 400 units, drawn from form, finish and ground.

mod coffee;
mod fridge;
mod headphones;
mod kettle;
mod laundry;
mod paint;
mod pen;
mod speaker;
mod television;
mod toaster;

use serde::Deserialize;

pub use paint::Paint;
use pen::Pen;

/// What to draw: one of a category's forms in two colours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Art {
    /// Which of the category's drawings.
    pub form: String,
    /// The product's own colour.
    pub finish: Paint,
    /// The colour of the room it stands in.
    pub ground: Paint,
}

/// Where the product stands, which decides the horizon behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// On a worktop.
    Counter,
    /// On the floor.
    Floor,
    /// On the floor, seen from further away.
    Room,
}

/// What goes inside the `svg` element whose view box is `0 0 400 400`: the room first, then the
/// product. Holds shapes and colours only, no ids, so one page may show it twice. None when the
/// category has no such form.
pub fn shapes(category: &str, art: &Art) -> Option<String> {
    let (stage, draw): (Stage, fn(&mut Pen, Paint)) = match (category, art.form.as_str()) {
        ("kettles", form) => (Stage::Counter, kettle::form(form)?),
        ("toasters", form) => (Stage::Counter, toaster::form(form)?),
        ("coffee", form) => (Stage::Counter, coffee::form(form)?),
        ("fridges", form) => (Stage::Floor, fridge::form(form)?),
        ("laundry", form) => (Stage::Floor, laundry::form(form)?),
        ("headphones", form) => (Stage::Counter, headphones::form(form)?),
        ("speakers", form) => (Stage::Counter, speaker::form(form)?),
        ("televisions", form) => (Stage::Room, television::form(form)?),
        _ => return None,
    };
    let mut pen = Pen::default();
    room(&mut pen, stage, art.ground);
    draw(&mut pen, art.finish);
    Some(pen.into_shapes())
}

/// A whole SVG document, for pages that want the picture by its address.
pub fn document(category: &str, art: &Art) -> Option<String> {
    let shapes = shapes(category, art)?;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 400\" width=\"400\" height=\"400\">{shapes}</svg>"
    ))
}

/// Wall and floor reach far beyond the square, so a tile of any shape can show more of the room.
fn room(pen: &mut Pen, stage: Stage, ground: Paint) {
    let horizon = match stage {
        Stage::Counter => 268,
        Stage::Floor => 318,
        Stage::Room => 304,
    };
    pen.rect([-600, -600, 1600, 1600], 0, ground.tone(100));
    pen.rect([-600, horizon, 1600, 1000], 0, ground.tone(93));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_form_is_no_picture() {
        let art = Art { form: "square".into(), finish: Paint::Sage, ground: Paint::Butter };
        assert!(shapes("kettles", &art).is_none());
        assert!(shapes("boats", &art).is_none());
    }

    #[test]
    fn a_picture_carries_no_ids_no_styles_and_no_links() {
        let art = Art { form: "gooseneck".into(), finish: Paint::Tomato, ground: Paint::Blush };
        let shapes = shapes("kettles", &art).unwrap();
        for bad in [" id=", " style=", "href", "<script", "url("] {
            assert!(!shapes.contains(bad), "{bad}");
        }
    }
}
