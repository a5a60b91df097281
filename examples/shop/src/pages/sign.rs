//! Small signs: the shop's mark, icons, stock discs, energy labels, pictures.

use maud::{Markup, PreEscaped, html};

use crate::art;
use crate::catalogue::Product;
use crate::stock::Standing;

/// The shop's mark: a disc that is half full.
pub(super) fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" aria-hidden="true" focusable="false" {
            circle cx="12" cy="12" r="10" fill="none" stroke="currentColor" stroke-width="3" {}
            path d="M12 2a10 10 0 0 1 0 20Z" fill="currentColor" {}
        }
    }
}

pub(super) fn lens() -> Markup {
    html! {
        svg.icon viewBox="0 0 24 24" aria-hidden="true" focusable="false" {
            circle cx="10.5" cy="10.5" r="6.5" fill="none" stroke="currentColor" stroke-width="2" {}
            path d="m15.5 15.5 5 5" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" {}
        }
    }
}

pub(super) fn bag() -> Markup {
    html! {
        svg.icon viewBox="0 0 24 24" aria-hidden="true" focusable="false" {
            path d="M5 8h14l1 12.5H4Z" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round" {}
            path d="M8.5 10.5V7a3.5 3.5 0 0 1 7 0v3.5" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" {}
        }
    }
}

/// The shop's mark again as a gauge: full, half full or empty.
pub(super) fn stock(standing: Standing) -> Markup {
    let (class, fill, words) = match standing {
        Standing::Plenty => {
            ("stock plenty", "M12 3a9 9 0 0 1 0 18 9 9 0 0 1 0-18Z", "In stock".to_owned())
        }
        Standing::Low(left) => ("stock low", "M12 3a9 9 0 0 1 0 18Z", format!("{left} left")),
        Standing::None => ("stock none", "", "Sold out".to_owned()),
    };
    html! {
        span class=(class) {
            svg.gauge viewBox="0 0 24 24" aria-hidden="true" focusable="false" {
                circle cx="12" cy="12" r="9" fill="none" stroke="currentColor" stroke-width="3" {}
                path d=(fill) fill="currentColor" {}
            }
            (words)
        }
    }
}

/// The energy class as an arrow.
pub(super) fn energy(class: char) -> Markup {
    html! {
        span class={ "energy energy-" (class.to_ascii_lowercase()) } {
            span.unseen { "Energy class " } (class)
        }
    }
}

/// A product's picture. It says nothing that the text beside it does not say.
pub(super) fn picture(product: &Product) -> Markup {
    let shapes = art::shapes(&product.category, &product.art).unwrap_or_default();
    html! {
        svg.picture viewBox="0 0 400 400" aria-hidden="true" focusable="false" {
            // Shapes and colours of our own, no text from anywhere.
            (PreEscaped(shapes))
        }
    }
}
